package challenge_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/challenge"
)

var (
	acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
	altName        = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// challengeTemplate is the certificate of RFC 8737, Section 3, before it is bent.
func challengeTemplate(t *testing.T) *x509.Certificate {
	t.Helper()
	digest := sha256.Sum256([]byte(keyAuthorization))
	value, err := asn1.Marshal(digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "challenge"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"web.test"},
		ExtraExtensions: []pkix.Extension{{Id: acmeIdentifier, Critical: true, Value: value}},
	}
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tlsSite serves handshakes and gives its port and the last server name it was asked for.
func tlsSite(t *testing.T, listen string, c *tls.Config) (port int, asked *atomic.Value) {
	t.Helper()
	asked = &atomic.Value{}
	asked.Store("")
	config := c.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		asked.Store(hello.ServerName)
		return nil, nil
	}
	l, err := tls.Listen("tcp", listen, config)
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
				_ = conn.(*tls.Conn).Handshake()
				conn.Close()
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, asked
}

func TestTLSALPN01(t *testing.T) {
	t.Parallel()
	names := serveNames(t, "web.test. 60 IN A 127.0.0.1")
	extension := func(change func(e *pkix.Extension)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { change(&c.ExtraExtensions[0]) }
	}
	san := func(der ...byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.DNSNames = nil
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: altName, Value: der})
		}
	}
	web := append([]byte{0x82, 8}, "web.test"...)
	for name, c := range map[string]struct {
		bend func(*x509.Certificate)
		want string
	}{
		"right":                  {func(*x509.Certificate) {}, ""},
		"upper case":             {func(c *x509.Certificate) { c.DNSNames = []string{"WEB.Test"} }, ""},
		"another name":           {func(c *x509.Certificate) { c.DNSNames = []string{"else.test"} }, "not for"},
		"two names":              {func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "else.test") }, "exactly one name"},
		"an address besides":     {func(c *x509.Certificate) { c.IPAddresses = []net.IP{{127, 0, 0, 1}} }, "exactly one name"},
		"an unknown name kind":   {san(append([]byte{0x30, 14, 0x88, 2, 0x2a, 3}, web...)...), "exactly one name"},
		"the name by hand":       {san(append([]byte{0x30, 10}, web...)...), ""},
		"no name":                {func(c *x509.Certificate) { c.DNSNames = nil }, "not for"},
		"no extension":           {func(c *x509.Certificate) { c.ExtraExtensions = nil }, "does not hold"},
		"not critical":           {extension(func(e *pkix.Extension) { e.Critical = false }), "critical"},
		"the obsolete one":       {extension(func(e *pkix.Extension) { e.Id = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 30, 1} }), "early draft"},
		"another digest":         {extension(func(e *pkix.Extension) { e.Value[5] ^= 1 }), "does not hold"},
		"no octet string":        {extension(func(e *pkix.Extension) { e.Value = e.Value[2:] }), "32 bytes"},
		"bytes behind":           {extension(func(e *pkix.Extension) { e.Value = append(e.Value, 0) }), "32 bytes"},
		"a short digest":         {extension(func(e *pkix.Extension) { e.Value = append([]byte{4, 31}, e.Value[2:33]...) }), "32 bytes"},
		"SHA-1 would be 20":      {extension(func(e *pkix.Extension) { e.Value = append([]byte{4, 20}, e.Value[2:22]...) }), "32 bytes"},
		"the digest in the name": {func(c *x509.Certificate) { c.Subject.CommonName = "web.test"; c.DNSNames = nil }, "not for"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, key := challengeTemplate(t), newKey(t)
			c.bend(template)
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			port, asked := tlsSite(t, "127.0.0.1:0", &tls.Config{NextProtos: []string{"acme-tls/1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
			v := challenge.New(challenge.Settings{TLSPort: port, Resolver: names.addr})
			judge(t, v.Try(t.Context(), attempt("tls-alpn-01", "web.test")), c.want)
			if asked.Load() != "web.test" {
				t.Errorf("asked for %v", asked.Load())
			}
		})
	}
}

// judge expects success or a final refusal with these words.
func judge(t *testing.T, err error, words string) {
	t.Helper()
	if words == "" {
		check(t, err, "")
		return
	}
	check(t, err, "rejectedIdentifier!")
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %q", err, words)
	}
}

func TestTLSALPN01Addresses(t *testing.T) {
	t.Parallel()
	for ip, reverse := range map[string]string{
		"127.0.0.1": "1.0.0.127.in-addr.arpa",
		"::1":       "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	} {
		template, key := challengeTemplate(t), newKey(t)
		template.DNSNames, template.IPAddresses = nil, []net.IP{net.ParseIP(ip)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		port, asked := tlsSite(t, net.JoinHostPort(ip, "0"), &tls.Config{NextProtos: []string{"acme-tls/1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		a := attempt("tls-alpn-01", ip)
		a.Identifier.Type = "ip"
		v := challenge.New(challenge.Settings{TLSPort: port})
		check(t, v.Try(t.Context(), a), "")
		if asked.Load() != reverse {
			t.Errorf("asked for %v, want %s", asked.Load(), reverse)
		}
		a.Thumbprint += "x"
		check(t, v.Try(t.Context(), a), "rejectedIdentifier!")
	}
}

func TestTLSALPN01Handshake(t *testing.T) {
	t.Parallel()
	template, key := challengeTemplate(t), newKey(t)
	template.DNSNames, template.IPAddresses = nil, []net.IP{{127, 0, 0, 1}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	issuer := newKey(t)
	foreign, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer"}}, key.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	protocol := []string{"acme-tls/1"}
	for name, c := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"TLS 1.2":              {&tls.Config{NextProtos: protocol, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}, ""},
		"TLS 1.1":              {&tls.Config{NextProtos: protocol, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: []tls.Certificate{own}}, "tls"},
		"another protocol":     {&tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own}}, "rejectedIdentifier!"},
		"no protocol":          {&tls.Config{Certificates: []tls.Certificate{own}}, "rejectedIdentifier!"},
		"no certificate":       {&tls.Config{NextProtos: protocol, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}, "tls"},
		"signed by another":    {&tls.Config{NextProtos: protocol, Certificates: []tls.Certificate{{Certificate: [][]byte{foreign}, PrivateKey: key}}}, "rejectedIdentifier!"},
		"a chain behind it":    {&tls.Config{NextProtos: protocol, Certificates: []tls.Certificate{{Certificate: [][]byte{der, foreign}, PrivateKey: key}}}, ""},
		"a client certificate": {&tls.Config{NextProtos: protocol, ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{own}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, _ := tlsSite(t, "127.0.0.1:0", c.config)
			a := attempt("tls-alpn-01", "127.0.0.1")
			a.Identifier.Type = "ip"
			check(t, challenge.New(challenge.Settings{TLSPort: port}).Try(t.Context(), a), c.want)
		})
	}
	t.Run("not TLS", func(t *testing.T) {
		t.Parallel()
		port := site(t, "127.0.0.1:0", says("x"))
		a := attempt("tls-alpn-01", "127.0.0.1")
		a.Identifier.Type = "ip"
		check(t, challenge.New(challenge.Settings{TLSPort: port}).Try(t.Context(), a), "connection")
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		a := attempt("tls-alpn-01", "127.0.0.1")
		a.Identifier.Type = "ip"
		check(t, challenge.New(challenge.Settings{TLSPort: l.Addr().(*net.TCPAddr).Port}).Try(t.Context(), a), "connection")
	})
}
