package acme

import (
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// sameLook is how many waiting orders of an account are looked at for one like another.
const sameLook = 50

// sameOrder finds an order of the account that waits for the same wish, so that a client in a
// loop does not make one after the other; nil: there is none, or that is not wanted. Clients
// that share an account would get each other's orders, so it is an option.
func (q *request) sameOrder(ask *orderAsk, ids []store.ACMEIdentifier) (same *orderState, err error) {
	if !q.kind.OrderReuse {
		return nil, nil
	}
	err = q.store.View(q.ctx, func(tx *store.Tx) error {
		all, err := tx.WaitingACMEOrders(q.account.ID, q.now, sameLook)
		if err != nil {
			return err
		}
		for _, o := range all {
			if o.ProvisionerID != q.p.ID || !sameNames(o.Identifiers, ids) || !o.NotBefore.Equal(ask.NotBefore) || !o.NotAfter.Equal(ask.NotAfter) ||
				o.Profile != ask.Profile || o.Replaces != ask.Replaces || !q.lasts(o.ExpiresAt) || q.finalizing.under(o.ID) {
				continue
			}
			s, err := readState(tx, o, q.now)
			if err != nil {
				return err
			}
			if s.status == store.ACMEPending || s.status == "ready" {
				same = s
				return nil
			}
		}
		return nil
	})
	return same, err
}

func sameNames(a, b []store.ACMEIdentifier) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(id store.ACMEIdentifier) bool { return !slices.Contains(b, id) })
}

// lasts reports whether something that waits leaves its client time enough: half of what a
// new one would.
func (q *request) lasts(end time.Time) bool { return end.Sub(q.now) >= q.kind.Lifetime()/2 }

// awaited reports whether an authorization that is not proven yet can serve one more order:
// it waits for the same name, by challenge types that are all on still.
func (q *request) awaited(a *store.ACMEAuthz, id store.ACMEIdentifier) bool {
	value, wildcard := proven(id)
	if !q.kind.OrderReuse || a.Status != "pending" || a.Value != value || a.Wildcard != wildcard || a.Subdomains || id.Ancestor != "" || !q.lasts(a.ExpiresAt) {
		return false
	}
	for _, c := range a.Challenges {
		if !q.kind.Offers(c.Type) || c.Status == "invalid" {
			return false
		}
	}
	return true
}
