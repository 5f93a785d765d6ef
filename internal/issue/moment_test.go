package issue_test

import (
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

func TestMoments(t *testing.T) {
	t.Parallel()
	base := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		want time.Time
		good bool
	}{
		{"", time.Time{}, true},
		{"0s", time.Time{}, true},
		{"0", time.Time{}, true},
		{"8h", base.Add(8 * time.Hour), true},
		{"-1m30s", base.Add(-90 * time.Second), true},
		{"1h30m5s10ms", base.Add(time.Hour + 30*time.Minute + 5*time.Second + 10*time.Millisecond), true},
		{"2031-01-31T12:00:00Z", time.Date(2031, 1, 31, 12, 0, 0, 0, time.UTC), true},
		{"2031-01-31T14:00:00+02:00", time.Date(2031, 1, 31, 12, 0, 0, 0, time.UTC), true},
		{"1d", time.Time{}, false},
		{"8", time.Time{}, false},
		{" 8h", time.Time{}, false},
		{"2031-01-31", time.Time{}, false},
		{"2031-01-31 12:00:00", time.Time{}, false},
		{"2031-13-31T12:00:00Z", time.Time{}, false},
		{"99999999999h", time.Time{}, false},
	} {
		m, err := issue.ParseMoment(c.text)
		if (err == nil) != c.good || (err != nil && !fault.Is(err, fault.Invalid)) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := m.From(base); err == nil && !got.Equal(c.want) {
			t.Errorf("%q is %s, want %s", c.text, got, c.want)
		}
	}
}

func FuzzMoment(f *testing.F) {
	for _, s := range []string{"", "8h", "-1m", "2030-01-31T12:00:00Z", "2030-01-31T12:00:00+23:59", "1e9h", "9223372036854775807ns", "0001-01-01T00:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := issue.ParseMoment(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v is no refusal in words", s, err)
			}
			return
		}
		// What clients send back means the same, to the second.
		again, err := issue.ParseMoment(m.String())
		base := time.Unix(1_900_000_000, 0)
		if err != nil || again.From(base).Unix() != m.From(base).Unix() {
			t.Fatalf("%q is %q, which is another moment: %v", s, m, err)
		}
	})
}

// checked asks for a validity at a time.
func checked(ca *testca.CA, t *testing.T, from, to string, now time.Time, bend ...func(*issue.Grant)) error {
	t.Helper()
	begin, err := issue.ParseMoment(from)
	if err != nil {
		t.Fatal(err)
	}
	end, err := issue.ParseMoment(to)
	if err != nil {
		t.Fatal(err)
	}
	ask := &issue.X509Ask{Request: testca.Request(t, testca.CSR(t, testca.P256(t), "")), NotBefore: begin, NotAfter: end}
	draft, err := issue.NewX509(grant(ca, bend...), ask, now)
	if err != nil {
		return err
	}
	_, err = draft.Check(now)
	return err
}

// Provisioners Section 1.10, bounded validity: the credential behind a proof bounds what it
// buys, however the wish is put.
func TestTheProofBoundsTheValidity(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	now := time.Now()
	bounded := func(g *issue.Grant) {
		g.NotBefore, g.NotAfter = now.Add(-10*time.Minute), now.Add(2*time.Hour)
	}
	for _, c := range []struct {
		name, from, to string
		kind           fault.Kind
	}{
		{"no wish is cut", "", "", fault.Internal},
		{"inside", "", "1h", fault.Internal},
		{"to the end", "", "1h59m59s", fault.Internal},
		{"beyond the end", "", "3h", fault.Denied},
		{"beyond the end, absolute", "", now.Add(3 * time.Hour).Format(time.RFC3339), fault.Denied},
		{"before the begin", "-20m", "1h", fault.Denied},
		{"a later begin, beyond the end", "1h30m", "1h", fault.Denied},
	} {
		err := checked(ca, t, c.from, c.to, now, bounded)
		if (c.kind == fault.Internal) != (err == nil) || (err != nil && fault.KindOf(err) != c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The limits hold on whole seconds, wherever in a second the request falls.
func TestLimitsAreExactToTheSecond(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	for _, part := range []time.Duration{0, 1, 500 * time.Millisecond, 999999999} {
		now := time.Now().Truncate(time.Second).Add(part)
		for _, c := range []struct {
			to   string
			good bool
		}{
			{"4m", true}, {"3m59s", false}, {"24h", true}, {"24h1s", false},
		} {
			if err := checked(ca, t, "", c.to, now); (err == nil) != c.good {
				t.Errorf("%s at %s into the second: %v", c.to, part, err)
			}
		}
	}
}
