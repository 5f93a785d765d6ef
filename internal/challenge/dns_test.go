package challenge_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/signet-ca/signet/internal/challenge"
)

// digest is base64url(SHA-256(token "." thumbprint)), made with openssl.
const digest = "jAeRKvOkKDEFZbI8zQdXnc8-7y3692CTeOKRW0hRP48"

func TestDNS01(t *testing.T) {
	t.Parallel()
	s := serveNames(t,
		`_acme-challenge.good.test. 60 IN TXT "`+digest+`"`,
		`_acme-challenge.split.test. 60 IN TXT "`+digest[:20]+`" "`+digest[20:]+`"`,
		`_acme-challenge.many.test. 60 IN TXT "other"`,
		`_acme-challenge.many.test. 60 IN TXT "`+digest+`"`,
		`_acme-challenge.wrong.test. 60 IN TXT "x`+digest+`"`,
		`_acme-challenge.alias.test. 60 IN CNAME there.other.test.`,
		`there.other.test. 60 IN CNAME Deep.Other.Test.`,
		`deep.other.test. 60 IN TXT "`+digest+`"`,
		`_acme-challenge.loop.test. 60 IN CNAME loop2.test.`,
		`loop2.test. 60 IN CNAME _acme-challenge.loop.test.`,
		`_acme-challenge.none.test. 60 IN A 127.0.0.1`,
		`_acme-challenge.dangling.test. 60 IN CNAME nowhere.test.`,
		`wzv5olfj5jizpyyo._acme-challenge.good.test. 60 IN TXT "nothing"`,
		`_wzv5olfj5jizpyyo._acme-challenge.good.test. 60 IN TXT "`+digest+`"`,
	)
	for i := range 12 {
		s.add(t, fmt.Sprintf("c%d.test. 60 IN CNAME c%d.test.", i, i+1))
	}
	s.add(t, `_acme-challenge.long.test. 60 IN CNAME c0.test.`, `c12.test. 60 IN TXT "`+digest+`"`)
	s.fail("_acme-challenge.servfail.test.", dns.RcodeServerFailure)
	s.fail("_acme-challenge.refused.test.", dns.RcodeRefused)
	v := challenge.New(challenge.Settings{Resolver: s.addr})
	for name, want := range map[string]string{
		"good.test": "", "split.test": "", "many.test": "", "alias.test": "",
		"wrong.test": "rejectedIdentifier", "loop.test": "dns", "none.test": "dns", "dangling.test": "dns",
		"absent.test": "dns", "long.test": "dns", "servfail.test": "dns", "refused.test": "dns",
		strings.Repeat("a", 64) + ".test": "dns", strings.Repeat("abcdefghi.", 25) + "test": "dns",
	} {
		t.Run(name[:min(len(name), 20)], func(t *testing.T) {
			t.Parallel()
			a := attempt("dns-01", name)
			check(t, v.Try(t.Context(), a), want)
			if len(a.Trace) == 0 {
				t.Error("no trace for the operator")
			}
			a.Wildcard = true
			check(t, v.Try(t.Context(), a), want)
		})
	}
	t.Run("account", func(t *testing.T) {
		t.Parallel()
		check(t, v.Try(t.Context(), attempt("dns-account-01", "good.test")), "")
		other := attempt("dns-account-01", "good.test")
		other.AccountURL += "d"
		check(t, v.Try(t.Context(), other), "dns")
		other.AccountURL = ""
		check(t, v.Try(t.Context(), other), "serverInternal!")
	})
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		a := attempt("dns-01", "good.test")
		a.Thumbprint = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"
		check(t, v.Try(t.Context(), a), "rejectedIdentifier")
	})
}

func TestAccountLabel(t *testing.T) {
	t.Parallel()
	if got := challenge.AccountLabel("https://ca.example/acme/acme/account/abc"); got != "_wzv5olfj5jizpyyo" {
		t.Error(got)
	}
}

// An answer of nearly 64 KiB comes by TCP, is read whole and found wanting or good.
func TestLargeDNSAnswers(t *testing.T) {
	t.Parallel()
	s := serveNames(t)
	for i := range 240 {
		s.add(t, fmt.Sprintf(`_acme-challenge.big.test. 60 IN TXT "%d %s"`, i, strings.Repeat("x", 245)))
	}
	v := challenge.New(challenge.Settings{Resolver: s.addr})
	check(t, v.Try(t.Context(), attempt("dns-01", "big.test")), "rejectedIdentifier")
	s.add(t, `_acme-challenge.big.test. 60 IN TXT "`+digest+`"`)
	check(t, v.Try(t.Context(), attempt("dns-01", "big.test")), "")
	if all := strings.Join(s.questions(), "\n"); !strings.Contains(all, "tcp TXT") {
		t.Error("TCP was not asked:", all)
	}
}

// What answers another question, or in pieces, is no answer.
func TestHostileDNSAnswers(t *testing.T) {
	t.Parallel()
	bend := map[string]func(m *dns.Msg){
		"other name":     func(m *dns.Msg) { m.Question[0].Name = "else.test." },
		"other type":     func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA },
		"no question":    func(m *dns.Msg) { m.Question = nil },
		"no answer":      func(m *dns.Msg) { m.Response = false },
		"always cut":     func(m *dns.Msg) { m.Truncated = true },
		"other owner":    func(m *dns.Msg) { m.Answer[0].Header().Name = "else.test." },
		"other class":    func(m *dns.Msg) { m.Answer[0].Header().Class = dns.ClassCHAOS },
		"not authentic?": func(m *dns.Msg) { m.Rcode = dns.RcodeNotImplemented },
	}
	for name, f := range bend {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveNames(t)
			s.answer(func(w dns.ResponseWriter, q *dns.Msg) {
				m := new(dns.Msg)
				m.SetReply(q)
				rr, _ := dns.NewRR(q.Question[0].Name + ` 60 IN TXT "` + digest + `"`)
				m.Answer = []dns.RR{rr}
				f(m)
				_ = w.WriteMsg(m)
			})
			v := challenge.New(challenge.Settings{Resolver: s.addr})
			check(t, v.Try(t.Context(), attempt("dns-01", "good.test")), "dns")
		})
	}
	t.Run("rubbish", func(t *testing.T) {
		t.Parallel()
		s := serveNames(t)
		s.answer(func(w dns.ResponseWriter, q *dns.Msg) { _, _ = w.Write([]byte{byte(q.Id >> 8), byte(q.Id), 0xff}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check(t, challenge.New(challenge.Settings{Resolver: s.addr}).Try(ctx, attempt("dns-01", "good.test")), "dns")
	})
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		s := serveNames(t)
		s.answer(func(dns.ResponseWriter, *dns.Msg) {})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		check(t, challenge.New(challenge.Settings{Resolver: s.addr}).Try(ctx, attempt("dns-01", "good.test")), "dns")
	})
}

func TestSeveralResolvers(t *testing.T) {
	t.Parallel()
	good := serveNames(t, `_acme-challenge.good.test. 60 IN TXT "`+digest+`"`)
	bad := serveNames(t)
	bad.fail("_acme-challenge.good.test.", dns.RcodeServerFailure)
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	v := challenge.New(challenge.Settings{Resolver: "192.0.2.1", Resolvers: []string{closed.LocalAddr().String(), bad.addr, good.addr}})
	check(t, v.Try(t.Context(), attempt("dns-01", "good.test")), "")
}

func TestAuthenticAnswersOnly(t *testing.T) {
	t.Parallel()
	s := serveNames(t)
	var authentic atomic.Bool
	s.answer(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		rr, _ := dns.NewRR(q.Question[0].Name + ` 60 IN TXT "` + digest + `"`)
		m.Answer, m.AuthenticatedData = []dns.RR{rr}, authentic.Load()
		_ = w.WriteMsg(m)
	})
	v := challenge.New(challenge.Settings{Resolver: s.addr, DNSSEC: true})
	check(t, v.Try(t.Context(), attempt("dns-01", "good.test")), "dns")
	authentic.Store(true)
	check(t, v.Try(t.Context(), attempt("dns-01", "good.test")), "")
}

// In authoritative mode the resolver only says whose zone it is; its memory of the record
// does not count.
func TestAuthoritativeMode(t *testing.T) {
	t.Parallel()
	zone := serveNames(t,
		`_acme-challenge.host.zone.test. 60 IN TXT "`+digest+`"`,
		`_acme-challenge.alias.zone.test. 60 IN CNAME host.away.test.`,
		`host.away.test. 60 IN TXT "`+digest+`"`,
	)
	cache := serveNames(t,
		`zone.test. 60 IN NS ns.zone.test.`, `ns.zone.test. 60 IN A 127.0.0.1`,
		`away.test. 60 IN NS ns.zone.test.`,
		`_acme-challenge.host.zone.test. 60 IN TXT "stale"`,
		`evil.test. 60 IN NS ns.evil.test.`, `ns.evil.test. 60 IN A 169.254.169.254`,
	)
	v := challenge.New(challenge.Settings{Resolver: cache.addr, Authoritative: true, AuthorityPort: zone.port()})
	check(t, v.Try(t.Context(), attempt("dns-01", "host.zone.test")), "")
	check(t, v.Try(t.Context(), attempt("dns-01", "alias.zone.test")), "")
	check(t, v.Try(t.Context(), attempt("dns-01", "host.nobody.test")), "dns")
	for _, q := range zone.questions() {
		if !strings.HasSuffix(q, "rd=false") {
			t.Errorf("the zone's server was asked to recurse: %s", q)
		}
	}
	// SEC-21: the servers of a zone are named by a stranger.
	err := v.Try(t.Context(), attempt("dns-01", "host.evil.test"))
	check(t, err, "dns")
	if !strings.Contains(err.Error(), "may not be reached") {
		t.Error(err)
	}
}

func TestDNSPersist01(t *testing.T) {
	t.Parallel()
	const account = "accounturi=https://ca.example/acme/acme/account/abc"
	for _, c := range []struct {
		record string
		plain  string
		wild   string
	}{
		{"ca.internal; " + account, "", "unauthorized"},
		{"CA.Internal.; " + account + ";policy=wildcard", "", ""},
		{"ca.internal ;\t" + strings.Replace(account, "accounturi", "AccountURI", 1) + " ; Policy=WildCard", "", ""},
		{"second.internal; " + account, "", "unauthorized"},
		{"ca.internal; " + account + "; policy=else", "", "unauthorized"},
		{"ca.internal; " + account + "; unknown=x", "", "unauthorized"},
		{"ca.internal; " + account + "; persistUntil=4102444800", "", "unauthorized"},
		{"ca.internal; " + account + "; persistUntil=1", "unauthorized", "unauthorized"},
		{"ca.internal; " + account + "; persistUntil=soon", "malformed", "malformed"},
		{"ca.internal; " + account + "; persistUntil=-5", "malformed", "malformed"},
		{"ca.internal; " + account + "d", "unauthorized", "unauthorized"},
		{"ca.internal; accounturi=HTTPS://ca.example/acme/acme/account/abc", "unauthorized", "unauthorized"},
		{"ca.internal", "malformed", "malformed"},
		{"ca.internal; policy=wildcard", "malformed", "malformed"},
		{"ca.internal; " + account + "; " + account, "malformed", "malformed"},
		{"ca.internal; ; " + account, "malformed", "malformed"},
		{"ca.internal; " + account + ";", "malformed", "malformed"},
		{"ca.internal; " + account + "; policy", "malformed", "malformed"},
		{"other.internal; " + account, "unauthorized", "unauthorized"},
		{"other.internal; ;;", "unauthorized", "unauthorized"},
		{"; " + account, "unauthorized", "unauthorized"},
		{"", "unauthorized", "unauthorized"},
	} {
		t.Run(c.record, func(t *testing.T) {
			t.Parallel()
			s := serveNames(t, `_validation-persist.host.test. 77 IN TXT "`+strings.ReplaceAll(c.record, ";", `\;`)+`"`)
			v := challenge.New(challenge.Settings{Resolver: s.addr, Issuers: []string{"ca.internal", "second.internal"}})
			a := attempt("dns-persist-01", "host.test")
			a.Token = ""
			check(t, v.Try(t.Context(), a), c.plain)
			if c.plain == "" && a.TTL != 77*time.Second {
				t.Errorf("lifetime %v", a.TTL)
			}
			a.Wildcard = true
			check(t, v.Try(t.Context(), a), c.wild)
		})
	}
	t.Run("one good record among others", func(t *testing.T) {
		t.Parallel()
		s := serveNames(t, `_validation-persist.host.test. 9 IN TXT "ca.internal\; broken"`,
			`_validation-persist.host.test. 9 IN TXT "ca.internal\; `+account+`"`)
		v := challenge.New(challenge.Settings{Resolver: s.addr, Issuers: []string{"ca.internal"}})
		check(t, v.Try(t.Context(), attempt("dns-persist-01", "host.test")), "")
		check(t, challenge.New(challenge.Settings{Resolver: s.addr}).Try(t.Context(), attempt("dns-persist-01", "host.test")), "serverInternal!")
	})
}

func TestCAA(t *testing.T) {
	t.Parallel()
	const account = "accounturi=https://ca.example/acme/acme/account/abc"
	s := serveNames(t)
	for name, records := range map[string][]string{
		"open.test":       nil,
		"ours.test":       {`0 issue "ca.internal"`},
		"case.test":       {`0 ISSUE "CA.Internal"`},
		"theirs.test":     {`0 issue "other.internal"`},
		"several.test":    {`0 issue "other.internal"`, `0 issue "ca.internal"`},
		"nobody.test":     {`0 issue "\;"`},
		"wild.test":       {`0 issue "ca.internal"`, `0 issuewild "other.internal"`},
		"onlywild.test":   {`0 issuewild "ca.internal"`},
		"nowild.test":     {`0 issuewild "\;"`},
		"iodef.test":      {`128 iodef "mailto:a@b"`},
		"mail.test":       {`0 issuemail "other.internal"`},
		"critical.test":   {`0 issue "ca.internal"`, `128 unheard "x"`},
		"critical1.test":  {`0 issue "ca.internal"`, `1 unheard "x"`},
		"harmless.test":   {`0 issue "ca.internal"`, `0 unheard "x"`},
		"account.test":    {`0 issue "ca.internal\; ` + account + `"`},
		"account2.test":   {`0 issue "ca.internal\; ` + account + `x"`},
		"twice.test":      {`0 issue "ca.internal\; ` + account + `\; ` + account + `"`},
		"methods.test":    {`0 issue "ca.internal\; validationmethods=http-01,dns-01"`},
		"methods2.test":   {`0 issue "ca.internal\; validationmethods=http-01"`},
		"methods3.test":   {`0 issue "ca.internal\; validationmethods=dns-01,,x"`},
		"malformed.test":  {`0 issue "ca.internal\; what"`},
		"malformed2.test": {`0 issue "ca internal"`},
	} {
		for _, r := range records {
			s.add(t, name+". 60 IN CAA "+r)
		}
	}
	s.add(t, `alias.test. 60 IN CNAME theirs.test.`)
	s.fail("broken.test.", dns.RcodeServerFailure)
	v := challenge.New(challenge.Settings{Resolver: s.addr, Issuers: []string{"ca.internal"}})
	for _, c := range []struct{ name, plain, wild string }{
		{"open.test", "", ""}, {"ours.test", "", ""}, {"case.test", "", ""}, {"theirs.test", "caa!", "caa!"},
		{"several.test", "", ""}, {"nobody.test", "caa!", "caa!"}, {"wild.test", "", "caa!"}, {"onlywild.test", "", ""},
		{"nowild.test", "", "caa!"}, {"iodef.test", "", ""}, {"mail.test", "", ""}, {"critical.test", "caa!", "caa!"},
		{"critical1.test", "caa!", "caa!"}, {"harmless.test", "", ""}, {"account.test", "", ""}, {"account2.test", "caa!", "caa!"},
		{"twice.test", "caa!", "caa!"}, {"methods.test", "", ""}, {"methods2.test", "caa!", "caa!"}, {"methods3.test", "caa!", "caa!"},
		{"malformed.test", "caa!", "caa!"}, {"malformed2.test", "caa!", "caa!"}, {"alias.test", "caa!", "caa!"},
		{"a.b.c.theirs.test", "caa!", "caa!"}, {"a.b.c.ours.test", "", ""}, {"broken.test", "dns", "dns"}, {"sub.broken.test", "dns", "dns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := attempt("dns-01", c.name)
			check(t, v.CAA(t.Context(), a), c.plain)
			a.Wildcard = true
			check(t, v.CAA(t.Context(), a), c.wild)
		})
	}
	ip := attempt("http-01", "192.0.2.1")
	ip.Identifier.Type = "ip"
	check(t, v.CAA(t.Context(), ip), "")
}
