package interop_test

import (
	"os"
	"testing"
)

// uacme is C with GnuTLS. It reads the machine's roots and nothing else, so it runs where
// that file is another one.
func TestUacme(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	www := s.web()
	hook := s.program("hook", s.tellNames()+`
dir=`+www+`/.well-known/acme-challenge
case $1,$2 in
begin,http-01) mkdir -p "$dir"; printf %s "$5" >"$dir/$4" ;;
done,http-01 | failed,http-01) rm -f "$dir/$4" ;;
begin,dns-01) setTXT "_acme-challenge.$3" "$5" ;;
done,dns-01 | failed,dns-01) clearTXT "_acme-challenge.$3" ;;
*) exit 1 ;;
esac
`)
	within := "-rm"
	if os.Getuid() == 0 {
		within = "-m"
	}
	roots := s.ownRoots()
	uacme := func(provisioner, conf string, args ...string) {
		s.Helper()
		all := append([]string{within, "sh", "-c", `mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec uacme "$@"`, roots,
			"-a", s.directory(provisioner), "-c", s.path(conf), "-h", hook, "-y"}, args...)
		s.run(nil, "unshare", all...)
	}
	stored := func(conf, name string) string { return s.path(conf + "/" + name + "/cert.pem") }

	uacme(open, "ec", "-t", "EC", "new", "me@example.com")
	uacme(open, "ec", "-t", "EC", "issue", "one.uacme.test", "two.uacme.test")
	one := s.certificate(stored("ec", "one.uacme.test"), "EC", "one.uacme.test", "two.uacme.test")
	uacme(open, "ec", "-t", "EC", "-f", "issue", "one.uacme.test", "two.uacme.test")
	again := s.certificate(stored("ec", "one.uacme.test"), "EC", "one.uacme.test", "two.uacme.test")
	s.renewed(one, again)
	uacme(open, "ec", "-t", "EC", "newkey") // the account's key is rolled over
	uacme(open, "ec", "-t", "EC", "issue", "*.wild.uacme.test")
	wild := s.certificate(stored("ec", "wild.uacme.test"), "EC", "*.wild.uacme.test")
	uacme(open, "ec", "revoke", stored("ec", "one.uacme.test"))
	s.revoked(again)
	uacme(open, "ec", "revoke", stored("ec", "wild.uacme.test"), s.path("ec/private/wild.uacme.test/key.pem"))
	s.revoked(wild)
	uacme(open, "ec", "update", "you@example.com")
	uacme(open, "ec", "deactivate")

	uacme(open, "rsa", "-t", "RSA", "new")
	uacme(open, "rsa", "-t", "RSA", "issue", "rsa.uacme.test")
	s.certificate(stored("rsa", "rsa.uacme.test"), "RSA", "rsa.uacme.test")
	uacme(open, "rsa", "-t", "RSA", "issue", "127.0.0.1")
	s.certificate(stored("rsa", "127.0.0.1"), "RSA", "127.0.0.1")

	id, secret := s.eab()
	uacme(bound, "eab", "-e", id+":"+secret, "new")
	uacme(bound, "eab", "issue", "eab.uacme.test")
	s.certificate(stored("eab", "eab.uacme.test"), "RSA", "eab.uacme.test")
}
