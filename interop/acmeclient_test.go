package interop_test

import (
	"path/filepath"
	"testing"
)

// acme-client is the library of programs in JavaScript.
func TestNodeACMEClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "npm acme-client")
	script, err := filepath.Abs("testdata/acme-client/story.js")
	s.check(err)
	id, secret := s.eab()
	s.run([]string{
		"NODE_EXTRA_CA_CERTS=" + s.root, "OPEN=" + s.directory(open), "BOUND=" + s.directory(bound), "EAB_ID=" + id, "EAB_KEY=" + secret,
		"HTTP_PORT=" + s.httpPort, "TLS_PORT=" + s.tlsPort, "NAMES=" + s.dns.control, "OUT=" + s.dir,
	}, "node", script)
	for name, kind := range map[string]string{"http.node.test": "EC", "again.node.test": "EC", "alpn.node.test": "RSA", "*.wild.node.test": "RSA", "eab.node.test": "EC"} {
		leaf := s.certificate(s.path(name+".pem"), kind, map[string]string{"again.node.test": "http.node.test"}[name]+map[bool]string{false: name}[name == "again.node.test"])
		if name == "http.node.test" || name == "alpn.node.test" || name == "*.wild.node.test" {
			s.revoked(leaf)
		}
	}
}
