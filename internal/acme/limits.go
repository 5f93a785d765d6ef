package acme

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// limits bound how often somebody asks, by the generic cell rate algorithm: each key has
// one time, at which it would be back to having asked for nothing. They count in the memory
// of this process; each server of several has its own.
type limits struct {
	mu      sync.Mutex
	at      map[limitKey]time.Time
	pending map[string]*pendingCount
}

// limitKey is what is counted, and for whom.
type limitKey struct{ what, whom string }

const limitMemory = 200000 // keys; those that are back to nothing are forgotten

// pendingCount is how many orders of an account wait, as far as this process knows.
type pendingCount struct {
	n      int
	looked time.Time
}

// pendingLook is how old a count may be. Other servers' orders are not in it until then.
const pendingLook = 5 * time.Second

func newLimits() *limits {
	return &limits{at: map[limitKey]time.Time{}, pending: map[string]*pendingCount{}}
}

// take counts one of at most n in a period. It returns how long to wait, 0 if there is room.
func (l *limits) take(k limitKey, n int, per time.Duration, now time.Time) time.Duration {
	if n < 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	each := per / time.Duration(max(n, 1))
	at := l.at[k]
	if at.Before(now) {
		at = now
	}
	if next := at.Add(each); next.Sub(now) <= per {
		if len(l.at) >= limitMemory {
			l.forget(now)
		}
		l.at[k] = next
		return 0
	}
	return at.Add(each).Sub(now.Add(per))
}

// full reports whether a key has used up its number, without counting.
func (l *limits) full(k limitKey, n int, per time.Duration, now time.Time) time.Duration {
	if n < 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.at[k].Add(per/time.Duration(max(n, 1))).Sub(now.Add(per)))
}

// forget makes room: what is back to nothing goes, and if that is not enough, everything.
func (l *limits) forget(now time.Time) {
	for k, at := range l.at {
		if at.Before(now) {
			delete(l.at, k)
		}
	}
	if len(l.at) >= limitMemory {
		clear(l.at)
	}
}

// limited refuses for a time; limit is the member of the configuration that says so.
func limited(wait time.Duration, limit, detail string) error {
	if wait <= 0 {
		return nil
	}
	return &problem{Type: "rateLimited", Status: http.StatusTooManyRequests, Detail: detail + " (" + limit + ")", RetryAfter: wait, limit: limit}
}

// clientNetwork is the address of a client, or its /48 where one customer has as many.
func (q *request) clientNetwork() string {
	host, _, err := net.SplitHostPort(q.r.RemoteAddr)
	if err != nil {
		return ""
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(48); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// requests bounds what needs no signature.
func (l *limits) requests(q *request) error {
	n := q.kind.Bounds().Requests
	wait := l.take(limitKey{"requests " + q.p.ID, q.clientNetwork()}, n*10, 10*time.Second, q.now)
	return limited(wait, "requestsPerSecond", "too many requests for nonces or renewal information from this address")
}

func (l *limits) newAccount(q *request) error {
	wait := l.take(limitKey{"accounts " + q.p.ID, q.clientNetwork()}, q.kind.Bounds().NewAccounts, time.Hour, q.now)
	return limited(wait, "newAccountsPerHour", "too many new accounts from this address")
}

// newOrder bounds how many orders an account makes, and how many it leaves waiting.
func (l *limits) newOrder(q *request) error {
	b := q.kind.Bounds()
	if err := limited(l.take(limitKey{"orders", q.account.ID}, b.NewOrders, time.Hour, q.now), "newOrdersPerHour", "too many new orders of this account"); err != nil {
		return err
	}
	if b.PendingOrders < 0 {
		return nil
	}
	n, err := l.waiting(q, b.PendingOrders)
	if err != nil {
		return err
	}
	if n > b.PendingOrders {
		return limited(time.Minute, "pendingOrders", "too many orders of this account wait to be finished; finish them, or let them expire")
	}
	return nil
}

// newAuthz bounds how many authorizations an account asks for before it has orders, and how many it
// leaves waiting, as if they were orders.
func (l *limits) newAuthz(q *request) error {
	if err := l.newOrder(q); err != nil {
		return err
	}
	most := q.kind.Bounds().PendingOrders
	if most < 0 {
		return nil
	}
	var n int
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		n, err = tx.PendingACMEPreauthzs(q.account.ID, q.now, most)
		return err
	})
	if err == nil && n >= most {
		err = limited(time.Minute, "pendingOrders", "too many authorizations of this account wait to be proven; prove them, or let them expire")
	}
	return err
}

// waiting counts one more order of an account. The store is asked only when the limit may
// have been reached, or the last answer is old.
func (l *limits) waiting(q *request, most int) (int, error) {
	l.mu.Lock()
	c := l.pending[q.account.ID]
	if c != nil && c.n < most && q.now.Sub(c.looked) < pendingLook {
		c.n++
		n := c.n
		l.mu.Unlock()
		return n, nil
	}
	l.mu.Unlock()
	var n int
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		n, err = tx.PendingACMEOrders(q.account.ID, q.now, most)
		return err
	})
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 10000 {
		clear(l.pending)
	}
	l.pending[q.account.ID] = &pendingCount{n + 1, q.now}
	return n + 1, nil
}

// finished counts an order less.
func (l *limits) finished(accountID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.pending[accountID]; c != nil && c.n > 0 {
		c.n--
	}
}

// failed counts a failed validation, and reports whether that was the last one of an hour.
// The count then begins anew.
func (l *limits) failed(accountID, name string, n int, now time.Time) bool {
	k := limitKey{"failed " + accountID, name}
	if n < 0 || l.take(k, n, time.Hour, now) == 0 && l.full(k, n, time.Hour, now) == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, k)
	return true
}
