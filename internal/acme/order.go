package acme

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/store"
)

func itoa(n int) string { return strconv.Itoa(n) }

const (
	orderGrace   = time.Hour           // an order is kept so long after it ran out
	recordGrace  = 24 * time.Hour      // an order with a certificate, after that ended
	maxBeginning = 30 * 24 * time.Hour // how far ahead a certificate may begin
)

// orderJSON is an order on the wire (RFC 8555, Section 7.1.3). Clients of old read the id.
type orderJSON struct {
	ID             string                 `json:"id"`
	Status         string                 `json:"status"`
	Expires        time.Time              `json:"expires"`
	Identifiers    []store.ACMEIdentifier `json:"identifiers"`
	NotBefore      time.Time              `json:"notBefore"`
	NotAfter       time.Time              `json:"notAfter"`
	Profile        string                 `json:"profile,omitempty"`
	Replaces       string                 `json:"replaces,omitempty"`
	Error          any                    `json:"error,omitempty"`
	Authorizations []string               `json:"authorizations"`
	Finalize       string                 `json:"finalize"`
	Certificate    string                 `json:"certificate,omitempty"`
}

// orderState is an order with what follows from its authorizations.
type orderState struct {
	*store.ACMEOrder
	status  string // pending, ready, processing, valid or invalid
	problem any    // why it is invalid; nil: it is not, or nobody said
	authzs  []*store.ACMEAuthz
}

// stateOf says where an order is. What is kept of it is pending until it has a certificate
// or has failed; whether it is ready follows from its authorizations, and that it can't
// become so any more from them and the time.
func stateOf(o *store.ACMEOrder, authzs []*store.ACMEAuthz, now time.Time) *orderState {
	s := &orderState{ACMEOrder: o, status: o.Status, authzs: authzs}
	if len(o.Problem) > 0 {
		s.problem = json.RawMessage(o.Problem)
	}
	if o.Status != store.ACMEPending {
		return s
	}
	if !o.ExpiresAt.After(now) {
		s.status, s.problem = store.ACMEInvalid, malformed("the order has expired")
		return s
	}
	var faults []subproblem
	ready := true
	for i, a := range authzs {
		if a == nil || a.Status == "invalid" || a.Status == "deactivated" || !a.ExpiresAt.After(now) {
			faults = append(faults, lostAuthz(o.Identifiers[i], a))
			continue
		}
		ready = ready && a.Status == "valid"
	}
	switch {
	case len(faults) > 0:
		s.status, s.problem = store.ACMEInvalid, compound(faults)
	case ready:
		s.status = "ready"
	}
	return s
}

// lostAuthz says why a name can't be proven any more.
func lostAuthz(id store.ACMEIdentifier, a *store.ACMEAuthz) subproblem {
	id.Ancestor = ""
	s := subproblem{Type: urn + "unauthorized", Detail: "the authorization has expired", Identifier: &id}
	if a == nil || a.Status == "valid" || a.Status == "pending" {
		return s
	}
	s.Detail = "the authorization is " + a.Status
	for _, c := range a.Challenges {
		var p subproblem
		if c.Status == "invalid" && json.Unmarshal(c.Problem, &p) == nil {
			s.Type, s.Detail = p.Type, p.Detail
		}
	}
	return s
}

// loadOrder reads an order of the account with its authorizations.
func (q *request) loadOrder(id string) (*orderState, error) {
	if !isID(id) {
		return nil, missing("order")
	}
	var s *orderState
	err := q.store.View(q.ctx, func(tx *store.Tx) error {
		o, err := tx.ACMEOrder(id)
		if err != nil {
			return err
		}
		s, err = readState(tx, o, q.now)
		return err
	})
	if err != nil {
		return nil, found("order", err)
	}
	if s.AccountID != q.account.ID || s.ProvisionerID != q.p.ID {
		return nil, unauthorized("the order belongs to another account")
	}
	if s.status == "ready" && q.finalizing.under(s.ID) {
		s.status = "processing"
	}
	return s, nil
}

// readState reads the authorizations of an order, as far as they still matter.
func readState(tx *store.Tx, o *store.ACMEOrder, now time.Time) (*orderState, error) {
	if o.Status != store.ACMEPending {
		return stateOf(o, nil, now), nil
	}
	authzs := make([]*store.ACMEAuthz, len(o.Authorizations))
	for i, id := range o.Authorizations {
		a, err := tx.ACMEAuthz(id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		authzs[i] = a
	}
	return stateOf(o, authzs, now), nil
}

func (q *request) order() error {
	s, err := q.loadOrder(q.r.PathValue("id"))
	if err != nil {
		return err
	}
	q.resume(s.authzs)
	return q.answerOrder(http.StatusOK, s)
}

// pollAgain is when a client should look again at something that goes on by itself.
const pollAgain = "2"

func (q *request) answerOrder(status int, s *orderState) error {
	out := orderJSON{ID: s.ID, Status: s.status, Expires: s.ExpiresAt, NotBefore: s.NotBefore, NotAfter: s.NotAfter,
		Profile: s.Profile, Replaces: s.Replaces, Finalize: q.orderURL(s.ID) + "/finalize", Error: s.problem}
	for _, id := range s.Identifiers {
		id.Ancestor = ""
		out.Identifiers = append(out.Identifiers, id)
	}
	for _, id := range s.Authorizations {
		out.Authorizations = append(out.Authorizations, q.authzURL(id))
	}
	profile := q.kind.Profile(s.Profile)
	if out.NotBefore.IsZero() {
		out.NotBefore = s.CreatedAt.Add(-q.state.Authority.Backdate)
	}
	if out.NotAfter.IsZero() {
		begin := s.NotBefore
		if begin.IsZero() {
			begin = s.CreatedAt
		}
		out.NotAfter = begin
		if profile != nil {
			out.NotAfter = begin.Add(profile.TLS.Default)
		}
	}
	if s.status == store.ACMEValid {
		out.Certificate = q.certificateURL(s.ACMEOrder)
	}
	if s.status == "processing" {
		q.w.Header().Set("Retry-After", pollAgain)
	}
	q.w.Header().Set("Location", q.orderURL(s.ID))
	return q.answer(status, out)
}

// orderAsk is what a client wants (RFC 8555, Section 7.4; RFC 9773, Section 5).
type orderAsk struct {
	Identifiers []store.ACMEIdentifier `json:"identifiers"`
	NotBefore   time.Time              `json:"notBefore"` // the zero time, which old clients send, is none
	NotAfter    time.Time              `json:"notAfter"`
	Profile     string                 `json:"profile"`
	Replaces    string                 `json:"replaces"`
}

func (q *request) newOrder() error {
	var ask orderAsk
	if err := q.body.read(&ask); err != nil {
		return err
	}
	profile := q.kind.Profile(ask.Profile)
	if profile == nil {
		return &problem{Type: "invalidProfile", Status: http.StatusBadRequest, Detail: "there is no profile " + clip(ask.Profile) + "; the directory lists those that there are"}
	}
	ids, err := q.identifiers(ask.Identifiers, profile)
	if err != nil {
		return err
	}
	if err := q.checkTimes(&ask, profile); err != nil {
		return err
	}
	same, err := q.sameOrder(&ask, ids)
	if err != nil {
		return err
	}
	var replaced *replacement
	if same == nil { // or that one replaces the certificate already
		if replaced, err = q.checkReplaces(ask.Replaces, ids); err != nil {
			return err
		}
	}
	if replaced == nil || !replaced.due { // a renewal in its time is never turned away
		if err := q.limits.newOrder(q); err != nil {
			return err
		}
	}
	if same != nil {
		return q.answerOrder(http.StatusCreated, same)
	}
	if err := q.askOrder(ids); err != nil {
		return err
	}
	s, fresh, err := q.makeOrder(&ask, ids)
	if err != nil {
		return err
	}
	err = q.changing(func(tx *store.Tx) error {
		if replaced != nil {
			if err := replaced.claim(tx, s.ID); err != nil {
				return err
			}
		}
		return tx.AddACMEOrder(s.ACMEOrder, fresh)
	})
	if err != nil {
		return err
	}
	q.recent.made(s.ACMEOrder, fresh)
	q.tell(ca.Event{Act: "acme_order", Type: store.ACMEPending})
	return q.answerOrder(http.StatusCreated, s)
}

// makeOrder puts an order together with the authorizations it needs; fresh are those that
// are new.
func (q *request) makeOrder(ask *orderAsk, ids []store.ACMEIdentifier) (s *orderState, fresh []*store.ACMEAuthz, err error) {
	o := &store.ACMEOrder{ID: newID(q.now), AccountID: q.account.ID, ProvisionerID: q.p.ID, Status: store.ACMEPending, Identifiers: ids,
		NotBefore: ask.NotBefore, NotAfter: ask.NotAfter, Profile: ask.Profile, Replaces: ask.Replaces,
		CreatedAt: q.now.UTC().Truncate(time.Second), ExpiresAt: q.now.Add(q.kind.Lifetime()).UTC().Truncate(time.Second)}
	o.RemoveAt = o.ExpiresAt.Add(orderGrace)
	authzs := make([]*store.ACMEAuthz, len(ids))
	for i, id := range ids {
		if authzs[i], err = q.reusable(id); err != nil {
			return nil, nil, err
		}
		if authzs[i] == nil {
			value, _ := proven(id)
			if err := q.paused.check(q.ctx, q.store, q.account.ID, value, q.now); err != nil {
				return nil, nil, err
			}
			if authzs[i], err = q.makeAuthz(id, o); err != nil {
				return nil, nil, err
			}
			fresh = append(fresh, authzs[i])
		}
		if a := authzs[i]; a.Status == "pending" && a.ExpiresAt.Before(o.ExpiresAt) {
			o.ExpiresAt = a.ExpiresAt // it waits no longer than what it waits for
		}
		o.Authorizations = append(o.Authorizations, authzs[i].ID)
	}
	return stateOf(o, authzs, q.now), fresh, nil
}

// makeAuthz asks for the proof of one name, by every challenge type that is on and fits.
func (q *request) makeAuthz(id store.ACMEIdentifier, o *store.ACMEOrder) (*store.ACMEAuthz, error) {
	value, wildcard := proven(id)
	subdomains := id.Ancestor != "" && id.Ancestor != strings.TrimPrefix(id.Value, "*.")
	a := &store.ACMEAuthz{ID: newID(q.now), AccountID: q.account.ID, ProvisionerID: q.p.ID, Type: id.Type, Value: value,
		Wildcard: wildcard && !subdomains, Subdomains: subdomains, Status: "pending", CreatedAt: q.now}
	a.ExpiresAt = q.now.Add(q.kind.Lifetime()).UTC().Truncate(time.Second)
	if o != nil {
		a.OrderID, a.ExpiresAt = o.ID, o.ExpiresAt
	}
	token := newToken()
	for _, name := range challenge.Offered(challenge.Identifier{Type: id.Type, Value: value}, wildcard || subdomains) {
		if q.kind.Offers(name) {
			a.Challenges = append(a.Challenges, store.ACMEChallenge{ID: newID(q.now), Type: name, Token: token, Status: "pending"})
		}
	}
	if len(a.Challenges) == 0 {
		return nil, compound([]subproblem{{Type: urn + "unsupportedIdentifier", Identifier: &store.ACMEIdentifier{Type: id.Type, Value: id.Value},
			Detail: "none of the challenge types that are on here can prove control of " + clip(id.Value)}})
	}
	return a, nil
}

// checkTimes refuses at once what could not be certified at the end.
func (q *request) checkTimes(ask *orderAsk, profile *issue.Profile) error {
	ask.NotBefore, ask.NotAfter = ask.NotBefore.UTC().Truncate(time.Second), ask.NotAfter.UTC().Truncate(time.Second)
	begin, end := ask.NotBefore, ask.NotAfter
	if begin.IsZero() {
		begin = q.now
	}
	if end.IsZero() {
		end = begin.Add(profile.TLS.Default)
	}
	length := end.Sub(begin)
	switch {
	case !end.After(q.now):
		return malformed("notAfter is past")
	case !end.After(begin):
		return malformed("notAfter is before notBefore")
	case begin.After(q.now.Add(maxBeginning)):
		return malformed("notBefore is more than %d days ahead", maxBeginning/(24*time.Hour))
	case length > profile.TLS.Max+profile.Authority.Backdate:
		return malformed("the certificate would be valid for %s; %s is the most", length.Round(time.Second), profile.TLS.Max)
	case length < profile.TLS.Min-time.Second:
		return malformed("the certificate would be valid for %s; %s is the least", length.Round(time.Second), profile.TLS.Min)
	}
	return nil
}
