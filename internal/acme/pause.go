package acme

import (
	"context"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// An account whose validations of a name failed too often within an hour has to wait with
// that name. Failures are counted by each server; the pause is written down, so that it holds
// on all of them and over a restart, and so that an operator can lift it.
const (
	pauseTime = time.Hour
	pauseLook = 5 * time.Second // how old the list may be
	pauseMost = 10000           // pauses that a server knows; are there more, it asks for each name
)

type pauseKey struct{ account, name string }

// pausedNames are those of the store, as a server last saw them. Most of the time there are none,
// and nobody asks the store for each order.
type pausedNames struct {
	mu     sync.Mutex
	until  map[pauseKey]time.Time
	more   bool // not all of them are known
	looked time.Time
}

// check refuses a name that is paused for an account.
func (p *pausedNames) check(ctx context.Context, s *store.Store, accountID, name string, now time.Time) error {
	p.mu.Lock()
	old := now.Sub(p.looked) > pauseLook
	if old {
		p.looked = now // one asks, the others go on with what there is
	}
	p.mu.Unlock()
	if old {
		if err := p.read(ctx, s, now); err != nil {
			p.forget()
			return err
		}
	}
	until, err := p.of(ctx, s, accountID, name)
	if err != nil {
		return err
	}
	if !until.After(now) {
		return nil
	}
	return limited(until.Sub(now), "failedValidationsPerHour", "validations of "+clip(name)+" failed too often for this account and are paused until "+until.UTC().Format(time.RFC3339)+
		"; find out why they fail; the operator of this CA can lift the pause earlier")
}

// of is when the pause of a name ends; the zero time if there is none.
func (p *pausedNames) of(ctx context.Context, s *store.Store, accountID, name string) (time.Time, error) {
	p.mu.Lock()
	until, known := p.until[pauseKey{accountID, name}]
	ask := p.more && !known
	p.mu.Unlock()
	if !ask {
		return until, nil
	}
	var one store.ACMEPause
	err := s.View(ctx, func(tx *store.Tx) (err error) {
		one, err = tx.ACMEPauseOf(accountID, name)
		return err
	})
	return one.ExpiresAt, err
}

func (p *pausedNames) read(ctx context.Context, s *store.Store, now time.Time) error {
	var all []store.ACMEPause
	err := s.View(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.ACMEPauses("", now, pauseMost)
		return err
	})
	if err != nil {
		return err
	}
	until := make(map[pauseKey]time.Time, len(all))
	for _, one := range all {
		until[pauseKey{one.AccountID, one.Value}] = one.ExpiresAt
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.more = until, len(all) == pauseMost
	return nil
}

// forget has the list read again at the next look.
func (p *pausedNames) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = time.Time{}
}

// pauseAfter is the pause that one more failure brings; nil: not yet.
func (e *engine) pauseAfter(r *run, a *store.ACMEAuthz, now time.Time) *store.ACMEPause {
	if !e.door.limits.failed(a.AccountID, a.Value, r.kind.Bounds().FailedValidations, now) {
		return nil
	}
	e.door.log.Warn("validations paused", "act", "acme.challenge", "subject", a.AccountID, "name", a.Value, "provisioner", r.provisioner.Name)
	return &store.ACMEPause{AccountID: a.AccountID, Value: a.Value, ProvisionerID: a.ProvisionerID, CreatedAt: now, ExpiresAt: now.Add(pauseTime)}
}
