package acme

import (
	"net/http"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/store"
)

// Webhooks of kind ACME are asked before an account or an order is made, and after a name
// was proven. What they refuse is refused with the words they have for the client.

// askAccount asks about an account that is to be made.
func (q *request) askAccount(a *store.ACMEAccount) error {
	err := q.ca.AskACME(q.ctx, q.p, &ca.ACMEEvent{Event: "new-account", Account: a.ID, Contacts: a.Contacts, EAB: a.EAB, ClientIP: q.clientIP()})
	return deniedByHook(err, "unauthorized")
}

// askOrder asks about an order that is to be made.
func (q *request) askOrder(ids []store.ACMEIdentifier) error {
	a := q.account
	err := q.ca.AskACME(q.ctx, q.p, &ca.ACMEEvent{Event: "new-order", Account: a.ID, Contacts: a.Contacts, EAB: a.EAB, Identifiers: ids, ClientIP: q.clientIP()})
	return deniedByHook(err, "rejectedIdentifier")
}

func deniedByHook(err error, kind string) error {
	if err == nil {
		return nil
	}
	words := faultText(err)
	return &problem{Type: kind, Status: http.StatusForbidden, Detail: words, Subproblems: hookSubproblems(err, words)}
}

// hookSubproblems say by which code a webhook refused.
func hookSubproblems(err error, words string) []subproblem {
	code := ca.HookCode(err)
	if code == "" {
		code = "denied"
	}
	return []subproblem{{Type: "urn:smallstep:acme:error:" + code, Detail: words}}
}

// askValidated asks about a name that was proven; nil if nobody minds.
func (e *engine) askValidated(r *run, a *store.ACMEAuthz, by string) *challenge.Problem {
	err := e.door.ca.AskACME(e.ctx, r.provisioner, &ca.ACMEEvent{Event: "validated", Account: a.AccountID,
		Identifiers: []store.ACMEIdentifier{{Type: a.Type, Value: a.Value}}, Challenge: by})
	if err == nil {
		return nil
	}
	return &challenge.Problem{Type: "unauthorized", Detail: faultText(err)}
}
