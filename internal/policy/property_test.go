package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/policy"
)

// domainRuleMatches is the rule for domain names written down label by label.
func domainRuleMatches(rule, name string) bool {
	want, have := strings.Split(rule, "."), strings.Split(name, ".")
	switch want[0] {
	case "**":
		want = want[1:]
		if len(have) <= len(want) {
			return false
		}
		have = have[len(have)-len(want):]
	case "*":
		want = want[1:]
		have = have[1:]
	}
	return strings.Join(want, ".") == strings.Join(have, ".")
}

func anyMatches(rules []string, name string, match func(rule, name string) bool) bool {
	for _, rule := range rules {
		if match(rule, name) {
			return true
		}
	}
	return false
}

// randomDomain draws from so few labels that rules and names meet often.
func randomDomain(r *rand.Rand) string {
	labels := make([]string, 1+r.IntN(4))
	for i := range labels {
		labels[i] = string(rune('a' + r.IntN(3)))
	}
	return strings.Join(labels, ".")
}

// The indexes answer as a plain search through the rules does.
func TestDomainIndexEqualsSearch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	stars := []string{"", "", "*.", "**."}
	draw := func() []string {
		rules := make([]string, r.IntN(5))
		for i := range rules {
			rules[i] = stars[r.IntN(len(stars))] + randomDomain(r)
		}
		return rules
	}
	for range 5000 {
		allow, deny := draw(), draw()
		p, err := policy.NewX509(&policy.X509Config{Allow: &policy.X509Names{DNS: allow}, Deny: &policy.X509Names{DNS: deny}})
		if err != nil {
			t.Fatal(err)
		}
		name := randomDomain(r)
		want := !anyMatches(deny, name, domainRuleMatches) && (len(allow) == 0 || anyMatches(allow, name, domainRuleMatches))
		if got := p.Check(policy.Names{DNS: []string{name}}) == nil; got != want {
			t.Fatalf("allow %v deny %v: %s is %v, want %v", allow, deny, name, got, want)
		}
	}
}

// A wildcard is certified only if every name that it stands for would be, and refused if
// one of them is denied.
func TestWildcardStandsForItsNames(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		names := policy.X509Names{DNS: []string{[]string{"", "*.", "**."}[r.IntN(3)] + randomDomain(r)}}
		c := policy.X509Config{AllowWildcardNames: true}
		list := "allow"
		if r.IntN(2) == 0 {
			c.Allow = &names
		} else {
			list, c.Deny = "deny", &names
		}
		p, err := policy.NewX509(&c)
		if err != nil {
			t.Fatal(err)
		}
		parent := randomDomain(r)
		want := true
		for _, label := range []string{"a", "b", "c", "other"} {
			want = want && p.Check(policy.Names{DNS: []string{label + "." + parent}}) == nil
		}
		if got := p.Check(policy.Names{DNS: []string{"*." + parent}}) == nil; got != want {
			t.Fatalf("%s %v: *.%s is %v, want %v", list, names.DNS, parent, got, want)
		}
	}
}

func TestAddressIndexEqualsSearch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	address := func() netip.Addr {
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(4))})
		}
		return netip.AddrFrom16([16]byte{0x20, 1, 13: byte(r.IntN(2)), 15: byte(r.IntN(4))})
	}
	for range 5000 {
		var blocks []netip.Prefix
		var rules []string
		for range 1 + r.IntN(6) {
			a := address()
			block := netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
			blocks, rules = append(blocks, block.Masked()), append(rules, block.String())
		}
		p, err := policy.NewX509(&policy.X509Config{Deny: &policy.X509Names{IP: rules}})
		if err != nil {
			t.Fatal(err)
		}
		a, want := address(), true
		for _, block := range blocks {
			want = want && !block.Contains(a)
		}
		// Both of the forms in which Go holds an IPv4 address.
		wide := a.As16()
		for _, ip := range []net.IP{a.AsSlice(), wide[:]} {
			if got := p.Check(policy.Names{IPs: []net.IP{ip}}) == nil; got != want {
				t.Fatalf("deny %v: %v is %v, want %v", rules, ip, got, want)
			}
		}
	}
}

// More deny rules never allow more, of whatever kind they are.
func TestDenyRulesOnlyTakeAway(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		allow := &policy.X509Names{DNS: []string{"**." + randomDomain(r), randomDomain(r)}}
		less, err := policy.NewX509(&policy.X509Config{Allow: allow})
		if err != nil {
			t.Fatal(err)
		}
		deny := []*policy.X509Names{{DNS: []string{"*." + randomDomain(r)}}, {CN: []string{"a"}}, {IP: []string{"10.0.0.1"}}, {Email: []string{"@a"}}}
		more, err := policy.NewX509(&policy.X509Config{Allow: allow, Deny: deny[r.IntN(len(deny))]})
		if err != nil {
			t.Fatal(err)
		}
		n := policy.Names{DNS: []string{randomDomain(r)}, CommonName: randomDomain(r)}
		if r.IntN(4) == 0 {
			n.IPs, n.Emails = []net.IP{net.IPv4(10, 0, 0, 2)}, []string{"x@b"}
		}
		if more.Check(n) == nil && less.Check(n) != nil {
			t.Fatalf("a deny rule allowed %+v", n)
		}
	}
}

func manyRules(count int) *policy.X509Config {
	c := &policy.X509Config{Allow: &policy.X509Names{}, Deny: &policy.X509Names{}}
	for i := range count {
		c.Allow.DNS = append(c.Allow.DNS, fmt.Sprintf("host-%d.example", i), fmt.Sprintf("*.zone-%d.example", i))
		c.Allow.IP = append(c.Allow.IP, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
		c.Allow.Email = append(c.Allow.Email, fmt.Sprintf("user-%d@example", i))
		c.Deny.DNS = append(c.Deny.DNS, fmt.Sprintf("**.evil-%d.example", i))
	}
	return c
}

func TestTenThousandRules(t *testing.T) {
	t.Parallel()
	p, err := policy.NewX509(manyRules(10_000))
	if err != nil {
		t.Fatal(err)
	}
	for text, allowed := range map[string]bool{
		"dns:host-9999.example": yes, "dns:host-10000.example": no,
		"dns:a.zone-9999.example": yes, "dns:b.a.zone-9999.example": no,
		"ip:10.39.15.200": yes, "ip:10.39.16.200": no,
		"email:user-9999@example": yes, "email:user-10000@example": no,
		"dns:a.b.evil-9999.example": no,
	} {
		wantRefusal(t, p.Check(names(t, text)), allowed)
	}
}

func BenchmarkCheckTenThousandRules(b *testing.B) {
	p, err := policy.NewX509(manyRules(10_000))
	if err != nil {
		b.Fatal(err)
	}
	n := names(b, "cn:host-1.example|dns:host-1.example|dns:a.zone-77.example|ip:10.1.2.3|email:user-5@example")
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Check(n); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRule: no rule makes the compiler panic, and one that is accepted for a host name
// matches itself where that makes sense.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{"a.b", "*.a.b", "**.a.b", "*", "10.0.0.0/8", "::/0", "a@b", "@b", "@**.b", "xn--bcher-kva.de", "bücher.de", "a\x00b", `"a b"@c`, "Ops Team", "ß.de", "a。b", "\xff", "*.*.a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		for _, list := range []*policy.X509Names{{CN: []string{rule}}, {DNS: []string{rule}}, {IP: []string{rule}}, {Email: []string{rule}}, {URI: []string{rule}}} {
			if _, err := policy.NewX509(&policy.X509Config{Allow: list}); err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("complaint of kind %v: %v", fault.KindOf(err), err)
			}
		}
		rule = strings.TrimSpace(rule)
		allow, err := policy.NewX509(&policy.X509Config{Allow: &policy.X509Names{DNS: []string{rule}}, AllowWildcardNames: true})
		if err != nil || strings.HasPrefix(rule, "**") {
			return
		}
		if err := allow.Check(policy.Names{DNS: []string{rule}}); err != nil {
			t.Errorf("rule %q does not allow itself: %v", rule, err)
		}
		deny, err := policy.NewX509(&policy.X509Config{Deny: &policy.X509Names{DNS: []string{rule}}, AllowWildcardNames: true})
		if err != nil {
			t.Fatalf("allowed in one list, complained of in the other: %v", err)
		}
		if err := deny.Check(policy.Names{DNS: []string{rule}}); err == nil {
			t.Errorf("rule %q does not deny itself", rule)
		}
	})
}

// FuzzNames: whatever stands in a certificate, a check ends without panic, refuses with
// Denied, agrees with its explanation, and a deny rule never loses to spelling.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"", "a.ok", "*.ok", "a@ok", "x://ok/", "10.0.0.1", "a,b", "a\x00.ok", "a\n.ok", "ａ.ok", "a.ok.", "xn--a", "Ops Team", "urn:x:y", "http://[::1]:1/", "%zz", `"@"@ok`, "evil", "ÉVIL.ok"} {
		f.Add(seed, []byte(seed))
	}
	mixed := x509Policy(f, `{"allow":{"dns":["*.ok"],"ip":["10.0.0.0/8"],"email":["@ok"],"uri":["**.ok"],"cn":["Ops Team"]},"deny":{"dns":["evil.ok"],"cn":["root"]},"allowWildcardNames":true}`)
	denying := x509Policy(f, `{"deny":{"dns":["**.evil","evil"],"email":["@evil"],"ip":["10.0.0.0/8"]}}`)
	ssh := sshPolicy(f, `{"user":{"allow":{"principal":["*"],"email":["@ok"]}},"host":{"deny":{"dns":["evil"]}}}`)
	f.Fuzz(func(t *testing.T, name string, ip []byte) {
		n := policy.Names{CommonName: name, DNS: []string{name}, IPs: []net.IP{ip}, Emails: []string{name}, URIs: []string{name}, Other: []string{name}}
		for _, p := range []*policy.X509{mixed, denying} {
			err := p.Check(n)
			if err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("refusal of kind %v: %v", fault.KindOf(err), err)
			}
			refused := false
			for _, v := range p.Explain(n) {
				refused = refused || !v.Allowed
			}
			if refused != (err != nil) {
				t.Errorf("check says %v, the explanation %v", err, p.Explain(n))
			}
		}
		if err := denying.Check(policy.Names{DNS: []string{name}}); err == nil {
			if low := strings.ToLower(name); low == "evil" || strings.HasSuffix(low, ".evil") || strings.ContainsAny(name, "*,\x00\n /") {
				t.Errorf("dns name %q passes", name)
			}
		}
		if ssh.CheckUser([]string{name}) == nil && strings.ContainsAny(name, ",*? \x00\n") && !strings.Contains(name, "@") {
			t.Errorf("principal %q passes", name)
		}
		_ = ssh.CheckHost([]string{name})
	})
}
