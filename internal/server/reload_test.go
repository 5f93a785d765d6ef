package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/testca"
)

const (
	reloaded = "configuration reloaded"
	refused  = "reload refused"
)

func TestReloadsUnderLoadFailNoRequestAndBreakNoConnection(t *testing.T) {
	t.Parallel()
	const clients, reloads = 8, 60
	n := newNode(t).start()
	var stop atomic.Bool
	var signed, dialed atomic.Int64
	var all sync.WaitGroup
	for i := range clients {
		client := n.dial(func(c *tls.Config) {
			if i%2 == 0 {
				c.NextProtos = []string{"http/1.1"}
			}
		})
		dialer := new(net.Dialer)
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed.Add(1)
			return dialer.DialContext(ctx, network, address)
		}
		all.Go(func() {
			for !stop.Load() {
				if a := n.sign(client, n.signBody("load.example.com")); a.status != http.StatusCreated {
					t.Errorf("under reloads a request was answered %d %s %v", a.status, a.body, a.err)
					return
				}
				signed.Add(1)
			}
		})
	}
	held := n.signBody("held.example.com") // its token is made before every reload
	for range reloads {
		n.reload(reloaded)
	}
	stop.Store(true)
	all.Wait()
	if dialed.Load() != clients {
		t.Errorf("%d clients needed %d connections", clients, dialed.Load())
	}
	n.leaf(n.sign(n.dial(), held))
	t.Logf("%d certificates in %d reloads", signed.Load(), reloads)
	n.stop()
}

func TestReloadThatCannotBeKeepsTheOldConfigurationAndSaysWhy(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	metrics := freeAddress(t)
	n.configure(map[string]any{"metricsAddress": metrics, "password": "right"})
	lock(t, n.path("intermediate.key"), "right")
	n.start()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good, err := os.ReadFile(n.path("ca.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, member string
		value        any
		says         string
	}{
		{"changed database", "db", map[string]any{"type": "memory"}, "restart the server"},
		{"wrong password", "password", "wrong", "password"},
		{"missing key file", "key", n.path("nowhere.key"), "nowhere.key"},
		{"port in use", "address", taken.Addr().String(), taken.Addr().String()},
		{"port of metrics in use", "metricsAddress", taken.Addr().String(), taken.Addr().String()},
		{"new listener on a port in use, while another one moves", "insecureAddress", taken.Addr().String(), taken.Addr().String()},
		{"log format", "logger", map[string]any{"format": "xml"}, "format"},
		{"suite", "tls", map[string]any{"cipherSuites": []string{"TLS_NONSENSE"}}, "TLS_NONSENSE"},
		{"no names", "dnsNames", []string{}, "dnsNames"},
		{"bad claims", "authority", map[string]any{"claims": map[string]any{"minTLSCertDuration": "-1h"}}, "minTLSCertDuration"},
	} {
		was := n.members[c.member]
		changes := map[string]any{c.member: c.value}
		if c.member == "insecureAddress" {
			changes["crl"], changes["metricsAddress"] = map[string]any{"enabled": true}, freeAddress(t)
		}
		n.configure(changes)
		skip := len(n.log.String())
		n.reload(refused)
		if log := n.log.String()[skip:]; !strings.Contains(log, c.says) {
			t.Errorf("%s: the log does not say %q: %s", c.name, c.says, log)
		}
		n.mustSign("still.example.com")
		if c.member == "insecureAddress" {
			changes["crl"], changes["metricsAddress"] = nil, metrics
		}
		changes[c.member] = was
		n.configure(changes)
	}
	n.file("ca.json", []byte(`{"root": [}`))
	n.reload(refused)
	if !strings.Contains(n.log.String(), "ca.json:1:") {
		t.Error("broken JSON: the log names no line and column")
	}
	n.file("ca.json", good)
	n.reload(reloaded)
	page := n.fetch("http://" + metrics + "/metrics")
	for _, line := range []string{`step_ca_reloads_total{success="false"} 11`, `step_ca_reloads_total{success="true"} 1`} {
		if !strings.Contains(page.body, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	n.stop()
}

// lock encrypts a key file, with openssl, whose few rounds spare the test time.
func lock(t *testing.T, path, password string) {
	t.Helper()
	out, err := exec.Command("openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", path, "-out", path+".locked", "-passout", "pass:"+password).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(path+".locked", path); err != nil {
		t.Fatal(err)
	}
}

func open(address string) bool {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestReloadOpensMovesAndClosesListeners(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	insecure, metrics := freeAddress(t), freeAddress(t)
	n.configure(map[string]any{"insecureAddress": insecure, "metricsAddress": metrics, "crl": map[string]any{"enabled": true}})
	n.reload(reloaded)
	n.until("the CRL is served", func() bool { return n.fetch("http://"+insecure+"/crl").status == http.StatusOK })
	if a := n.fetch("http://" + metrics + "/metrics"); a.status != http.StatusOK {
		t.Errorf("added metrics: %d %v", a.status, a.err)
	}
	moved, main := freeAddress(t), freeAddress(t)
	was := n.address
	n.configure(map[string]any{"insecureAddress": moved, "metricsAddress": nil, "address": main})
	n.reload(reloaded)
	n.address = main
	n.mustSign("moved.example.com")
	if a := n.fetch("http://" + moved + "/1.0/crl"); a.status != http.StatusOK {
		t.Errorf("moved insecureAddress: %d %v", a.status, a.err)
	}
	for _, gone := range []string{insecure, metrics, was} {
		n.until(gone+" is closed", func() bool { return !open(gone) })
	}
	n.configure(map[string]any{"insecureAddress": nil, "address": was})
	n.reload(reloaded)
	n.address = was
	n.mustSign("back.example.com")
	n.until("the other addresses are closed", func() bool { return !open(moved) && !open(main) })
	n.stop()
}

// The old and the new address overlap: the old socket must make room, and come back if the
// reload fails otherwise.
func TestReloadMovesToAnAddressThatOverlapsTheOldOne(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	_, port, _ := net.SplitHostPort(n.address)
	n.configure(map[string]any{"address": ":" + port})
	n.start()
	n.mustSign("wide.example.com")
	n.configure(map[string]any{"address": n.address})
	n.reload(reloaded)
	n.mustSign("narrow.example.com")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n.configure(map[string]any{"address": ":" + port, "metricsAddress": taken.Addr().String()})
	n.reload(refused)
	n.mustSign("still.example.com")
	n.stop()
}

func TestReloadSwapsTwoAddresses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	insecure, metrics := freeAddress(t), freeAddress(t)
	n.configure(map[string]any{"insecureAddress": insecure, "metricsAddress": metrics, "crl": map[string]any{"enabled": true}})
	n.start()
	n.configure(map[string]any{"insecureAddress": metrics, "metricsAddress": insecure})
	n.reload(reloaded)
	if a := n.fetch("http://" + insecure + "/metrics"); a.status != http.StatusOK {
		t.Errorf("metrics: %d %v", a.status, a.err)
	}
	if a := n.fetch("http://" + metrics + "/crl"); a.status != http.StatusOK {
		t.Errorf("crl: %d %v", a.status, a.err)
	}
	n.stop()
}

func TestReloadTakesNewKeysProvisionersAndTLSSettings(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	key := testca.P256(t)
	middle := n.Certify(testca.Template("Second Intermediate CA", 1, nil), n.Root, key.Public(), n.RootKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	n.file("intermediate.crt", encode("CERTIFICATE", middle.Raw))
	n.file("intermediate.key", encode("PRIVATE KEY", der))
	more := testca.P256(t)
	n.configure(map[string]any{"tls": map[string]any{"minVersion": 1.3, "maxVersion": 1.3},
		"authority": map[string]any{"provisioners": []any{json.RawMessage(n.JWK(testca.Provisioner, nil)), json.RawMessage(testca.JWKProvisioner("second", &more.PublicKey, nil))}}})
	n.reload(reloaded)
	if cert := n.mustSign("new.example.com"); cert.Issuer.CommonName != middle.Subject.CommonName {
		t.Errorf("issued by %s", cert.Issuer)
	}
	token := n.Token("second.example.com", testca.Claim("iss", "second"), testca.Head("kid", testca.Thumbprint(&more.PublicKey)), testca.SignedBy(more, "ES256"))
	n.leaf(n.sign(n.dial(), n.signBodyFor("second.example.com", token)))
	client := n.dial()
	res, err := client.Get(n.url("/health"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if own := res.TLS.PeerCertificates; own[0].Issuer.CommonName != middle.Subject.CommonName || res.TLS.Version != tls.VersionTLS13 {
		t.Errorf("the server presents a certificate of %s over %s", own[0].Issuer, tls.VersionName(res.TLS.Version))
	}
	if a := roundTrip(n.dial(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), request(t, "GET", n.url("/health"), nil)); a.err == nil {
		t.Error("TLS 1.2 is served after minVersion rose to 1.3")
	}
	n.stop()
}

func TestReloadWarnsOfOwnSettingsThatVanished(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.configure(map[string]any{"authority": map[string]any{"renewUnrecorded": "never", "provisioners": []any{
		json.RawMessage(n.JWK(testca.Provisioner, map[string]any{"allowRevokeAny": true}))}}})
	n.start()
	n.configure(map[string]any{"authority": map[string]any{"provisioners": []any{json.RawMessage(n.JWK(testca.Provisioner, nil))}}})
	n.reload(reloaded)
	for _, setting := range []string{"renewUnrecorded", "allowRevokeAny"} {
		if !strings.Contains(n.log.String(), setting) {
			t.Errorf("the log does not warn that %s is gone", setting)
		}
	}
	n.stop()
}

// A password typed at the start is kept for reloads: nobody sits at the terminal then.
func TestReloadOfAFileThatIsGone(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	if err := os.Rename(n.path("ca.json"), filepath.Join(n.dir, "away.json")); err != nil {
		t.Fatal(err)
	}
	n.reload(refused)
	n.mustSign("still.example.com")
	n.signal(syscall.SIGHUP)
	n.stop()
}
