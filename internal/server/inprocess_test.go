package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/testca"
)

// home is the folder of a CA and what a client needs to know of it.
type home struct {
	t       *testing.T
	dir     string
	created *config.Created
	address string
	key     *ecdsa.PrivateKey // of the provisioner
	env     map[string]string
	log     *testca.Log
	reload  chan os.Signal
	stop    func() error // ends the server and waits for it
}

// newHome makes the files of a CA; bend changes its configuration.
func newHome(t *testing.T, bend ...func(map[string]any)) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), address: freeAddress(t), env: map[string]string{}, log: new(testca.Log), reload: make(chan os.Signal)}
	created, err := config.Create(config.CreateOptions{Home: h.dir, Name: "Test", DNSNames: []string{"localhost", "127.0.0.1"},
		Address: h.address, Provisioner: "ops", ProvisionerPassword: []byte("password")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := created.Write(); err != nil {
		t.Fatal(err)
	}
	h.created = created
	h.key = created.Provisioner.Key.(*ecdsa.PrivateKey)
	h.configure(bend...)
	return h
}

func (h *home) file() string { return filepath.Join(h.dir, "config", "ca.json") }

// configure changes the configuration file.
func (h *home) configure(bend ...func(map[string]any)) {
	h.t.Helper()
	data, err := os.ReadFile(h.file())
	if err != nil {
		h.t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		h.t.Fatal(err)
	}
	for _, b := range bend {
		b(members)
	}
	if data, err = json.Marshal(members); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.file(), data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func member(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// addProvisioner puts one more provisioner into the configuration.
func addProvisioner(object map[string]any) func(map[string]any) {
	return func(m map[string]any) {
		authority := m["authority"].(map[string]any)
		authority["provisioners"] = append(authority["provisioners"].([]any), object)
	}
}

func (h *home) options() server.Options {
	return server.Options{ConfigFile: h.file(), Home: h.dir, Version: "0.0.0-test", Quiet: true, Stderr: h.log,
		Log: slog.New(slog.NewTextHandler(h.log, nil)), Getenv: func(name string) string { return h.env[name] }, Reload: h.reload}
}

// run serves until stop or the end of the test, and waits until it answers.
func (h *home) run() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, h.options()) }()
	h.stop = func() error {
		cancel()
		err := <-ended
		ended <- nil // who asks again gets an answer, too
		return err
	}
	h.t.Cleanup(func() {
		if err := h.stop(); err != nil {
			h.t.Errorf("the server ended with %v", err)
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("tcp", h.address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			h.t.Fatalf("the server did not start: %v\n%s", err, h.log)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("nobody answers at %s\n%s", h.address, h.log)
		}
	}
}

// client trusts the CA's root.
func (h *home) client(bend ...func(*tls.Config)) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(h.created.Root)
	c := &tls.Config{RootCAs: pool}
	for _, b := range bend {
		b(c)
	}
	transport := &http.Transport{TLSClientConfig: c}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// do sends a request and reads the whole answer.
func do(t *testing.T, c *http.Client, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// token is made by hand for the provisioner of the configuration.
func (h *home) token(subject string, bend ...testca.Bend) string {
	now := time.Now()
	t := &testca.Token{
		Header: map[string]any{"alg": "ES256", "typ": "JWT", "kid": testca.Thumbprint(&h.key.PublicKey)},
		Claims: map[string]any{"iss": "ops", "sub": subject, "aud": "https://localhost/1.0/sign", "iat": now.Unix(), "nbf": now.Unix(),
			"exp": now.Add(5 * time.Minute).Unix(), "jti": fmt.Sprint(now.UnixNano())},
		Key: h.key,
	}
	return t.With(bend...).Compact(h.t)
}

func (h *home) sign(c *http.Client, token string) (*http.Response, string) {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"csr": testca.CSR(h.t, testca.P256(h.t), ""), "ott": token})
	if err != nil {
		h.t.Fatal(err)
	}
	return do(h.t, c, http.MethodPost, "https://"+h.address+"/1.0/sign", string(body))
}

func TestServeAndRestart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.run()
	c := h.client()
	for path, want := range map[string]int{"/health": 200, "/ready": 200, "/roots": 201, "/provisioners": 200, "/version": 200} {
		if res, body := do(t, c, http.MethodGet, "https://"+h.address+path, ""); res.StatusCode != want {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	used, old := h.token("web"), h.token("web", testca.Claim("iat", time.Now().Add(-time.Minute).Unix()))
	if res, body := h.sign(c, used); res.StatusCode != 201 || res.ProtoMajor != 1 && res.ProtoMajor != 2 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h.run()
	c = h.client()
	if res, _ := h.sign(c, used); res.StatusCode != 401 {
		t.Errorf("a token used before the restart: %d", res.StatusCode)
	}
	if res, body := h.sign(c, old); res.StatusCode != 201 {
		t.Errorf("a token made before the restart: %d %s", res.StatusCode, body)
	}
}

// What keeps a server from starting is said in one error, and nothing stays behind.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	key := testca.P256(t)
	for _, k := range []struct {
		name   string
		bend   func(h *home)
		strict bool
		words  []string
	}{
		{"a port in use", func(h *home) { h.configure(member("address", taken.Addr().String())) }, false, []string{taken.Addr().String(), "in use"}},
		{"a metrics port in use", func(h *home) { h.configure(member("metricsAddress", taken.Addr().String())) }, false, []string{"in use"}},
		{"three mistakes", func(h *home) {
			h.configure(member("address", "x"), member("crt", ""), member("authority", map[string]any{"backdate": "-1m"}))
		}, false, []string{"address", "crt", "backdate"}},
		{"no file", func(h *home) { os.Remove(h.file()) }, false, []string{"ca.json"}},
		{"no JSON", func(h *home) { os.WriteFile(h.file(), []byte("{\n  \"address\": \n"), 0o600) }, false, []string{"ca.json:3:1"}},
		{"another key", func(h *home) {
			if err := os.Rename(filepath.Join(h.dir, "secrets", "root_ca_key"), filepath.Join(h.dir, "secrets", "intermediate_ca_key")); err != nil {
				t.Fatal(err)
			}
		}, false, []string{"key"}},
		{"a provisioner that cannot be served, strictly", func(h *home) {
			h.configure(addProvisioner(map[string]any{"type": "JWK", "name": "broken", "key": map[string]any{"kty": "oct", "k": "AAAA"}}))
		}, true, []string{"broken"}},
		{"an unknown member, strictly", func(h *home) { h.configure(member("adress", "x")) }, true, []string{"adress"}},
		{"names twice", func(h *home) {
			h.configure(addProvisioner(map[string]any{"type": "JWK", "name": "ops", "key": testca.PublicJWK(&key.PublicKey)}))
		}, false, []string{"ops"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			k.bend(h)
			o := h.options()
			o.Strict = k.strict
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second) // ends one that starts after all
			defer cancel()
			err := server.Run(ctx, o)
			if err == nil {
				t.Fatal("it started")
			}
			for _, word := range k.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v does not say %q", err, word)
				}
			}
			if conn, err := net.Dial("tcp", h.address); err == nil {
				conn.Close()
				t.Error("somebody listens")
			}
		})
	}
}

// A provisioner that cannot be used is disabled and named; the others go on.
func TestDisabledProvisionersAreShown(t *testing.T) {
	t.Parallel()
	h := newHome(t, addProvisioner(map[string]any{"type": "JWK", "name": "broken", "key": map[string]any{"kty": "oct", "kid": "k", "k": "Y2FuYXJ5"}}))
	h.run()
	c := h.client()
	res, body := do(t, c, http.MethodGet, "https://"+h.address+"/ready", "")
	if res.StatusCode != 200 || !strings.Contains(body, `"broken"`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if _, body := do(t, c, http.MethodGet, "https://"+h.address+"/provisioners", ""); !strings.Contains(body, `"state":"Uninitialized"`) || strings.Contains(body, "Y2FuYXJ5") {
		t.Errorf("%s", body)
	}
	if res, body := h.sign(c, h.token("web", testca.Claim("iss", "broken"), testca.Head("kid", "k"))); res.StatusCode != 401 || !strings.Contains(body, "disabled") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, body := h.sign(c, h.token("web")); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// SEC-42: who invents paths and methods makes no new series.
func TestSEC42_MetricsAreBounded(t *testing.T) {
	t.Parallel()
	metrics := freeAddress(t)
	h := newHome(t, member("metricsAddress", metrics))
	h.run()
	c := h.client()
	h.sign(c, h.token("web"))
	h.sign(c, h.token("web", testca.SignedBy(testca.P256(t), "ES256")))
	series := func() (int, string) {
		_, body := do(t, http.DefaultClient, http.MethodGet, "http://"+metrics+"/metrics", "")
		return strings.Count(body, "step_ca_http_request_duration_seconds_count"), body
	}
	do(t, c, http.MethodGet, "https://"+h.address+"/invented", "")
	before, _ := series()
	for i := range 50 {
		do(t, c, "METHOD"+fmt.Sprint(i), fmt.Sprintf("https://%s/invented/%d?x=%d", h.address, i, i), "")
		do(t, c, http.MethodGet, fmt.Sprintf("https://%s/root/%d", h.address, i), "")
	}
	after, body := series()
	if after > before+2 {
		t.Errorf("%d series became %d", before, after)
	}
	for _, want := range []string{`step_ca_x509_signed_total{provisioner="ops",success="true"} 1`, "step_ca_kms_signed 2", "step_ca_uptime_seconds", "step_ca_x509_rejected_total"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, "invented") {
		t.Error("a path of a stranger is a label")
	}
}

// http-api Section 1.3 and 1.4.
func TestTLS(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.run()
	dial := func(bend func(*tls.Config)) (*tls.ConnectionState, error) {
		c := h.client(bend).Transport.(*http.Transport).TLSClientConfig
		conn, err := tls.Dial("tcp", h.address, c)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(conn)
		if err == nil && !bytes.Contains(answer, []byte("200 OK")) && c.NextProtos == nil {
			err = fmt.Errorf("answer %q", answer)
		}
		state := conn.ConnectionState()
		return &state, err
	}
	state, err := dial(func(*tls.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	if state.Version != tls.VersionTLS13 || len(state.PeerCertificates) != 2 || state.PeerCertificates[0].Subject.CommonName == "" {
		t.Errorf("version %x, %d certificates", state.Version, len(state.PeerCertificates))
	}
	if _, err := dial(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := dial(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if state, err := dial(func(c *tls.Config) { c.NextProtos = []string{"h2"} }); state == nil || state.NegotiatedProtocol != "h2" {
		t.Errorf("HTTP/2: %v", err)
	}
	other := testca.New(t)
	for name, holder := range map[string]*testca.Holder{
		"of another CA":     other.Issue("web"),
		"for servers alone": foreign(t, h, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"expired":           foreign(t, h, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }),
	} {
		if _, err := dial(func(c *tls.Config) {
			cert := holder.TLS()
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}); err == nil {
			t.Errorf("a client certificate %s was accepted", name)
		}
	}
	// Plain HTTP on the TLS port gets an answer in words.
	if res, _ := do(t, http.DefaultClient, http.MethodGet, "http://"+h.address+"/health", ""); res.StatusCode != 400 {
		t.Errorf("plain HTTP: %d", res.StatusCode)
	}
}

// foreign is a client certificate of the CA that its server never issued.
func foreign(t *testing.T, h *home, bend func(*x509.Certificate)) *testca.Holder {
	t.Helper()
	return testca.New(t).Foreign("web", h.created.Intermediate, h.created.Key, bend)
}

// systemd hears of start, reload and stop; the PID file comes and goes.
func TestSupervisorIsTold(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir, err := os.MkdirTemp("", "n") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	h.env["NOTIFY_SOCKET"] = filepath.Join(dir, "s")
	hear := func(want string) {
		t.Helper()
		socket.SetReadDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 4096)
		n, err := socket.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), want) {
			t.Fatalf("heard %q %v, want %s", buf[:n], err, want)
		}
	}
	h.run()
	hear("READY=1")
	h.reload <- syscall.SIGHUP
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
}

// Check finds what a start would find, and opens nothing.
func TestCheckOpensNothing(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if err := server.Check(t.Context(), h.options()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "db", "signet.db")); err == nil {
		t.Error("it made a database")
	}
	h.configure(member("dnsNames", []string{"a..b"}))
	if err := server.Check(t.Context(), h.options()); err == nil {
		t.Error("no complaint about a name that cannot be certified")
	}
}
