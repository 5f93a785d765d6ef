package acme

import (
	"net/http"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// patience is how long an answer waits for a validation that is under way.
const patience = 3 * time.Second

// challenge has a challenge tried (RFC 8555, Section 7.5.1). The answer waits a moment for
// the outcome; what takes longer goes on by itself. A challenge that is tried already is
// tried once more at once, since the client knows why it asks. To read one that nobody has
// answered yet starts nothing.
func (q *request) challenge() error {
	a, err := q.authzToProve(q.r.PathValue("id"))
	if err != nil {
		return err
	}
	c := findChallenge(a, q.r.PathValue("challenge"))
	if c == nil {
		return missing("challenge in this authorization")
	}
	if len(q.body.payload) > 0 {
		var ignored struct{} // {} it should be; clients of old sent more
		if err := q.body.read(&ignored); err != nil {
			return err
		}
	}
	open := authzStatus(a, q.now) == "pending" && (c.Status == "processing" || c.Status == "pending")
	if open && len(q.body.payload) > 0 && !q.kind.Offers(c.Type) {
		return unauthorized("challenges of type %s are not accepted here any more; answer another one", c.Type)
	}
	if open && (c.Status == "processing" || len(q.body.payload) > 0) {
		if a, err = q.try(a, c); err != nil {
			return err
		}
		c = findChallenge(a, c.ID)
	}
	if c.Status == "processing" {
		q.w.Header().Set("Retry-After", pollAgain)
	}
	q.w.Header().Add("Link", "<"+q.authzURL(a.ID)+`>;rel="up"`)
	q.w.Header().Set("Location", q.challengeURL(a.ID, c.ID))
	return q.answer(http.StatusOK, q.challengeJSON(a, c))
}

// authzToProve is an authorization whose challenge is answered or looked at. An answer may start
// from what is remembered, since the outcome is written down only if that is still so.
func (q *request) authzToProve(id string) (*store.ACMEAuthz, error) {
	if a := q.recentAuthz(id); a != nil && (a.Status != "pending" || len(q.body.payload) > 0) {
		return a, nil
	}
	return q.loadAuthz(id)
}

func findChallenge(a *store.ACMEAuthz, id string) *store.ACMEChallenge {
	for i := range a.Challenges {
		if a.Challenges[i].ID == id {
			return &a.Challenges[i]
		}
	}
	return nil
}

// try has a challenge validated and gives the authorization as it is then. Nothing is
// answered before it is written down: either the outcome, or that it is being tried.
func (q *request) try(a *store.ACMEAuthz, c *store.ACMEChallenge) (*store.ACMEAuthz, error) {
	if c.Status == "pending" {
		if err := q.paused.check(q.ctx, q.store, q.account.ID, a.Value, q.now); err != nil {
			return nil, err
		}
	}
	run := q.engine.begin(task{authzID: a.ID, challengeID: c.ID, authz: a, account: q.account, provisioner: q.p, kind: q.kind}, true)
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case <-run.told: // the first outcome is written down
	case <-wait.C:
		if err := q.engine.announce(q.ctx, run); err != nil {
			return nil, err
		}
	case <-q.ctx.Done():
		return nil, q.ctx.Err()
	}
	if err := run.failure(); err != nil {
		return nil, err
	}
	if written := run.outcome(); written != nil {
		return written, nil
	}
	return q.loadAuthz(a.ID)
}

// resume goes on with challenges that another server was trying and has left alone, as one
// that was killed does. Clients that wait look at their orders and authorizations.
func (q *request) resume(authzs []*store.ACMEAuthz) {
	for _, a := range authzs {
		if a == nil || authzStatus(a, q.now) != "pending" {
			continue
		}
		for i := range a.Challenges {
			if c := &a.Challenges[i]; c.Status == "processing" && c.Lease < q.now.Unix() {
				q.engine.begin(task{authzID: a.ID, challengeID: c.ID, provisioner: q.p, kind: q.kind}, false)
			}
		}
	}
}
