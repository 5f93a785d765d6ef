package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet"
)

// wireCA is a server that answers as the description of the wire says.
type wireCA struct {
	*httptest.Server
	root   *x509.Certificate
	issuer *ecdsa.PrivateKey
	peers  chan int // how many client certificates each request came with
}

func newWireCA(t *testing.T) *wireCA {
	t.Helper()
	s := &wireCA{peers: make(chan int, 100)}
	s.root, s.issuer = certify(t, nil, nil, "Test Root CA", time.Hour)
	pemOf := func(cert *x509.Certificate) string {
		text, _ := json.Marshal(string(signet.EncodePEM(cert)))
		return string(text)
	}
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s.peers <- len(r.TLS.PeerCertificates)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Request-Id", "request-7")
			w.WriteHeader(status)
			fmt.Fprintln(w, body)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /root/"+signet.Fingerprint(s.root), say(200, `{"ca":`+pemOf(s.root)+`}`))
	mux.HandleFunc("GET /root/", say(200, `{"ca":`+pemOf(s.root)+`}`)) // a CA that lies
	mux.HandleFunc("GET /roots", say(201, `{"crts":[`+pemOf(s.root)+`]}`))
	mux.HandleFunc("GET /federation", say(201, `{"crts":[`+pemOf(s.root)+`,`+pemOf(s.root)+`]}`))
	mux.HandleFunc("GET /health", say(200, `{"status":"ok"}`))
	mux.HandleFunc("GET /provisioners", say(200, `{"provisioners":[{"type":"JWK","name":"a<b","key":{"kid":"k1"}},{"type":"ACME","name":"acme"}],"nextCursor":""}`))
	mux.HandleFunc("GET /provisioners/k1/encrypted-key", say(200, `{"key":"a.b.c.d.e"}`))
	mux.HandleFunc("GET /provisioners/k2/encrypted-key", say(404, `{"status":404,"message":"no such key."}`))
	mux.HandleFunc("GET /provisioners/k3/encrypted-key", say(404, `{"status":404,"message":"\u001b]0;title\u0007"}`))
	leaf, key := certify(t, s.root, s.issuer, "127.0.0.1", time.Hour)
	s.Server = httptest.NewUnstartedServer(mux)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func certify(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, name string, lifetime time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(lifetime),
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		parent, parentKey = template, key
	} else {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
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

// must runs a command line that has to succeed and returns its standard output.
func (w *world) must(args ...string) string {
	w.t.Helper()
	if code := w.run(w.t.Context(), args...); code != 0 {
		w.t.Fatalf("%v: exit code %d\n%s", args, code, w.stderr.String())
	}
	return w.stdout.String()
}

// refused runs a command line that has to fail with 1 and a text on standard error.
func (w *world) refused(want string, args ...string) {
	w.t.Helper()
	code := w.run(w.t.Context(), args...)
	if code != 1 || !strings.Contains(w.stderr.String(), want) {
		w.t.Errorf("%v: exit code %d, want 1 and %q\n%s%s", args, code, want, w.stdout.String(), w.stderr.String())
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.home, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

func TestBootstrapAndAsk(t *testing.T) {
	t.Parallel()
	s := newWireCA(t)
	w := newWorld(t)
	fingerprint, root := signet.Fingerprint(s.root), string(signet.EncodePEM(s.root))
	address := strings.TrimPrefix(s.URL, "https://")

	w.refused("--ca-url is required", "ca", "health")
	w.refused("'signet ca bootstrap'", "ca", "health", "--ca-url", address)
	w.refused("--fingerprint is required", "ca", "bootstrap", "--ca-url", address)
	w.refused("vendor", "ca", "bootstrap", "--team", "x")
	w.refused("somebody is in between", "ca", "bootstrap", "--ca-url", address, "--fingerprint", strings.Repeat("0", 64))
	if _, err := os.Stat(filepath.Join(w.home, ".signet")); err == nil {
		t.Error("a refused bootstrap left files")
	}

	if out := w.must("ca", "bootstrap", "--ca-url", address, "--fingerprint", strings.ToUpper(fingerprint)); out != "" {
		t.Errorf("standard output %q", out)
	}
	rootFile := filepath.Join(w.home, ".signet", "certs", "root_ca.crt")
	want := fmt.Sprintf("{\n  \"ca-url\": %q,\n  \"fingerprint\": %q,\n  \"root\": %q\n}\n", s.URL, fingerprint, rootFile)
	if got := w.read(".signet/config/defaults.json"); got != want {
		t.Errorf("defaults.json\n%s\nwant\n%s", got, want)
	}
	if got := w.read(".signet/certs/root_ca.crt"); got != root {
		t.Errorf("root\n%s", got)
	}
	for _, line := range []string{"root certificate has been saved in " + rootFile, "authority configuration has been saved"} {
		if !strings.Contains(w.stderr.String(), line) {
			t.Errorf("%q is not in\n%s", line, w.stderr.String())
		}
	}
	w.refused("give --force", "ca", "bootstrap", "--ca-url", address, "--fingerprint", fingerprint)
	w.must("ca", "bootstrap", "--ca-url", address, "--fingerprint", fingerprint, "-f")

	for line, want := range map[string]string{
		"ca health":                           "ok\n",
		"ca root":                             root,
		"ca roots":                            root,
		"ca federation":                       root + root,
		"ca provisioner jwe-key k1":           "a.b.c.d.e\n",
		"ca provisioner list":                 "[\n   {\n      \"type\": \"JWK\",\n      \"name\": \"a<b\",\n      \"key\": {\n         \"kid\": \"k1\"\n      }\n   },\n   {\n      \"type\": \"ACME\",\n      \"name\": \"acme\"\n   }\n]\n",
		"ca health --json":                    "{\n  \"status\": \"ok\"\n}\n",
		"__complete ca provisioner jwe-key k": "k1\tJWK\n:4\n",
	} {
		if got := w.must(strings.Fields(line)...); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", line, got, want)
		}
	}
	w.refused("no such key.; run again with STEPDEBUG=1", "ca", "provisioner", "jwe-key", "k2")
	w.refused(`\x1b]0;title\a`, "ca", "provisioner", "jwe-key", "k3") // a CA can't steer the terminal
	w.vars["STEPDEBUG"] = "1"
	w.refused("(request request-7)", "ca", "provisioner", "jwe-key", "k2")
}

func TestRootFiles(t *testing.T) {
	t.Parallel()
	s := newWireCA(t)
	w := newWorld(t)
	w.must("ca", "bootstrap", "--ca-url", s.URL, "--fingerprint", signet.Fingerprint(s.root))
	file := filepath.Join(w.home, "root.crt")
	w.must("ca", "root", file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	w.answers = "n\n"
	w.refused("was not overwritten", "ca", "roots", file)
	if !strings.Contains(w.tty.String(), "Would you like to overwrite "+file+" [y/n]") {
		t.Errorf("asked %q", w.tty.String())
	}
	w.answers = "y\n"
	w.must("ca", "roots", file)
	var got struct {
		Certificates []struct{ Fingerprint, PEM string }
	}
	if err := json.Unmarshal([]byte(w.must("ca", "roots", "--json")), &got); err != nil || got.Certificates[0].Fingerprint != signet.Fingerprint(s.root) {
		t.Errorf("%v %+v", err, got)
	}
}

func TestBootstrapInstalls(t *testing.T) {
	t.Parallel()
	s := newWireCA(t)
	w := newWorld(t)
	args := []string{"ca", "bootstrap", "--ca-url", s.URL, "--fingerprint", signet.Fingerprint(s.root), "--install", "--force", "--json"}
	w.refused("trust store is not known", args...)
	w.file("machine/usr/local/share/ca-certificates/README", "")
	var got struct{ Installed string }
	if err := json.Unmarshal([]byte(w.must(args...)), &got); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(got.Installed); err != nil || string(data) != string(signet.EncodePEM(s.root)) {
		t.Errorf("%s: %v", got.Installed, err)
	}
}

// TestBootstrapContexts proves that a second CA lives beside the first one.
func TestBootstrapContexts(t *testing.T) {
	t.Parallel()
	one, two := newWireCA(t), newWireCA(t)
	w := newWorld(t)
	w.must("ca", "bootstrap", "--ca-url", one.URL, "--fingerprint", signet.Fingerprint(one.root), "--context", "one", "--profile", "me")
	w.must("ca", "bootstrap", "--ca-url", two.URL, "--fingerprint", signet.Fingerprint(two.root))
	if got := w.must("context", "list"); got != "▶ 127.0.0.1\none\n" {
		t.Errorf("contexts %q", got)
	}
	if got := w.must("ca", "root"); got != string(signet.EncodePEM(two.root)) {
		t.Error("the current context is not that of the second CA")
	}
	if got := w.must("ca", "roots", "--context", "one"); got != string(signet.EncodePEM(one.root)) {
		t.Error("--context does not lead to the first CA")
	}
	if got := w.read(".signet/profiles/me/config/defaults.json"); got != "{}\n" {
		t.Errorf("profile %q", got)
	}
	if err := os.Remove(filepath.Join(w.home, ".signet", "current-context.json")); err != nil {
		t.Fatal(err)
	}
	w.refused("give --context (one of: 127.0.0.1, one)", "ca", "health")
	w.answers = "2\n"
	if got := w.must("ca", "root"); got != string(signet.EncodePEM(one.root)) {
		t.Error("the chosen context is not that of the first CA")
	}
}

// TestIdentity proves that a valid identity certificate is shown, and an expired one not.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s := newWireCA(t)
	w := newWorld(t)
	w.must("ca", "bootstrap", "--ca-url", s.URL, "--fingerprint", signet.Fingerprint(s.root))
	<-s.peers
	for name, x := range map[string]struct {
		lifetime time.Duration
		shown    int
	}{"valid": {time.Hour, 1}, "expired": {-time.Minute, 0}, "about to expire": {30 * time.Second, 0}} {
		cert, key := certify(t, s.root, s.issuer, "me", x.lifetime)
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		w.file(".signet/identity/identity.crt", string(signet.EncodePEM(cert)))
		w.file(".signet/identity/identity_key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
		w.file(".signet/config/identity.json", `{"type":"mTLS","crt":"identity/identity.crt","key":"identity/identity_key"}`)
		w.must("ca", "health")
		if got := <-s.peers; got != x.shown {
			t.Errorf("%s: %d certificates shown", name, got)
		}
	}
	w.file(".signet/config/identity.json", `{"type":"other","crt":"identity/identity.crt","key":"identity/identity_key"}`)
	cert, _ := certify(t, s.root, s.issuer, "me", time.Hour)
	w.file(".signet/identity/identity.crt", string(signet.EncodePEM(cert)))
	w.refused("neither mTLS nor tTLS", "ca", "health")
}

// TestIdentityTunnel proves that an identity of type tTLS reaches the CA through its host.
func TestIdentityTunnel(t *testing.T) {
	t.Parallel()
	s := newWireCA(t)
	w := newWorld(t)
	w.must("ca", "bootstrap", "--ca-url", s.URL, "--fingerprint", signet.Fingerprint(s.root))
	leaf, key := certify(t, s.root, s.issuer, "127.0.0.1", time.Hour)
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	host, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}},
		ClientAuth:   tls.RequireAnyClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	go forward(host, s.Listener.Addr().String())
	cert, certKey := certify(t, s.root, s.issuer, "me", time.Hour)
	der, err := x509.MarshalECPrivateKey(certKey)
	if err != nil {
		t.Fatal(err)
	}
	w.file("me.crt", string(signet.EncodePEM(cert)))
	w.file("me.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))
	w.file(".signet/config/identity.json", fmt.Sprintf(`{"type":"tTLS","crt":"~/me.crt","key":"~/me.key","host":%q}`, host.Addr().String()))
	// The CA's own address leads nowhere: only the tunnel can answer.
	if got := w.must("ca", "health", "--ca-url", "127.0.0.1:1"); got != "ok\n" {
		t.Errorf("%q", got)
	}
}

// forward passes the bytes of one connection on.
func forward(from net.Listener, to string) {
	conn, err := from.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	onward, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer onward.Close()
	done := make(chan struct{}, 2)
	pipe := func(a, b net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := a.Read(buffer)
			if n > 0 {
				if _, err := b.Write(buffer[:n]); err != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		done <- struct{}{}
	}
	go pipe(conn, onward)
	go pipe(onward, conn)
	<-done
}
