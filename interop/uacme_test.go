package interop_test

import (
	"os"
	"strings"
	"testing"
)

// uacme is C with GnuTLS. It reads the machine's roots and nothing else, so it runs where
// that file is another one.
func TestUacme(t *testing.T) {
	t.Parallel()
	s := newSite(t, "uacme")
	www := s.web()
	hook := s.program("hook", s.tellNames()+`
dir=`+www+`/.well-known/acme-challenge
# uacme offers one challenge after the other; a failure asks for the next one.
case $1,$2,$3 in
begin,http-01,alpn.* | begin,dns-01,alpn.*) exit 1 ;;
begin,dns-01,wild.*) ;;
begin,dns-01,* | begin,http-01,wild.*) exit 1 ;;
esac
case $1,$2 in
begin,http-01) mkdir -p "$dir"; printf %s "$5" >"$dir/$4" ;;
done,http-01 | failed,http-01) rm -f "$dir/$4" ;;
begin,dns-01) setTXT "_acme-challenge.$3" "$5" ;;
done,dns-01 | failed,dns-01) clearTXT "_acme-challenge.$3" ;;
begin,tls-alpn-01) [ -S '`+s.path("ualpn.sock")+`' ] || exit 1; echo "auth $3 $5" | ualpn -s '`+s.path("ualpn.sock")+`' | grep -q OK ;;
done,tls-alpn-01 | failed,tls-alpn-01) echo "unauth $3" | ualpn -s '`+s.path("ualpn.sock")+`' | grep -q OK ;;
*) exit 1 ;;
esac
`)
	within := "-rm"
	if os.Getuid() == 0 {
		within = "-m"
	}
	roots := s.ownRoots()
	try := func(provisioner, conf string, args ...string) (string, error) {
		all := append([]string{within, "sh", "-c", `mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec uacme "$@"`, roots,
			"-a", s.directory(provisioner), "-c", s.path(conf), "-h", hook, "-y"}, args...)
		return s.try(nil, "unshare", all...)
	}
	uacme := func(provisioner, conf string, args ...string) {
		s.Helper()
		if text, err := try(provisioner, conf, args...); err != nil {
			s.Fatalf("uacme %v: %v\n%s", args, err, tail(text))
		}
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
	uacme(open, "ec", "-t", "EC", "-f", "issue", "*.wild.uacme.test")
	wilder := s.certificate(stored("ec", "wild.uacme.test"), "EC", "*.wild.uacme.test")
	s.renewed(wild, wilder)
	uacme(open, "ec", "revoke", stored("ec", "one.uacme.test"))
	s.revoked(again)
	uacme(open, "ec", "revoke", stored("ec", "wild.uacme.test"), s.path("ec/private/wild.uacme.test/key.pem"))
	s.revoked(wilder)

	// Its own responder for tls-alpn-01.
	s.background(s.command("ualpn", "-v", "-b", "127.0.0.1@"+s.tlsPort, "-c", "127.0.0.1@"+s.httpPort, "-s", s.path("ualpn.sock")), "ualpn.log")
	s.eventually("ualpn's socket", func() bool { _, err := os.Stat(s.path("ualpn.sock")); return err == nil })
	uacme(brief, "alpn", "-t", "EC", "new")
	uacme(brief, "alpn", "-t", "EC", "issue", "alpn.uacme.test")
	alpn := s.certificate(stored("alpn", "alpn.uacme.test"), "EC", "alpn.uacme.test")
	uacme(brief, "alpn", "-t", "EC", "-f", "issue", "alpn.uacme.test")
	alpnAgain := s.certificate(stored("alpn", "alpn.uacme.test"), "EC", "alpn.uacme.test")
	s.renewed(alpn, alpnAgain)
	uacme(brief, "alpn", "revoke", stored("alpn", "alpn.uacme.test"))
	s.revoked(alpnAgain)

	uacme(open, "ec", "update", "you@example.com")
	uacme(open, "ec", "deactivate")

	uacme(open, "rsa", "-t", "RSA", "new")
	uacme(open, "rsa", "-t", "RSA", "issue", "rsa.uacme.test")
	s.certificate(stored("rsa", "rsa.uacme.test"), "RSA", "rsa.uacme.test")
	uacme(open, "rsa", "-t", "RSA", "issue", "127.0.0.1")
	s.certificate(stored("rsa", "127.0.0.1"), "RSA", "127.0.0.1")

	var id, secret string
	for _, kind := range []string{"RSA", "EC"} { // of the account, then of certificates
		id, secret = s.eab()
		conf := "eab" + kind
		uacme(bound, conf, "-t", kind, "-e", id+":"+secret, "new")
		for _, of := range []string{"RSA", "EC"} {
			name := strings.ToLower(of) + ".eab.uacme.test"
			uacme(bound, conf, "-t", of, "issue", name)
			s.certificate(stored(conf, name), of, name)
		}
	}
	s.refusesBindings(id, secret, "requires external credentials", func(id, key string) (string, error) {
		if id == "" {
			return try(bound, "refused", "-v", "new")
		}
		return try(bound, "refused", "-v", "-e", id+":"+key, "new")
	})
}
