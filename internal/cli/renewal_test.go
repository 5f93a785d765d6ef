package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/cli"
)

func none(time.Duration) time.Duration  { return 0 }
func all(d time.Duration) time.Duration { return max(d, 0) }

func TestScheduleWait(t *testing.T) {
	t.Parallel()
	begin := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	const h = time.Hour
	tests := map[string]struct {
		s      cli.Schedule
		now    time.Duration // since begin
		random func(time.Duration) time.Duration
		want   time.Duration
	}{
		"when a third is left":                {random: none, want: 16 * h},
		"less up to a twentieth":              {random: all, want: 16*h - 72*time.Minute},
		"from where the certificate is":       {now: 10 * h, random: none, want: 6 * h},
		"at once if less is left":             {now: 17 * h, random: none},
		"at once if it has expired":           {now: 30 * h, random: all},
		"when so much is left":                {s: cli.Schedule{ExpiresIn: 2 * h}, random: none, want: 22 * h},
		"so much, less up to a twentieth":     {s: cli.Schedule{ExpiresIn: 2 * h}, random: all, want: 22*h - 72*time.Minute},
		"every so often":                      {s: cli.Schedule{Period: 8 * h}, random: none, want: 8 * h},
		"every so often, less a twentieth":    {s: cli.Schedule{Period: 8 * h}, random: all, want: 8*h - 24*time.Minute},
		"at once if the period is not left":   {s: cli.Schedule{Period: 8 * h}, now: 17 * h, random: none},
		"a period of exactly what is left":    {s: cli.Schedule{Period: 8 * h}, now: 16 * h, random: none, want: 8 * h},
		"a certificate that is not yet valid": {now: -h, random: none, want: 17 * h},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.s.Wait(begin, begin.Add(24*h), begin.Add(tc.now), tc.random); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestScheduleDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		s      cli.Schedule
		left   time.Duration
		random func(time.Duration) time.Duration
		want   bool
	}{
		"without a wish always":     {left: 1000 * time.Hour, random: none, want: true},
		"not long before":           {s: cli.Schedule{ExpiresIn: time.Hour}, left: time.Hour + 1, random: none},
		"when so much is left":      {s: cli.Schedule{ExpiresIn: time.Hour}, left: time.Hour, random: none, want: true},
		"up to a twentieth earlier": {s: cli.Schedule{ExpiresIn: time.Hour}, left: 63 * time.Minute, random: all, want: true},
		"when it has expired":       {s: cli.Schedule{ExpiresIn: time.Hour}, left: -time.Hour, random: none, want: true},
	} {
		if got := tc.s.Due(now.Add(tc.left), now, tc.random); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestScheduleRefusesWhatNeverEnds(t *testing.T) {
	t.Parallel()
	for _, s := range []cli.Schedule{{ExpiresIn: time.Hour + 1}, {Period: time.Hour}} {
		if s.Check(time.Hour) == nil {
			t.Errorf("%+v is fine", s)
		}
	}
	for _, s := range []cli.Schedule{{}, {ExpiresIn: time.Hour}, {Period: time.Hour - 1}} {
		if err := s.Check(time.Hour); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestBackoffGrowsToABound(t *testing.T) {
	t.Parallel()
	before := time.Duration(0)
	for failures := 1; failures < 200; failures++ {
		least, most := cli.Backoff(failures, none), cli.Backoff(failures, all)
		if least < before || most > 5*time.Minute || least <= 0 || most < least {
			t.Fatalf("after %d failures: %s to %s, before %s", failures, least, most, before)
		}
		before = least
	}
	if first, last := cli.Backoff(1, all), before; first != 5*time.Second || last != 150*time.Second {
		t.Errorf("from %s to %s", first, last)
	}
}

// daemon runs in a bubble whose clock stands still until everybody waits.
type bubble struct {
	cli.Daemon
	start       time.Time
	tries       []time.Duration // since start
	fail        func(since time.Duration) bool
	told        int
	out, errors bytes.Buffer
}

func newBubble() *bubble {
	b := &bubble{start: time.Now()}
	b.Now, b.Stdout, b.Stderr = time.Now, &b.out, &b.errors
	b.Replace = func(context.Context) (time.Time, time.Time, error) {
		since := time.Since(b.start)
		b.tries = append(b.tries, since.Round(time.Second))
		if b.fail != nil && b.fail(since) {
			return time.Time{}, time.Time{}, errors.New("the CA is away")
		}
		return time.Now(), time.Now().Add(24 * time.Hour), nil
	}
	b.After = func(context.Context) error { b.told++; return nil }
	return b
}

func (b *bubble) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	b.Run(ctx, b.start, b.start.Add(24*time.Hour))
}

func TestDaemonRenewsWhenTwoThirdsArePast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		b.run(50 * time.Hour)
		if diff := cmp.Diff([]time.Duration{16 * time.Hour, 32 * time.Hour, 48 * time.Hour}, b.tries); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if b.told != 3 || b.errors.Len() > 0 {
			t.Errorf("told %d times; errors: %s", b.told, &b.errors)
		}
		lines := strings.Split(b.out.String(), "\n")
		if !strings.HasSuffix(lines[0], "first renewal in 16h0m0s") || !strings.HasSuffix(lines[1], "web certificate renewed, next in 16h0m0s") {
			t.Errorf("log:\n%s", &b.out)
		}
	})
}

func TestDaemonOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		b.fail = func(since time.Duration) bool { return since < 30*time.Hour } // until after the certificate's end
		b.run(31 * time.Hour)
		if n := len(b.tries); n < 100 || n > 14*60 {
			t.Errorf("%d tries in fourteen hours", n)
		}
		for i, at := range b.tries[1:] {
			if pause := at - b.tries[i]; pause > 5*time.Minute {
				t.Errorf("a pause of %s after %s", pause, b.tries[i])
			}
		}
		if last := b.tries[len(b.tries)-1]; last < 30*time.Hour || b.told != 1 {
			t.Errorf("the last try was at %s; told %d times", last, b.told)
		}
		if got := strings.Count(b.errors.String(), "renewal: the CA is away; next try in"); got != len(b.tries)-1 {
			t.Errorf("%d errors logged", got)
		}
	})
}

func TestDaemonHurriesOnRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		hurry := make(chan os.Signal, 1)
		b.Hurry = hurry
		time.AfterFunc(3*time.Hour, func() { hurry <- syscall.SIGHUP })
		b.run(20 * time.Hour)
		if diff := cmp.Diff([]time.Duration{3 * time.Hour, 19 * time.Hour}, b.tries); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDaemonGoesOnWhenNobodyListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		b.After = func(context.Context) error { return errors.New("run \"x\": exit status 1") }
		b.run(33 * time.Hour)
		if len(b.tries) != 2 || strings.Count(b.errors.String(), "exit status 1") != 2 {
			t.Errorf("tries at %v; errors:\n%s", b.tries, &b.errors)
		}
	})
}

// TestDaemonPausesBetweenRenewals: certificates that are due as soon as they come must not
// make a machine ask without end.
func TestDaemonPausesBetweenRenewals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		b.Schedule.ExpiresIn = 24 * time.Hour
		b.run(10*time.Minute + time.Second)
		if len(b.tries) != 11 {
			t.Errorf("tries at %v", b.tries)
		}
	})
}

// TestDaemonFollowsTheWallClock: a machine that slept through the time renews as it wakes.
func TestDaemonFollowsTheWallClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		b.Now = func() time.Time {
			now := time.Now()
			if now.Sub(b.start) > time.Hour {
				now = now.Add(1000 * time.Hour)
			}
			return now
		}
		b.run(2 * time.Hour)
		if len(b.tries) == 0 || b.tries[0] > 70*time.Minute {
			t.Errorf("tries at %v", b.tries)
		}
	})
}

// The CA says when it wants the renewal, and is asked as often as it wants to be.
func TestDaemonFollowsAdvice(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	for name, c := range map[string]struct {
		schedule cli.Schedule
		due      func(since time.Duration) time.Duration // both since the start; negative: no window
		again    time.Duration
		fails    bool
		want     []time.Duration
		asked    int
	}{
		"earlier than the schedule":    {due: func(time.Duration) time.Duration { return 5 * h }, again: 100 * h, want: []time.Duration{5 * h}, asked: 1},
		"later than the schedule":      {due: func(time.Duration) time.Duration { return 20 * h }, again: 100 * h, want: []time.Duration{20 * h}, asked: 1},
		"not later than the user":      {schedule: cli.Schedule{ExpiresIn: 14 * h}, due: func(time.Duration) time.Duration { return 20 * h }, again: 100 * h, want: []time.Duration{10 * h}, asked: 1},
		"earlier than the user":        {schedule: cli.Schedule{Period: 10 * h}, due: func(time.Duration) time.Duration { return 5 * h }, again: 100 * h, want: []time.Duration{5 * h}, asked: 1},
		"at once":                      {due: func(time.Duration) time.Duration { return 0 }, again: 100 * h, want: []time.Duration{0}, asked: 1},
		"the CA changes its mind":      {due: func(since time.Duration) time.Duration { return 20*h - since*2 }, again: 2 * h, want: []time.Duration{8 * h}, asked: 4},
		"no window":                    {due: func(time.Duration) time.Duration { return -1 }, again: 4 * h, want: []time.Duration{16 * h}, asked: 4},
		"the CA is away: the schedule": {fails: true, want: []time.Duration{16 * h}, asked: 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBubble()
				b.Schedule = c.schedule
				asked := 0
				b.Advise = func() (due, again time.Time, err error) {
					if len(b.tries) > 0 {
						return b.start.Add(1000 * h), b.start.Add(1000 * h), nil
					}
					asked++
					if c.fails {
						return due, again, errors.New("the CA is away")
					}
					since := time.Since(b.start)
					if at := c.due(since); at >= 0 {
						due = b.start.Add(at)
					}
					return due, b.start.Add(since + c.again), nil
				}
				b.run(21 * h)
				if len(b.tries) > 1 && c.schedule.Period > 0 {
					b.tries = b.tries[:1] // the user's period goes on
				}
				if len(b.tries) > 1 && c.schedule.ExpiresIn > 0 {
					b.tries = b.tries[:1]
				}
				if diff := cmp.Diff(c.want, b.tries); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if asked != c.asked {
					t.Errorf("asked %d times, want %d", asked, c.asked)
				}
			})
		})
	}
}

// A CA that always wants the renewal now is not asked without a pause.
func TestDaemonPausesWhatTheCAWants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble()
		b.Advise = func() (due, again time.Time, err error) { return b.start, time.Now(), nil }
		b.run(10*time.Minute + time.Second)
		if len(b.tries) != 11 {
			t.Errorf("tries at %v", b.tries)
		}
	})
}

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"":                                nil,
		"  \t ":                           nil,
		"nginx -s reload":                 {"nginx", "-s", "reload"},
		`sh -c "echo 'a  b' > c"`:         {"sh", "-c", "echo 'a  b' > c"},
		`'a b'c\ d "e\"f\\g\h" ''`:        {"a bc d", `e"f\g\h`, ""},
		`a"b"'c'`:                         {"abc"},
		`'no \escape "here'`:              {`no \escape "here`},
		`$HOME * > x; y | z && $(w) "$v"`: {"$HOME", "*", ">", "x;", "y", "|", "z", "&&", "$(w)", "$v"},
		"é\u00a0ü ö":                      {"é\u00a0ü", "ö"},
	} {
		got, err := cli.SplitCommand(line)
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{`"`, `'a`, `a "b' c`, `a \`} {
		if got, err := cli.SplitCommand(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	for _, seed := range []string{"a b", `'a' "b\""`, `\`, "\x00\xff '"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := cli.SplitCommand(line)
		if err != nil {
			return
		}
		for i, w := range words {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		again, err := cli.SplitCommand(strings.Join(words, " "))
		if err != nil || len(again) != len(words) {
			t.Errorf("%q: quoted words read %q, %v", line, again, err)
		}
	})
}

func TestParseReason(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"0": 0, "unspecified": 0, "1": 1, "keyCompromise": 1, "KEY compromise": 1, "key-compromise": 1, "cacompromise": 2,
		"AffiliationChanged": 3, "superseded": 4, "cessation of operation": 5, "certificateHold": 6, "8": 8, "removeFromCRL": 8,
		"privilegeWithdrawn": 9, "10": 10, "aACompromise": 10,
	} {
		if got, err := cli.ParseReason(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"7", "-1", "11", "bored", "", " ", "1.0", "99999999999999999999"} {
		if got, err := cli.ParseReason(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestParseSerial(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"17": "17", "0x11": "17", "0XfF": "255", "017": "17",
		"340282366920938463463374607431768211455": "340282366920938463463374607431768211455"} {
		if got, err := cli.ParseSerial(text); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "+1", "0x", "ff", "1_0", "0b1", "1 ", "0x-1", strings.Repeat("9", 100)} {
		if got, err := cli.ParseSerial(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
