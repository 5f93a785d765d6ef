package ca

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	sweepEvery = 10 * time.Minute
	crlRetry   = time.Minute
)

// Maintain sweeps what has run out and publishes revocation lists until the context ends.
func (c *CA) Maintain(ctx context.Context) {
	sweep := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery/2)) // servers that start together sweep apart
	publish := time.NewTimer(0)
	defer sweep.Stop()
	defer publish.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			c.sweep(ctx)
			sweep.Reset(sweepEvery)
		case <-c.crlKick:
			publish.Reset(c.publish(ctx))
		case <-publish.C:
			publish.Reset(c.publish(ctx))
		}
	}
}

func (c *CA) sweep(ctx context.Context) {
	n, err := c.store.Sweep(ctx, time.Now())
	switch {
	case err != nil && ctx.Err() == nil:
		c.log.ErrorContext(ctx, "sweep of spent proofs", "err", err)
	case n > 0:
		c.log.DebugContext(ctx, "spent proofs swept", "count", n)
	}
}

// publish makes a list if one is due and says when to look again.
func (c *CA) publish(ctx context.Context) time.Duration {
	settings := c.state.Load().CRL
	if settings == nil {
		return time.Hour
	}
	if err := c.PublishCRL(ctx); err != nil {
		if ctx.Err() == nil {
			c.log.ErrorContext(ctx, "revocation list not published", "err", err)
		}
		return crlRetry
	}
	return settings.Period
}
