package interop_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// mod_md makes Apache its own ACME client, in C with libcurl.
func TestApache(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		challenge, provisioner, key, kind string
	}{
		"http": {"http-01", bound, "P-256", "EC"},
		"alpn": {"tls-alpn-01", open, "RSA 2048", "RSA"},
		"dns":  {"dns-01", open, "P-384", "EC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "Apache mod_md")
			host := name + ".apache.test"
			binding := "none"
			if c.provisioner == bound {
				id, secret := s.eab()
				binding = id + " " + secret
			}
			cmd := s.apache(host, c.provisioner, binding, c.challenge, c.key)
			s.background(cmd, "apache.log")
			defer func() {
				if t.Failed() {
					text, _ := os.ReadFile(s.path(host + ".log"))
					t.Log(tail(string(text)))
				}
			}()
			// What it got it uses from the next graceful restart on.
			replaced := func(before *x509.Certificate) *x509.Certificate {
				s.eventually("a new certificate in what Apache staged", func() bool {
					_, err := os.Stat(s.path("md-" + host + "/staging/" + host + "/job.json"))
					text, _ := os.ReadFile(s.path("md-" + host + "/staging/" + host + "/job.json"))
					return err == nil && bytes.Contains(text, []byte(`"finished": true`))
				})
				s.check(cmd.Process.Signal(syscall.SIGUSR1))
				var now *x509.Certificate
				s.eventually("Apache with that certificate", func() bool {
					now = s.served(host, c.kind)
					return before == nil || now.SerialNumber.Cmp(before.SerialNumber) != 0
				})
				return now
			}
			// Every certificate ends within the time in which it is renewed: so the next one is
			// got as soon as the first is in use.
			replaced(replaced(nil))
		})
	}
}

// An Apache that gets no account says why in its log.
func TestApacheRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "Apache mod_md")
	tries := 0 // each stores what it has, and so its account, under a name of its own
	register := func(id, key, until string) (string, error) {
		tries++
		binding := "none"
		if id != "" {
			binding = id + " " + key
		}
		host := fmt.Sprintf("bound%d.apache.test", tries)
		return s.until(s.apache(host, bound, binding, "http-01", "P-256"), host+".log", until)
	}
	id, secret := s.eab()
	_, _ = register(id, secret, "changes will be activated")
	s.refusesBindings(id, secret, "", func(id, key string) (string, error) {
		return register(id, key, "urn:ietf:params:acme:error:")
	})
}

// apache is Apache with one domain of mod_md. Its log has the name of that.
func (s *site) apache(host, provisioner, binding, challenge, key string) *exec.Cmd {
	s.Helper()
	hook := s.program("dns-hook", s.tellNames()+`
case $1 in
setup) setTXT "_acme-challenge.$2" "$3" ;;
teardown) clearTXT "_acme-challenge.$2" ;;
esac
`)
	s.check(os.Chmod(hook, 0o755))
	config := s.file("apache.conf", fmt.Sprintf(`
ServerRoot %[1]q
ServerName %[2]s
PidFile %[1]s/apache.pid
Mutex file:%[1]s
ErrorLog %[1]s/%[2]s.log
LogLevel warn md:info
%[3]s
User www-data
Group www-data
Listen 127.0.0.1:%[4]s
Listen 127.0.0.1:%[5]s https
Protocols http/1.1 acme-tls/1
MDomain %[2]s
MDStoreDir %[1]s/md-%[2]s
MDCertificateAuthority %[6]s
MDCACertificateFile %[7]s
MDCertificateAgreement accepted
MDContactEmail me@example.com
MDExternalAccountBinding %[8]s
MDCAChallenges %[9]s
MDChallengeDns01 %[11]s
MDPrivateKeys %[10]s
MDPortMap http:%[4]s https:%[5]s
MDRenewWindow 365d
MDStapling off
<VirtualHost 127.0.0.1:%[5]s>
ServerName %[2]s
SSLEngine on
</VirtualHost>
`, s.dir, host, apacheModules(), s.httpPort, s.tlsPort, s.directory(provisioner), s.path("root.crt"), binding, challenge, key, hook))
	// Its children give up root, and have to find their way here.
	s.check(os.Chmod(filepath.Dir(s.dir), 0o755))
	s.check(os.Chmod(s.dir, 0o755))
	root := s.file("root.crt", pemOf(s.rootCert))
	s.check(os.Chmod(root, 0o644))
	cmd := s.command("apache2", "-d", s.dir, "-f", config, "-DFOREGROUND")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func apacheModules() string {
	var all string
	for _, m := range []string{"mpm_event", "authz_core", "ssl", "socache_shmcb", "md"} {
		all += fmt.Sprintf("LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", m)
	}
	return all
}
