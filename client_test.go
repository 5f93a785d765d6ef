package signet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet"
)

// ca is a server that answers as the wire's description says, and remembers the requests.
type ca struct {
	*httptest.Server
	root     *x509.Certificate
	rootKey  *ecdsa.PrivateKey
	requests chan *seen
}

type seen struct {
	*http.Request
	body string
}

func newCA(t *testing.T, routes map[string]http.HandlerFunc) *ca {
	t.Helper()
	s := &ca{requests: make(chan *seen, 100)}
	s.root, s.rootKey = newCertificate(t, nil, nil, "root")
	leaf, key := newCertificate(t, s.root, s.rootKey, "127.0.0.1")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /root/{sha}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, signet.RootResponse{Root: signet.Certificate{Certificate: s.root}})
	})
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.requests <- &seen{r, string(body)}
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		mux.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
		ClientAuth:   tls.RequestClientCert,
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// client bootstraps and forgets the request that took.
func (s *ca) client(t *testing.T) *signet.Client {
	t.Helper()
	c, root, err := signet.Bootstrap(t.Context(), s.URL, signet.Fingerprint(s.root), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !root.Equal(s.root) {
		t.Fatal("another root came back")
	}
	<-s.requests
	t.Cleanup(c.Close)
	return c
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, ok := body.(string); ok {
		io.WriteString(w, text)
		return
	}
	json.NewEncoder(w).Encode(body)
}

func newCertificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		parent, parentKey = template, key
	} else {
		template.IPAddresses = append(template.IPAddresses, []byte{127, 0, 0, 1})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func newRequest(t *testing.T) *x509.CertificateRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func TestBootstrapRefusesAnotherRoot(t *testing.T) {
	t.Parallel()
	s := newCA(t, nil)
	other, _ := newCertificate(t, nil, nil, "other")
	for name, fingerprint := range map[string]string{
		"of another certificate": signet.Fingerprint(other),
		"too short":              "abcd",
		"not hexadecimal":        strings.Repeat("z", 64),
		"empty":                  "",
	} {
		if _, _, err := signet.Bootstrap(t.Context(), s.URL, fingerprint, nil); err == nil {
			t.Errorf("fingerprint %s: accepted", name)
		}
	}
}

func TestBootstrapAcceptsCopiedFingerprints(t *testing.T) {
	t.Parallel()
	s := newCA(t, nil)
	fp := signet.Fingerprint(s.root)
	for _, written := range []string{fp, strings.ToUpper(fp), fp[:2] + ":" + fp[2:], fp[:32] + "-" + fp[32:]} {
		if _, _, err := signet.Bootstrap(t.Context(), s.URL, written, nil); err != nil {
			t.Errorf("%s: %v", written, err)
		}
	}
}

// TestVerifies proves that after bootstrap only the bootstrapped root counts.
func TestVerifies(t *testing.T) {
	t.Parallel()
	ok := map[string]http.HandlerFunc{"GET /health": func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"status":"ok"}`) }}
	one, two := newCA(t, ok), newCA(t, ok)
	pool := x509.NewCertPool()
	pool.AddCert(two.root)
	c, err := signet.NewClient(one.URL, &signet.Options{Roots: pool})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Health(t.Context()); err == nil {
		t.Fatal("a server below another root was trusted")
	}
	if got, err := one.client(t).Health(t.Context()); err != nil || got != "ok" {
		t.Fatalf("health %q, %v", got, err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"https://ca.example.com": true, "https://[::1]:9000/some/path": true,
		"http://ca.example.com": false, "ca.example.com": false, "https://": false, "https://u:p@ca": false, "": false,
	} {
		if _, err := signet.NewClient(address, nil); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestRequests holds what is sent against the description of the wire.
func TestRequests(t *testing.T) {
	t.Parallel()
	leaf, key := newCertificate(t, nil, nil, "leaf")
	csr := newRequest(t)
	pem := func(label string, der []byte) string {
		data, _ := json.Marshal(signet.Certificate{Certificate: leaf})
		if label == "CERTIFICATE REQUEST" {
			data, _ = json.Marshal(signet.CertificateRequest{CertificateRequest: csr})
		}
		return string(data)
	}
	certificate, request := pem("CERTIFICATE", leaf.Raw), pem("CERTIFICATE REQUEST", csr.Raw)
	signed := `{"crt":` + certificate + `,"ca":null,"certChain":[` + certificate + `],"tlsOptions":{"cipherSuites":["X"],"minVersion":1.2,"maxVersion":1.3,"renegotiation":false}}`
	crts := `{"crts":[` + certificate + `]}`
	holder := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
	issued := func(r *signet.SignResponse, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return len(r.Certificates()), nil
	}
	count := func(certs []*x509.Certificate, err error) (any, error) { return len(certs), err }

	cases := []struct {
		name, route, reply string
		status             int
		body, auth         string
		call               func(context.Context, *signet.Client) (any, error)
		want               any
	}{
		{"roots answer 201", "GET /roots", crts, 201, "", "", func(ctx context.Context, c *signet.Client) (any, error) { return count(c.Roots(ctx)) }, 1},
		{"federation", "GET /federation", crts, 201, "", "", func(ctx context.Context, c *signet.Client) (any, error) { return count(c.Federation(ctx)) }, 1},
		{"intermediates", "GET /intermediates", crts, 201, "", "", func(ctx context.Context, c *signet.Client) (any, error) { return count(c.Intermediates(ctx)) }, 1},
		{"version", "GET /version", `{"version":"0.30.2","requireClientAuthentication":true}`, 200, "", "", func(ctx context.Context, c *signet.Client) (any, error) {
			v, err := c.Version(ctx)
			return *v, err
		}, signet.VersionResponse{Version: "0.30.2", RequireClientAuthentication: true}},
		{"encrypted key", "GET /provisioners/k%20d/encrypted-key", `{"key":"a.b.c"}`, 200, "", "", func(ctx context.Context, c *signet.Client) (any, error) { return c.EncryptedKey(ctx, "k d") }, "a.b.c"},
		{"sign sends unset times as empty strings", "POST /sign", signed, 201,
			`{"csr":` + request + `,"ott":"tok","notBefore":"","notAfter":"8h0m0s"}`, "", func(ctx context.Context, c *signet.Client) (any, error) {
				return issued(c.Sign(ctx, &signet.SignRequest{CSR: signet.CertificateRequest{CertificateRequest: csr}, OTT: "tok", NotAfter: signet.TimeDuration{Duration: 8 * time.Hour}}))
			}, 1},
		{"renew by mTLS", "POST /renew", signed, 201, `{}`, "", func(ctx context.Context, c *signet.Client) (any, error) { return issued(c.As(holder).Renew(ctx)) }, 1},
		{"renew by token", "POST /renew", signed, 201, `{}`, "Bearer tok", func(ctx context.Context, c *signet.Client) (any, error) { return issued(c.RenewByToken(ctx, "tok")) }, 1},
		{"rekey by mTLS", "POST /rekey", signed, 201, `{"csr":` + request + `}`, "", func(ctx context.Context, c *signet.Client) (any, error) { return issued(c.As(holder).Rekey(ctx, csr)) }, 1},
		{"revoke by token", "POST /revoke", `{"status":"ok"}`, 200, `{"serial":"7","ott":"tok","reasonCode":1,"reason":"lost","passive":true}`, "", func(ctx context.Context, c *signet.Client) (any, error) {
			return nil, c.Revoke(ctx, &signet.RevokeRequest{Serial: "7", OTT: "tok", ReasonCode: 1, Reason: "lost", Passive: true})
		}, nil},
		{"revoke by mTLS", "POST /revoke", `{"status":"ok"}`, 200, `{"serial":"7","ott":"","reasonCode":0,"reason":"","passive":true}`, "", func(ctx context.Context, c *signet.Client) (any, error) {
			return nil, c.As(holder).Revoke(ctx, &signet.RevokeRequest{Serial: "7", Passive: true})
		}, nil},
		{"crl", "GET /crl", "der", 200, "", "", func(ctx context.Context, c *signet.Client) (any, error) {
			der, err := c.CRL(ctx)
			return string(der), err
		}, "der"},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(x.route, " ")
			s := newCA(t, map[string]http.HandlerFunc{method + " /": func(w http.ResponseWriter, r *http.Request) { answer(w, x.status, x.reply) }})
			got, err := x.call(t.Context(), s.client(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			r := <-s.requests
			if r.URL.EscapedPath() != path || r.body != x.body || r.Header.Get("Authorization") != x.auth {
				t.Errorf("sent %s %s %q %q", r.Method, r.URL.EscapedPath(), r.body, r.Header.Get("Authorization"))
			}
			if len(r.Header.Get("X-Request-Id")) != 36 || r.Header.Get("User-Agent") == "" {
				t.Errorf("headers %v", r.Header)
			}
			if mutual := strings.HasSuffix(x.name, "mTLS"); (len(r.TLS.PeerCertificates) == 1) != mutual {
				t.Errorf("%d client certificates", len(r.TLS.PeerCertificates))
			}
		})
	}
}

func TestProvisionersReadsAllPages(t *testing.T) {
	t.Parallel()
	s := newCA(t, map[string]http.HandlerFunc{"GET /provisioners": func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "limit=100":
			answer(w, 200, `{"provisioners":[{"type":"JWK","name":"a"}],"nextCursor":"1f"}`)
		case "cursor=1f&limit=100":
			answer(w, 200, `{"provisioners":[{"type":"ACME","name":"b"}],"nextCursor":""}`)
		default:
			answer(w, 400, `{"status":400,"message":"bad query"}`)
		}
	}})
	got, err := s.client(t).Provisioners(t.Context())
	if err != nil || fmt.Sprintf("%s", got) != `[{"type":"JWK","name":"a"} {"type":"ACME","name":"b"}]` {
		t.Fatalf("%s, %v", got, err)
	}
}

// TestErrors proves what a refusal tells, and that answers are bounded.
func TestErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		handler http.HandlerFunc
		message string // of a refusal; "" for another error
		status  int
	}{
		{"a message", func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, `{"status":403,"message":"no."}`) }, "no.", 403},
		{"RFC 9457 alone", func(w http.ResponseWriter, _ *http.Request) { answer(w, 401, `{"title":"t","detail":"d"}`) }, "d", 401},
		{"a proxy's page", func(w http.ResponseWriter, _ *http.Request) { answer(w, 502, `<html>secret</html>`) }, "no reason was given", 502},
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/version", http.StatusTemporaryRedirect)
		}, "no reason was given", 307},
		{"success without JSON", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `ok`) }, "", 0},
		{"an endless answer", func(w http.ResponseWriter, r *http.Request) {
			block := strings.Repeat(" ", 1<<20)
			for range 40 {
				if _, err := io.WriteString(w, block); err != nil {
					return
				}
			}
		}, "", 0},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := newCA(t, map[string]http.HandlerFunc{"GET /health": x.handler})
			_, err := s.client(t).Health(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			refused, ok := errors.AsType[*signet.Error](err)
			if x.message == "" {
				if ok {
					t.Fatalf("a refusal: %v", err)
				}
				return
			}
			if !ok || refused.Status != x.status || refused.Message != x.message || len(refused.RequestID) != 36 {
				t.Fatalf("%#v", err)
			}
		})
	}
}

func TestPagesEnd(t *testing.T) {
	t.Parallel()
	s := newCA(t, map[string]http.HandlerFunc{"GET /provisioners": func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"provisioners":[],"nextCursor":"same"}`)
	}})
	if _, err := s.client(t).Provisioners(t.Context()); err == nil {
		t.Fatal("pages that never end were accepted")
	}
}
