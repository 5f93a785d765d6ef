package cli_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/keys"
)

// authority makes certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Test Root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	})
	return a
}

// make signs a certificate for a new key; the first one signs itself.
func (a *authority) make(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// serve presents a certificate on a port of the loopback.
func serve(t testing.TB, cert *x509.Certificate, key *ecdsa.PrivateKey) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.(*tls.Conn).Handshake()
				conn.Read(make([]byte, 1)) // the client closes
			}()
		}
	}()
	return l.Addr().String()
}

func TestCertificateOfServer(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	leaf, key := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "srv"}, DNSNames: []string{"srv.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	address := serve(t, leaf, key)
	old, oldKey := ca.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "old"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	})
	oldAddress := serve(t, old, oldKey)

	w := newWorld(t)
	root := w.file("roots/root.crt", string(keys.EncodeCertificates(ca.cert)))
	w.file("roots/readme.txt", "no certificate")
	for _, c := range []struct {
		proves string
		line   string
		code   int
		stdout string
		stderr string
	}{
		{"a trusted server is shown", "certificate inspect --short https://" + address + " --roots " + root, 0, "Subject:     srv\n", ""},
		{"any of the schemes, in any case", "certificate inspect --short TLS://" + address + "/path --roots " + root, 0, "Subject:     srv\n", ""},
		{"a directory of roots", "certificate inspect --short https://" + address + " --roots " + w.home + "/roots", 0, "Subject:     srv\n", ""},
		{"a list of roots", "certificate inspect --short https://" + address + " --roots " + root + "," + root, 0, "Subject:     srv\n", ""},
		{"an unknown root says what to do", "certificate inspect https://" + address, 1, "", "--roots"},
		{"unchecked, everything is shown", "certificate inspect --short https://" + address + " --insecure", 0, "Subject:     srv\n", ""},
		{"the name is checked", "certificate inspect https://" + address + " --servername other.example --roots " + root, 1, "", "srv.example, not other.example"},
		{"another name may be asked for", "certificate inspect --short https://" + address + " --servername srv.example --roots " + root, 0, "srv.example", ""},
		{"an expired one is not trusted", "certificate inspect https://" + oldAddress + " --roots " + root, 1, "", "expired"},
		{"the fingerprint of a server", "certificate fingerprint https://" + address + " --roots " + root, 0, keys.CertificateFingerprint(leaf) + "\n", ""},
		{"an expired one needs renewal", "certificate needs-renewal https://" + oldAddress + " --roots " + root, 0, "", ""},
		{"a fresh one needs none", "certificate needs-renewal https://" + address + " --expires-in 1m --roots " + root, 1, "", ""},
		{"an expired one of a stranger is not judged", "certificate needs-renewal https://" + oldAddress, 255, "", "--roots"},
		{"no server is no missing file", "certificate needs-renewal https://127.0.0.1:1", 255, "", "connect to 127.0.0.1:1"},
		{"a URL without host", "certificate inspect https://:443", 1, "", "no address of a server"},
		{"roots that are none", "certificate inspect https://" + address + " --roots " + w.home + "/roots/readme.txt", 1, "", "no certificate"},
	} {
		t.Run(c.proves, func(t *testing.T) {
			if code := w.run(t.Context(), strings.Fields(c.line)...); code != c.code {
				t.Errorf("exit code %d, want %d; %s", code, c.code, &w.stderr)
			}
			if !strings.Contains(w.stdout.String(), c.stdout) || !strings.Contains(w.stderr.String(), c.stderr) {
				t.Errorf("stdout %q, stderr %q; want %q and %q in them", &w.stdout, &w.stderr, c.stdout, c.stderr)
			}
		})
	}
}

// TestSilentServer proves that a server which accepts and says nothing can be left.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			cancel()
			conn.Read(make([]byte, 1<<16))
		}
	}()
	w := newWorld(t)
	if code := w.run(ctx, "certificate", "inspect", "https://"+l.Addr().String()); code == 0 {
		t.Error("a server that presents nothing was inspected")
	}
}
