package interop_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"testing"
)

// dehydrated is bash, and takes JSON apart with sed and awk.
func TestDehydrated(t *testing.T) {
	t.Parallel()
	s := newSite(t, "dehydrated")
	www := s.web()
	hook := s.program("hook", s.tellNames()+`
case $1 in
deploy_challenge) setTXT "_acme-challenge.$2" "$4" ;;
clean_challenge) clearTXT "_acme-challenge.$2" ;;
esac
`)
	try := func(name, provisioner, more string, args ...string) (string, error) {
		s.Helper()
		config := s.file(name+".conf", fmt.Sprintf(`
CA=%q
ACCOUNT_KEYSIZE=2048
CURL_OPTS="--cacert %s"
BASEDIR=%q
WELLKNOWN=%q
%s
`, s.directory(provisioner), s.root, s.path(name), www+"/.well-known/acme-challenge", more))
		s.file(name+"/domains.txt", "")
		return s.try(nil, "dehydrated", append([]string{"--config", config}, args...)...)
	}
	dehydrated := func(name, provisioner, more string, args ...string) {
		s.Helper()
		if text, err := try(name, provisioner, more, args...); err != nil {
			s.Fatalf("dehydrated %v: %v\n%s", args, err, tail(text))
		}
	}
	s.file("www/.well-known/acme-challenge/keep", "")
	stored := func(name, domain string) string { return s.path(name + "/certs/" + domain + "/fullchain.pem") }

	dehydrated("rsa", open, "KEY_ALGO=rsa\nKEYSIZE=2048", "--register", "--accept-terms")
	dehydrated("rsa", open, "KEY_ALGO=rsa\nKEYSIZE=2048", "--cron", "--domain", "one.dehydrated.test two.dehydrated.test")
	one := s.certificate(stored("rsa", "one.dehydrated.test"), "RSA", "one.dehydrated.test", "two.dehydrated.test")
	dehydrated("rsa", open, "KEY_ALGO=rsa\nKEYSIZE=2048", "--cron", "--force", "--domain", "one.dehydrated.test two.dehydrated.test")
	again := s.certificate(stored("rsa", "one.dehydrated.test"), "RSA", "one.dehydrated.test", "two.dehydrated.test")
	s.renewed(one, again)
	dehydrated("rsa", open, "CHALLENGETYPE=dns-01\nHOOK="+hook+"\nKEY_ALGO=prime256v1", "--cron", "--domain", "*.wild.dehydrated.test", "--alias", "wild")
	wild := s.certificate(stored("rsa", "wild"), "EC", "*.wild.dehydrated.test")
	dehydrated("rsa", open, "CHALLENGETYPE=dns-01\nHOOK="+hook+"\nKEY_ALGO=prime256v1", "--cron", "--force", "--domain", "*.wild.dehydrated.test", "--alias", "wild")
	wilder := s.certificate(stored("rsa", "wild"), "EC", "*.wild.dehydrated.test")
	s.renewed(wild, wilder)
	dehydrated("rsa", open, "", "--revoke", s.path("rsa/certs/wild/cert.pem"))
	s.revoked(wilder)
	dehydrated("rsa", open, "", "--revoke", s.path("rsa/certs/one.dehydrated.test/cert.pem"))
	s.revoked(again)

	s.showALPN(s.path("rsa/alpn-certs"))
	alpn := "CHALLENGETYPE=tls-alpn-01\nKEY_ALGO=rsa\nKEYSIZE=2048"
	dehydrated("rsa", brief, alpn, "--register", "--accept-terms")
	dehydrated("rsa", brief, alpn, "--cron", "--domain", "alpn.dehydrated.test")
	first := s.certificate(stored("rsa", "alpn.dehydrated.test"), "RSA", "alpn.dehydrated.test")
	dehydrated("rsa", brief, alpn, "--cron", "--force", "--domain", "alpn.dehydrated.test")
	second := s.certificate(stored("rsa", "alpn.dehydrated.test"), "RSA", "alpn.dehydrated.test")
	s.renewed(first, second)
	dehydrated("rsa", brief, alpn, "--revoke", s.path("rsa/certs/alpn.dehydrated.test/cert.pem"))
	s.revoked(second)

	id, secret := s.eab()
	binding := fmt.Sprintf("EAB_KID=%q\nEAB_HMAC_KEY=%q\nKEYSIZE=2048\nKEY_ALGO=", id, secret)
	dehydrated("eab", bound, binding+"rsa", "--register", "--accept-terms")
	for keyType, kind := range map[string]string{"secp384r1": "EC", "prime256v1": "EC", "rsa": "RSA"} {
		name := keyType + ".eab.dehydrated.test"
		dehydrated("eab", bound, binding+keyType, "--cron", "--domain", name)
		s.certificate(stored("eab", name), kind, name)
	}
	s.refusesBindings(id, secret, "requires an external account but no EAB_KID", func(id, key string) (string, error) {
		more := ""
		if id != "" {
			more = fmt.Sprintf("EAB_KID=%q\nEAB_HMAC_KEY=%q", id, key)
		}
		return try("refused", bound, more, "--register", "--accept-terms")
	})
}

// showALPN is the server that dehydrated expects beside it: it shows the certificates for
// tls-alpn-01 that dehydrated writes into a directory.
func (s *site) showALPN(dir string) {
	s.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:"+s.tlsPort, &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := filepath.Join(dir, filepath.Base(hello.ServerName))
		pair, err := tls.LoadX509KeyPair(name+".crt.pem", name+".key.pem")
		return &pair, err
	}})
	s.check(err)
	s.Cleanup(func() { l.Close() })
	go shakeHands(l)
}

// shakeHands is a TLS server that says nothing.
func shakeHands(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _ = conn.(*tls.Conn).Handshake(); conn.Close() }()
	}
}
