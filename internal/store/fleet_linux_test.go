package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet"
	ca "github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// authority is the keys and certificates of one CA, of which servers can be made.
type authority struct {
	*testca.CA
	dir   string
	roots *x509.CertPool
	key   *ecdsa.PrivateKey // of every certificate asked for, since keys are not what is tested
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{CA: testca.New(t), dir: t.TempDir(), roots: x509.NewCertPool(), key: testca.P256(t)}
	a.roots.AddCert(a.Root)
	private, err := x509.MarshalPKCS8PrivateKey(a.IntermediateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"root.crt": {Type: "CERTIFICATE", Bytes: a.Root.Raw}, "middle.crt": {Type: "CERTIFICATE", Bytes: a.Intermediate.Raw},
		"middle.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// member is one server of a CA: its configuration file, and where it listens.
type member struct {
	file, address string
}

func (a *authority) member(t *testing.T, c store.Config) *member {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	m := &member{address: fmt.Sprintf("127.0.0.1:%d", port)}
	m.file = filepath.Join(a.dir, fmt.Sprintf("ca-%d.json", port))
	text, err := json.Marshal(map[string]any{
		"root": filepath.Join(a.dir, "root.crt"), "crt": filepath.Join(a.dir, "middle.crt"), "key": filepath.Join(a.dir, "middle.key"),
		"address": m.address, "dnsNames": []string{"localhost"},
		"db":        map[string]any{"type": c.Type, "dataSource": c.DataSource, "database": c.Database},
		"crl":       map[string]any{"enabled": true, "generateOnRevoke": true},
		"authority": map[string]any{"provisioners": []json.RawMessage{json.RawMessage(a.JWK(testca.Provisioner, nil))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) options(log *slog.Logger) ca.Options {
	return ca.Options{ConfigFile: m.file, Home: filepath.Dir(m.file), Quiet: true, Version: "test", Stderr: io.Discard,
		Log: log, Getenv: func(string) string { return "" }}
}

// serveForever is a server as a process of its own, which can be killed.
func serveForever() error {
	m := &member{file: os.Getenv("SERVER_FILE")}
	return ca.Run(context.Background(), m.options(slog.New(slog.NewTextHandler(os.Stderr, nil))))
}

// serve runs a server inside the test until it ends or stop is called.
func (m *member) serve(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ca.Run(ctx, m.options(slog.New(slog.DiscardHandler))) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server on %s: %v", m.address, err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// client reaches a server, or a balancer, at an address of loopback.
func (a *authority) client(t *testing.T, address string) *signet.Client {
	t.Helper()
	c, err := signet.NewClient("https://localhost:9000", &signet.Options{Roots: a.roots, Timeout: 10 * time.Second,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// readiness asks a server's /ready; status 0 means that nobody answered.
func (a *authority) readiness(ctx context.Context, address string) (status int, words string) {
	h := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: "localhost"}}}
	request, err := http.NewRequestWithContext(ctx, "GET", "https://"+address+"/ready", nil)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := h.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body) + fmt.Sprint(err)
}

// until waits for /ready to answer so, and to contain some words.
func (a *authority) until(t *testing.T, m *member, want int, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		status, said := a.readiness(ctx, m.address)
		if status == want && strings.Contains(said, words) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("/ready never answered %d with %q, at last %d %s", want, words, status, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (a *authority) ask(t testing.TB, token, name string) *signet.SignRequest {
	return &signet.SignRequest{CSR: signet.CertificateRequest{CertificateRequest: testca.Request(t, testca.CSR(t, a.key, name, name))}, OTT: token}
}

// statusOf is the HTTP status of a refusal, 0 of another failure, 200 of none.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if refused, ok := errors.AsType[*signet.Error](err); ok {
		return refused.Status
	}
	return 0
}

// balancer is a plain TCP balancer: each connection goes to the next server that accepts it.
type balancer struct {
	socket  net.Listener
	mu      sync.Mutex
	next    int
	members []*member
}

func balance(t *testing.T, members []*member) *balancer {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{socket: socket, members: members}
	t.Cleanup(func() { socket.Close() })
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			go b.pass(conn)
		}
	}()
	return b
}

func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	for range b.members {
		b.mu.Lock()
		m := b.members[b.next%len(b.members)]
		b.next++
		b.mu.Unlock()
		behind, err := net.DialTimeout("tcp", m.address, time.Second)
		if err != nil {
			continue
		}
		defer behind.Close()
		go func() { io.Copy(behind, client); behind.(*net.TCPConn).CloseWrite() }()
		io.Copy(client, behind)
		return
	}
}

// fleet is servers as processes, each started again whenever it ends.
type fleet struct {
	t       *testing.T
	members []*member
	mu      sync.Mutex
	running []*exec.Cmd
	starts  int
	stopped bool
	ended   sync.WaitGroup
}

func launch(t *testing.T, members []*member) *fleet {
	t.Helper()
	f := &fleet{t: t, members: members, running: make([]*exec.Cmd, len(members))}
	for i := range members {
		f.ended.Go(func() { f.keep(i) })
	}
	t.Cleanup(f.stop)
	return f
}

func (f *fleet) keep(i int) {
	for {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), roleVariable+"=serve", "SERVER_FILE="+f.members[i].file)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		f.mu.Lock()
		if f.stopped {
			f.mu.Unlock()
			return
		}
		err := cmd.Start()
		f.running[i] = cmd
		f.starts++
		f.mu.Unlock()
		if err != nil {
			f.t.Errorf("start server: %v", err)
			return
		}
		cmd.Wait()
		time.Sleep(50 * time.Millisecond)
	}
}

// kill ends one server as a power cut would.
func (f *fleet) kill(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cmd := f.running[i]; cmd != nil && cmd.Process != nil {
		cmd.Process.Kill()
	}
}

func (f *fleet) killOne() { f.kill(rand.IntN(len(f.members))) }

func (f *fleet) stop() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	for i := range f.members {
		f.kill(i)
	}
	f.ended.Wait()
}
