package interop_test

import (
	"crypto/x509"
	"io"
	"strings"
)

// revoked makes sure that OpenSSL takes a certificate for revoked, by the authority's list.
func (s *site) revoked(c *x509.Certificate) {
	s.Helper()
	answer, err := s.browser().Get(s.url + "/1.0/crl")
	s.check(err)
	defer answer.Body.Close()
	list, err := io.ReadAll(answer.Body)
	s.check(err)
	crl, leaf, issuer := s.file("revoked/list.crl", string(list)), s.file("revoked/leaf.crt", pemOf(c)), s.file("revoked/issuer.crt", pemOf(s.issuerCert))
	s.run(nil, "openssl", "crl", "-inform", "DER", "-in", crl, "-CAfile", issuer, "-noout")
	s.run(nil, "openssl", "crl", "-inform", "DER", "-in", crl, "-out", crl+".pem")
	text, err := s.try(nil, "openssl", "verify", "-crl_check", "-CRLfile", crl+".pem", "-CAfile", s.root, "-untrusted", issuer, leaf)
	if err == nil || !strings.Contains(text, "certificate revoked") {
		s.Errorf("OpenSSL does not take serial number %s for revoked: %s", c.SerialNumber, text)
	}
}
