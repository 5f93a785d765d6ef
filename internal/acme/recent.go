package acme

import (
	"crypto/x509"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/store"
)

// recent remembers for a moment what this process has written down of orders: most clients come
// back for it at once. Another server may have changed it since, so it is only used where that
// does no harm:
//
//   - a challenge is tried of an authorization that was just made, and an order is finalized whose
//     names were just proven: the commit names the state it expects, and if that is not so any
//     more, everything is read again;
//   - an authorization that has come to its end is shown, and a certificate that was just issued.
//     That an authorization was given up on another server is noticed within recentLife.
//
// Whoever waits for something always reads the store.
type recent struct {
	mu      sync.Mutex
	now     map[string]remembered // by ID of the order or authorization
	earlier map[string]remembered // those before that, which are forgotten next
	since   time.Time             // when now began
}

// remembered is an order or an authorization. Nobody must change what it points to.
type remembered struct {
	order *store.ACMEOrder
	leaf  *x509.Certificate // of the order, once it has one
	authz *store.ACMEAuthz
	at    time.Time
}

const (
	recentLife = time.Second
	recentSize = 4096 // in each half of the memory
)

func (m *recent) put(id string, one remembered) {
	one.at = time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil || len(m.now) >= recentSize || one.at.Sub(m.since) > recentLife {
		m.earlier, m.now, m.since = m.now, map[string]remembered{}, one.at
	}
	m.now[id] = one
}

func (m *recent) get(id string) remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.now[id]
	if !ok {
		one = m.earlier[id]
	}
	if time.Since(one.at) > recentLife {
		return remembered{}
	}
	return one
}

// forget is called after a change of whose outcome only the store knows.
func (m *recent) forget(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		delete(m.now, id)
		delete(m.earlier, id)
	}
}

// made remembers a new order with its new authorizations.
func (m *recent) made(o *store.ACMEOrder, fresh []*store.ACMEAuthz) {
	m.put(o.ID, remembered{order: o})
	for _, a := range fresh {
		m.put(a.ID, remembered{authz: a})
	}
}

// settled remembers an authorization that has come to its end; of one that has not, the store
// alone knows.
func (m *recent) settled(a *store.ACMEAuthz) {
	if a.Status == "pending" {
		m.forget(a.ID)
		return
	}
	m.put(a.ID, remembered{authz: a})
}

// fulfilled remembers an order with its certificate.
func (m *recent) fulfilled(o *store.ACMEOrder, leaf *x509.Certificate) {
	done := *o
	done.Status, done.Serial = store.ACMEValid, ca.SerialHex(leaf.SerialNumber)
	m.put(o.ID, remembered{order: &done, leaf: leaf})
}

// recentlyReady is an order of the account whose names were all just proven; nil if the store has to be
// asked.
func (q *request) recentlyReady(id string) *orderState {
	o := q.recent.get(id).order
	if o == nil || o.Status != store.ACMEPending || !q.owns(o.AccountID, o.ProvisionerID) {
		return nil
	}
	authzs := make([]*store.ACMEAuthz, len(o.Authorizations))
	for i, a := range o.Authorizations {
		if authzs[i] = q.recent.get(a).authz; authzs[i] == nil {
			return nil
		}
	}
	if s := stateOf(o, authzs, q.now); s.status == "ready" {
		return s
	}
	return nil
}

// recentlyDone is an order of the account that just got its certificate; nil if the store has to
// be asked.
func (q *request) recentlyDone(id string) (*store.ACMEOrder, *x509.Certificate) {
	one := q.recent.get(id)
	if one.leaf == nil || !q.owns(one.order.AccountID, one.order.ProvisionerID) {
		return nil, nil
	}
	return one.order, one.leaf
}

// recentAuthz is an authorization of the account that was just made or decided; nil if the store
// has to be asked.
func (q *request) recentAuthz(id string) *store.ACMEAuthz {
	a := q.recent.get(id).authz
	if a == nil || !q.owns(a.AccountID, a.ProvisionerID) {
		return nil
	}
	return a
}

// owns reports whether something belongs to the account that asks.
func (q *request) owns(accountID, provisionerID string) bool {
	return q.account != nil && q.account.ID == accountID && q.p.ID == provisionerID
}
