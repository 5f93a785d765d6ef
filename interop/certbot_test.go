package interop_test

import "testing"

// certbot is the client most people start with. It is Python with josepy, strict about types.
func TestCertbot(t *testing.T) {
	t.Parallel()
	s := newSite(t, "certbot")
	vars := []string{"REQUESTS_CA_BUNDLE=" + s.root}
	at := "certbot" // each directory has accounts of its own
	try := func(provisioner string, args ...string) (string, error) {
		return s.try(vars, "certbot", append(args, "--non-interactive", "--server", s.directory(provisioner),
			"--config-dir", s.path(at+"/etc"), "--work-dir", s.path(at+"/work"), "--logs-dir", s.path(at+"/log"))...)
	}
	certbot := func(provisioner string, args ...string) {
		s.Helper()
		if text, err := try(provisioner, args...); err != nil {
			s.Fatalf("certbot %v: %v\n%s", args, err, tail(text))
		}
	}
	live := func(name string) string { return s.path("certbot/etc/live/" + name + "/fullchain.pem") }
	listen := []string{"--standalone", "--http-01-port", s.httpPort, "--http-01-address", "127.0.0.1"}

	certbot(open, append([]string{"certonly", "--agree-tos", "-m", "me@example.com", "--key-type", "ecdsa", "-d", "one.certbot.test", "-d", "two.certbot.test"}, listen...)...)
	one := s.certificate(live("one.certbot.test"), "EC", "one.certbot.test", "two.certbot.test")
	certbot(open, "renew", "--force-renewal", "--no-random-sleep-on-renew")
	again := s.certificate(live("one.certbot.test"), "EC", "one.certbot.test", "two.certbot.test")
	s.renewed(one, again)

	hook := s.program("dns-hook", s.tellNames()+`
case $1 in
set) setTXT "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION" ;;
clear) clearTXT "_acme-challenge.$CERTBOT_DOMAIN" ;;
esac
`)
	certbot(open, "certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", hook+" set", "--manual-cleanup-hook", hook+" clear",
		"--key-type", "rsa", "-d", "*.wild.certbot.test")
	wild := s.certificate(live("wild.certbot.test"), "RSA", "*.wild.certbot.test")

	certbot(open, "revoke", "--cert-path", live("one.certbot.test"), "--reason", "superseded", "--no-delete-after-revoke")
	s.revoked(again)
	key := s.path("certbot/etc/live/wild.certbot.test/privkey.pem")
	certbot(open, "revoke", "--cert-path", live("wild.certbot.test"), "--key-path", key, "--reason", "keycompromise", "--no-delete-after-revoke")
	s.revoked(wild)
	certbot(open, append([]string{"certonly", "-d", "other.certbot.test", "--preferred-chain", "Interop Other Root"}, listen...)...)
	s.alternate(live("other.certbot.test"))
	certbot(open, "update_account", "-m", "you@example.com")
	certbot(open, "unregister")

	id, secret := s.eab()
	for keyType, kind := range map[string]string{"ecdsa": "EC", "rsa": "RSA"} {
		name := keyType + ".eab.certbot.test"
		certbot(bound, append([]string{"certonly", "--agree-tos", "--register-unsafely-without-email", "--eab-kid", id, "--eab-hmac-key", secret, "--key-type", keyType, "-d", name}, listen...)...)
		leaf := s.certificate(live(name), kind, name)
		certbot(bound, "revoke", "--cert-path", live(name), "--no-delete-after-revoke")
		s.revoked(leaf)
	}
	at = "refused"
	s.refusesBindings(id, secret, "Server requires external account binding", func(id, key string) (string, error) {
		args := []string{"register", "--agree-tos", "--register-unsafely-without-email"}
		if id != "" {
			args = append(args, "--eab-kid", id, "--eab-hmac-key", key)
		}
		return try(bound, args...)
	})
}
