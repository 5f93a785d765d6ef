package acme

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// The engine tries challenges, each by one goroutine at a time, and so many at once. It
// keeps nothing that matters: a challenge that is being tried is written down as processing
// with the time until when its server wants to be left alone, and whoever looks at it after
// that goes on.

const (
	tryingAtOnce = 64 // validations under way
	tryingAtAll  = 10000
	// leaseSlack is how long after its next try a server is given up.
	leaseSlack = 45 * time.Second
	// writeTime bounds the writing down of an outcome.
	writeTime = 20 * time.Second
	// releaseTime bounds what is written down when the server stops.
	releaseTime = 2 * time.Second
)

// pauses are how long to wait before a challenge is tried again.
var pauses = []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second}

type engine struct {
	door  *Door
	ctx   context.Context
	stop  context.CancelFunc
	slots chan struct{}
	group sync.WaitGroup

	mu     sync.Mutex
	runs   map[string]*run // by challenge
	closed bool
}

// task is a challenge to try.
type task struct {
	authzID, challengeID string
	authz                *store.ACMEAuthz   // as it was just read; nil: read it
	account              *store.ACMEAccount // likewise
	provisioner          *provisioner.Provisioner
	kind                 *provisioner.ACME
}

// run is a challenge that is being tried.
type run struct {
	task
	told chan struct{} // closed when an outcome is written down, or never will be
	kick chan struct{} // asks for a try at once

	mu    sync.Mutex
	once  bool // told is closed
	err   error
	last  *store.ACMEAuthz // as it was written down; nil: not yet
	since time.Time        // of the goroutine that tries
}

func newEngine(d *Door) *engine {
	e := &engine{door: d, slots: make(chan struct{}, tryingAtOnce), runs: map[string]*run{}}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.stop()
	e.group.Wait()
}

// begin has a challenge tried, or joins those who wait for it already. now asks for a try at
// once.
func (e *engine) begin(t task, now bool) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.runs[t.challengeID]; r != nil {
		if now {
			select {
			case r.kick <- struct{}{}:
			default:
			}
		}
		return r
	}
	r := &run{task: t, told: make(chan struct{}), kick: make(chan struct{}, 1)}
	if e.closed || len(e.runs) >= tryingAtAll {
		r.tell(&problem{Type: "rateLimited", Status: 503, Detail: "too many challenges are being tried at the moment", RetryAfter: unavailableRetry})
		return r
	}
	e.runs[t.challengeID] = r
	e.group.Go(func() {
		defer func() {
			e.mu.Lock()
			delete(e.runs, t.challengeID)
			e.mu.Unlock()
			r.tell(nil)
		}()
		e.work(r)
	})
	return r
}

// tell releases those who wait; only the first word counts.
func (r *run) tell(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.once {
		return
	}
	r.once, r.err = true, err
	close(r.told)
}

func (r *run) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// work tries until there is an outcome, the time is over, or nobody wants it any more.
func (e *engine) work(r *run) {
	for n := 0; ; n++ {
		a, c, attempt, err := e.load(r)
		if err != nil || c == nil {
			r.tell(err)
			return
		}
		if r.since.IsZero() {
			r.since = time.Now()
			if c.Since != 0 {
				r.since = time.Unix(c.Since, 0)
			}
		}
		began := time.Now()
		problem := e.attempt(r, attempt)
		if problem == nil {
			problem = e.askValidated(r, a, attempt.Type)
		}
		if e.ctx.Err() != nil {
			e.release(r)
			r.tell(&problemStopping)
			return
		}
		pause := pauses[min(n, len(pauses)-1)]
		final := problem == nil || !problem.Retry || time.Since(r.since)+pause > r.kind.Window()
		if err := e.settle(r, a, outcome{problem, final, pause, attemptOf(attempt, problem, began), attempt.TTL}); err != nil {
			r.tell(err)
			return
		}
		r.tell(nil)
		if final {
			return
		}
		if !e.rest(r, pause) {
			e.release(r)
			return
		}
	}
}

var problemStopping = problem{Type: "serverInternal", Status: 503, Detail: "the CA is stopping; try again in a moment", RetryAfter: unavailableRetry}

// rest waits until the next try; false if there is none.
func (e *engine) rest(r *run, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-e.ctx.Done():
		return false
	case <-timer.C:
	case <-r.kick:
	}
	return true
}

// load reads what is to be tried; a nil challenge means that nothing is.
func (e *engine) load(r *run) (*store.ACMEAuthz, *store.ACMEChallenge, *challenge.Attempt, error) {
	a, account := r.authz, r.account
	r.authz, r.account = nil, nil
	if a == nil || account == nil {
		ctx, cancel := context.WithTimeout(e.ctx, writeTime)
		defer cancel()
		err := e.door.store.View(ctx, func(tx *store.Tx) (err error) {
			if a, err = tx.ACMEAuthz(r.authzID); err != nil {
				return err
			}
			account, err = tx.ACMEAccount(a.AccountID)
			return err
		})
		if err != nil {
			return nil, nil, nil, found("authorization", err)
		}
	}
	c := findChallenge(a, r.challengeID)
	if c == nil || !r.kind.Offers(c.Type) || account.Status != "valid" || authzStatus(a, time.Now()) != "pending" || (c.Status != "pending" && c.Status != "processing") {
		return a, nil, nil, nil
	}
	return a, c, &challenge.Attempt{Type: c.Type, Identifier: challenge.Identifier{Type: a.Type, Value: a.Value}, Wildcard: a.Wildcard || a.Subdomains,
		Token: c.Token, Thumbprint: account.Thumbprint, AccountURL: account.URL}, nil
}

// attempt makes one try when there is a slot for it.
func (e *engine) attempt(r *run, a *challenge.Attempt) *challenge.Problem {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-e.ctx.Done():
		return &challenge.Problem{Type: "serverInternal", Retry: true}
	}
	v, err := e.door.validator(r.provisioner, r.kind)
	if err == nil {
		began := time.Now()
		err = v.Try(e.ctx, a)
		e.door.ca.Tell(ca.Event{Act: "acme_challenge", Provisioner: r.provisioner.Name, Type: a.Type, Success: err == nil, Took: time.Since(began)})
	}
	if err == nil {
		e.door.log.Info("challenge fulfilled", "act", "acme.challenge", "type", a.Type, "name", a.Identifier.Value, "provisioner", r.provisioner.Name)
		return nil
	}
	e.door.log.Info("challenge not fulfilled", "act", "acme.challenge", "type", a.Type, "name", a.Identifier.Value, "provisioner", r.provisioner.Name, "err", err, "trace", a.Trace)
	if p, ok := errors.AsType[*challenge.Problem](err); ok {
		return p
	}
	return &challenge.Problem{Type: "serverInternal", Detail: "the challenge could not be tried", Retry: true}
}

// outcome is what came of a try.
type outcome struct {
	problem *challenge.Problem // nil: the name is proven
	final   bool               // there is no other try
	pause   time.Duration      // until that, if there is one
	attempt store.ACMEAttempt  // for operators
	ttl     time.Duration      // for how long a lasting record may be trusted unseen
}

// settle writes the outcome of a try down: that the name is proven, that it won't be, or
// why it is not yet and when that is looked at next.
func (e *engine) settle(r *run, a *store.ACMEAuthz, o outcome) error {
	p := o.problem
	ctx, cancel := context.WithTimeout(e.ctx, writeTime)
	defer cancel()
	var why []byte
	if p != nil {
		var err error
		if why, err = json.Marshal(&problem{Type: p.Type, Detail: p.Detail}); err != nil {
			return err
		}
	}
	var paused *store.ACMEPause
	if p != nil && o.final {
		paused = e.pauseAfter(r, a, time.Now())
		defer e.door.paused.forget()
	}
	ended := false // its order, which two of its authorizations may come to
	err := e.change(ctx, r, a, func(tx *store.Tx, a *store.ACMEAuthz, c *store.ACMEChallenge) error {
		ended = false // the change may run twice
		c.Problem, c.Since, c.Lease = why, 0, 0
		c.Attempts = append(slices.Clone(c.Attempts[max(0, len(c.Attempts)-attemptsKept+1):]), o.attempt)
		switch {
		case p == nil:
			c.Status, c.Validated, a.Status = "valid", time.Now().Unix(), "valid"
			if o.ttl > 0 {
				c.ReuseUntil = time.Now().Add(o.ttl).Unix()
			}
		case o.final:
			c.Status, a.Status = "invalid", "invalid"
		default:
			c.Status, c.Since, c.Lease = "processing", r.since.Unix(), time.Now().Add(o.pause+leaseSlack).Unix()
		}
		if err := tx.SetACMEAuthz(a); err != nil || a.Status != "invalid" {
			return err
		}
		if paused != nil {
			if err := tx.SetACMEPause(*paused); err != nil {
				return err
			}
		}
		why, err := json.Marshal(compound([]subproblem{lostAuthz(store.ACMEIdentifier{Type: a.Type, Value: a.Value}, a)}))
		if err != nil {
			return err
		}
		ended, err = failOrder(tx, a.OrderID, why)
		return err
	})
	if err == nil && ended {
		e.door.limits.finished(a.AccountID)
		e.door.ca.Tell(ca.Event{Act: "acme_order", Provisioner: r.provisioner.Name, Type: store.ACMEInvalid})
	}
	return err
}

// release lets another server, or this one after a restart, go on at once with what was being
// tried. If it cannot be written down, they wait for the lease to end.
func (e *engine) release(r *run) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	err := e.change(ctx, r, nil, func(tx *store.Tx, a *store.ACMEAuthz, c *store.ACMEChallenge) error {
		if c.Status != "processing" {
			return nil
		}
		c.Lease = 0
		return tx.SetACMEAuthz(a)
	})
	if err != nil {
		e.door.log.Debug("challenge not released", "act", "acme.challenge", "provisioner", r.provisioner.Name, "err", err)
	}
}

// announce writes down that a challenge is being tried, for a client that is answered
// before there is an outcome.
func (e *engine) announce(ctx context.Context, r *run) error {
	return e.change(ctx, r, nil, func(tx *store.Tx, a *store.ACMEAuthz, c *store.ACMEChallenge) error {
		if c.Status == "processing" {
			return nil
		}
		now := time.Now()
		c.Status, c.Since, c.Lease = "processing", now.Unix(), now.Add(leaseSlack).Unix()
		return tx.SetACMEAuthz(a)
	})
}

// change changes a challenge that is still open; of one that is not, somebody else has
// decided, which stands. It begins with what was read before, if anything was, and reads
// again if that has changed since.
func (e *engine) change(ctx context.Context, r *run, before *store.ACMEAuthz, change func(*store.Tx, *store.ACMEAuthz, *store.ACMEChallenge) error) error {
	for {
		var last *store.ACMEAuthz
		err := e.door.store.Update(ctx, func(tx *store.Tx) (err error) {
			a := before
			if a == nil {
				if a, err = tx.ACMEAuthz(r.authzID); err != nil {
					return found("authorization", err)
				}
			}
			changed := *a // the change may run twice
			changed.Challenges = slices.Clone(a.Challenges)
			last = &changed
			c := findChallenge(last, r.challengeID)
			if c == nil || last.Status != "pending" || (c.Status != "pending" && c.Status != "processing") {
				return nil
			}
			return change(tx, last, c)
		})
		if errors.Is(err, store.ErrStale) {
			before = nil
			continue
		}
		if err == nil {
			e.door.recent.settled(last)
			r.mu.Lock()
			r.last = last
			r.mu.Unlock()
		}
		return err
	}
}

// outcome is the authorization as it was last written down; nil: it was not.
func (r *run) outcome() *store.ACMEAuthz {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// failOrder ends the order that an authorization was made for; false if it has ended already, or
// there is none.
func failOrder(tx *store.Tx, orderID string, why []byte) (bool, error) {
	if orderID == "" {
		return false, nil
	}
	err := tx.FailACMEOrder(orderID, why)
	if errors.Is(err, store.ErrStale) {
		return false, nil
	}
	return err == nil, err
}
