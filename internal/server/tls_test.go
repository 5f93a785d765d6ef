package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/testca"
)

// judge asks openssl what it thinks of the server.
func (n *node) judge(args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-connect", n.address, "-CAfile", n.path("root.crt"), "-verify_hostname", "localhost", "-verify_return_error"}, args...)...)
	cmd.Stdin = strings.NewReader("")
	out, _ := cmd.CombinedOutput() // a refused handshake is an answer, too
	return string(out)
}

func TestTLSAsOpenSSLSeesIt(t *testing.T) {
	t.Parallel()
	plain := newNode(t).start()
	bound := newNode(t)
	bound.configure(map[string]any{"tls": map[string]any{"minVersion": 1.2, "maxVersion": 1.2, "cipherSuites": []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}}})
	bound.start()
	for _, c := range []struct {
		name string
		node *node
		args []string
		want string
	}{
		{"the best both know", plain, nil, "New, TLSv1.3"},
		{"the certificate verifies", plain, nil, "Verify return code: 0 (ok)"},
		{"HTTP/2", plain, []string{"-alpn", "h2,http/1.1"}, "ALPN protocol: h2"},
		{"HTTP/1.1", plain, []string{"-alpn", "http/1.1"}, "ALPN protocol: http/1.1"},
		{"TLS 1.2", plain, []string{"-tls1_2"}, "New, TLSv1.2"},
		{"TLS 1.1 is too old", plain, []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, "alert protocol version"},
		{"a default suite", plain, []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"}, "Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"},
		{"a suite that is not configured", plain, []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"}, "handshake failure"},
		{"a configured suite", bound, []string{"-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"}, "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"},
		{"above the maximum", bound, []string{"-tls1_3"}, "alert protocol version"},
		{"client certificates are asked for", plain, nil, "Acceptable client certificate CA names"},
	} {
		if out := c.node.judge(c.args...); !strings.Contains(out, c.want) {
			t.Errorf("%s: openssl does not say %q:\n%s", c.name, c.want, out)
		}
	}
	plain.stop()
	bound.stop()
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	key := testca.P256(t)
	cert := n.leaf(n.sign(n.dial(), n.bodyFor(key, "holder.example.com")))
	own := &testca.Holder{Chain: []*x509.Certificate{cert, n.Intermediate}, Key: key}
	stranger := testca.New(t)
	expired := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = longAgo, longAgo.Add(time.Hour) }
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}})
	}
	policy := func(c *x509.Certificate) { // RFC 5280, Section 4.2.1.11: requireExplicitPolicy 0
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 36}, Critical: true, Value: []byte{0x30, 3, 0x80, 1, 0}})
	}
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for _, c := range []struct {
		name   string
		holder *testca.Holder
		status int // 0: the handshake fails
	}{
		{"chain", own, http.StatusCreated},
		{"unknown issuer", n.Foreign("x", stranger.Intermediate, stranger.IntermediateKey, nil), 0},
		{"expired", n.Foreign("x", n.Intermediate, n.IntermediateKey, expired), 0},
		{"unknown critical extension", n.Foreign("x", n.Intermediate, n.IntermediateKey, critical), 0},
		{"no policy where it demands one", n.Foreign("x", n.Intermediate, n.IntermediateKey, policy), 0},
		{"not for clients", n.Foreign("x", n.Intermediate, n.IntermediateKey, serverOnly), 0},
	} {
		for _, chain := range [][]*x509.Certificate{c.holder.Chain, c.holder.Chain[:1]} {
			present := (&testca.Holder{Chain: chain, Key: c.holder.Key}).TLS()
			for _, protocol := range []string{"h2", "http/1.1", "h2"} { // what was seen before is no better the next time
				client := n.dial(func(config *tls.Config) {
					config.NextProtos = []string{protocol}
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &present, nil }
				})
				if a := roundTrip(client, request(t, "POST", n.url("/1.0/renew"), nil)); a.status != c.status {
					t.Errorf("%s of %d over %s: %d %s %v", c.name, len(chain), protocol, a.status, a.body, a.err)
				}
			}
		}
	}
	if a := roundTrip(n.dial(), request(t, "POST", n.url("/1.0/renew"), nil)); a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized {
		t.Errorf("no certificate: %d %s %v", a.status, a.body, a.err)
	}
	n.stop()
}

// A session that a client resumes brings its certificate from before. After a reload it is shown
// anew: a client that has got another one meanwhile must not fail with the old one for ever.
func TestSessionsOfEarlierAuthorities(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	stranger := testca.New(t)
	cache := tls.NewLRUClientSessionCache(1)
	resumed := false
	ask := func(h *testca.Holder) answer {
		present := h.TLS()
		client := n.dial(func(config *tls.Config) {
			config.ClientSessionCache = cache
			config.RootCAs.AddCert(stranger.Root)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &present, nil }
			config.VerifyConnection = func(c tls.ConnectionState) error { resumed = c.DidResume; return nil }
		})
		return roundTrip(client, request(t, "GET", n.url("/health"), nil))
	}
	before := n.Foreign("before", n.Intermediate, n.IntermediateKey, nil)
	if first, second := ask(before), ask(before); first.status != http.StatusOK || second.status != http.StatusOK || !resumed {
		t.Fatalf("%d %v, %d %v, resumed %v", first.status, first.err, second.status, second.err, resumed)
	}
	key, err := x509.MarshalPKCS8PrivateKey(stranger.IntermediateKey)
	if err != nil {
		t.Fatal(err)
	}
	n.file("root.crt", encode("CERTIFICATE", stranger.Root.Raw))
	n.file("intermediate.crt", encode("CERTIFICATE", stranger.Intermediate.Raw))
	n.file("intermediate.key", encode("PRIVATE KEY", key))
	n.reload(reloaded)
	if a := ask(stranger.Foreign("after", stranger.Intermediate, stranger.IntermediateKey, nil)); a.status != http.StatusOK {
		t.Errorf("a good certificate and a session with an old one: %d %v", a.status, a.err)
	}
	n.stop()
}

// The server certificate lives a day. It is replaced well before, again and again, and a
// handshake after a long sleep finds a good one.
func TestOwnCertificateStaysFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		own, err := server.KeepOwnCertificate(ctx, c.Office)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for range 20 * 24 {
			time.Sleep(time.Hour)
			synctest.Wait()
			cert := own()
			seen[cert.Leaf.SerialNumber.String()] = true
			if left := time.Until(cert.Leaf.NotAfter); left < 6*time.Hour {
				t.Fatalf("a certificate that has %v left is presented", left)
			}
		}
		if n := len(seen); n < 28 || n > 36 {
			t.Errorf("%d certificates in 20 days", n)
		}
		cancel()
		synctest.Wait()
		time.Sleep(48 * time.Hour) // nobody renews
		if left := time.Until(own().Leaf.NotAfter); left < 23*time.Hour {
			t.Errorf("after a long sleep a certificate with %v left is presented", left)
		}
	})
}
