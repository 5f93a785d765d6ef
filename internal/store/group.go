package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Group commit. One goroutine, the writer, takes the changes that arrived while its last
// commit was under way and commits them together: each runs inside a savepoint, so that
// one that fails takes nothing of its neighbours with it, then one COMMIT makes all of
// them durable, then all callers are released. An idle writer starts at once; nobody waits
// for company.

const (
	groupChanges  = 128 // most changes in one commit: bounds how long the last one waits
	groupAttempts = 5   // how often a group is run again that lost a race to another server
)

var errBadConn = driver.ErrBadConn

// pending is one change that waits for its commit.
type pending struct {
	change func(*Tx) error
	rec    *recording // what it adds, if it was recorded; nil: it is run in its turn
	wanted []subject  // whose origin it asks for before it tells what it adds
	err    error      // what the change returned in the last attempt
	done   chan error // receives the one answer
}

// queue holds the changes that nobody has begun.
type queue struct {
	mu      sync.Mutex
	waiting []*pending
	closed  bool
	wake    chan struct{} // holds one token while something waits or the queue is closed
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) add(p *pending) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.waiting = append(q.waiting, p)
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// withdraw takes a change back, unless the writer has begun it.
func (q *queue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, w := range q.waiting {
		if w == p {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// take waits for changes and returns those that came first, or nil when the queue is
// closed and empty.
func (q *queue) take() []*pending {
	for {
		<-q.wake
		runtime.Gosched() // who can add a change at once does, and needs no commit of its own
		q.mu.Lock()
		n := min(len(q.waiting), groupChanges)
		group := q.waiting[:n:n]
		q.waiting = q.waiting[n:]
		closed := q.closed
		if len(q.waiting) > 0 || closed {
			q.signal()
		}
		q.mu.Unlock()
		if n > 0 {
			return group
		}
		if closed {
			return nil
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// Update runs change and returns when what it wrote is durable. If it returns an error,
// nothing of it was written, with one exception that no database can avoid: when the
// connection to a server breaks during the commit itself, nobody knows.
//
// The change may be run more than once and must not keep its Tx, call Update, or wait for
// anything: others wait behind it. If ctx ends before its turn, nothing is written.
func (s *Store) Update(ctx context.Context, change func(*Tx) error) error {
	if s.observe == nil {
		return s.explain(ctx, "write", s.update(ctx, change))
	}
	began := time.Now()
	err := s.explain(ctx, "write", s.update(ctx, change))
	s.observe("write", time.Since(began), err)
	return err
}

func (s *Store) update(ctx context.Context, change func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait to write to the database: %w", err)
	}
	p := &pending{change: change, rec: s.record(ctx, change, nil), done: make(chan error, 1)}
	if p.rec != nil && len(p.rec.wanted) > 0 {
		p.rec, p.wanted = nil, p.rec.wanted
	}
	if err := s.queue.add(p); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		if s.queue.withdraw(p) {
			return fmt.Errorf("wait to write to the database: %w", ctx.Err())
		}
		return <-p.done // begun: only its commit can tell
	}
}

// writer is the one goroutine of this process that writes.
type writer struct {
	store   *Store
	session *session // nil: to be opened
	stopped chan struct{}

	careful bool   // this group had a conflict
	rows    []*row // buffers
	todo    []statement
}

func newWriter(s *Store) *writer { return &writer{store: s, stopped: make(chan struct{})} }

// run commits group after group. A change that ends the goroutine (runtime.Goexit, as a
// failing test does) costs its group an error, not the store its writer.
func (w *writer) run() {
	var group []*pending
	finished := false
	defer func() {
		if finished {
			close(w.stopped)
			return
		}
		if w.session != nil {
			w.rollback(nil)
		}
		for _, p := range group {
			w.answer(p, errors.New("a change in the same commit ended the writing goroutine"))
		}
		go w.run()
	}()
	for {
		if group = w.store.queue.take(); group == nil {
			w.abandon()
			finished = true
			return
		}
		w.commit(group)
	}
}

// answer releases one caller, once.
func (w *writer) answer(p *pending, err error) {
	select {
	case p.done <- err:
	default:
	}
}

// abandon gives the connection up, and with it what was not committed.
func (w *writer) abandon() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}

// commit brings a group to its end: every caller has an answer when it returns.
func (w *writer) commit(group []*pending) {
	w.careful = false
	for attempt := 1; ; attempt++ {
		err, sent := w.try(group)
		if err == nil {
			for _, p := range group {
				w.answer(p, p.err)
			}
			return
		}
		d := w.store.dialect
		switch {
		case errors.Is(err, errConflict):
			w.careful = true
		case attempt < groupAttempts && d.again(err), attempt == 1 && d.lost(err) && !sent:
			// Servers that collided would collide again if they came back in step.
			time.Sleep(rand.N(time.Duration(attempt) * 5 * time.Millisecond))
		case len(group) > 1 && !sent && !d.lost(err):
			// Something in here breaks the transaction of all: each gets its own.
			for _, p := range group {
				w.commit([]*pending{p})
			}
			return
		default:
			for _, p := range group {
				w.answer(p, err)
			}
			return
		}
	}
}

// try runs a group in one transaction. An error means that nothing was written, except
// that a lost connection after COMMIT was sent leaves it open.
func (w *writer) try(group []*pending) (err error, sent bool) {
	ctx := context.Background()
	if t := w.store.dialect.timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	if w.session == nil {
		if w.session, err = openSession(ctx, w.store.dialect, w.store.base.write); err != nil {
			return err, false
		}
	}
	if err = w.begin(ctx, group); err == nil {
		if err = w.session.command(ctx, "COMMIT"); err == nil {
			return nil, true
		}
		sent = true
	}
	w.rollback(err)
	return err, sent
}

// rollback leaves the session without a transaction, or leaves no session.
func (w *writer) rollback(cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := w.session.command(ctx, "ROLLBACK")
	// SQLite may have rolled back by itself, and then has nothing left to roll back.
	if (cause != nil && w.store.dialect.lost(cause)) || (err != nil && !w.store.dialect.local) {
		w.session.lost = true
		w.abandon()
	}
}

// begin does all that comes before the commit. What a change returns is its own affair and
// kept in p.err; the error returned here is one that spoils the transaction.
func (w *writer) begin(ctx context.Context, group []*pending) error {
	d := w.store.dialect
	for _, p := range group {
		p.err = nil // what an attempt before found is undone with it
	}
	if d.local {
		if err := w.session.command(ctx, d.begin); err != nil {
			return err
		}
	}
	// Where a certificate came from never changes: a server can be asked before it begins.
	if err := w.tell(ctx, group); err != nil {
		return err
	}
	recorded := make([]*pending, 0, len(group))
	for _, p := range group {
		if p.rec != nil {
			recorded = append(recorded, p)
		}
	}
	// Conflicts are rare. A savepoint, which costs SQLite a copy of each page it touches and a
	// server two round trips, is for the second attempt.
	plain := len(recorded) == len(group) && !w.careful
	if plain && d.pipeline != nil {
		return w.pipelined(ctx, recorded)
	}
	if !d.local {
		if err := w.session.command(ctx, d.begin); err != nil {
			return err
		}
	}
	if plain {
		return w.addRows(ctx, recorded)
	}
	if err := w.addRecorded(ctx, recorded); err != nil {
		return err
	}
	for _, p := range group {
		if p.rec == nil {
			if err := w.turn(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn runs one change on the database, inside a savepoint.
func (w *writer) turn(ctx context.Context, p *pending) error {
	if err := w.session.command(ctx, "SAVEPOINT step"); err != nil {
		return err
	}
	tx := &Tx{ctx: ctx, store: w.store, session: w.session, write: true}
	p.err = w.guarded(tx, p.change)
	if tx.broken != nil && w.spoiled(tx.broken) {
		return tx.broken
	}
	if p.err == nil {
		p.err = tx.broken
	}
	if p.err != nil {
		if err := w.session.command(ctx, "ROLLBACK TO SAVEPOINT step"); err != nil {
			return errors.Join(tx.broken, err)
		}
	}
	return w.session.command(ctx, "RELEASE SAVEPOINT step")
}

// spoiled tells failures after which the whole transaction can't go on.
func (w *writer) spoiled(err error) bool {
	return w.store.dialect.again(err) || w.store.dialect.lost(err)
}

// guarded turns a panic inside a change into its error.
func (w *writer) guarded(tx *Tx, change func(*Tx) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.store.log.Error("a database change panicked", "err", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("database change panicked: %v", r)
		}
	}()
	return change(tx)
}
