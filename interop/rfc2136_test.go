package interop_test

import (
	"fmt"
	"os"
	"testing"
)

// certbot changes a zone of BIND by dynamic updates and is proven there.
func TestCertbotWithBind(t *testing.T) {
	t.Parallel()
	dns := newBind(t, "certbot.zone.test", `foreign CAA 0 issue "other.example"`)
	s := newSiteAsking(t, "certbot", dns.address())
	credentials := s.file("rfc2136.ini", fmt.Sprintf(`
dns_rfc2136_server = %s
dns_rfc2136_port = %s
dns_rfc2136_name = interop.
dns_rfc2136_secret = %s
dns_rfc2136_algorithm = HMAC-SHA512
`, dns.host, dns.port, dns.key))
	certbot := func(provisioner string, args ...string) (string, error) {
		return s.try([]string{"REQUESTS_CA_BUNDLE=" + s.root}, "certbot", append(args, "--non-interactive", "--server", s.directory(provisioner),
			"--config-dir", s.path("certbot/etc"), "--work-dir", s.path("certbot/work"), "--logs-dir", s.path("certbot/log"))...)
	}
	byDNS := []string{"certonly", "--agree-tos", "-m", "me@example.com", "--dns-rfc2136", "--dns-rfc2136-credentials", credentials, "--dns-rfc2136-propagation-seconds", "1"}
	must := func(text string, err error) {
		s.Helper()
		if err != nil {
			s.Fatal(tail(text))
		}
	}
	must(certbot(caa, append(byDNS, "-d", "*.certbot.zone.test", "-d", "certbot.zone.test", "--key-type", "rsa")...))
	live := s.path("certbot/etc/live/certbot.zone.test/")
	one := s.certificate(live+"/fullchain.pem", "RSA", "*.certbot.zone.test", "certbot.zone.test")
	must(certbot(caa, "renew", "--force-renewal", "--no-random-sleep-on-renew"))
	again := s.certificate(live+"/fullchain.pem", "RSA", "*.certbot.zone.test", "certbot.zone.test")
	s.renewed(one, again)
	must(certbot(caa, "revoke", "--cert-path", live+"/fullchain.pem", "--no-delete-after-revoke"))
	s.revoked(again)

	text, err := certbot(caa, append(byDNS, "-d", "foreign.certbot.zone.test")...)
	// Version 2.1 stumbles over its own exception on the way to the terminal; its log has it.
	log, _ := os.ReadFile(s.path("certbot/log/letsencrypt.log"))
	s.refused(text+string(log), err, "urn:ietf:params:acme:error:caa")
	s.showed("also", "CAA")
}

// lego does the same, with an algorithm and an order of things of its own.
func TestLegoWithBind(t *testing.T) {
	t.Parallel()
	dns := newBind(t, "lego.zone.test")
	s := newSiteAsking(t, "lego", dns.address())
	lego := legoAtBind(s, dns, "lego")
	must := func(args ...string) {
		s.Helper()
		if text, err := lego(open, append([]string{"--dns", "rfc2136"}, args...)...); err != nil {
			s.Fatal(tail(text))
		}
	}
	names := []string{"--domains", "lego.zone.test", "--domains", "*.lego.zone.test"}
	must(append(names, "run")...)
	stored := s.path("lego/certificates/lego.zone.test.crt")
	one := s.certificate(stored, "EC", "lego.zone.test", "*.lego.zone.test")
	must(append(names, "renew", "--days", "365", "--no-random-sleep")...)
	again := s.certificate(stored, "EC", "lego.zone.test", "*.lego.zone.test")
	s.renewed(one, again)
	must("--domains", "lego.zone.test", "revoke", "--keep")
	s.revoked(again)
}
