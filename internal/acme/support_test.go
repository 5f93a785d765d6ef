package acme_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/signet-ca/signet/internal/acme"
	"github.com/signet-ca/signet/internal/testca"
)

// world is a CA with an ACME door, and around it what validation looks at: a web server and
// a DNS server, in which every name leads to 127.0.0.1.
type world struct {
	t       testing.TB
	ca      *testca.CA
	door    *acme.Door
	options acme.Options
	srv     *httptest.Server
	web     *http.Client
	*answers
}

// answers are what validation finds.
type answers struct {
	mu    sync.Mutex
	pages map[string]string // by token
	txt   map[string][]string
	ttl   uint32 // seconds, of TXT records
	asked int    // by the web server of validation
}

// object is the JSON of an ACME provisioner.
func object(more map[string]any) string {
	o := map[string]any{"type": "ACME", "name": "acme"}
	for k, v := range more {
		o[k] = v
	}
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// withACME replaces the ACME provisioner, for a reload.
func withACME(more map[string]any) func(*testca.Setup) {
	return func(s *testca.Setup) { s.More = []string{object(more)} }
}

// withMore adds provisioners.
func withMore(objects ...string) func(*testca.Setup) {
	return func(s *testca.Setup) { s.More = append(s.More, objects...) }
}

func durable(s *testca.Setup) { s.Durable = true }

// newWorld makes one whose ACME provisioner has further members.
func newWorld(t testing.TB, more map[string]any, bend ...func(*testca.Setup)) *world {
	t.Helper()
	w := &world{t: t, answers: &answers{pages: map[string]string{}, txt: map[string][]string{}}}
	w.ca = testca.New(t, append([]func(*testca.Setup){func(s *testca.Setup) { s.More = []string{object(more)} }}, bend...)...)
	w.options = acme.Options{CA: w.ca.Office, Log: w.ca.Logger(), HTTPPort: w.serveWeb(), TLSPort: 1, Resolver: w.serveDNS()}
	w.open()
	return w
}

// beside is a second server on the same database.
func (w *world) beside() *world {
	other := *w
	other.open()
	return &other
}

func (w *world) open() {
	t := w.t
	w.door = acme.New(w.options)
	t.Cleanup(w.door.Close)
	own, err := w.ca.Office.OwnCertificate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.srv = httptest.NewUnstartedServer(w.door.Handler())
	w.srv.TLS = &tls.Config{Certificates: []tls.Certificate{*own}}
	w.srv.StartTLS()
	t.Cleanup(w.srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(w.ca.Root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	w.web = &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// serveWeb answers http-01 and tells its port.
func (w *world) serveWeb() int {
	s := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		w.mu.Lock()
		page, ok := w.pages[token]
		w.asked++
		w.mu.Unlock()
		if !ok {
			http.NotFound(res, r)
			return
		}
		_, _ = io.WriteString(res, page)
	}))
	w.t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// serveDNS answers with 127.0.0.1 and with the TXT records that tests set.
func (w *world) serveDNS() string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(res dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		name := strings.ToLower(r.Question[0].Name)
		head := dns.RR_Header{Name: r.Question[0].Name, Rrtype: r.Question[0].Qtype, Class: dns.ClassINET}
		switch r.Question[0].Qtype {
		case dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: net.IPv4(127, 0, 0, 1)})
		case dns.TypeTXT:
			w.mu.Lock()
			head.Ttl = w.ttl
			for _, text := range w.txt[name] {
				m.Answer = append(m.Answer, &dns.TXT{Hdr: head, Txt: []string{text}})
			}
			w.mu.Unlock()
		case dns.TypeCAA:
			w.mu.Lock()
			for _, text := range w.txt["caa "+name] {
				tag, value, _ := strings.Cut(text, " ")
				m.Answer = append(m.Answer, &dns.CAA{Hdr: head, Tag: tag, Value: value})
			}
			w.mu.Unlock()
		}
		_ = res.WriteMsg(m)
	})}
	ready := make(chan struct{})
	s.NotifyStartedFunc = func() { close(ready) }
	go func() { _ = s.ActivateAndServe() }()
	<-ready
	w.t.Cleanup(func() { _ = s.Shutdown() })
	return conn.LocalAddr().String()
}

func (w *world) url(path string) string { return w.srv.URL + "/acme/acme/" + path }

// reply is what came back.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// refused wants a problem of a type.
func (r *reply) refused(status int, kind string) *reply {
	r.t.Helper()
	r.want(status)
	if got := r.problem().Type; got != "urn:ietf:params:acme:error:"+kind {
		r.t.Fatalf("problem %q, want %q: %s", got, kind, r.body)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Fatalf("content type of a problem is %q", got)
	}
	return r
}

type problemDoc struct {
	Type, Detail string
	Subproblems  []struct {
		Type, Detail string
		Identifier   struct{ Type, Value string }
	}
	Algorithms []string
}

func (r *reply) problem() (p problemDoc) {
	_ = json.Unmarshal(r.body, &p)
	return p
}

func (r *reply) into(v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
}

func (r *reply) location() string { return r.header.Get("Location") }

// send sends a request as it is.
func (w *world) send(method, url, contentType string, body []byte) *reply {
	w.t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return w.do(req)
}

func (w *world) do(req *http.Request) *reply {
	w.t.Helper()
	res, err := w.web.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return &reply{w.t, res.StatusCode, res.Header, text}
}

func (w *world) nonce() string {
	w.t.Helper()
	r := w.send(http.MethodHead, w.url("new-nonce"), "", nil).want(http.StatusOK)
	return r.header.Get("Replay-Nonce")
}

// b64 is base64url without padding.
func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// client is an ACME client put together by hand from RFC 8555.
type client struct {
	*world
	key *ecdsa.PrivateKey
	kid string // "": there is no account yet
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newClient is a client with a new account.
func (w *world) newClient() *client {
	w.t.Helper()
	c := &client{world: w, key: newKey(w.t)}
	r := c.post(w.url("new-account"), `{"termsOfServiceAgreed":true}`).want(http.StatusCreated)
	c.kid = r.location()
	return c
}

// in is the same client in a subtest.
func (c *client) in(t testing.TB) *client {
	w := *c.world
	w.t = t
	out := *c
	out.world = &w
	return &out
}

// jwk is the public key as RFC 7518, Section 6.2 writes it.
func (c *client) jwk() map[string]any {
	all := testca.PublicJWK(&c.key.PublicKey)
	return map[string]any{"kty": all["kty"], "crv": all["crv"], "x": all["x"], "y": all["y"]}
}

func (c *client) keyAuthorization(token string) string {
	return token + "." + testca.Thumbprint(&c.key.PublicKey)
}

// header is the protected header of a proper request.
func (c *client) header(url string) map[string]any {
	h := map[string]any{"alg": "ES256", "url": url, "nonce": c.nonce()}
	if c.kid == "" {
		h["jwk"] = c.jwk()
	} else {
		h["kid"] = c.kid
	}
	return h
}

// sign makes a flattened JWS (RFC 7515, Section 7.2.2).
func sign(t testing.TB, key crypto.Signer, header any, payload string) map[string]any {
	t.Helper()
	text, ok := header.(string)
	if !ok {
		raw, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	protected, body := b64([]byte(text)), b64([]byte(payload))
	digest := sha256.Sum256([]byte(protected + "." + body))
	r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return map[string]any{"protected": protected, "payload": body, "signature": b64(sig)}
}

// signAny is sign for keys of every kind.
func signAny(t testing.TB, key crypto.Signer, header map[string]any, payload string) map[string]any {
	t.Helper()
	raw, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	protected, body := b64(raw), b64([]byte(payload))
	alg := header["alg"].(string)
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	h := hash.New()
	h.Write([]byte(protected + "." + body))
	digest := h.Sum(nil)
	var sig []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		size := (k.Params().BitSize + 7) / 8
		r, s, err := ecdsa.Sign(rand.Reader, k, digest)
		if err != nil {
			t.Fatal(err)
		}
		sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = hash
		if alg[:2] == "PS" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		if sig, err = k.Sign(rand.Reader, digest, opts); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]any{"protected": protected, "payload": body, "signature": b64(sig)}
}

// post signs and sends.
func (c *client) post(url, payload string) *reply {
	c.t.Helper()
	return c.raw(url, sign(c.t, c.key, c.header(url), payload))
}

// raw sends a message as it is.
func (c *client) raw(url string, message any) *reply {
	c.t.Helper()
	text, ok := message.(string)
	if !ok {
		raw, err := json.Marshal(message)
		if err != nil {
			c.t.Fatal(err)
		}
		text = string(raw)
	}
	return c.send(http.MethodPost, url, "application/jose+json", []byte(text))
}

// get is POST-as-GET.
func (c *client) get(url string) *reply {
	c.t.Helper()
	return c.post(url, "")
}

type orderDoc struct {
	ID, Status, Finalize, Certificate, Profile, Replaces string
	Expires, NotBefore, NotAfter                         time.Time
	Identifiers                                          []struct{ Type, Value string }
	Authorizations                                       []string
	Error                                                *problemDoc
	url                                                  string
}

type authzDoc struct {
	Identifier struct{ Type, Value string }
	Status     string
	Wildcard   bool
	Expires    time.Time
	Challenges []challengeDoc
	Subdomains bool `json:"subdomainAuthAllowed"`
}

type challengeDoc struct {
	Type, Status, Token, URL string
	Validated                string
	AccountURI               string
	Issuers                  []string `json:"issuer-domain-names"`
	Error                    *problemDoc
}

// dnsOrder asks for names.
func dnsOrder(names ...string) string {
	var ids []string
	for _, n := range names {
		kind := "dns"
		if net.ParseIP(n) != nil {
			kind = "ip"
		}
		ids = append(ids, fmt.Sprintf(`{"type":%q,"value":%q}`, kind, n))
	}
	return `{"identifiers":[` + strings.Join(ids, ",") + `]}`
}

func (c *client) order(names ...string) *orderDoc {
	c.t.Helper()
	r := c.post(c.url("new-order"), dnsOrder(names...)).want(http.StatusCreated)
	o := &orderDoc{url: r.location()}
	r.into(o)
	return o
}

func (c *client) readOrder(url string) *orderDoc {
	c.t.Helper()
	o := &orderDoc{url: url}
	c.get(url).want(http.StatusOK).into(o)
	return o
}

func (c *client) readAuthz(url string) *authzDoc {
	c.t.Helper()
	a := new(authzDoc)
	c.get(url).want(http.StatusOK).into(a)
	return a
}

func (a *authzDoc) challenge(t testing.TB, kind string) *challengeDoc {
	t.Helper()
	for i := range a.Challenges {
		if a.Challenges[i].Type == kind {
			return &a.Challenges[i]
		}
	}
	t.Fatalf("no challenge %s in %+v", kind, a)
	return nil
}

// show puts the answer to a challenge where http-01 finds it.
func (c *client) show(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[token] = c.keyAuthorization(token)
}

// prove answers a challenge by http-01.
func (c *client) prove(authzURL string) *reply {
	c.t.Helper()
	ch := c.readAuthz(authzURL).challenge(c.t, "http-01")
	c.show(ch.Token)
	return c.post(ch.URL, "{}").want(http.StatusOK)
}

// proveDNS answers a challenge by dns-01.
func (c *client) proveDNS(authzURL string) *reply {
	c.t.Helper()
	a := c.readAuthz(authzURL)
	ch := a.challenge(c.t, "dns-01")
	sum := sha256.Sum256([]byte(c.keyAuthorization(ch.Token)))
	c.mu.Lock()
	name := "_acme-challenge." + a.Identifier.Value + "."
	c.txt[name] = append(c.txt[name], b64(sum[:]))
	c.mu.Unlock()
	return c.post(ch.URL, "{}").want(http.StatusOK)
}

// ready is an order whose names are all proven.
func (c *client) ready(names ...string) *orderDoc {
	c.t.Helper()
	o := c.order(names...)
	for _, a := range o.Authorizations {
		if strings.HasPrefix(names[0], "*.") {
			c.proveDNS(a)
		} else {
			c.prove(a)
		}
	}
	return o
}

// request makes a certificate request.
func request(t testing.TB, key crypto.Signer, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// csrFor is a plain request for names.
func csrFor(t testing.TB, names ...string) []byte {
	r := &x509.CertificateRequest{}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			r.IPAddresses = append(r.IPAddresses, ip)
		} else {
			r.DNSNames = append(r.DNSNames, n)
		}
	}
	if len(r.DNSNames) > 0 {
		r.Subject = pkix.Name{CommonName: r.DNSNames[0]}
	}
	return request(t, newKey(t), r)
}

func (c *client) finalize(o *orderDoc, der []byte) *reply {
	c.t.Helper()
	return c.post(o.Finalize, `{"csr":"`+b64(der)+`"}`)
}

// download fetches the chain of a finished order.
func (c *client) download(o *orderDoc) []*x509.Certificate {
	c.t.Helper()
	r := c.get(o.Certificate).want(http.StatusOK)
	var chain []*x509.Certificate
	for rest := r.body; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return chain
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			c.t.Fatal(err)
		}
		chain = append(chain, cert)
	}
}

// certificate goes the whole way.
func (c *client) certificate(names ...string) (*orderDoc, *x509.Certificate, *ecdsa.PrivateKey) {
	c.t.Helper()
	o := c.ready(names...)
	key := newKey(c.t)
	r := &x509.CertificateRequest{}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			r.IPAddresses = append(r.IPAddresses, ip)
		} else {
			r.DNSNames = append(r.DNSNames, n)
		}
	}
	c.finalize(o, request(c.t, key, r)).want(http.StatusOK).into(o)
	if o.Status != "valid" {
		c.t.Fatalf("order is %s", o.Status)
	}
	return o, c.download(o)[0], key
}

func itoa(n int) string { return strconv.Itoa(n) }
