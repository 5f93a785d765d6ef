package cli

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"time"
)

// schedule says when a certificate is renewed. The zero value: when a third of its time is
// left.
type schedule struct {
	expiresIn time.Duration // renew when this much time is left
	period    time.Duration // renew every so often; wins
}

// spread is a random share of a duration, so that many machines don't come at once.
type spread func(time.Duration) time.Duration

func randomSpread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// check refuses what would renew without end.
func (s schedule) check(validity time.Duration) error {
	switch {
	case s.expiresIn > validity:
		return fmt.Errorf("--expires-in is %s, but the certificate is valid for %s only", s.expiresIn, validity)
	case s.period >= validity:
		return fmt.Errorf("the period is %s, but the certificate is valid for %s only", s.period, validity)
	}
	return nil
}

// wait is how long from now a certificate is renewed.
func (s schedule) wait(notBefore, notAfter, now time.Time, random spread) time.Duration {
	validity, left := notAfter.Sub(notBefore), notAfter.Sub(now)
	wait := left - validity/3 - random(validity/20)
	switch {
	case s.period > 0 && left < s.period:
		return 0
	case s.period > 0:
		wait = s.period - random(s.period/20)
	case s.expiresIn > 0:
		wait = left - s.expiresIn - random(validity/20)
	}
	return max(wait, 0)
}

// due reports whether a single run renews now: with --expires-in only near the end.
func (s schedule) due(notAfter, now time.Time, random spread) bool {
	return s.expiresIn <= 0 || notAfter.Sub(now) <= s.expiresIn+random(s.expiresIn/20)
}

const (
	firstRetry = 5 * time.Second
	maxRetry   = 5 * time.Minute
	minPause   = time.Minute // between renewals that worked, or less for short-lived certificates
	clockCheck = 10 * time.Minute
)

// backoff is how long to wait after so many failures in a row: doubling, and random by
// half, so that a CA that comes back is not met by everybody at once.
func backoff(failures int, random spread) time.Duration {
	d := maxRetry
	if failures < 7 { // beyond that it is above the maximum
		d = min(d, firstRetry<<(failures-1))
	}
	return d/2 + random(d/2)
}

// fresh is the validity of the certificate that is in force now.
type fresh struct {
	name                string
	notBefore, notAfter time.Time
}

// daemon keeps a certificate fresh until it is stopped.
type daemon struct {
	act      string // "renewal", "rekey": for the log
	done     string // "renewed", "rekeyed"
	schedule schedule
	replace  func(context.Context) (fresh, error)   // gets and stores the next certificate, whole or not at all
	after    func(context.Context) error            // tells others of it
	advise   func(context.Context) (*advice, error) // when the CA wants it; nil: the schedule alone decides
	now      func() time.Time
	random   spread
	hurry    <-chan os.Signal // asks for a renewal now
	info     *log.Logger
	errors   *log.Logger
}

func newDaemon(stdout, stderr io.Writer) *daemon {
	return &daemon{random: randomSpread,
		info: log.New(stdout, "INFO: ", log.LstdFlags), errors: log.New(stderr, "ERROR: ", log.LstdFlags)}
}

// run replaces the certificate whenever it is time, and tries again when it fails: a CA that
// is away for a while is no reason to end. It returns when ctx ends.
func (d *daemon) run(ctx context.Context, current fresh) {
	wait := d.schedule.wait(current.notBefore, current.notAfter, d.now(), d.random)
	d.info.Printf("first %s in %s", d.act, round(wait))
	least := time.Duration(0)
	for failures := 0; ; {
		if failures > 0 && d.sleep(ctx, wait) == ended || failures == 0 && !d.await(ctx, wait, least) {
			return
		}
		next, err := d.replace(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failures++
			wait = backoff(failures, d.random)
			d.errors.Printf("%s: %v; next try in %s", d.act, err, round(wait))
			continue
		}
		failures = 0
		// A CA that gives shorter and shorter certificates must not make us ask without a pause.
		least = min(minPause, next.notAfter.Sub(next.notBefore)/20)
		wait = max(d.schedule.wait(next.notBefore, next.notAfter, d.now(), d.random), least)
		d.info.Printf("%s certificate %s, next in %s", printable(next.name), d.done, round(wait))
		if err := d.after(ctx); err != nil && ctx.Err() == nil {
			d.errors.Print(err)
		}
	}
}

// await waits until it is time, and reports false if ctx ends. Meanwhile it asks the CA, if
// there is one that advises, as often as that wants to be asked. The CA's word replaces the
// schedule where the user said nothing, and can only bring forward what the user said.
func (d *daemon) await(ctx context.Context, wait, least time.Duration) bool {
	if d.advise == nil {
		return d.sleep(ctx, wait) != ended
	}
	start := d.now().Round(0)
	due, byUser := start.Add(wait), d.schedule != schedule{}
	for {
		again := d.now().Add(adviceRetry)
		a, err := d.advise(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			d.errors.Printf("when to renew: %v", err)
		case a.due.IsZero():
			again = a.again
		default:
			again = a.again
			if at := latest(a.due, start.Add(least)); !byUser || at.Before(due) {
				if shift := at.Sub(due); shift.Abs() > minPause {
					d.info.Printf("the CA wants the %s in %s", d.act, round(max(at.Sub(d.now()), 0)))
				}
				due = at
			}
		}
		next := due
		if again = latest(again, d.now().Add(leastAdvice)); again.Before(due) {
			next = again
		}
		switch d.sleep(ctx, next.Sub(d.now())) {
		case ended:
			return false
		case hurried:
			return true
		}
		if !d.now().Before(due) {
			return true
		}
	}
}

// adviceRetry is when a CA is asked again that gave no answer.
const adviceRetry = time.Hour

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// awakening is why a sleep is over.
type awakening uint8

const (
	ended   awakening = iota // the context ended
	hurried                  // somebody wants it now
	elapsed
)

// sleep waits. The wall clock counts: a machine that was suspended for a week must not sleep
// on.
func (d *daemon) sleep(ctx context.Context, wait time.Duration) awakening {
	until := d.now().Add(wait).Round(0)
	for {
		left := until.Sub(d.now().Round(0))
		if left <= 0 {
			if ctx.Err() != nil {
				return ended
			}
			return elapsed
		}
		timer := time.NewTimer(min(left, clockCheck))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ended
		case <-d.hurry:
			timer.Stop()
			return hurried
		case <-timer.C:
		}
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
