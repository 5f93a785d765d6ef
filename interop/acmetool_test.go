package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// acmetool is Go with a library of its own. It keeps what is wanted, and reconciles.
func TestAcmetool(t *testing.T) {
	t.Parallel()
	s := newSite(t, "acmetool")
	www := s.web()
	s.program("hooks/dns", s.tellNames()+`
case $1 in
challenge-dns-start) setTXT "_acme-challenge.$2" "$4" ;;
challenge-dns-stop) clearTXT "_acme-challenge.$2" ;;
*) exit 42 ;;
esac
`)
	state := s.path("state")
	s.file("responses", fmt.Sprintf(`
"acmetool-quickstart-choose-server": %[1]q
"acmetool-quickstart-choose-method": webroot
"acmetool-quickstart-webroot-path": %[2]q
"acmetool-quickstart-complete": true
"acmetool-quickstart-install-cronjob": false
"acmetool-quickstart-install-haproxy-script": false
"acmetool-quickstart-install-redirector-systemd": false
"acmetool-quickstart-key-type": ecdsa
"acmetool-quickstart-ecdsa-curve": nistp256
"acme-enter-email": "me@example.com"
"acme-agreement:": true
`, s.directory(open), www+"/.well-known/acme-challenge"))
	acmetool := func(args ...string) {
		s.Helper()
		// It would listen on port 80 of the whole machine if it could.
		program := []string{"acmetool"}
		if os.Getuid() == 0 {
			program = []string{"setpriv", "--bounding-set", "-net_bind_service", "acmetool"}
		}
		s.run([]string{"SSL_CERT_FILE=" + s.root}, program[0], append(append(program[1:], "--state", state, "--hooks", s.path("hooks"), "--batch", "--response-file", s.path("responses")), args...)...)
	}
	target := func(provisioner, kind string) {
		s.file("state/conf/target", fmt.Sprintf(`
request:
  provider: %q
  key:
    type: %s
    rsa-size: 2048
    ecdsa-curve: nistp256
  challenge:
    webroot-paths: [%q]
    http-self-test: false
`, s.directory(provisioner), kind, www+"/.well-known/acme-challenge"))
	}
	stored := func(name string) string {
		s.Helper()
		link, err := filepath.EvalSymlinks(filepath.Join(state, "live", name))
		s.check(err)
		return filepath.Join(link, "fullchain")
	}
	s.check(os.MkdirAll(www+"/.well-known/acme-challenge", 0o755))

	target(brief, "ecdsa")
	acmetool("want", "one.acmetool.test", "two.acmetool.test")
	one := s.certificate(stored("one.acmetool.test"), "EC", "one.acmetool.test", "two.acmetool.test")
	s.eventually("a renewal by acmetool", func() bool { // when a third of the time is left
		acmetool("reconcile")
		again := s.certificate(stored("one.acmetool.test"), "EC", "one.acmetool.test", "two.acmetool.test")
		return again.SerialNumber.Cmp(one.SerialNumber) != 0
	})
	acmetool("unwant", "one.acmetool.test")
	acmetool("unwant", "two.acmetool.test")

	// Its 'revoke' only marks a certificate in its own files; there is nothing of it to test.
	target(byDNS, "rsa")
	acmetool("want", "rsa.acmetool.test")
	s.certificate(stored("rsa.acmetool.test"), "RSA", "rsa.acmetool.test")
}
