package issue

import (
	"crypto/x509"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// validity resolves the wished bounds against the profile and the proof. The request's
// wishes win over the template's.
//
// A wished begin is relative to now; without one, now is taken and the backdate subtracted
// at the very end. A wished end given as a duration counts from the begin before that
// subtraction. An end nobody wished for is cut to the proof's and to the issuer's end; an
// explicit wish beyond either is refused by checkValidity.
func validity(g *Grant, ask *X509Ask, wish span, now time.Time) (notBefore, notAfter time.Time) {
	p := g.Profile
	notBefore = ask.NotBefore.From(now)
	if notBefore.IsZero() {
		notBefore = wish.begin
	}
	backdate := time.Duration(0)
	if notBefore.IsZero() {
		notBefore, backdate = now, p.Authority.Backdate
	}
	notAfter = ask.NotAfter.From(notBefore)
	if notAfter.IsZero() {
		notAfter = wish.end
	}
	if notAfter.IsZero() {
		notAfter = notBefore.Add(p.TLS.Default)
		notAfter = earliest(notAfter, g.NotAfter)
		notAfter = earliest(notAfter, p.Authority.end())
	}
	return notBefore.Add(-backdate).UTC().Truncate(time.Second), notAfter.UTC().Truncate(time.Second)
}

// span is a validity that a template wishes for; a zero bound is left open.
type span struct{ begin, end time.Time }

// earliest is the earlier of two times, where a zero limit bounds nothing.
func earliest(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}

// end is when the first certificate of the issuing chain expires, the root included.
func (a *Authority) end() time.Time {
	var end time.Time
	for _, c := range a.anchored() {
		if end.IsZero() || c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// begin is when the last certificate of the issuing chain becomes valid.
func (a *Authority) begin() time.Time {
	var begin time.Time
	for _, c := range a.anchored() {
		if c.NotBefore.After(begin) {
			begin = c.NotBefore
		}
	}
	return begin
}

func (a *Authority) anchored() []*x509.Certificate {
	if a.Root == nil {
		return a.Chain
	}
	return append(a.Chain[:len(a.Chain):len(a.Chain)], a.Root)
}

// Refusal is one because of something else than names, for doors whose protocol tells these apart.
// The error inside keeps its fault.
type Refusal struct {
	Of  Aspect
	err error
}

// Aspect is what of a certificate is refused.
type Aspect uint8

// The aspects that protocols have words for.
const (
	OfValidity Aspect = iota + 1 // the time for which it would be valid
	OfKey                        // its key
)

func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap gives the refusal itself.
func (r *Refusal) Unwrap() error { return r.err }

// checkValidity applies the profile's limits, the proof's bounds and the issuer's own
// validity, on whole seconds.
func checkValidity(g *Grant, notBefore, notAfter, now time.Time) error {
	switch {
	case notAfter.Before(now.Truncate(time.Second)):
		return fault.New(fault.Invalid, "the certificate would end at %s, which is past", stamp(notAfter))
	case notAfter.Before(notBefore):
		return fault.New(fault.Invalid, "the certificate would end at %s, before it begins at %s", stamp(notAfter), stamp(notBefore))
	}
	p := g.Profile
	switch d := notAfter.Sub(notBefore); {
	case d < p.TLS.Min:
		return fault.New(fault.Denied, "a validity of %s is below the minimum of %s", d, p.TLS.Min)
	case d > p.TLS.Max+p.Authority.Backdate:
		return fault.New(fault.Denied, "a validity of %s is above the maximum of %s", d, p.TLS.Max)
	}
	if err := checkProofBounds(g, notBefore, notAfter); err != nil {
		return err
	}
	return checkIssuerBounds(p.Authority, notBefore, notAfter)
}

func checkProofBounds(g *Grant, notBefore, notAfter time.Time) error {
	// The backdate would put every certificate before a credential that was just made.
	if !g.NotBefore.IsZero() && notBefore.Add(g.Profile.Authority.Backdate).Before(g.NotBefore) {
		return fault.New(fault.Denied, "the certificate would begin at %s, before the credential behind the proof begins at %s", stamp(notBefore), stamp(g.NotBefore))
	}
	if !g.NotAfter.IsZero() && notAfter.After(g.NotAfter) {
		return fault.New(fault.Denied, "the certificate would end at %s, after the credential behind the proof ends at %s", stamp(notAfter), stamp(g.NotAfter))
	}
	return nil
}

func checkIssuerBounds(a *Authority, notBefore, notAfter time.Time) error {
	if end := a.end(); !end.IsZero() && notAfter.After(end) {
		return fault.New(fault.Denied, "the certificate would end at %s, after its issuer ends at %s", stamp(notAfter), stamp(end))
	}
	// A young issuer is not held against the backdate.
	if begin := a.begin(); notBefore.Add(a.Backdate).Before(begin) {
		return fault.New(fault.Denied, "the certificate would begin at %s, before its issuer begins at %s", stamp(notBefore), stamp(begin))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
