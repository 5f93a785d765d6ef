package cli_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet"
)

// hostileACME is an ACME server that checks nothing and answers each path as a test wants.
type hostileACME struct {
	*httptest.Server
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey
	mu      sync.Mutex
	bend    map[string]http.HandlerFunc
	csr     *x509.CertificateRequest
	asked   int
}

const goodToken = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ"

func newHostileACME(t *testing.T, bend map[string]http.HandlerFunc) *hostileACME {
	t.Helper()
	s := &hostileACME{bend: bend}
	s.root, s.rootKey = certify(t, nil, nil, "Test Root CA", time.Hour)
	leaf, key := certify(t, s.root, s.rootKey, "127.0.0.1", time.Hour)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *hostileACME) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	w.Header().Set("Replay-Nonce", fmt.Sprintf("nonce%d", time.Now().UnixNano()))
	w.Header().Set("Content-Type", "application/json")
	if h := s.bend[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	status := "valid"
	switch r.URL.Path {
	case "/dir":
		fmt.Fprintf(w, `{"newNonce":"%[1]s/nonce","newAccount":"%[1]s/account","newOrder":"%[1]s/order","revokeCert":"%[1]s/revoke","keyChange":"%[1]s/key"}`, s.URL)
	case "/nonce":
	case "/account":
		w.Header().Set("Location", s.URL+"/account/1")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"status":"valid"}`)
	case "/order":
		w.Header().Set("Location", s.URL+"/order/1")
		w.WriteHeader(http.StatusCreated)
		status = "pending"
		fallthrough
	case "/order/1", "/finalize":
		if r.URL.Path == "/finalize" {
			s.takeCSR(r)
		}
		fmt.Fprintf(w, `{"status":%q,"identifiers":[{"type":"dns","value":"web.internal"}],"authorizations":["%[2]s/authz"],"finalize":"%[2]s/finalize","certificate":"%[2]s/cert"}`, status, s.URL)
	case "/authz":
		s.mu.Lock()
		if s.asked < 8 { // before the challenge was posted to
			status = "pending"
		}
		s.mu.Unlock()
		fmt.Fprint(w, s.authz(status, "web.internal", goodToken, ""))
	case "/challenge":
		s.mu.Lock()
		s.asked = 8
		s.mu.Unlock()
		fmt.Fprintf(w, `{"type":"http-01","status":"processing","url":"%s/challenge","token":%q}`, s.URL, goodToken)
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(signet.EncodePEM(s.certificate("web.internal", s.csr.PublicKey)))
	}
}

func (s *hostileACME) authz(status, name, token, more string) string {
	challenges := ""
	for _, kind := range []string{"http-01", "dns-01"} {
		challenges += fmt.Sprintf(`,{"type":%q,"status":"pending","url":"%s/challenge","token":%q%s}`, kind, s.URL, token, more)
	}
	return fmt.Sprintf(`{"status":%q,"identifier":{"type":"dns","value":%q},"challenges":[%s]}`, status, name, challenges[1:])
}

// takeCSR remembers the request of a finalize call.
func (s *hostileACME) takeCSR(r *http.Request) {
	var jws struct{ Payload string }
	_ = json.NewDecoder(r.Body).Decode(&jws)
	payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	var body struct{ CSR string }
	_ = json.Unmarshal(payload, &body)
	der, _ := base64.RawURLEncoding.DecodeString(body.CSR)
	s.csr, _ = x509.ParseCertificateRequest(der)
}

func (s *hostileACME) certificate(name string, key any) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: s.root.SerialNumber, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(zeroes{}, template, s.root, key, s.rootKey)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

func problem(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// acme runs the client against a server with a web root, a hook that leaves a trace, and
// files to write.
func (w *world) acme(s *hostileACME) int {
	w.file("root.crt", string(signet.EncodePEM(s.root)))
	if err := os.MkdirAll(filepath.Join(w.home, "www"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	// The bound on time is far above what the client needs to see through any server here.
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	return w.run(ctx, "ca", "certificate", "web.internal", filepath.Join(w.home, "web.crt"), filepath.Join(w.home, "web.key"),
		"--acme", s.URL+"/dir", "--root", filepath.Join(w.home, "root.crt"), "--webroot", filepath.Join(w.home, "www"),
		"--dns-hook", "touch "+filepath.Join(w.home, "hooked"))
}

func (w *world) files() string {
	var all []string
	_ = filepath.WalkDir(w.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(w.home, path)
			all = append(all, rel)
		}
		return nil
	})
	return strings.Join(all, " ")
}

func TestACMEClientGetsACertificate(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t), newHostileACME(t, nil)
	if code := w.acme(s); code != 0 {
		t.Fatalf("exit %d: %s", code, &w.stderr)
	}
	if files := w.files(); !strings.Contains(files, "web.crt web.key") {
		t.Error(files)
	}
}

// SEC-30: what an ACME server says becomes neither path nor command nor control sequence.
func TestSEC30_HostileACMEServer(t *testing.T) {
	t.Parallel()
	say := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	authz := func(name, token, more string) http.HandlerFunc {
		return say((&hostileACME{Server: &httptest.Server{URL: "https://127.0.0.1:1"}}).authz("pending", name, token, more))
	}
	for name, c := range map[string]struct {
		path  string
		bend  http.HandlerFunc
		words string
	}{
		"token is a path":             {"/authz", authz("web.internal", "../../../web.key", ""), "not one of RFC 8555"},
		"token is absolute":           {"/authz", authz("web.internal", "/etc/cron.d/x", ""), "not one of RFC 8555"},
		"token is empty":              {"/authz", authz("web.internal", "", ""), "not one of RFC 8555"},
		"token with a line end":       {"/authz", authz("web.internal", goodToken+"\n", ""), "not one of RFC 8555"},
		"content chosen by server":    {"/authz", authz("web.internal", goodToken, `,"keyAuthorization":"<?php evil ?>"`), "not one of RFC 8555"},
		"another name":                {"/authz", authz("other.internal", goodToken, ""), "not in the order"},
		"a name that is a command":    {"/authz", authz("$(touch x)", goodToken, ""), "not in the order"},
		"problem is no JSON":          {"/order", problem(400, "<html>no</html>"), "ACME server"},
		"problem is a list":           {"/order", problem(400, "[1,2]"), "ACME server"},
		"problem with wrong types":    {"/order", problem(400, `{"type":5,"detail":{"a":"b"},"status":"x"}`), "ACME server"},
		"problem with sequences":      {"/order", problem(403, `{"type":"urn:ietf:params:acme:error:unauthorized","detail":"\u001b]0;owned\u0007\u001b[2Jno"}`), "refuses with unauthorized"},
		"problem with a strange type": {"/order", problem(403, `{"type":"\u001b[31mx","detail":"no"}`), "refuses with problem: no"},
		"problem without end":         {"/order", problem(400, `{"detail":"`+strings.Repeat("x", 2<<20)), "more than 1048576 bytes"},
		"problem with many parts":     {"/order", problem(400, `{"subproblems":[`+strings.Repeat(`{"detail":"x","identifier":{"type":"dns","value":"y"}},`, 5000)+`{}]}`), "and more"},
		"problem with null":           {"/order", problem(400, `null`), "refuses with problem"},
		"error without a document":    {"/order", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "\x1b[2J", http.StatusTeapot) }, "418"},
		"strange status":              {"/order", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299); fmt.Fprint(w, "{}") }, ""},
		"directory by http":           {"/dir", say(`{"newNonce":"http://127.0.0.1:1/n","newAccount":"http://127.0.0.1:1/a","newOrder":"http://127.0.0.1:1/o"}`), "not https"},
		"directory by file":           {"/dir", say(`{"newNonce":"file:///etc/passwd","newAccount":"file:///etc/passwd","newOrder":"file:///etc/passwd"}`), "not https"},
		"directory is empty":          {"/dir", say(`{}`), "ACME server"},
		"directory is no object":      {"/dir", say(`[]`), "ACME server"},
		"redirect without end": {"/order", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/order", http.StatusTemporaryRedirect)
		}, "redirects"},
		"redirect to http": {"/order", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "not https"},
		"account without address": {"/account", say(`{"status":"valid"}`), "where the account is"},
		"account is revoked": {"/account", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://127.0.0.1/1")
			fmt.Fprint(w, `{"status":"revoked"}`)
		}, "account status"},
		"order for other names": {"/order", say(`{"status":"ready","identifiers":[{"type":"dns","value":"evil"}],"authorizations":[],"finalize":"x"}`), "match"},
		"no certificate":        {"/cert", say(`{}`), ""},
		"certificate is no PEM": {"/cert", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/pem-certificate-chain")
			fmt.Fprint(w, "no")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := newWorld(t), newHostileACME(t, map[string]http.HandlerFunc{c.path: c.bend})
			if code := w.acme(s); code != 1 {
				t.Errorf("exit %d", code)
			}
			text := w.stderr.String()
			if !strings.Contains(text, c.words) {
				t.Errorf("%q is not in: %s", c.words, text)
			}
			if strings.ContainsAny(text, "\x1b\x07") || len(text) > 3000 {
				t.Errorf("not fit for a terminal: %.3000q", text)
			}
			for f := range strings.FieldsSeq(w.files()) {
				if f != "root.crt" && !strings.HasPrefix(f, ".signet/acme/") && f != "hooked" {
					t.Errorf("left behind: %s", f)
				}
				if f == "hooked" && c.path == "/authz" {
					t.Error("the hook was run")
				}
			}
		})
	}
}

// Certificates that are not what was asked for are not kept, and chains have an end.
func TestHostileACMECertificates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(s *hostileACME, w http.ResponseWriter)
		words  string
	}{
		"another key": {func(s *hostileACME, w http.ResponseWriter) {
			_, _ = w.Write(signet.EncodePEM(s.certificate("web.internal", s.rootKey.Public())))
		}, "another key"},
		"another name": {func(s *hostileACME, w http.ResponseWriter) {
			_, _ = w.Write(signet.EncodePEM(s.certificate("else.internal", s.csr.PublicKey)))
		}, "without web.internal"},
		"a long chain": {func(s *hostileACME, w http.ResponseWriter) {
			for range 50 {
				_, _ = w.Write(signet.EncodePEM(s.certificate("web.internal", s.csr.PublicKey)))
			}
		}, "chain of 50"},
		"a key, too": {func(s *hostileACME, w http.ResponseWriter) {
			_ = pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
		}, "certificate"},
		"a chain that leads to itself": {func(s *hostileACME, w http.ResponseWriter) {
			w.Header().Set("Link", "<"+s.URL+`/cert>;rel="up"`)
			_, _ = w.Write(signet.EncodePEM(s.certificate("web.internal", s.csr.PublicKey)))
		}, "2000 times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *hostileACME
			s = newHostileACME(t, map[string]http.HandlerFunc{"/cert": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/pem-certificate-chain")
				c.answer(s, w)
			}})
			w := newWorld(t)
			if code := w.acme(s); code != 1 || !strings.Contains(w.stderr.String(), c.words) {
				t.Errorf("exit %d: %s", code, &w.stderr)
			}
			if strings.Contains(w.files(), "web.") {
				t.Errorf("kept: %s", w.files())
			}
		})
	}
}
