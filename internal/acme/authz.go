package acme

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// authzJSON is an authorization on the wire (RFC 8555, Section 7.1.4).
type authzJSON struct {
	Identifier store.ACMEIdentifier `json:"identifier"`
	Status     string               `json:"status"`
	Challenges []challengeJSON      `json:"challenges"`
	Wildcard   bool                 `json:"wildcard"`
	Subdomains bool                 `json:"subdomainAuthAllowed,omitempty"`
	Expires    time.Time            `json:"expires"`
}

// challengeJSON is a challenge on the wire (RFC 8555, Section 8).
type challengeJSON struct {
	Type       string          `json:"type"`
	Status     string          `json:"status"`
	Token      string          `json:"token,omitempty"`
	Validated  *time.Time      `json:"validated,omitempty"`
	URL        string          `json:"url"`
	AccountURI string          `json:"accounturi,omitempty"`          // of dns-persist-01
	Issuers    []string        `json:"issuer-domain-names,omitempty"` // of dns-persist-01
	Error      json.RawMessage `json:"error,omitempty"`
}

func (q *request) challengeJSON(a *store.ACMEAuthz, c *store.ACMEChallenge) challengeJSON {
	out := challengeJSON{Type: c.Type, Status: c.Status, Token: c.Token, URL: q.challengeURL(a.ID, c.ID), Error: c.Problem}
	if c.Validated != 0 {
		at := time.Unix(c.Validated, 0).UTC()
		out.Validated = &at
	}
	if c.Type == "dns-persist-01" {
		out.Token, out.AccountURI = "", q.account.URL
		for _, name := range q.kind.CAAIdentities {
			out.Issuers = append(out.Issuers, strings.TrimSuffix(strings.ToLower(name), "."))
		}
	}
	return out
}

// authzStatus is the status that clients see: what ran out is expired, or, if it could not
// be proven in time, invalid.
func authzStatus(a *store.ACMEAuthz, now time.Time) string {
	if a.ExpiresAt.After(now) {
		return a.Status
	}
	switch a.Status {
	case "valid":
		return "expired"
	case "pending":
		return "invalid"
	}
	return a.Status
}

func (q *request) answerAuthz(status int, a *store.ACMEAuthz) error {
	out := authzJSON{Identifier: store.ACMEIdentifier{Type: a.Type, Value: a.Value}, Status: authzStatus(a, q.now), Wildcard: a.Wildcard,
		Subdomains: a.Subdomains, Expires: a.ExpiresAt}
	for i := range a.Challenges {
		out.Challenges = append(out.Challenges, q.challengeJSON(a, &a.Challenges[i]))
		if a.Challenges[i].Status == "processing" {
			q.w.Header().Set("Retry-After", pollAgain)
		}
	}
	q.w.Header().Set("Location", q.authzURL(a.ID))
	return q.answer(status, out)
}

// loadAuthz reads an authorization of the account.
func (q *request) loadAuthz(id string) (*store.ACMEAuthz, error) {
	if !isID(id) {
		return nil, missing("authorization")
	}
	var a *store.ACMEAuthz
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		a, err = tx.ACMEAuthz(id)
		return err
	})
	if err != nil {
		return nil, found("authorization", err)
	}
	if a.AccountID != q.account.ID || a.ProvisionerID != q.p.ID {
		return nil, unauthorized("the authorization belongs to another account")
	}
	return a, nil
}

// authz shows an authorization, or gives it up (RFC 8555, Sections 7.5 and 7.5.2).
func (q *request) authz() error {
	id := q.r.PathValue("id")
	if a := q.recentAuthz(id); a != nil && a.Status != "pending" && len(q.body.payload) == 0 {
		return q.answerAuthz(http.StatusOK, a)
	}
	a, err := q.loadAuthz(id)
	if err != nil {
		return err
	}
	if len(q.body.payload) > 0 {
		var ask struct {
			Status string `json:"status"`
		}
		if err := q.body.read(&ask); err != nil {
			return err
		}
		if ask.Status != "deactivated" {
			return malformed("an authorization can only be changed by setting its status to deactivated; to look at it, leave the payload empty")
		}
		if err := q.deactivate(a); err != nil {
			return err
		}
	}
	q.resume([]*store.ACMEAuthz{a})
	return q.answerAuthz(http.StatusOK, a)
}

// deactivate gives an authorization up. The order it was made for can't be finished; of
// others that use it the same is found when they are looked at.
func (q *request) deactivate(a *store.ACMEAuthz) error {
	if a.Status == "deactivated" {
		return nil
	}
	if a.Status != "valid" && a.Status != "pending" {
		return malformed("the authorization is %s and cannot be deactivated", a.Status)
	}
	changed := *a
	changed.Status = "deactivated"
	why, err := json.Marshal(unauthorized("an authorization of this order was deactivated"))
	if err != nil {
		return err
	}
	err = q.changing(func(tx *store.Tx) error {
		if err := tx.SetACMEAuthz(&changed); err != nil {
			return stale(err)
		}
		_, err := failOrder(tx, a.OrderID, why)
		return err
	})
	q.recent.forget(a.ID, a.OrderID)
	if err == nil {
		*a = changed
	}
	return err
}

// newAuthz asks for the proof of a name before there is an order (RFC 8555, Section 7.4.1).
func (q *request) newAuthz() error {
	var ask struct {
		Identifier struct {
			store.ACMEIdentifier
			Subdomains bool `json:"subdomainAuthAllowed"`
		} `json:"identifier"`
		Subdomains bool `json:"subdomainAuthAllowed"`
	}
	if err := q.body.read(&ask); err != nil {
		return err
	}
	id := store.ACMEIdentifier{Type: ask.Identifier.Type, Value: ask.Identifier.Value}
	if strings.HasPrefix(id.Value, "*") {
		return malformed("a wildcard name cannot be proven before there is an order for it (RFC 8555, Section 7.4.1)")
	}
	subdomains := ask.Subdomains || ask.Identifier.Subdomains
	if subdomains && (!q.kind.SubdomainAuth || id.Type != "dns") {
		return malformed("this CA does not take one proof for all names below a domain (subdomainAuthAllowed)")
	}
	ids, err := q.identifiers([]store.ACMEIdentifier{id}, q.p.Profile())
	if err != nil {
		return err
	}
	if err := q.limits.newAuthz(q); err != nil {
		return err
	}
	if subdomains {
		ids[0].Ancestor = ids[0].Value
	}
	a, err := q.makeAuthz(ids[0], nil)
	if err != nil {
		return err
	}
	if subdomains {
		a.Subdomains = true
		a.Challenges = wholeDomain(a.Challenges)
		if len(a.Challenges) == 0 {
			return malformed("a proof for all names below a domain needs a challenge type by DNS, and none is on here")
		}
	}
	if err := q.changing(func(tx *store.Tx) error { return tx.AddACMEAuthz(a) }); err != nil {
		return err
	}
	return q.answerAuthz(http.StatusCreated, a)
}

// wholeDomain are the challenges that prove control of all below a domain: those by DNS.
func wholeDomain(all []store.ACMEChallenge) (some []store.ACMEChallenge) {
	for _, c := range all {
		if strings.HasPrefix(c.Type, "dns-") {
			some = append(some, c)
		}
	}
	return some
}

// reusable finds an authorization that covers a name already: one made before any order,
// or, as far as that is wanted, of an earlier order.
func (q *request) reusable(id store.ACMEIdentifier) (*store.ACMEAuthz, error) {
	value, wildcard := proven(id)
	var all []*store.ACMEAuthz
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		if q.kind.Reuse() > 0 || q.kind.OrderReuse {
			all, err = tx.ACMEAuthzsOf(q.account.ID, value)
		} else {
			all, err = tx.ACMEPreauthzsOf(q.account.ID, value)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(id.Value, "*.")
	for _, a := range all {
		switch {
		case a.ProvisionerID == q.p.ID && a.Type == id.Type && q.awaited(a, id):
			return a, nil
		case a.ProvisionerID != q.p.ID || a.Type != id.Type || a.Status != "valid" || !a.ExpiresAt.After(q.now.Add(time.Minute)):
		case (wildcard && !a.Wildcard || name != value) && !a.Subdomains:
		case !wildcard && a.Wildcard: // it was asked for other names
		case !q.stillOffered(a):
		case a.OrderID == "" || provenAt(a).Add(q.kind.Reuse()).After(q.now):
			return a, nil
		}
	}
	return nil, nil
}

// stillOffered reports whether the challenge type of a proof is still good enough. A lasting
// record may be gone by now: it counts as long as resolvers would have kept it.
func (q *request) stillOffered(a *store.ACMEAuthz) bool {
	for _, c := range a.Challenges {
		if c.Status == "valid" {
			return q.kind.Offers(c.Type) && (c.Type != "dns-persist-01" || c.ReuseUntil > q.now.Unix())
		}
	}
	return false
}

func provenAt(a *store.ACMEAuthz) time.Time {
	for _, c := range a.Challenges {
		if c.Status == "valid" {
			return time.Unix(c.Validated, 0)
		}
	}
	return time.Time{}
}
