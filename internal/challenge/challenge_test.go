package challenge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/challenge"
)

func TestOffered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind     string
		wildcard bool
		want     []string
	}{
		{"dns", false, []string{"dns-01", "http-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"}},
		{"dns", true, []string{"dns-01", "dns-account-01", "dns-persist-01"}},
		{"ip", false, []string{"http-01", "tls-alpn-01"}},
		{"ip", true, nil},
		{"email", false, nil},
	} {
		got := challenge.Offered(challenge.Identifier{Type: c.kind, Value: "x"}, c.wildcard)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s %v: %s", c.kind, c.wildcard, d)
		}
	}
	if challenge.Known("dns-02") || !challenge.Known("dns-01") {
		t.Error("known types")
	}
}

func TestImpossibleAttempts(t *testing.T) {
	t.Parallel()
	v := challenge.New(challenge.Settings{})
	for name, bend := range map[string]func(a *challenge.Attempt){
		"malformed!":            func(a *challenge.Attempt) { a.Type = "dns-02" },
		"malformed! ip":         func(a *challenge.Attempt) { a.Identifier.Type = "ip" },
		"malformed! wild":       func(a *challenge.Attempt) { a.Type, a.Wildcard = "http-01", true },
		"malformed! text":       func(a *challenge.Attempt) { a.Type, a.Identifier.Type = "http-01", "ip" },
		"serverInternal! token": func(a *challenge.Attempt) { a.Token = "" },
		"serverInternal! key":   func(a *challenge.Attempt) { a.Thumbprint = "" },
	} {
		a := attempt("dns-01", "web.test")
		bend(a)
		want := name
		for i, r := range name {
			if r == ' ' {
				want = name[:i]
			}
		}
		check(t, v.Try(t.Context(), a), want)
	}
}
