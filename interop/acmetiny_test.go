package interop_test

import "testing"

// acme-tiny is two hundred lines of Python: http-01 for a request that exists already.
func TestAcmeTiny(t *testing.T) {
	t.Parallel()
	s := newSite(t, "acme-tiny")
	www := s.web()
	s.file("www/.well-known/acme-challenge/keep", "")
	s.run(nil, "openssl", "genrsa", "-out", "account.key", "2048")
	for kind, algorithm := range map[string][]string{
		"RSA": {"-newkey", "rsa:2048"}, "EC": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
	} {
		s.run(nil, "openssl", append(append([]string{"req"}, algorithm...), "-nodes", "-keyout", kind+".key", "-out", kind+".csr",
			"-subj", "/CN=one.tiny.test", "-addext", "subjectAltName=DNS:one.tiny.test,DNS:two.tiny.test")...)
		chain := s.run([]string{"SSL_CERT_FILE=" + s.root}, "acme-tiny", "--account-key", "account.key", "--csr", kind+".csr", "--quiet",
			"--acme-dir", www+"/.well-known/acme-challenge", "--directory-url", s.directory(open), "--disable-check")
		s.chain([]byte(chain), kind, "one.tiny.test", "two.tiny.test")
	}
}
