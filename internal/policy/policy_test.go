package policy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/policy"
)

// x509Policy compiles the JSON of an X.509 policy.
func x509Policy(t testing.TB, text string) *policy.X509 {
	t.Helper()
	var c policy.X509Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("policy %s: %v", text, err)
	}
	p, err := policy.NewX509(&c)
	if err != nil {
		t.Fatalf("policy %s: %v", text, err)
	}
	return p
}

func sshPolicy(t testing.TB, text string) *policy.SSH {
	t.Helper()
	var c policy.SSHConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("policy %s: %v", text, err)
	}
	p, err := policy.NewSSH(&c)
	if err != nil {
		t.Fatalf("policy %s: %v", text, err)
	}
	return p
}

// names reads "kind:name" words into the names of a certificate, several split by |.
func names(t testing.TB, text string) policy.Names {
	t.Helper()
	var n policy.Names
	if text == "" {
		return n
	}
	for word := range strings.SplitSeq(text, "|") {
		kind, name, _ := strings.Cut(word, ":")
		switch kind {
		case "cn":
			n.CommonName = name
		case "dns":
			n.DNS = append(n.DNS, name)
		case "ip":
			n.IPs = append(n.IPs, net.ParseIP(name))
		case "email":
			n.Emails = append(n.Emails, name)
		case "uri":
			n.URIs = append(n.URIs, name)
		case "other":
			n.Other = append(n.Other, name)
		default:
			t.Fatalf("unknown kind %q", kind)
		}
	}
	return n
}

// wantRefusal compares a verdict with what is expected and looks at the form of a refusal.
func wantRefusal(t *testing.T, err error, allowed bool) {
	t.Helper()
	switch {
	case allowed && err != nil:
		t.Errorf("refused: %v", err)
	case !allowed && err == nil:
		t.Error("allowed")
	case !allowed && !fault.Is(err, fault.Denied):
		t.Errorf("refused as %v: %v", fault.KindOf(err), err)
	}
}

const (
	yes = true
	no  = false
)

func TestX509Check(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		proves, policy, names string
		allowed               bool
	}{
		{"no rules allow all", `{}`, "dns:a.b|cn:x y", yes},
		{"empty lists are no policy", `{"allow":{},"deny":{"dns":[]}}`, "dns:*.b", yes},
		{"wildcard switch alone is no policy", `{"allowWildcardNames":false}`, "dns:*.b", yes},

		{"dns exact", `{"allow":{"dns":["a.b"]}}`, "dns:a.b", yes},
		{"dns case of name", `{"allow":{"dns":["a.b"]}}`, "dns:A.B", yes},
		{"dns case of rule", `{"allow":{"dns":[" A.b "]}}`, "dns:a.B", yes},
		{"dns exact is not a suffix", `{"allow":{"dns":["a.b"]}}`, "dns:x.a.b", no},
		{"dns exact is not a textual suffix", `{"allow":{"dns":["a.b"]}}`, "dns:xa.b", no},
		{"star is one label", `{"allow":{"dns":["*.b"]}}`, "dns:a.b", yes},
		{"star is not two labels", `{"allow":{"dns":["*.b"]}}`, "dns:x.a.b", no},
		{"star is not zero labels", `{"allow":{"dns":["*.b"]}}`, "dns:b", no},
		{"two stars are one label", `{"allow":{"dns":["**.b"]}}`, "dns:a.b", yes},
		{"two stars are three labels", `{"allow":{"dns":["**.b"]}}`, "dns:x.y.a.b", yes},
		{"two stars are not zero labels", `{"allow":{"dns":["**.b"]}}`, "dns:b", no},
		{"two stars stop at a label", `{"allow":{"dns":["**.b"]}}`, "dns:a.xb", no},
		{"underscore is a name", `{"allow":{"dns":["*.b"]}}`, "dns:_sip.b", yes},
		{"rule in U-labels", `{"allow":{"dns":["bücher.example"]}}`, "dns:xn--bcher-kva.example", yes},
		{"name in U-labels", `{"allow":{"dns":["xn--bcher-kva.example"]}}`, "dns:BÜCHER.example", yes},
		{"one bad name of three", `{"allow":{"dns":["*.b"]}}`, "dns:a.b|dns:evil|dns:c.b", no},

		{"deny dns", `{"deny":{"dns":["a.b"]}}`, "dns:a.b", no},
		{"deny only allows the rest", `{"deny":{"dns":["a.b"]}}`, "dns:c.b|ip:10.0.0.1", yes},
		{"deny beats allow", `{"allow":{"dns":["*.b"]},"deny":{"dns":["a.b"]}}`, "dns:a.b", no},
		{"deny star is one label", `{"deny":{"dns":["*.evil.example"]}}`, "dns:a.b.evil.example", yes},
		{"deny two stars any depth", `{"deny":{"dns":["**.evil.example"]}}`, "dns:a.b.evil.example", no},

		{"kind without rules beside an allow rule", `{"allow":{"dns":["*.b"]}}`, "ip:10.0.0.1", no},
		{"email beside a cn allow rule", `{"allow":{"cn":["x"]}}`, "email:a@b", no},
		{"deny rules of a kind do not open it", `{"allow":{"dns":["*.b"]},"deny":{"ip":["10.0.0.1"]}}`, "ip:10.0.0.2", no},

		{"wildcard needs the switch", `{"allow":{"dns":["*.b"]}}`, "dns:*.b", no},
		{"wildcard with the switch", `{"allow":{"dns":["*.b"]},"allowWildcardNames":true}`, "dns:*.b", yes},
		{"wildcard is more than an exact rule", `{"allow":{"dns":["a.b"]},"allowWildcardNames":true}`, "dns:*.b", no},
		{"wildcard within two stars", `{"allow":{"dns":["**.b"]},"allowWildcardNames":true}`, "dns:*.a.b", yes},
		{"wildcard at the top of two stars", `{"allow":{"dns":["**.b"]},"allowWildcardNames":true}`, "dns:*.b", yes},
		{"wildcard above the rule", `{"allow":{"dns":["*.a.b"]},"allowWildcardNames":true}`, "dns:*.b", no},
		{"wildcard under deny only", `{"deny":{"dns":["x.y"]}}`, "dns:*.evil.example", no},
		{"wildcard that covers a denied name", `{"deny":{"dns":["evil.com"]},"allowWildcardNames":true}`, "dns:*.com", no},
		{"wildcard equal to a denied one", `{"deny":{"dns":["*.evil"]},"allowWildcardNames":true}`, "dns:*.evil", no},
		{"wildcard below denied two stars", `{"deny":{"dns":["**.evil"]},"allowWildcardNames":true}`, "dns:*.a.evil", no},
		{"wildcard that covers no denied name", `{"deny":{"dns":["a.b.com"]},"allowWildcardNames":true}`, "dns:*.com", yes},
		{"wildcard inside a label", `{"deny":{"dns":["x.y"]},"allowWildcardNames":true}`, "dns:a*.b", no},
		{"wildcard in the second label", `{"deny":{"dns":["x.y"]},"allowWildcardNames":true}`, "dns:a.*.b", no},
		{"star alone", `{"deny":{"dns":["x.y"]},"allowWildcardNames":true}`, "dns:*", no},

		{"ip in block", `{"allow":{"ip":["10.0.0.0/8"]}}`, "ip:10.255.0.1", yes},
		{"ip outside block", `{"allow":{"ip":["10.0.0.0/8"]}}`, "ip:11.0.0.1", no},
		{"ip alone", `{"allow":{"ip":["10.0.0.1"]}}`, "ip:10.0.0.1", yes},
		{"ip beside it", `{"allow":{"ip":["10.0.0.1"]}}`, "ip:10.0.0.2", no},
		{"block with host bits", `{"allow":{"ip":["10.9.9.9/8"]}}`, "ip:10.1.1.1", yes},
		{"rule mapped into IPv6", `{"allow":{"ip":["::ffff:10.0.0.0/104"]}}`, "ip:10.1.1.1", yes},
		{"address mapped into IPv6", `{"deny":{"ip":["10.0.0.0/8"]}}`, "ip:::ffff:10.1.1.1", no},
		{"all of IPv6 is not IPv4", `{"allow":{"ip":["::/0"]}}`, "ip:10.1.1.1", no},
		{"ipv6 block", `{"allow":{"ip":["2001:db8::/32"]}}`, "ip:2001:db8:1::1", yes},
		{"nested blocks, deny the inner", `{"allow":{"ip":["10.0.0.0/8"]},"deny":{"ip":["10.1.0.0/16"]}}`, "ip:10.1.2.3", no},
		{"nested blocks, the outer stays", `{"allow":{"ip":["10.0.0.0/8"]},"deny":{"ip":["10.1.0.0/16"]}}`, "ip:10.2.2.3", yes},
		{"no address at all", `{"deny":{"ip":["10.0.0.1"]}}`, "ip:nonsense", no},

		{"mailbox", `{"allow":{"email":["ann@b"]}}`, "email:ann@B", yes},
		{"mailbox as written", `{"allow":{"email":["Ann@b"]}}`, "email:Ann@b", yes},
		{"mailbox in lower case", `{"allow":{"email":["Ann@b"]}}`, "email:ann@b", yes},
		{"mailbox in another case", `{"allow":{"email":["Ann@b"]}}`, "email:ANN@b", no},
		{"denied mailbox in another case", `{"deny":{"email":["Bob@x"]}}`, "email:bOB@x", no},
		{"denied mailbox as written", `{"deny":{"email":["Bob@x"]}}`, "email:Bob@x", no},
		{"denied mailbox in needless quotes", `{"deny":{"email":["bob@x"]}}`, `email:"b\ob"@x`, no},
		{"quoted mailbox", `{"allow":{"email":["@x"]}}`, `email:"a b"@x`, yes},
		{"mail domain with @", `{"allow":{"email":["@b.c"]}}`, "email:ann@b.c", yes},
		{"mail domain bare", `{"allow":{"email":["b.c"]}}`, "email:ann@B.c", yes},
		{"mail domain has no subdomains", `{"allow":{"email":["@b.c"]}}`, "email:ann@a.b.c", no},
		{"mail domains below", `{"deny":{"email":["@**.b.c"]}}`, "email:ann@x.a.b.c", no},
		{"mail domains below, bare", `{"allow":{"email":["**.b.c"]}}`, "email:ann@a.b.c", yes},
		{"two @", `{"deny":{"email":["x@y"]}}`, "email:a@b@c", no},
		{"mail to an address", `{"deny":{"email":["x@y"]}}`, "email:a@[10.0.0.1]", no},

		{"uri host", `{"allow":{"uri":["a.b"]}}`, "uri:https://A.b:8443/path?q", yes},
		{"uri star", `{"allow":{"uri":["*.b"]}}`, "uri:spiffe://a.b/x", yes},
		{"uri star is one label", `{"allow":{"uri":["*.b"]}}`, "uri:spiffe://x.a.b/x", no},
		{"uri two stars", `{"deny":{"uri":["**.b"]}}`, "uri:spiffe://x.a.b/x", no},
		{"uri user is no host", `{"allow":{"uri":["good.b"]}}`, "uri:https://good.b@evil.c/", no},
		{"uri without host", `{"deny":{"uri":["a.b"]}}`, "uri:urn:uuid:1", no},
		{"uri with an address", `{"allow":{"uri":["a.b"]}}`, "uri:https://10.0.0.1/", no},
		{"uri with an IPv6 address", `{"deny":{"uri":["a.b"]}}`, "uri:https://[::1]/", no},
		{"uri without scheme", `{"deny":{"uri":["a.b"]}}`, "uri://c.d/", no},

		{"cn is a dns name", `{"allow":{"dns":["*.b"]}}`, "cn:a.b", yes},
		{"cn is another dns name", `{"allow":{"dns":["*.b"]}}`, "dns:a.b|cn:evil", no},
		{"cn is an address", `{"allow":{"ip":["10.0.0.0/8"]}}`, "cn:10.1.1.1", yes},
		{"cn is an address outside", `{"allow":{"ip":["10.0.0.0/8"]}}`, "cn:11.1.1.1", no},
		{"cn is a mailbox", `{"allow":{"email":["@b"]}}`, "cn:ann@b", yes},
		{"cn is a URI", `{"deny":{"uri":["b"]}}`, "cn:https://b/", no},
		{"empty cn passes", `{"allow":{"dns":["a.b"]}}`, "dns:a.b|cn:", yes},
		{"cn rule", `{"allow":{"cn":["Ops Team"]}}`, "cn:ops team", yes},
		{"cn rule beside others", `{"allow":{"cn":["Ops Team"],"dns":["a.b"]}}`, "cn:Ops Team|dns:a.b", yes},
		{"cn rule that does not match", `{"allow":{"cn":["Ops Team"]}}`, "cn:Dev Team", no},
		{"cn falls back to dns rules", `{"allow":{"cn":["Ops Team"],"dns":["a.b"]}}`, "cn:a.b", yes},
		{"deny cn refuses", `{"deny":{"cn":["root"]}}`, "cn:ROOT", no},
		{"deny cn alone lets others pass", `{"deny":{"cn":["root"]}}`, "cn:Ops Team", yes},
		{"deny cn opens nothing", `{"allow":{"dns":["a.b"]},"deny":{"cn":["root"]}}`, "dns:a.b|cn:evil.example", no},
		{"deny cn beats allow cn", `{"allow":{"cn":["x"]},"deny":{"cn":["x"]}}`, "cn:x", no},
		{"text cn under deny only", `{"deny":{"dns":["a.b"]}}`, "cn:Ann Example", yes},
		{"text cn under allow rules", `{"allow":{"dns":["a.b"]}}`, "cn:Ann Example", no},
		{"cn with port is text", `{"deny":{"dns":["a.b"]}}`, "cn:localhost:8443", yes},
		{"wildcard cn", `{"deny":{"dns":["a.b"]}}`, "cn:*.evil.example", no},
		{"pattern cn", `{"deny":{"dns":["a.b"]}}`, "cn:a*.b", no},
		{"denied cn with a dot at its end", `{"deny":{"dns":["a.b"]}}`, "cn:a.b.", no},
		{"denied cn in white space", `{"deny":{"dns":["a.b"]}}`, "cn: a.b ", no},
		{"denied text cn in white space", `{"deny":{"cn":["root"]}}`, "cn:root ", no},
		{"allowed cn with a dot at its end", `{"allow":{"dns":["a.b"]}}`, "cn:a.b.", no},

		{"unknown kind under allow rules", `{"allow":{"dns":["a.b"]}}`, "dns:a.b|other:otherName 1.2.3", no},
		{"unknown kind under deny only", `{"deny":{"dns":["a.b"]}}`, "dns:c|other:otherName 1.2.3", yes},
		{"no name under allow rules", `{"allow":{"dns":["a.b"]}}`, "", no},
		{"no name under deny only", `{"deny":{"dns":["a.b"]}}`, "", yes},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			p, n := x509Policy(t, c.policy), names(t, c.names)
			wantRefusal(t, p.Check(n), c.allowed)
			for _, v := range p.Explain(n) {
				if !v.Allowed && c.allowed || v.Reason == "" {
					t.Errorf("the explanation disagrees: %+v", v)
				}
			}
		})
	}
}

func TestSSHCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		proves, policy, side, principals string
		allowed                          bool
	}{
		{"no rules", `{}`, "user", "root", yes},
		{"empty sides are no policy", `{"user":{"allow":{}},"host":{"deny":{}}}`, "host", "*", yes},
		{"user rules refuse hosts", `{"user":{"allow":{"principal":["ann"]}}}`, "host", "a.b", no},
		{"host rules refuse users", `{"host":{"deny":{"dns":["a.b"]}}}`, "user", "ann", no},

		{"principal", `{"user":{"allow":{"principal":["ann"]}}}`, "user", "ANN", yes},
		{"another principal", `{"user":{"allow":{"principal":["ann"]}}}`, "user", "bob", no},
		{"second principal", `{"user":{"allow":{"principal":["ann"]}}}`, "user", "ann|bob", no},
		{"any principal", `{"user":{"allow":{"principal":["*"]}}}`, "user", "bob", yes},
		{"any principal is no email", `{"user":{"allow":{"principal":["*"]}}}`, "user", "bob@b", no},
		{"any principal but root", `{"user":{"allow":{"principal":["*"]},"deny":{"principal":["root"]}}}`, "user", "Root", no},
		{"deny any", `{"user":{"deny":{"principal":["*"]}}}`, "user", "bob", no},
		{"deny only", `{"user":{"deny":{"principal":["root"]}}}`, "user", "bob|bob@b", yes},
		{"email", `{"user":{"allow":{"email":["@b"]}}}`, "user", "ann@b", yes},
		{"email beside principal", `{"user":{"allow":{"email":["@b"]}}}`, "user", "ann@b|ann", no},
		{"address as user", `{"user":{"allow":{"principal":["*"]}}}`, "user", "10.0.0.1", no},
		{"URL as user", `{"user":{"allow":{"principal":["*"]}}}`, "user", "https://a.b", no},
		{"address as user under deny only", `{"user":{"deny":{"principal":["root"]}}}`, "user", "10.0.0.1", no},
		{"no principals under allow rules", `{"user":{"allow":{"principal":["*"]}}}`, "user", "", no},
		{"no principals under deny only", `{"user":{"deny":{"principal":["root"]}}}`, "user", "", yes},

		{"host name", `{"host":{"allow":{"dns":["*.b"]}}}`, "host", "A.b", yes},
		{"host name below", `{"host":{"allow":{"dns":["*.b"]}}}`, "host", "x.a.b", no},
		{"host address", `{"host":{"allow":{"ip":["10.0.0.0/8"]}}}`, "host", "10.0.0.1", yes},
		{"host address beside names", `{"host":{"allow":{"dns":["*.b"]}}}`, "host", "10.0.0.1", no},
		{"host principal rules never match", `{"host":{"allow":{"principal":["bastion"]}}}`, "host", "bastion", no},
		{"host principal rules close", `{"host":{"allow":{"principal":["bastion"]},"deny":{"ip":["10.0.0.1"]}}}`, "host", "a.b", no},
		{"host email", `{"host":{"allow":{"email":["@b"]}}}`, "host", "ann@b", yes},
		{"host wildcard", `{"host":{"allow":{"dns":["*.b"]}}}`, "host", "*.b", no},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			p := sshPolicy(t, c.policy)
			var principals []string
			if c.principals != "" {
				principals = strings.Split(c.principals, "|")
			}
			check, explain := p.CheckUser, p.ExplainUser
			if c.side == "host" {
				check, explain = p.CheckHost, p.ExplainHost
			}
			wantRefusal(t, check(principals), c.allowed)
			for _, v := range explain(principals) {
				if !v.Allowed && c.allowed || v.Reason == "" {
					t.Errorf("the explanation disagrees: %+v", v)
				}
			}
		})
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	for kind, rules := range map[string][]string{
		"dns":   {"", " ", "*", ".x", "..", "a..b", "a.b.", "a.*.b", "a*.b", "*.*.b", "***.b", "**", "*.", "a b", "a,b", "a/b", "10.0.0.1", "::1", "-a.b", "a-.b", "a\x00b", "xn--evil-", strings.Repeat("a", 64), strings.Repeat("a.", 200) + "b", "https://a.b"},
		"ip":    {"", "10.0.0", "10.0.0.0/33", "10.0.0.1-10.0.0.9", "a.b", "fe80::1%eth0", "10.0.0.0/8/8", "010.0.0.1"},
		"email": {"", "@", "a@", "*@b", "a@*", "a@*.b", "@*.b", "*.b", "a@b@c", "a b@c", "a@10.0.0.1", "ä@b", "a@b."},
		"uri":   {"", "*", "https://a.b", "a.b:443", "[::1]", "10.0.0.1", "a.b/x", ".a"},
		"cn":    {"", "*", " * "},
	} {
		for _, rule := range rules {
			for _, list := range []string{"allow", "deny"} {
				t.Run(fmt.Sprintf("%s %s %q", list, kind, rule), func(t *testing.T) {
					t.Parallel()
					var c policy.X509Config
					text, err := json.Marshal(map[string]any{list: map[string]any{kind: []string{rule}}})
					if err != nil {
						t.Fatal(err)
					}
					if err := json.Unmarshal(text, &c); err != nil {
						t.Fatal(err)
					}
					_, err = policy.NewX509(&c)
					if !fault.Is(err, fault.Invalid) {
						t.Fatalf("got %v", err)
					}
					if want := "x509." + list + "." + kind; !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not name the list %s", err, want)
					}
				})
			}
		}
	}
}

func TestAllComplaintsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := policy.NewX509(&policy.X509Config{
		Allow: &policy.X509Names{DNS: []string{"good.example", "bad..example"}, IP: []string{"10.0.0.999"}},
		Deny:  &policy.X509Names{CN: []string{"*"}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"bad..example", "10.0.0.999", "x509.deny.cn"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q misses %s", err, want)
		}
	}
	_, err = policy.NewSSH(&policy.SSHConfig{
		User: &policy.SSHSide{Allow: &policy.SSHNames{DNS: []string{"a.b"}}, Deny: &policy.SSHNames{Principal: []string{""}}},
		Host: &policy.SSHSide{Deny: &policy.SSHNames{IP: []string{"x"}}},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"ssh.user.allow.dns", "ssh.user.deny.principal", "ssh.host.deny.ip"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q misses %s", err, want)
		}
	}
}

func TestRefusalNamesKindAndName(t *testing.T) {
	t.Parallel()
	p := x509Policy(t, `{"deny":{"dns":["**.secret.example"]}}`)
	err := p.Check(policy.Names{DNS: []string{"a.secret.example"}})
	if err == nil {
		t.Fatal("allowed")
	}
	words := fault.Of(err).Message
	if !strings.Contains(words, "dns") || !strings.Contains(words, `"a.secret.example"`) {
		t.Errorf("%q names neither kind nor name", words)
	}
	if strings.Contains(words, "**") {
		t.Errorf("%q tells the caller the rule", words)
	}
	long := p.Check(policy.Names{DNS: []string{strings.Repeat("é", 5000)}})
	if long == nil || len(long.Error()) > 2000 {
		t.Errorf("the refusal of a long name is not bounded: %d bytes", len(fmt.Sprint(long)))
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	p := x509Policy(t, `{"allow":{"dns":["*.corp.example"]},"deny":{"dns":["vault.corp.example"]}}`)
	got := p.Explain(policy.Names{CommonName: "Ops", DNS: []string{"a.corp.example", "vault.corp.example"}, IPs: []net.IP{net.IPv4(10, 0, 0, 1)}})
	want := []policy.Verdict{
		{Kind: "dns", Name: "a.corp.example", Allowed: true, Rule: "*.corp.example", Reason: "an allow rule matches"},
		{Kind: "dns", Name: "vault.corp.example", Rule: "vault.corp.example", Reason: "a deny rule matches"},
		{Kind: "ip", Name: "10.0.0.1", Reason: "there are allow rules, but none for names of this kind"},
		{Kind: "dns", Name: "Ops", Reason: "no allow rule matches"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	none := (*policy.X509)(nil).Explain(policy.Names{DNS: []string{"*.b"}})
	if diff := cmp.Diff([]policy.Verdict{{Kind: "dns", Name: "*.b", Allowed: true, Reason: "there is no policy"}}, none); diff != "" {
		t.Error(diff)
	}
}

// Every kind of name of the final certificate is looked at, wherever it stands in the list.
func TestSEC11_EveryKindAndPlaceIsChecked(t *testing.T) {
	t.Parallel()
	p := x509Policy(t, `{"allow":{"dns":["*.ok"],"ip":["10.0.0.0/8"],"email":["@ok"],"uri":["ok"]}}`)
	good := []string{"dns:a.ok", "dns:b.ok", "ip:10.0.0.1", "ip:10.0.0.2", "email:a@ok", "email:b@ok", "uri:x://ok/1", "uri:x://ok/2", "cn:c.ok"}
	bad := map[string]string{"dns": "dns:evil", "ip": "ip:11.0.0.1", "email": "email:a@evil", "uri": "uri:x://evil", "cn": "cn:evil"}
	if err := p.Check(names(t, strings.Join(good, "|"))); err != nil {
		t.Fatal(err)
	}
	for k := range good {
		kind, _, _ := strings.Cut(good[k], ":")
		spoilt := append([]string(nil), good...)
		spoilt[k] = bad[kind]
		if err := p.Check(names(t, strings.Join(spoilt, "|"))); err == nil {
			t.Errorf("name %d of kind %s is not checked", k, kind)
		}
	}
	if err := p.Check(names(t, strings.Join(good, "|")+"|other:directoryName")); err == nil {
		t.Error("a name of a kind without rules is not checked")
	}
}

// Values from tokens are data: no separator, glob or invisible character widens a rule.
func TestSEC12_NoCharacterWidensARule(t *testing.T) {
	t.Parallel()
	allow := x509Policy(t, `{"allow":{"dns":["*.ok","host.ok"],"email":["ann@ok"],"uri":["host.ok"],"cn":["Ops"]},"allowWildcardNames":false}`)
	deny := x509Policy(t, `{"deny":{"dns":["host.evil"],"email":["bob@evil"],"uri":["host.evil"],"cn":["root"]}}`)
	tricks := []string{"*", "+", "/", ",", "\x00", "\n", "\r\n", "\u0000", " ", ";", "%00", "?", "#", "\\", "\t", "\u202e"}
	for _, trick := range tricks {
		for _, n := range []policy.Names{
			{DNS: []string{"host" + trick + ".ok"}},
			{DNS: []string{"evil" + trick + "host.ok.x"}},
			{DNS: []string{"host.ok" + trick}},
			{DNS: []string{trick + "host.ok"}},
			{DNS: []string{"host.ok", "evil" + trick}},
			{Emails: []string{"ann@ok" + trick}},
			{URIs: []string{"x://evil" + trick + "host.ok"}},
			{CommonName: "Ops" + trick},
		} {
			if err := allow.Check(n); err == nil {
				t.Errorf("%q widens an allow rule: %+v", trick, n)
			}
		}
	}
	for _, name := range []string{"HOST.evil", "host.evil.", "host。evil", "ｈost.evil", "host.ev\u00adil", "host.xn--evil-", "host.evil\x00", "host.evil\n.ok"} {
		if err := deny.Check(policy.Names{DNS: []string{name}}); err == nil {
			t.Errorf("dns %q slips past a deny rule", name)
		}
	}
	for _, cn := range []string{"root", "ROOT", "root ", " root", "root\x00", "root\n", "host.evil", "host.evil.", "host。evil", "bob@EVIL", "BOB@evil", "x://host.evil/", "*.evil", "h*st.evil"} {
		if err := deny.Check(policy.Names{CommonName: cn}); err == nil {
			t.Errorf("cn %q slips past a deny rule", cn)
		}
	}
	users := sshPolicy(t, `{"user":{"allow":{"principal":["*"]}}}`)
	for _, name := range []string{"", "a,root", "a root", "*", "r?ot", "!root", "a\x00", "a\n", "\xff"} {
		if err := users.CheckUser([]string{name}); err == nil {
			t.Errorf("principal %q is certified", name)
		}
	}
}
