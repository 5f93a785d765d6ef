package interop_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// caaRecords are what owners of names may say about who certifies them (RFC 8659, 8657).
var caaRecords = []string{
	`foreign CAA 0 issue "other.example"`,
	`nobody CAA 0 issue ";"`,
	`ours CAA 0 issue "` + caaIdentity + `"`,
	`both CAA 0 issue "other.example"`, `both CAA 0 issue "` + caaIdentity + `"`,
	`plain CAA 0 issue "` + caaIdentity + `"`, `plain CAA 0 issuewild ";"`,
	`wild CAA 0 issue ";"`, `wild CAA 0 issuewild "` + caaIdentity + `"`,
	`bydns CAA 0 issue "` + caaIdentity + `; validationmethods=dns-01"`,
	`byhttp CAA 0 issue "` + caaIdentity + `; validationmethods=http-01,tls-alpn-01"`,
	`critical CAA 128 unheard "of"`,
	`uncritical CAA 0 unheard "of"`,
	`alias CNAME foreign`,
	`else CAA 0 issue "` + caaIdentity + `; accounturi=https://localhost/acme/caa/account/else"`,
	// Names with records of their own have no part in those of all names.
	`foreign A 127.0.0.1`, `*.foreign A 127.0.0.1`, `nobody A 127.0.0.1`, `ours A 127.0.0.1`, `*.ours A 127.0.0.1`, `both A 127.0.0.1`,
	`plain A 127.0.0.1`, `wild A 127.0.0.1`, `bydns A 127.0.0.1`, `byhttp A 127.0.0.1`, `critical A 127.0.0.1`, `uncritical A 127.0.0.1`,
	`else A 127.0.0.1`, `mine A 127.0.0.1`,
}

// lego finds CAA records of BIND heeded.
func TestLegoCAA(t *testing.T) {
	t.Parallel()
	dns := newBind(t, "caa.test", caaRecords...)
	s := newSiteAsking(t, "lego", dns.address())
	http, byDNS := []string{"--http", "--http.webroot", s.web()}, []string{"--dns", "rfc2136"}

	var all sync.WaitGroup
	for _, c := range []struct {
		name  string
		proof []string
		why   string // "": allowed
	}{
		{"free", http, ""},
		{"ours", http, ""},
		{"below.ours", http, ""},
		{"both", http, ""},
		{"uncritical", http, ""},
		{"plain", http, ""},
		{"byhttp", http, ""},
		{"bydns", byDNS, ""},
		{"*.wild", byDNS, ""},
		{"*.ours", byDNS, ""},
		{"foreign", http, "foreign.caa.test"},
		{"deep.below.foreign", http, "foreign.caa.test"},
		{"alias", http, "alias.caa.test"},
		{"nobody", http, "nobody.caa.test"},
		{"critical", http, "critical.caa.test"},
		{"wild", http, "wild.caa.test"},
		{"*.plain", byDNS, "plain.caa.test"},
		{"bydns", http, "bydns.caa.test"},
		{"byhttp", byDNS, "byhttp.caa.test"},
		{"else", http, "else.caa.test"},
	} {
		all.Go(func() { // lego sleeps most of the time
			lego := legoAtBind(s, dns, "lego-"+strings.Trim(c.name, "*.")+"-"+strings.Trim(c.proof[0], "-"))
			text, err := lego(caa, slices.Concat(c.proof, []string{"--domains", dns.name(c.name), "run"})...)
			if c.why != "" {
				s.refused(text, err, "urn:ietf:params:acme:error:caa")
				s.refused(text, err, c.why)
			} else if err != nil {
				s.Errorf("%s: %s", c.name, tail(text))
			}
		})
	}
	all.Wait()

	// An account that exists, so that the owner of a name can mean it.
	dns.add(s, fmt.Sprintf(`mine.caa.test. 1 CAA 0 issue "%s; accounturi=%s"`, caaIdentity, s.legoAccount("lego-free-http")))
	if text, err := legoAtBind(s, dns, "lego-free-http")(caa, slices.Concat(http, []string{"--domains", "mine.caa.test", "run"})...); err != nil {
		s.Error(tail(text))
	}
	s.showed("also", "CAA")
}

// legoAccount is the address of the one account that lego has in a directory.
func (s *site) legoAccount(at string) string {
	s.Helper()
	files, err := filepath.Glob(s.path(at + "/accounts/*/*/account.json"))
	s.check(err)
	if len(files) != 1 {
		s.Fatalf("accounts of lego: %v", files)
	}
	text, err := os.ReadFile(files[0])
	s.check(err)
	var account struct{ Registration struct{ URI string } }
	s.check(json.Unmarshal(text, &account))
	return account.Registration.URI
}

// legoAtBind is lego with its own DNS client at a real name server, and its files in a
// directory.
func legoAtBind(s *site, dns *bind, at string) func(provisioner string, args ...string) (string, error) {
	vars := []string{
		"LEGO_CA_CERTIFICATES=" + s.root, "RFC2136_NAMESERVER=" + dns.address(), "RFC2136_TSIG_ALGORITHM=hmac-sha512.", "RFC2136_TSIG_KEY=interop.",
		"RFC2136_TSIG_SECRET=" + dns.key, "RFC2136_POLLING_INTERVAL=1", "RFC2136_PROPAGATION_TIMEOUT=10", "RFC2136_SEQUENCE_INTERVAL=1", "RFC2136_TTL=1",
	}
	return func(provisioner string, args ...string) (string, error) {
		return s.try(vars, "lego", append([]string{"--accept-tos", "--email", "me@example.com", "--path", s.path(at),
			"--server", s.directory(provisioner), "--dns.disable-cp", "--dns.resolvers", dns.address()}, args...)...)
	}
}
