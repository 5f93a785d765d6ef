package acme

import (
	"net/http"
	"strings"
	"sync"

	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/store"
)

// lookingAtOnce is how many names of one order are asked about at the same time.
const lookingAtOnce = 8

// checkCAA heeds the CAA records of all names of an order (RFC 8659), when it comes to its
// certificate: each name once, whichever of them refuses.
func (q *request) checkCAA(s *orderState) error {
	if !q.kind.CAACheck {
		return nil
	}
	v, err := q.validator(q.p, q.kind)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, lookingAtOnce)
	faults := make([]*subproblem, len(s.Identifiers))
	var all sync.WaitGroup
	for i, id := range s.Identifiers {
		if id.Type != "dns" {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			faults[i] = q.refusedByCAA(v, id, methodOf(s.authzs[i]))
		})
	}
	all.Wait()
	var found []subproblem
	for _, f := range faults {
		if f != nil {
			found = append(found, *f)
		}
	}
	if len(found) == 0 {
		return nil
	}
	p := compound(found)
	p.Status = http.StatusForbidden
	return p
}

// methodOf is the challenge type by which a name was proven.
func methodOf(a *store.ACMEAuthz) string {
	for _, c := range a.Challenges {
		if c.Status == "valid" {
			return c.Type
		}
	}
	return ""
}

func (q *request) refusedByCAA(v *challenge.Validator, id store.ACMEIdentifier, method string) *subproblem {
	name, wildcard := strings.CutPrefix(id.Value, "*.")
	err := v.CAA(q.ctx, &challenge.Attempt{Type: method, Identifier: challenge.Identifier{Type: id.Type, Value: name}, Wildcard: wildcard, AccountURL: q.account.URL})
	if err == nil {
		return nil
	}
	s := &subproblem{Type: urn + "serverInternal", Detail: "the CAA records of " + name + " could not be looked at", Identifier: &store.ACMEIdentifier{Type: id.Type, Value: id.Value}}
	if p, ok := err.(*challenge.Problem); ok {
		s.Type, s.Detail = urn+p.Type, p.Detail
	}
	return s
}
