package interop_test

import "testing"

// lego is a Go client of its own, in the version that Debian has.
func TestLego(t *testing.T) {
	t.Parallel()
	s := newSite(t, "lego")
	hook := s.program("dns-hook", s.tellNames()+`
name=${2%.}
case $1 in
present) setTXT "$name" "$3" ;;
cleanup) clearTXT "$name" ;;
esac
`)
	vars := []string{"LEGO_CA_CERTIFICATES=" + s.root, "EXEC_PATH=" + hook, "EXEC_POLLING_INTERVAL=1", "EXEC_PROPAGATION_TIMEOUT=10"}
	at := "lego" // each directory has accounts of its own
	try := func(provisioner string, args ...string) (string, error) {
		return s.try(vars, "lego", append([]string{"--accept-tos", "--email", provisioner + "@example.com", "--path", s.path(at), "--server", s.directory(provisioner)}, args...)...)
	}
	lego := func(provisioner string, args ...string) {
		s.Helper()
		if text, err := try(provisioner, args...); err != nil {
			s.Fatalf("lego %v: %v\n%s", args, err, tail(text))
		}
	}
	stored := func(name string) string { return s.path("lego/certificates/" + name + ".crt") }
	listen := []string{"--http", "--http.port", "127.0.0.1:" + s.httpPort}

	lego(open, append(listen, "--domains", "one.lego.test", "--domains", "two.lego.test", "run")...)
	one := s.certificate(stored("one.lego.test"), "EC", "one.lego.test", "two.lego.test")
	lego(open, append(listen, "--domains", "one.lego.test", "--domains", "two.lego.test", "renew", "--days", "365", "--no-random-sleep")...)
	again := s.certificate(stored("one.lego.test"), "EC", "one.lego.test", "two.lego.test")
	s.renewed(one, again)
	lego(open, append(listen, "--domains", "one.lego.test", "revoke", "--reason", "4", "--keep")...)
	s.revoked(again)

	lego(open, "--tls", "--tls.port", "127.0.0.1:"+s.tlsPort, "--key-type", "rsa2048", "--domains", "alpn.lego.test", "run")
	alpn := s.certificate(stored("alpn.lego.test"), "RSA", "alpn.lego.test")
	lego(open, "--tls", "--tls.port", "127.0.0.1:"+s.tlsPort, "--key-type", "rsa2048", "--domains", "alpn.lego.test", "renew", "--days", "365", "--no-random-sleep")
	alpnAgain := s.certificate(stored("alpn.lego.test"), "RSA", "alpn.lego.test")
	s.renewed(alpn, alpnAgain)
	lego(open, "--domains", "alpn.lego.test", "revoke", "--keep")
	s.revoked(alpnAgain)
	lego(open, "--dns", "exec", "--dns.disable-cp", "--dns.resolvers", s.dns.address, "--key-type", "ec384", "--domains", "*.wild.lego.test", "run")
	s.certificate(stored("_.wild.lego.test"), "EC", "*.wild.lego.test")

	// The account's key is of the same type as that of its first certificate.
	used := map[string]string{}
	for keyType, kind := range map[string]string{"ec256": "EC", "rsa2048": "RSA"} {
		at = "bound-" + keyType
		id, secret := s.eab()
		used[id] = secret
		for _, certType := range []string{keyType, "ec384"} {
			lego(bound, append(listen, "--eab", "--kid", id, "--hmac", secret, "--key-type", certType, "--domains", "eab.lego.test", "run")...)
			s.certificate(s.path(at+"/certificates/eab.lego.test.crt"), map[string]string{"ec384": "EC"}[certType]+map[bool]string{true: kind}[certType == keyType], "eab.lego.test")
		}
	}
	at = "refused"
	for id, secret := range used {
		s.refusesBindings(id, secret, "Server requires External Account Binding", func(id, key string) (string, error) {
			args := append(listen, "--domains", "eab.lego.test")
			if id != "" {
				args = append(args, "--eab", "--kid", id, "--hmac", key)
			}
			return try(bound, append(args, "run")...)
		})
	}
}
