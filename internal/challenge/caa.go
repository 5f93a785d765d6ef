package challenge

import (
	"context"
	"slices"
	"strings"
)

// CAA asks whether the domain lets this CA issue for the identifier by a.Type and for
// a.AccountURL (RFC 8659, RFC 8657). Addresses have no such records. Every error is a
// *Problem.
func (v *Validator) CAA(ctx context.Context, a *Attempt) error {
	if a.Identifier.Type != "dns" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	for at := a.Identifier.Value; at != ""; _, at, _ = strings.Cut(at, ".") {
		set, err := v.dns.properties(ctx, a, at)
		if err != nil {
			return err // no answer is no permission
		}
		if len(set) > 0 {
			return v.judgeProperties(set, a, at)
		}
	}
	return nil
}

// property is one CAA record.
type property struct {
	flags      uint8
	tag, value string // the tag in lower case
}

// critical reports that a CA which does not know the tag may not issue. Some write 1 where
// they mean the bit 128.
func (p *property) critical() bool { return p.flags&128 != 0 || p.flags == 1 }

// ignored are tags that say nothing about certificates for servers.
var ignored = []string{"iodef", "issuemail", "issuevmc", "contactemail", "contactphone"}

func (v *Validator) judgeProperties(set []property, a *Attempt, at string) error {
	byTag := map[string][]property{}
	for _, p := range set {
		if p.tag != "issue" && p.tag != "issuewild" && !slices.Contains(ignored, p.tag) && p.critical() {
			return final(caa, "the CAA records of %s have a critical property that this CA does not know", at)
		}
		byTag[p.tag] = append(byTag[p.tag], p)
	}
	relevant := byTag["issue"]
	if a.Wildcard && len(byTag["issuewild"]) > 0 {
		relevant = byTag["issuewild"]
	}
	if len(relevant) == 0 {
		return nil
	}
	for _, p := range relevant {
		if v.permits(p.value, a) {
			return nil
		}
	}
	return final(caa, "the CAA records of %s do not let this CA issue for this account by %s", at, a.Type)
}

// permits reports whether one property names us, the account and the challenge type.
func (v *Validator) permits(value string, a *Attempt) bool {
	say, err := parseIssueValue(value)
	if err != nil || !v.isUs(say.issuer) {
		return false
	}
	if uri, ok := say.get("accounturi"); ok && uri != a.AccountURL {
		return false
	}
	methods, ok := say.get("validationmethods")
	if !ok {
		return true
	}
	list := strings.Split(methods, ",")
	return !slices.ContainsFunc(list, func(m string) bool { return !isLabel(m) }) && slices.Contains(list, a.Type)
}
