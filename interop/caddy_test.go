package interop_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Caddy is a web server that gets its certificates by itself: with tls-alpn-01 or http-01 at
// the ports where it serves.
func TestCaddy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, keyType, without string }{
		"alpn": {"RSA", "rsa2048", "http"},
		"http": {"EC", "p256", "tlsalpn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "Caddy")
			host := name + ".caddy.test"
			s.background(s.caddy(host, brief, "key_type "+c.keyType+"\n\trenew_interval 1s", c.without), "caddy.log")
			first := s.served(host, c.kind)
			s.eventually("a renewal by Caddy", func() bool {
				return s.served(host, c.kind).SerialNumber.Cmp(first.SerialNumber) != 0
			})
		})
	}
	t.Run("bound", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "Caddy")
		id, secret := s.eab()
		tries := 0 // each stores what it has, and so its account, under a name of its own
		register := func(id, key, until string) (string, error) {
			tries++
			binding := ""
			if id != "" {
				binding = fmt.Sprintf("acme_eab {\n\t\tkey_id %s\n\t\tmac_key %s\n\t}", id, key)
			}
			return s.until(s.caddy(fmt.Sprintf("bound%d.caddy.test", tries), bound, binding, "tlsalpn"), "until.log", until)
		}
		_, _ = register(id, secret, "certificate obtained successfully")
		stored, err := filepath.Glob(s.path("bound1.caddy.test/certificates/*/*/bound1.caddy.test.crt"))
		s.check(err)
		if len(stored) != 1 {
			t.Fatalf("Caddy stored %v", stored)
		}
		s.certificate(stored[0], "EC", "bound1.caddy.test")
		s.refusesBindings(id, secret, "", func(id, key string) (string, error) {
			return register(id, key, "could not get certificate from issuer")
		})
	})
}

// caddy is Caddy with a site, global options and a challenge that it does without.
func (s *site) caddy(host, provisioner, options, without string) *exec.Cmd {
	s.Helper()
	config := s.file("Caddyfile", fmt.Sprintf(`{
	admin off
	storage file_system %[1]s/%[7]s
	default_bind 127.0.0.1
	http_port %[2]s
	https_port %[3]s
	acme_ca %[4]s
	acme_ca_root %[5]s
	email me@example.com
	%[6]s
}
%[7]s {
	tls {
		issuer acme {
			disable_%[8]s_challenge
		}
	}
}
`, s.dir, s.httpPort, s.tlsPort, s.directory(provisioner), s.root, options, host, without))
	return s.command("caddy", "run", "--adapter", "caddyfile", "--config", config)
}

// served waits until a server shows a certificate of the site, and gives it.
func (s *site) served(host, kind string) *x509.Certificate {
	s.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.rootCert)
	var chain []byte
	s.eventually("a certificate for "+host, func() bool {
		conn, err := tls.Dial("tcp", "127.0.0.1:"+s.tlsPort, &tls.Config{ServerName: host, RootCAs: roots})
		if err != nil {
			return false
		}
		defer conn.Close()
		chain = nil
		for _, c := range conn.ConnectionState().PeerCertificates {
			chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		return true
	})
	return s.chain(chain, kind, host)
}
