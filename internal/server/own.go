package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/ca"
)

// ownCertificate keeps the CA's server certificate fresh. It lives in memory only.
type ownCertificate struct {
	ca  *ca.CA
	log *slog.Logger

	renewing sync.Mutex // one renewal or change of state at a time

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	renewed chan struct{} // tells the timer that current changed
}

func newOwnCertificate(c *ca.CA, first *tls.Certificate, log *slog.Logger) *ownCertificate {
	return &ownCertificate{ca: c, log: log, current: first, renewed: make(chan struct{}, 1)}
}

// get serves handshakes. A certificate in its last minute, after a long sleep of the machine
// for example, is replaced on the spot, by one of the handshakes that wait.
func (o *ownCertificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.fresh(hello.Context()), nil
}

func (o *ownCertificate) fresh(ctx context.Context) *tls.Certificate {
	cert := o.now()
	if time.Until(cert.Leaf.NotAfter) > time.Minute {
		return cert
	}
	o.renewing.Lock()
	defer o.renewing.Unlock()
	if cert = o.now(); time.Until(cert.Leaf.NotAfter) > time.Minute {
		return cert
	}
	if err := o.renewLocked(ctx); err != nil {
		return cert // an expired certificate tells the client more than no answer
	}
	return o.now()
}

func (o *ownCertificate) now() *tls.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current
}

func (o *ownCertificate) set(cert *tls.Certificate) {
	o.mu.Lock()
	o.current = cert
	o.mu.Unlock()
	select {
	case o.renewed <- struct{}{}:
	default:
	}
}

// swap puts a state and a certificate of it in force; a renewal under way cannot put one of
// the old state over it.
func (o *ownCertificate) swap(state *ca.State, cert *tls.Certificate) {
	o.renewing.Lock()
	defer o.renewing.Unlock()
	o.ca.Swap(state)
	o.set(cert)
}

func (o *ownCertificate) renew(ctx context.Context) error {
	o.renewing.Lock()
	defer o.renewing.Unlock()
	return o.renewLocked(ctx)
}

func (o *ownCertificate) renewLocked(ctx context.Context) error {
	fresh, err := o.ca.OwnCertificate(ctx)
	if err != nil {
		o.log.ErrorContext(ctx, "server certificate not renewed", "err", err)
		return err
	}
	o.set(fresh)
	return nil
}

// keepFresh renews at two thirds of the lifetime, less a random twentieth, until the
// context ends.
func (o *ownCertificate) keepFresh(ctx context.Context) {
	timer := time.NewTimer(o.wait())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.renewed:
			timer.Reset(o.wait())
		case <-timer.C:
			if err := o.renew(ctx); err != nil {
				timer.Reset(time.Minute + rand.N(time.Minute))
			}
		}
	}
}

// shortestWait is the least time between two renewals.
const shortestWait = 10 * time.Second

func (o *ownCertificate) wait() time.Duration {
	leaf := o.now().Leaf
	period := leaf.NotAfter.Sub(leaf.NotBefore)
	// A floor, or the last half minute of the issuer would be spent in renewals.
	return max(shortestWait, time.Until(leaf.NotAfter)-period/3-rand.N(period/20+1))
}
