package interop_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"
)

// Caddy is a web server that gets its certificates by itself: with tls-alpn-01 or http-01 at
// the ports where it serves.
func TestCaddy(t *testing.T) {
	t.Parallel()
	t.Run("alpn", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "Caddy")
		s.caddy("alpn.caddy.test", brief, "", `
	key_type rsa2048
	renew_interval 1s`, "disable_http_challenge")
		first := s.served("alpn.caddy.test", "RSA")
		s.eventually("a renewal by Caddy", func() bool {
			return s.served("alpn.caddy.test", "RSA").SerialNumber.Cmp(first.SerialNumber) != 0
		})
	})
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "Caddy")
		id, secret := s.eab()
		s.caddy("http.caddy.test", bound, fmt.Sprintf(`
	acme_eab {
		key_id %s
		mac_key %s
	}`, id, secret), "", "disable_tlsalpn_challenge")
		s.served("http.caddy.test", "EC")
	})
}

// caddy starts Caddy with a site, global options and one of its issuer.
func (s *site) caddy(host, provisioner, eab, options, issuer string) {
	s.Helper()
	config := s.file("Caddyfile", fmt.Sprintf(`{
	admin off
	storage file_system %[1]s/caddy
	default_bind 127.0.0.1
	http_port %[2]s
	https_port %[3]s
	acme_ca %[4]s
	acme_ca_root %[5]s
	email me@example.com%[6]s%[7]s
}
%[8]s {
	tls {
		issuer acme {
			%[9]s
		}
	}
}
`, s.dir, s.httpPort, s.tlsPort, s.directory(provisioner), s.root, eab, options, host, issuer))
	s.background(s.command("caddy", "run", "--adapter", "caddyfile", "--config", config), "caddy.log")
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
