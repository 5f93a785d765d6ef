package ca

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

const (
	sweepEvery  = 10 * time.Minute
	lookEvery   = time.Minute     // how often a server looks whether a job is due that another one does
	crlRetry    = time.Minute     // after a list that could not be made
	crlBusy     = 5 * time.Second // while another server is at it
	crlPatience = time.Second / 2 // what the server that revoked has to publish before others do it for it
)

// crlJob is short, and so is the wait for a server that was killed at it.
var crlJob = store.Job{Name: "crl", Lease: 10 * time.Second}

// revocationsTopic rises with revocations whose list has to follow at once.
const revocationsTopic = "revocations"

// Maintain sweeps what has run out and publishes revocation lists until the context ends.
// Of the servers that share a database one does each job.
func (c *CA) Maintain(ctx context.Context) {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	jobs.Go(func() { c.keepSwept(ctx) })
	jobs.Go(func() { c.followRevocations(ctx) })
	jobs.Go(func() { c.keepSealed(ctx) })
	publish := time.NewTimer(0)
	defer publish.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.crlKick:
			publish.Reset(c.publish(ctx, true))
		case <-publish.C:
			publish.Reset(c.publish(ctx, false))
		}
	}
}

func (c *CA) keepSwept(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.sweep(ctx)
		}
	}
}

func (c *CA) sweep(ctx context.Context) {
	var n int64
	_, err := c.store.RunJob(ctx, store.Job{Name: "sweep", Every: sweepEvery}, func(ctx context.Context) (err error) {
		if n, err = c.store.Sweep(ctx, time.Now()); err != nil {
			return err
		}
		old, err := c.store.SweepACME(ctx, time.Now())
		if n += old; err != nil {
			return err
		}
		removed, err := c.store.Retain(ctx, time.Now(), c.state.Load().Retention)
		if removed > 0 {
			c.log.InfoContext(ctx, "records past their retention removed", "act", "sweep", "count", removed)
		}
		return err
	})
	switch {
	case err != nil && ctx.Err() == nil:
		c.log.ErrorContext(ctx, "sweep of spent proofs and old records", "err", err)
	case n > 0:
		c.log.DebugContext(ctx, "spent proofs and ended orders swept", "count", n)
	}
}

// publish makes a list if one is due, or wanted now, and says when to look again.
func (c *CA) publish(ctx context.Context, now bool) time.Duration {
	state := c.state.Load()
	if state.CRL == nil {
		return time.Hour
	}
	wait, err := c.publishDue(ctx, state, now)
	if err != nil {
		if ctx.Err() == nil {
			c.log.ErrorContext(ctx, "revocation list not published", "err", err)
		}
		return crlRetry
	}
	return wait
}

// publishDue makes a list if the last one has served its period, or lacks a revocation that
// had to follow at once.
func (c *CA) publishDue(ctx context.Context, state *State, now bool) (wait time.Duration, err error) {
	last, err := c.storedCRL(ctx, state)
	if err != nil {
		return 0, err
	}
	if last != nil && !now {
		behind, err := c.crlBehind(ctx, state)
		if err != nil {
			return 0, err
		}
		if left := state.CRL.Period - time.Since(last.ThisUpdate); left > 0 && !(behind && state.CRL.OnRevoke) {
			return left, nil
		}
	}
	ran, err := c.store.RunJob(ctx, crlJob, c.PublishCRL)
	if err == nil && !ran {
		return crlBusy, nil
	}
	return state.CRL.Period, err
}

// followRevocations publishes for a server that revoked and could not: it was killed in
// between, or it was a command on the CA's machine.
func (c *CA) followRevocations(ctx context.Context) {
	c.store.Watch(ctx, revocationsTopic, func(int64) {
		state := c.state.Load()
		if state.CRL == nil || !state.CRL.OnRevoke {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(crlPatience):
		}
		behind, err := c.crlBehind(ctx, state)
		if err == nil && behind {
			_, err = c.store.RunJob(ctx, crlJob, c.PublishCRL)
		}
		if err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "revocation list not published", "err", err)
			c.kickCRL()
		}
	})
}

// crlBehind reports whether a revocation is not on the list that wants to be.
func (c *CA) crlBehind(ctx context.Context, state *State) (behind bool, err error) {
	issuer, err := keys.PublicKeyID(state.Issuer.Issuer().PublicKey)
	if err != nil {
		return false, err
	}
	err = c.store.View(ctx, func(tx *store.Tx) error {
		covered, err := tx.Revision(coveredTopic(issuer))
		now, also := tx.Revision(revocationsTopic)
		behind = covered < now
		return errors.Join(err, also)
	})
	return behind, err
}

// coveredTopic counts up to which revision of the revocations an issuer's list goes.
func coveredTopic(issuer string) string { return "crl " + issuer }
