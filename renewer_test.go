package signet_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet"
)

// pipes is a network without a kernel, so that time in a bubble can pass.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

const lifetime = 24 * time.Hour

// renewingCA renews over TLS and by token, in memory.
type renewingCA struct {
	t       *testing.T
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey
	down    atomic.Bool
	byTLS   atomic.Int32
	byToken atomic.Int32
	net     *pipes
	server  *http.Server
}

func (s *renewingCA) issue(key crypto.PublicKey) *x509.Certificate {
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "ca.test"}, DNSNames: []string{"ca.test"},
		NotBefore: now, NotAfter: now.Add(lifetime), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, s.root, key, s.rootKey)
	if err != nil {
		s.t.Error(err)
		return nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Error(err)
	}
	return cert
}

func newRenewingCA(t *testing.T) *renewingCA {
	t.Helper()
	s := &renewingCA{t: t, net: newPipes()}
	s.rootKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * lifetime),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.rootKey.Public(), s.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	s.root, _ = x509.ParseCertificate(der)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /renew", s.renew)
	mux.HandleFunc("GET /roots", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 201, signet.CertificatesResponse{Certificates: []signet.Certificate{{Certificate: s.root}}})
	})
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.server = &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			leaf := s.issue(key.Public())
			return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, nil
		},
	}}
	go s.server.ServeTLS(s.net, "", "")
	return s
}

func (s *renewingCA) renew(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		answer(w, 503, `{"status":503,"message":"away"}`)
		return
	}
	var key crypto.PublicKey
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		leaf := verify(s.t, token, "https://ca.test/1.0/renew")
		key = leaf.PublicKey
		s.byToken.Add(1)
	} else {
		key = r.TLS.PeerCertificates[0].PublicKey
		s.byTLS.Add(1)
	}
	answer(w, 201, signet.SignResponse{Leaf: signet.Certificate{Certificate: s.issue(key)}})
}

func (s *renewingCA) close() {
	close(s.net.closed)
	s.server.Close()
}

// verify checks a renewal token by hand, as RFC 7515 and the CA's rules say.
func verify(t *testing.T, token, audience string) *x509.Certificate {
	t.Helper()
	parts := strings.Split(token, ".")
	var header struct {
		Alg   string
		Typ   string
		Chain []string `json:"x5cInsecure"`
	}
	var claims struct {
		Iss, Sub, Aud string
		Iat, Nbf, Exp int64
	}
	raw := make([][]byte, 3)
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(json.Unmarshal(raw[0], &header), json.Unmarshal(raw[1], &claims)); err != nil {
		t.Error(err)
	}
	der, err := base64.StdEncoding.DecodeString(header.Chain[0])
	if err != nil {
		t.Error(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Error(err)
	}
	message, good := []byte(parts[0]+"."+parts[1]), false
	pair := func(size int) (r, s *big.Int) {
		return new(big.Int).SetBytes(raw[2][:size]), new(big.Int).SetBytes(raw[2][size:])
	}
	switch key := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		sum, size := sha256.Sum256(message), 32
		digest := sum[:]
		if key.Curve == elliptic.P521() {
			long := sha512.Sum512(message)
			digest, size = long[:], 66
		}
		r, s := pair(size)
		good = len(raw[2]) == 2*size && ecdsa.Verify(key, digest, r, s)
	case *rsa.PublicKey:
		sum := sha256.Sum256(message)
		good = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw[2]) == nil
	case ed25519.PublicKey:
		good = ed25519.Verify(key, message, raw[2])
	}
	if !good || header.Typ != "JWT" || claims.Iss != "step-ca-client/1.0" || claims.Sub != leaf.Subject.CommonName ||
		claims.Aud != audience || claims.Exp-claims.Nbf != 300 || claims.Iat != claims.Nbf {
		t.Errorf("signature good: %v, header %+v, claims %+v", good, header, claims)
	}
	return leaf
}

func (s *renewingCA) renewer(options *signet.RenewerOptions) *signet.Renewer {
	s.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	client, err := signet.NewClient("https://ca.test", &signet.Options{Roots: pool, Dial: s.net.dial})
	if err != nil {
		s.t.Fatal(err)
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leaf := s.issue(key.Public())
	r, err := signet.NewRenewer(client, &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, options)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// TestRenewerRenewsInTime proves that a certificate is renewed between 61 and 67 hundredths
// of its lifetime, again and again.
func TestRenewerRenewsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRenewingCA(t)
		defer s.close()
		renewals := make(chan time.Time, 10)
		r := s.renewer(&signet.RenewerOptions{Renewed: func(*tls.Certificate) { renewals <- time.Now() }})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Run(ctx)
		for range 3 {
			before := r.Certificate().Leaf
			at := <-renewals
			if part := float64(at.Sub(before.NotBefore)) / float64(lifetime); part < 0.61 || part > 0.67 {
				t.Errorf("renewed after %.3f of the lifetime", part)
			}
			if r.Certificate().Leaf.Equal(before) {
				t.Error("the certificate is still the old one")
			}
		}
		cancel()
		synctest.Wait()
	})
}

// TestRenewerSurvivesAnOutage proves that retries thin out, that an outage longer than the
// certificate is bridged by a renewal token, and that the certificate is fresh at the end.
func TestRenewerSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRenewingCA(t)
		defer s.close()
		s.down.Store(true)
		var failures, longest atomic.Int64
		renewed := make(chan struct{}, 10)
		r := s.renewer(&signet.RenewerOptions{
			Renewed: func(*tls.Certificate) { renewed <- struct{}{} },
			Failed:  func(_ error, wait time.Duration) { failures.Add(1); longest.Store(max(longest.Load(), int64(wait))) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Run(ctx)
		time.Sleep(2 * lifetime)
		s.down.Store(false)
		<-renewed
		if n := failures.Load(); n < 100 || n > 600 {
			t.Errorf("%d attempts in 32 hours", n)
		}
		if longest.Load() > int64(10*time.Minute) || s.byToken.Load() != 1 || s.byTLS.Load() != 0 {
			t.Errorf("longest wait %v, %d by token, %d by TLS", time.Duration(longest.Load()), s.byToken.Load(), s.byTLS.Load())
		}
		cancel()
		synctest.Wait()
	})
}

// TestRenewerTLS proves that servers and clients use the certificate of the moment.
func TestRenewerTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRenewingCA(t)
		defer s.close()
		r := s.renewer(nil)
		shake := func() (server, client *x509.Certificate) {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			tlsServer := tls.Server(a, r.ServerTLS(tls.RequireAndVerifyClientCert))
			config := r.ClientTLS()
			config.ServerName = "ca.test"
			tlsClient := tls.Client(b, config)
			done := make(chan error, 1)
			go func() { done <- tlsServer.Handshake() }()
			go io.Copy(io.Discard, tlsClient)
			if err := errors.Join(tlsClient.Handshake(), <-done); err != nil {
				t.Error(err)
				return nil, nil
			}
			return tlsClient.ConnectionState().PeerCertificates[0], tlsServer.ConnectionState().PeerCertificates[0]
		}
		for range 2 {
			server, client := shake()
			if now := r.Certificate().Leaf; !now.Equal(server) || !now.Equal(client) {
				t.Error("an old certificate was presented")
			}
			if err := r.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRenewerNeedsRoots(t *testing.T) {
	t.Parallel()
	client, err := signet.NewClient("https://ca.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, key := newCertificate(t, nil, nil, "x")
	if _, err := signet.NewRenewer(client, &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}, nil); err == nil {
		t.Error("a renewer without roots was made")
	}
}

// TestRenewalTokens proves that keys of all kinds sign tokens that verify.
func TestRenewalTokens(t *testing.T) {
	t.Parallel()
	client, err := signet.NewClient("https://ca.test:9000", nil)
	if err != nil {
		t.Fatal(err)
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for name, x := range map[string]struct {
		key  crypto.Signer
		good bool
	}{"P-256": {p256, true}, "P-521": {p521, true}, "RSA": {rsaKey, true}, "Ed25519": {ed, true}, "P-224": {p224, false}} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, x.key.Public(), x.key)
		if err != nil {
			t.Fatal(err)
		}
		token, err := client.RenewalToken(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: x.key}, time.Unix(1_900_000_000, 0))
		if (err == nil) != x.good {
			t.Errorf("%s: %v", name, err)
		}
		if x.good {
			verify(t, token, "https://ca.test:9000/1.0/renew")
		}
	}
}

// handmade is a token as its claims say, with a signature nobody checks here.
func handmade(claims string) string {
	return "eyJhbGciOiJFUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

func TestTokenCA(t *testing.T) {
	t.Parallel()
	for claims, want := range map[string][2]string{
		`{"aud":"https://ca.corp:8443/1.0/sign","sha":"ab"}`:   {"https://ca.corp:8443", "ab"},
		`{"aud":["x","https://ca/1.0/sign#x5c/a"],"sha":"ab"}`: {"https://ca", "ab"},
		`{"aud":"step-certificate-authority","sha":"ab"}`:      {"", "ab"},
		`{"aud":7}`: {"", ""},
		`{}`:        {"", ""},
		`no JSON`:   {"", ""},
	} {
		address, fingerprint := signet.TokenCA(handmade(claims))
		if got := [2]string{address, fingerprint}; got != want {
			t.Errorf("%s: %q", claims, got)
		}
	}
	if address, _ := signet.TokenCA("no token"); address != "" {
		t.Error(address)
	}
}

func TestNewRequest(t *testing.T) {
	t.Parallel()
	token := handmade(`{"sub":"web","sans":["web.corp","10.0.0.7","spiffe://td/x","a@b.c"]}`)
	request, key, err := signet.NewRequest(token)
	if err != nil {
		t.Fatal(err)
	}
	csr := request.CSR
	got := []any{csr.Subject.CommonName, csr.DNSNames, csr.IPAddresses[0].String(), csr.URIs[0].String(), csr.EmailAddresses, request.OTT == token}
	want := []any{"web", []string{"web.corp"}, "10.0.0.7", "spiffe://td/x", []string{"a@b.c"}, true}
	if diff := cmp.Diff(want, got); diff != "" || csr.CheckSignature() != nil {
		t.Error(diff)
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(csr.PublicKey) {
		t.Error("the request is of another key")
	}
	if request, _, err = signet.NewRequest(handmade(`{"sub":"web.corp"}`)); err != nil || request.CSR.DNSNames[0] != "web.corp" {
		t.Error("a token without sans covers its subject", err)
	}
}

// TestBootstrapByToken proves that a token which names CA and root is trust enough.
func TestBootstrapByToken(t *testing.T) {
	t.Parallel()
	s := newCA(t, nil)
	_, root, err := signet.BootstrapByToken(t.Context(), handmade(`{"aud":"`+s.URL+`/1.0/sign","sha":"`+signet.Fingerprint(s.root)+`"}`), nil)
	if err != nil || !root.Equal(s.root) {
		t.Error(err)
	}
	for _, claims := range []string{`{"aud":"` + s.URL + `"}`, `{"sha":"` + signet.Fingerprint(s.root) + `"}`} {
		if _, _, err := signet.BootstrapByToken(t.Context(), handmade(claims), nil); err == nil {
			t.Errorf("%s: accepted", claims)
		}
	}
}
