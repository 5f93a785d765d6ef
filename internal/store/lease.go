package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Leases. Servers that share a database share its jobs too: whoever finds a job due takes
// its lease, does it, and notes when it was done. A holder that is killed keeps the lease
// only until it expires. Clocks of servers that differ by more than a lease may let two do
// a job at once, so a job has to be one that survives that.

// Job is work that one server does for all.
type Job struct {
	Name  string
	Every time.Duration // not due again until so long after it was last done; 0: always due
	Lease time.Duration // how long a killed holder keeps others waiting; 0: a minute
}

// RunJob does a job if it is due and no other server is at it, and tells whether it did.
// The context given to work ends when the lease is lost. Only work that succeeded counts
// as done.
func (s *Store) RunJob(ctx context.Context, j Job, work func(context.Context) error) (ran bool, err error) {
	if j.Lease <= 0 {
		j.Lease = time.Minute
	}
	mine, err := s.claim(ctx, j)
	if err != nil || !mine {
		return false, err
	}
	held, lose := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() { defer close(kept); s.keepLease(held, lose, j) }()
	err = work(held)
	if lost := context.Cause(held); err == nil && lost != nil && ctx.Err() == nil {
		err = lost
	}
	lose(nil)
	<-kept
	// A server that stops hands its lease on instead of letting others wait for its end.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return true, errors.Join(err, s.release(last, j, err == nil))
}

// claim takes the lease if the job is due and nobody holds it.
func (s *Store) claim(ctx context.Context, j Job) (mine bool, err error) {
	if err := key("name of job", j.Name, 255); err != nil {
		return false, err
	}
	due, err := s.due(ctx, j)
	if err != nil || !due {
		return false, err // most looks end here, without a write
	}
	err = s.Update(ctx, func(tx *Tx) error {
		now := time.Now()
		if _, err := tx.exec("INSERT INTO leases (job, holder, expires_at, done_at) VALUES (?, '', 0, 0)"+
			tx.store.dialect.skip, j.Name); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		n, err := tx.exec("UPDATE leases SET holder = ?, expires_at = ? WHERE job = ? AND expires_at <= ? AND done_at <= ?",
			s.id, now.Add(j.Lease).UnixMilli(), j.Name, now.UnixMilli(), now.Add(-j.Every).UnixMilli())
		mine = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take the lease of job %s: %w", j.Name, err)
	}
	return mine, nil
}

func (s *Store) due(ctx context.Context, j Job) (due bool, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		var expires, done int64
		err := tx.row("SELECT expires_at, done_at FROM leases WHERE job = ?", []any{j.Name}, &expires, &done)
		if errors.Is(err, ErrNotFound) {
			due = true
			return nil
		}
		now := time.Now()
		due = expires <= now.UnixMilli() && done <= now.Add(-j.Every).UnixMilli()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look at the lease of job %s: %w", j.Name, err)
	}
	return due, nil
}

// errLeaseLost is the cause of the end of a job whose lease another server has.
var errLeaseLost = errors.New("the lease of the job went to another server")

// keepLease prolongs the lease until the job is done, and ends the job if it can't.
func (s *Store) keepLease(ctx context.Context, lose context.CancelCauseFunc, j Job) {
	tick := time.NewTicker(j.Lease / 3)
	defer tick.Stop()
	ends := time.Now().Add(j.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		var n int64
		err := s.Update(ctx, func(tx *Tx) (err error) {
			n, err = tx.exec("UPDATE leases SET expires_at = ? WHERE job = ? AND holder = ?", now.Add(j.Lease).UnixMilli(), j.Name, s.id)
			return err
		})
		switch {
		case err == nil && n > 0:
			ends = now.Add(j.Lease)
		case err == nil, time.Now().Add(j.Lease / 3).After(ends):
			lose(errLeaseLost)
			return
		}
	}
}

func (s *Store) release(ctx context.Context, j Job, done bool) error {
	err := s.Update(ctx, func(tx *Tx) error {
		query, args := "UPDATE leases SET holder = '', expires_at = 0 WHERE job = ? AND holder = ?", []any{j.Name, s.id}
		if done {
			query, args = "UPDATE leases SET holder = '', expires_at = 0, done_at = ? WHERE job = ? AND holder = ?",
				[]any{time.Now().UnixMilli(), j.Name, s.id}
		}
		_, err := tx.exec(query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("give the lease of job %s back: %w", j.Name, err)
	}
	return nil
}
