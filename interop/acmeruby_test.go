package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// acme-client is the library of programs in Ruby, a name that it shares with that of npm.
func TestRubyACMEClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, "Ruby acme-client")
	script, err := filepath.Abs("testdata/acme-ruby/story.rb")
	s.check(err)
	www := s.web() + "/.well-known/acme-challenge"
	s.check(os.MkdirAll(www, 0o755))
	text := s.run([]string{"OPEN=" + s.directory(open), "ROOT=" + s.root, "WWW=" + www, "NAMES=" + s.dns.control, "OUT=" + s.dir}, "/usr/bin/ruby", script)
	for _, kind := range []string{"ec", "rsa"} {
		for file, name := range map[string]string{"http": kind + ".http.ruby.test", "dns": "*." + kind + ".ruby.test"} {
			first := s.certificate(s.path(kind+"."+file+".pem"), strings.ToUpper(kind), name)
			again := s.certificate(s.path(kind+"."+file+".again.pem"), strings.ToUpper(kind), name)
			s.renewed(first, again)
			s.revoked(again)
		}
		s.alternate(s.path(kind + ".other.pem"))
	}
	if !strings.Contains(text, "orders on 2 pages") {
		t.Errorf("the story ends early: %s", text)
	}
	s.showed("also", "list of orders")
}
