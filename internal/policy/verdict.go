package policy

import (
	"iter"
	"unicode/utf8"

	"github.com/signet-ca/signet/internal/fault"
)

// Verdict is what a policy says about one name.
type Verdict struct {
	Kind    string `json:"kind" help:"as which kind the name was judged"`
	Name    string `json:"name" help:"the name"`
	Allowed bool   `json:"allowed" help:"it may be certified"`
	Rule    string `json:"rule,omitempty" help:"the rule that decided, as written; absent if none matched"`
	Reason  string `json:"reason" help:"why"`
}

// err turns a refusal into words for the caller. They name kind and name and say why; the
// text of a rule stays with the operator.
func (v Verdict) err() error {
	if v.Allowed {
		return nil
	}
	if v.Name == "" && v.Kind == KindOther {
		return fault.New(fault.Denied, "the policy refuses this certificate: %s", v.Reason)
	}
	return fault.New(fault.Denied, "the policy refuses the %s name %q: %s", v.Kind, clip(v.Name), v.Reason)
}

// firstRefusal is the error of the first name that is not allowed.
func firstRefusal(verdicts iter.Seq[Verdict]) error {
	for v := range verdicts {
		if !v.Allowed {
			return v.err()
		}
	}
	return nil
}

// clip bounds a text that goes into a message.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// noNames is the verdict about a certificate without names under allow rules.
func noNames() Verdict {
	return Verdict{Kind: KindOther, Reason: "it has no name that an allow rule could match"}
}

// unruled turns verdicts into those of no policy, which knows kinds and allows everything.
func unruled(verdicts iter.Seq[Verdict]) []Verdict {
	var all []Verdict
	for v := range verdicts {
		all = append(all, Verdict{Kind: v.Kind, Name: v.Name, Allowed: true, Reason: "there is no policy"})
	}
	return all
}

// Bounds reports whether there are allow rules, so that names outside them are refused.
func (p *X509) Bounds() bool { return p != nil && p.rules.closed }

// Bounds reports whether principals of a type, user or host, are bound by allow rules, or the
// type is refused altogether.
func (p *SSH) Bounds(kind string) bool {
	if p == nil {
		return false
	}
	side := p.user
	if kind == "host" {
		side = p.host
	}
	return side == nil || side.closed
}
