package interop_test

import (
	"fmt"
	"testing"
)

// dehydrated is bash, and takes JSON apart with sed and awk.
func TestDehydrated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	www := s.web()
	hook := s.program("hook", s.tellNames()+`
case $1 in
deploy_challenge) setTXT "_acme-challenge.$2" "$4" ;;
clean_challenge) clearTXT "_acme-challenge.$2" ;;
esac
`)
	dehydrated := func(name, provisioner, more string, args ...string) {
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
		s.run(nil, "dehydrated", append([]string{"--config", config}, args...)...)
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
	s.certificate(stored("rsa", "wild"), "EC", "*.wild.dehydrated.test")
	dehydrated("rsa", open, "", "--revoke", s.path("rsa/certs/one.dehydrated.test/cert.pem"))
	s.revoked(again)

	id, secret := s.eab()
	binding := fmt.Sprintf("EAB_KID=%q\nEAB_HMAC_KEY=%q\nKEY_ALGO=secp384r1", id, secret)
	dehydrated("eab", bound, binding, "--register", "--accept-terms")
	dehydrated("eab", bound, binding, "--cron", "--domain", "eab.dehydrated.test")
	s.certificate(stored("eab", "eab.dehydrated.test"), "EC", "eab.dehydrated.test")
}
