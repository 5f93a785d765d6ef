package testca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Log keeps what is logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes a line.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve opens a server with the CA's own certificate. Client certificates are asked for and,
// if given, verified against roots and intermediates, as the real server does.
func (c *CA) serve() *httptest.Server {
	own, err := c.Office.OwnCertificate(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.Root)
	pool.AddCert(c.Intermediate)
	s := httptest.NewUnstartedServer(c.Handler())
	s.Config.ErrorLog = log.New(c.Log, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool}
	s.StartTLS()
	c.t.Cleanup(s.Close)
	return s
}

// Handler is the JSON API without a server around it.
func (c *CA) Handler() http.Handler { return c.api().Handler() }

// PublicHandler is what may go over plain HTTP.
func (c *CA) PublicHandler() http.Handler { return c.api().PublicHandler() }

// URL is the address of the server, which starts with the first use.
func (c *CA) URL() string { return c.server().URL }

// Client speaks TLS with the CA, presenting a certificate or none.
func (c *CA) Client(present ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(c.Root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if len(present) > 0 { // also one whose issuer the server does not name
			return &present[0], nil
		}
		return new(tls.Certificate), nil
	}}}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// Call is one request.
type Call struct {
	Method, Path string
	Body         any     // string or []byte as they are, anything else as JSON
	As           *Holder // presents this certificate; nil: none
	Header       http.Header
}

// Do sends a request. A connection that breaks is an answer with status 0.
func (c *CA) Do(call Call) *Answer {
	c.t.Helper()
	var body io.Reader
	switch b := call.Body.(type) {
	case nil:
	case string:
		body = bytes.NewReader([]byte(b))
	case []byte:
		body = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequest(call.Method, c.URL()+call.Path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for name, values := range call.Header {
		r.Header[name] = values
	}
	client := c.Client()
	if call.As != nil {
		client = c.Client(call.As.TLS())
	}
	res, err := client.Do(r)
	if err != nil {
		return &Answer{t: c.t, Err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return &Answer{t: c.t, Status: res.StatusCode, Header: res.Header, Body: text, Err: err}
}

// Get fetches a path.
func (c *CA) Get(path string) *Answer {
	c.t.Helper()
	return c.Do(Call{Method: http.MethodGet, Path: path})
}

// Post sends a body to a path.
func (c *CA) Post(path string, body any) *Answer {
	c.t.Helper()
	return c.Do(Call{Method: http.MethodPost, Path: path, Body: body})
}

// Sign asks for a certificate.
func (c *CA) Sign(csr, token string) *Answer {
	c.t.Helper()
	return c.Post("/1.0/sign", map[string]any{"csr": csr, "ott": token})
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error // of the connection

	t testing.TB
}

// Want fails the test unless the status is this one.
func (a *Answer) Want(status int) *Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("status %d, want %d: %s %v", a.Status, status, bytes.TrimSpace(a.Body), a.Err)
	}
	return a
}

// JSON decodes the body.
func (a *Answer) JSON(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		a.t.Fatalf("body %.200q: %v", a.Body, err)
	}
}

// Message is what an error says.
func (a *Answer) Message() string {
	var problem struct{ Message string }
	_ = json.Unmarshal(a.Body, &problem)
	return problem.Message
}

// Chain is the certificate chain of an issuance.
func (a *Answer) Chain() []*x509.Certificate {
	a.t.Helper()
	a.Want(http.StatusCreated)
	var body struct {
		Chain []string `json:"certChain"`
	}
	a.JSON(&body)
	var chain []*x509.Certificate
	for _, text := range body.Chain {
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(rest) > 0 {
			a.t.Fatalf("certChain holds %.80q", text)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			a.t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		a.t.Fatal("certChain is empty")
	}
	return chain
}

// Holder is somebody with a certificate and its key.
type Holder struct {
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// Leaf is the certificate itself.
func (h *Holder) Leaf() *x509.Certificate { return h.Chain[0] }

// TLS is what a TLS client presents.
func (h *Holder) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: h.Key}
	for _, cert := range h.Chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// Issue gets a certificate for names from the CA; the first is the common name.
func (c *CA) Issue(names ...string) *Holder {
	c.t.Helper()
	return c.IssueFor(P256(c.t), c.Token(names[0], SANs(names...)))
}

// IssueFor gets the certificate a token grants for a key.
func (c *CA) IssueFor(key crypto.Signer, token string) *Holder {
	c.t.Helper()
	return &Holder{Chain: c.Sign(CSR(c.t, key, ""), token).Chain(), Key: key}
}

// Foreign makes a certificate that the CA never issued, signed by any key.
func (c *CA) Foreign(cn string, issuer *x509.Certificate, by crypto.Signer, bend func(*x509.Certificate)) *Holder {
	c.t.Helper()
	key := P256(c.t)
	template := LeafTemplate(cn)
	if bend != nil {
		bend(template)
	}
	return &Holder{Chain: []*x509.Certificate{c.Certify(template, issuer, key.Public(), by), issuer}, Key: key}
}
