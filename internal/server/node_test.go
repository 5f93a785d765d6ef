package server_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/cli"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// asBinary makes the test binary behave as the real one, under the name in it.
const asBinary = "TEST_RUN_AS"

func TestMain(m *testing.M) {
	name := os.Getenv(asBinary)
	if name == "" {
		os.Exit(m.Run())
	}
	signal.Ignore(syscall.SIGXFSZ) // with a limit set, a write fails as on a full disk
	os.Exit(cli.Main(append([]string{name}, os.Args[1:]...)))
}

// node is a server in a process of its own, with its files in a directory of its own.
type node struct {
	*testca.CA
	t       testing.TB
	dir     string
	address string
	members map[string]any // of ca.json
	env     []string
	name    string // under which the binary is called
	args    []string

	cmd    *exec.Cmd
	log    *testca.Log
	exited chan struct{}
	err    error
}

// newNode writes what a server needs. The keys are not encrypted: deriving keys from
// passwords takes long, and has its own tests.
func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{CA: testca.New(t), t: t, dir: t.TempDir(), address: freeAddress(t), name: "signet", log: new(testca.Log)}
	key, err := x509.MarshalPKCS8PrivateKey(n.IntermediateKey)
	if err != nil {
		t.Fatal(err)
	}
	n.file("root.crt", encode("CERTIFICATE", n.Root.Raw))
	n.file("intermediate.crt", encode("CERTIFICATE", n.Intermediate.Raw))
	n.file("intermediate.key", encode("PRIVATE KEY", key))
	n.members = map[string]any{
		"root": n.path("root.crt"), "crt": n.path("intermediate.crt"), "key": n.path("intermediate.key"),
		"address": n.address, "dnsNames": []string{"localhost", "127.0.0.1"},
		"db":        map[string]any{"type": "sqlite", "dataSource": n.path("signet.db")},
		"authority": map[string]any{"provisioners": []any{json.RawMessage(n.JWK(testca.Provisioner, nil))}},
	}
	n.configure(nil)
	return n
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) file(name string, data []byte) {
	n.t.Helper()
	if err := os.WriteFile(n.path(name), data, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// configure writes ca.json with changed members; nil takes one away.
func (n *node) configure(changes map[string]any) {
	n.t.Helper()
	for name, value := range changes {
		n.members[name] = value
		if value == nil {
			delete(n.members, name)
		}
	}
	text, err := json.MarshalIndent(n.members, "", "\t")
	if err != nil {
		n.t.Fatal(err)
	}
	n.file("ca.json", text)
}

// launch starts the process and does not wait until it serves.
func (n *node) launch() {
	n.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	args := append([]string{n.path("ca.json")}, n.args...)
	if n.name == "signet" {
		args = append([]string{"serve"}, args...)
	}
	n.cmd = exec.Command(exe, args...)
	n.begin()
}

// begin starts the prepared command in the server's surroundings.
func (n *node) begin() {
	n.t.Helper()
	n.cmd.Dir = n.dir
	n.cmd.Env = append([]string{asBinary + "=" + n.name, "HOME=" + n.dir, "SIGNETPATH=" + n.dir, "STEPPATH=" + n.dir, "PATH=" + os.Getenv("PATH")}, n.env...)
	n.cmd.Stderr, n.cmd.Stdout = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	exited, cmd := make(chan struct{}), n.cmd
	n.exited = exited
	go func() {
		n.err = cmd.Wait()
		close(exited)
	}()
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if n.t.Failed() && n.log != nil {
			n.t.Logf("log of the server:\n%s", tail(n.log.String()))
			n.log = nil
		}
	})
}

func tail(s string) string { return s[max(0, len(s)-3000):] }

// start starts the process and waits until it serves.
func (n *node) start() *node {
	n.t.Helper()
	seen := len(n.log.String())
	n.launch()
	n.serving(seen)
	return n
}

func (n *node) serving(skip int) {
	n.t.Helper()
	n.until("it serves", func() bool { return strings.Contains(n.log.String()[skip:], "Serving HTTPS on ") })
}

// until waits for something to become true while the process lives.
func (n *node) until(what string, true func() bool) {
	n.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !true() {
		select {
		case <-n.exited:
			if true() {
				return
			}
			n.t.Fatalf("the server ended before %s: %v", what, n.err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("waited too long until %s", what)
		}
	}
}

// logged waits until the log contains a text, after the first skip bytes.
func (n *node) logged(skip int, text string) {
	n.t.Helper()
	n.until("the log says "+text, func() bool { return strings.Contains(n.log.String()[skip:], text) })
}

func (n *node) signal(s os.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// reload asks for a reload and wants what the log says of it.
func (n *node) reload(outcome string) {
	n.t.Helper()
	skip := len(n.log.String())
	n.signal(syscall.SIGHUP)
	n.until("the reload is over", func() bool {
		log := n.log.String()[skip:]
		return strings.Contains(log, reloaded) || strings.Contains(log, refused)
	})
	if log := n.log.String()[skip:]; !strings.Contains(log, outcome) {
		n.t.Fatalf("want %q, the log says %s", outcome, log)
	}
}

// stop ends the server politely and wants a clean end.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	n.wait(0)
}

// wait wants the process to end with an exit code.
func (n *node) wait(code int) {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(90 * time.Second):
		n.t.Fatal("the server does not end")
	}
	if got := n.cmd.ProcessState.ExitCode(); got != code {
		n.t.Fatalf("exit code %d, want %d; %v", got, code, n.err)
	}
}

func (n *node) url(path string) string { return "https://" + n.address + path }

// dial is a client with connections of its own.
func (n *node) dial(change ...func(*tls.Config)) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(n.Root)
	config := &tls.Config{RootCAs: pool}
	for _, c := range change {
		c(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: !slices.Contains(config.NextProtos, "http/1.1")}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 60 * time.Second}
}

// answer is what came back: status 0 and the error if nothing did.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

func roundTrip(client *http.Client, r *http.Request) answer {
	res, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(body), res.Header, err}
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (n *node) get(path string) answer {
	n.t.Helper()
	return roundTrip(n.dial(), request(n.t, "GET", n.url(path), nil))
}

// fetch gets a plain HTTP address.
func (n *node) fetch(url string) answer {
	n.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	return roundTrip(client, request(n.t, "GET", url, nil))
}

// signBody is what /sign takes, for a fresh token.
func (n *node) signBody(name string) []byte {
	n.t.Helper()
	return n.signBodyFor(name, n.Token(name, testca.SANs(name)))
}

func (n *node) signBodyFor(name, token string) []byte {
	n.t.Helper()
	body, err := json.Marshal(map[string]string{"csr": testca.CSR(n.t, testca.P256(n.t), name), "ott": token})
	if err != nil {
		n.t.Fatal(err)
	}
	return body
}

// sign asks for a certificate.
func (n *node) sign(client *http.Client, body []byte) answer {
	n.t.Helper()
	return roundTrip(client, request(n.t, "POST", n.url("/1.0/sign"), bytes.NewReader(body)))
}

// mustSign gets a certificate.
func (n *node) mustSign(name string) *x509.Certificate {
	n.t.Helper()
	a := n.sign(n.dial(), n.signBody(name))
	return n.leaf(a)
}

func (n *node) leaf(a answer) *x509.Certificate {
	n.t.Helper()
	if a.status != http.StatusCreated {
		n.t.Fatalf("status %d: %s %v", a.status, a.body, a.err)
	}
	cert, err := leafOf(a.body)
	if err != nil {
		n.t.Fatal(err)
	}
	return cert
}

func leafOf(body string) (*x509.Certificate, error) {
	var issued struct{ Crt string }
	if err := json.Unmarshal([]byte(body), &issued); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(issued.Crt))
	if block == nil {
		return nil, fmt.Errorf("crt holds no PEM: %.80q", issued.Crt)
	}
	return x509.ParseCertificate(block.Bytes)
}

// records opens the database of a server that has ended.
func (n *node) records() *store.Store {
	n.t.Helper()
	config := n.members["db"].(map[string]any)
	db, err := store.Open(n.t.Context(), store.Config{Type: "sqlite", DataSource: config["dataSource"].(string)}, slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { db.Close() })
	return db
}

// recorded wants certificates in the database.
func (n *node) recorded(serials []string) {
	n.t.Helper()
	err := n.records().View(n.t.Context(), func(tx *store.Tx) error {
		for _, serial := range serials {
			if _, err := tx.Certificate("x509", serial); err != nil {
				return fmt.Errorf("certificate %s was handed out: %w", serial, err)
			}
		}
		return nil
	})
	if err != nil {
		n.t.Error(err)
	}
}

func newLog() *testca.Log { return new(testca.Log) }

// bodyFor is what /sign takes for a key.
func (n *node) bodyFor(key crypto.Signer, name string) []byte {
	n.t.Helper()
	body, err := json.Marshal(map[string]string{"csr": testca.CSR(n.t, key, name), "ott": n.Token(name, testca.SANs(name))})
	if err != nil {
		n.t.Fatal(err)
	}
	return body
}
