package interop_test

import "testing"

// lego is a Go client of its own, in the version that Debian has.
func TestLego(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hook := s.program("dns-hook", s.tellNames()+`
name=${2%.}
case $1 in
present) setTXT "$name" "$3" ;;
cleanup) clearTXT "$name" ;;
esac
`)
	vars := []string{"LEGO_CA_CERTIFICATES=" + s.root, "EXEC_PATH=" + hook, "EXEC_POLLING_INTERVAL=1", "EXEC_PROPAGATION_TIMEOUT=10"}
	lego := func(provisioner string, args ...string) {
		s.Helper()
		s.run(vars, "lego", append([]string{"--accept-tos", "--email", provisioner + "@example.com", "--path", s.path("lego"), "--server", s.directory(provisioner)}, args...)...)
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
	s.certificate(stored("alpn.lego.test"), "RSA", "alpn.lego.test")
	lego(open, "--dns", "exec", "--dns.disable-cp", "--dns.resolvers", s.dns.address, "--key-type", "ec384", "--domains", "*.wild.lego.test", "run")
	s.certificate(stored("_.wild.lego.test"), "EC", "*.wild.lego.test")

	id, secret := s.eab()
	lego(bound, append(listen, "--eab", "--kid", id, "--hmac", secret, "--domains", "eab.lego.test", "run")...)
	s.certificate(stored("eab.lego.test"), "EC", "eab.lego.test")
}
