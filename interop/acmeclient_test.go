package interop_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// acme-client is the library of programs in JavaScript.
func TestNodeACMEClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "npm acme-client")
	program := func(name string) string {
		path, err := filepath.Abs("testdata/acme-client/" + name)
		s.check(err)
		return path
	}
	vars := []string{"NODE_EXTRA_CA_CERTS=" + s.root, "OPEN=" + s.directory(open), "BOUND=" + s.directory(bound)}
	id, secret := s.eab()
	otherID, otherSecret := s.eab()
	s.run(append(vars, "EAB_EC="+id+" "+secret, "EAB_RSA="+otherID+" "+otherSecret,
		"HTTP_PORT="+s.httpPort, "TLS_PORT="+s.tlsPort, "NAMES="+s.dns.control, "OUT="+s.dir), "node", program("story.js"))

	for name, kind := range map[string]string{"http.node.test": "EC", "alpn.node.test": "RSA", "*.wild.node.test": "RSA"} {
		s.revoked(s.certificate(s.path(name+".pem"), kind, name))
	}
	s.certificate(s.path("again.node.test.pem"), "EC", "http.node.test")
	for _, account := range []string{"ec", "rsa"} {
		for _, of := range []string{"ec", "rsa"} {
			name := account + "-" + of + ".eab.node.test"
			s.certificate(s.path(name+".pem"), strings.ToUpper(of), name)
		}
	}
	s.refusesBindings(id, secret, "", func(id, key string) (string, error) {
		return s.try(append(vars, "EAB_ID="+id, "EAB_KEY="+key), "node", program("register.js"))
	})
}
