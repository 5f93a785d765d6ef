// Package interop_test lets the clients of other houses get, renew and revoke certificates
// from the real server, each with an authority of its own on loopback.
package interop_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/cli"
)

// asSignet makes the test binary the program itself, so that the server that runs is built
// from the code under test.
const asSignet = "SIGNET_INTEROP_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asSignet) != "" {
		os.Exit(cli.Main(append([]string{"signet"}, os.Args[1:]...)))
	}
	// Other people's clients sleep most of the time, so more of them than cores run at once.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	code := m.Run()
	if code == 0 && wholeSuite() {
		if err := closeLedger(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// site is an authority with its server, name server and a directory of the client's own.
type site struct {
	*testing.T
	client            string // whose test it is, for the table of what is proven
	dir               string
	root              string // file of the root certificate
	rootCert          *x509.Certificate
	issuerCert        *x509.Certificate
	otherRoot         *x509.Certificate // signed the issuing key too
	url               string
	httpPort, tlsPort string // where validation looks
	dns               *nameServer

	noted sync.Mutex
	notes [][2]string
}

// Provisioners of a site.
const (
	open  = "acme"  // for everybody
	bound = "bound" // for accounts that are vouched for
	byDNS = "dns"   // for proofs by DNS alone, of certificates that end soon
	brief = "brief" // gives certificates that end soon
	caa   = "caa"   // heeds CAA records
)

// caaIdentity stands for the authority in CAA records.
const caaIdentity = "ca.interop.test"

// newSite starts an authority for a client. All names are on this machine.
func newSite(t *testing.T, client string) *site {
	t.Helper()
	names := sharedNames(t)
	s := newSiteAsking(t, client, names.address)
	s.dns = names
	return s
}

// newSiteAsking starts an authority that asks this name server.
func newSiteAsking(t *testing.T, client, resolver string) *site {
	t.Helper()
	s := &site{T: t, client: client, dir: t.TempDir()}
	ports := freePorts(t, 3)
	s.url, s.httpPort, s.tlsPort = "https://localhost:"+ports[0], ports[1], ports[2]
	s.configure(ports[0])
	server := s.signet("serve", "--insecure", "--acme-http-port", s.httpPort, "--acme-tls-port", s.tlsPort, "--resolver", resolver)
	log := s.background(server, "server.log")
	s.waitFor("127.0.0.1:"+ports[0], log)
	s.Cleanup(s.settle)
	return s
}

func (s *site) configure(port string) {
	s.Helper()
	home := s.path("home")
	root, rootKey := s.authority("Interop Root", nil, nil, nil)
	issuer, issuerKey := s.authority("Interop Intermediate", nil, root, rootKey)
	other, otherKey := s.authority("Interop Other Root", nil, nil, nil)
	crossed, _ := s.authority("Interop Intermediate", issuerKey, other, otherKey)
	s.rootCert, s.issuerCert, s.otherRoot, s.root = root, issuer, other, s.file("home/certs/root_ca.crt", pemOf(root))
	der, err := x509.MarshalPKCS8PrivateKey(issuerKey)
	s.check(err)
	provisioner := func(name string, eab bool, challenges ...string) map[string]any {
		return map[string]any{
			"type": "ACME", "name": name, "requireEAB": eab,
			"challenges": challenges,
			"validation": map[string]any{"window": "10s"},
			"claims":     map[string]any{"minTLSCertDuration": "1m", "maxTLSCertDuration": "2160h", "defaultTLSCertDuration": "24h"},
		}
	}
	everybody := provisioner(open, false)
	everybody["authzReuse"] = "1h" // so the orders of renewals are ready at once
	everybody["profiles"] = map[string]any{"short": map[string]any{"description": "three hours", "claims": map[string]any{"defaultTLSCertDuration": "3h"}}}
	heeding := provisioner(caa, false)
	heeding["caaCheck"], heeding["caaIdentities"] = true, []string{caaIdentity}
	brieflyValid, brieflyByDNS := provisioner(brief, false), provisioner(byDNS, false, "dns-01")
	for _, p := range []map[string]any{brieflyValid, brieflyByDNS} {
		p["claims"] = map[string]any{"minTLSCertDuration": "5s", "defaultTLSCertDuration": "18s"}
	}
	config, err := json.Marshal(map[string]any{
		"root": s.root, "crt": s.file("home/certs/intermediate_ca.crt", pemOf(issuer)),
		"key":     s.file("home/secrets/intermediate_ca_key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		"address": "127.0.0.1:" + port, "dnsNames": []string{"localhost", "127.0.0.1"},
		"logger": map[string]string{"format": "text"},
		"crl":    map[string]any{"enabled": true, "generateOnRevoke": true},
		"db":     map[string]string{"type": "sqlite", "dataSource": filepath.Join(home, "db")},
		"authority": map[string]any{"backdate": "1s", "provisioners": []any{
			everybody, provisioner(bound, true), brieflyByDNS, brieflyValid, heeding,
		}, "previousIssuers": []string{s.file("home/certs/crossed.crt", pemOf(crossed))}},
	})
	s.check(err)
	s.file("home/config/ca.json", string(config))
	s.file("home/config/defaults.json", fmt.Sprintf(`{"ca-url": %q}`, s.url))
	s.check(os.MkdirAll(filepath.Join(home, "db"), 0o700))
}

// authority makes the certificate of a CA: with a new key if there is none, and self-signed
// if there is no parent.
func (s *site) authority(name string, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
	s.Helper()
	if key == nil {
		key = ecKey(s.T)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	s.check(err)
	cert, err := x509.ParseCertificate(der)
	s.check(err)
	return cert, key
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func (s *site) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// file writes a file of the site and gives its path.
func (s *site) file(name, content string) string {
	s.Helper()
	path := s.path(name)
	s.check(os.MkdirAll(filepath.Dir(path), 0o700))
	s.check(os.WriteFile(path, []byte(content), 0o600))
	return path
}

// program writes a script that can be run.
func (s *site) program(name, text string) string {
	s.Helper()
	path := s.file(name, text)
	s.check(os.Chmod(path, 0o700))
	return path
}

func (s *site) directory(provisioner string) string {
	return s.url + "/acme/" + provisioner + "/directory"
}

// signet is a command of the program under test, with the site's home.
func (s *site) signet(args ...string) *exec.Cmd {
	self, err := os.Executable()
	s.check(err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(s.environment(), asSignet+"=1", "SIGNETPATH="+s.path("home"))
	return cmd
}

// environment keeps proxies and the machine's settings out.
func (s *site) environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasSuffix(strings.ToLower(name), "_proxy")
	})
	return append(env, "HOME="+s.dir, "NO_PROXY=*", "no_proxy=*", "LC_ALL=C")
}

// background runs a command until the test ends, and gives the file of what it says.
func (s *site) background(cmd *exec.Cmd, name string) (log string) {
	s.Helper()
	stop := s.start(cmd, name)
	s.Cleanup(stop)
	return s.path(name)
}

// start runs a command that writes what it says into a file, until it is stopped.
func (s *site) start(cmd *exec.Cmd, name string) (stop func()) {
	s.Helper()
	log := s.path(name)
	out, err := os.Create(log)
	s.check(err)
	cmd.Stdout, cmd.Stderr = out, out
	s.check(cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		out.Close()
		if s.Failed() {
			text, _ := os.ReadFile(log)
			s.Logf("%s:\n%s", name, tail(string(text)))
		}
	}
}

// until runs a server of others until a log of it has these words, and gives the log. The
// error says that it had to be ended: a server goes on without a certificate.
func (s *site) until(cmd *exec.Cmd, log, words string) (string, error) {
	s.Helper()
	defer s.start(cmd, "until.log")()
	var text string
	s.eventually(fmt.Sprintf("%q in the log of %s", words, cmd.Args[0]), func() bool {
		all, _ := os.ReadFile(s.path(log)) // it may have to be made yet
		text = string(all)
		return strings.Contains(text, words)
	})
	return text, errors.New("ended by the test")
}

func tail(text string) string {
	if len(text) > 6000 {
		return "…" + text[len(text)-6000:]
	}
	return text
}

// waitFor waits until somebody listens.
func (s *site) waitFor(address, log string) {
	s.Helper()
	s.eventually("a listener at "+address, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// eventually waits for something that a program of others does in its own time.
func (s *site) eventually(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("never: %s", what)
		}
	}
}

// command is a program of others, in the directory of the site.
func (s *site) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = s.dir, s.environment()
	return cmd
}

// run runs a program of others, with these variables, and gives what it says.
func (s *site) run(variables []string, name string, args ...string) string {
	s.Helper()
	text, err := s.try(variables, name, args...)
	if err != nil {
		s.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(text))
	}
	return text
}

func (s *site) try(variables []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, append(s.environment(), variables...), time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// certificate reads a chain that a client stored and makes sure that it leads to the root,
// is for these names and has a key of this kind: "RSA" or "EC".
func (s *site) certificate(file, kind string, names ...string) *x509.Certificate {
	s.Helper()
	data, err := os.ReadFile(file)
	s.check(err)
	return s.chain(data, kind, names...)
}

func (s *site) chain(data []byte, kind string, names ...string) *x509.Certificate {
	s.Helper()
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			s.check(err)
			all = append(all, c)
		}
	}
	if len(all) != 2 {
		s.Fatalf("a chain of %d certificates, want leaf and intermediate", len(all))
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.rootCert)
	between.AddCert(all[1])
	leaf := all[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		s.Fatal(err)
	}
	got := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		got = append(got, ip.String())
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		s.Errorf("certificate for %v, want %v", got, names)
	}
	_, isRSA := leaf.PublicKey.(*rsa.PublicKey)
	if isRSA != (kind == "RSA") {
		s.Errorf("a key of type %T, want %s", leaf.PublicKey, kind)
	}
	return leaf
}

// alternate makes sure that a stored chain leads to the other root.
func (s *site) alternate(file string) {
	s.Helper()
	data, err := os.ReadFile(file)
	s.check(err)
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.otherRoot)
	block, rest := pem.Decode(data)
	between.AppendCertsFromPEM(rest)
	leaf, err := x509.ParseCertificate(block.Bytes)
	s.check(err)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		s.Fatalf("not the alternate chain: %v", err)
	}
	s.showed("also", "alternate chain")
}

// renewed makes sure that a certificate is another one than before.
func (s *site) renewed(before, after *x509.Certificate) {
	s.Helper()
	if before.SerialNumber.Cmp(after.SerialNumber) == 0 {
		s.Error("the certificate was not renewed")
	}
}

// browser trusts the root of the site alone.
func (s *site) browser() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.rootCert)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs, transport.Proxy = pool, nil
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// web serves a directory where http-01 looks, as a web server does, and gives its path.
func (s *site) web() string {
	s.Helper()
	root := s.path("www")
	s.check(os.MkdirAll(root, 0o755))
	l, err := net.Listen("tcp", "127.0.0.1:"+s.httpPort)
	s.check(err)
	server := &http.Server{Handler: http.FileServer(http.Dir(root))}
	go func() { _ = server.Serve(l) }()
	s.Cleanup(func() { server.Close() })
	return root
}

// ownRoots is the machine's file of roots, with ours, for programs that read nothing else.
func (s *site) ownRoots() string {
	s.Helper()
	system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	s.check(err)
	return s.file("roots.crt", string(system)+pemOf(s.rootCert))
}

// lastPort is the last one given out. Ports are below those that the kernel gives to
// connections, or one of them might be in use by the time a client listens there.
var lastPort atomic.Int32

func init() { lastPort.Store(15000 + int32(os.Getpid()%400)*25) }

// freePorts finds ports of loopback that nobody listens on, each given out once.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for len(ports) < n {
		port := strconv.Itoa(int(lastPort.Add(1)))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		l.Close()
		ports = append(ports, port)
	}
	return ports
}
