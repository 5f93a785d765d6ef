package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// acmetool is Go with a library of its own. It keeps what is wanted, and reconciles. Its
// 'revoke' only marks a certificate in its own files; there is nothing of it to test.
func TestAcmetool(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ provisioner, keyType, kind string }{
		"http": {brief, "ecdsa", "EC"},
		"dns":  {byDNS, "rsa", "RSA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "acmetool")
			acmetool := s.acmetool(c.provisioner, c.keyType)
			names := []string{"one." + name + ".acmetool.test", "two." + name + ".acmetool.test"}
			stored := func() string {
				link, err := filepath.EvalSymlinks(s.path("state/live/" + names[0]))
				s.check(err)
				return filepath.Join(link, "fullchain")
			}
			acmetool(append([]string{"want"}, names...)...)
			first := s.certificate(stored(), c.kind, names...)
			s.eventually("a renewal by acmetool", func() bool { // when a third of the time is left
				acmetool("reconcile")
				return s.certificate(stored(), c.kind, names...).SerialNumber.Cmp(first.SerialNumber) != 0
			})
		})
	}
}

// acmetool sets acmetool up, and gives what runs it.
func (s *site) acmetool(provisioner, keyType string) (run func(args ...string)) {
	s.Helper()
	answers := s.web() + "/.well-known/acme-challenge"
	s.check(os.MkdirAll(answers, 0o755))
	s.program("hooks/dns", s.tellNames()+`
case $1 in
challenge-dns-start) setTXT "_acme-challenge.$2" "$4" ;;
challenge-dns-stop) clearTXT "_acme-challenge.$2" ;;
*) exit 42 ;;
esac
`)
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
`, s.directory(provisioner), answers))
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
`, s.directory(provisioner), keyType, answers))
	return func(args ...string) {
		s.Helper()
		// It would listen on port 80 of the whole machine if it could.
		program := []string{"acmetool"}
		if os.Getuid() == 0 {
			program = []string{"setpriv", "--bounding-set", "-net_bind_service", "acmetool"}
		}
		s.run([]string{"SSL_CERT_FILE=" + s.root}, program[0], append(append(program[1:], "--state", s.path("state"), "--hooks", s.path("hooks"), "--batch", "--response-file", s.path("responses")), args...)...)
	}
}
