package provisioner

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// identity is who a verified token is of, and what that is good for.
type identity struct {
	issuer, subject string
	email           string // "": none, or none that counts
	workload        bool
	admin, revoker  bool
	claims          map[string]any

	principals []string // that rules name outright
	mapped     []string // principals that rules make of claims
	sans       []string // names that rules give
}

// identify applies the rules of the configuration to a verified token.
func (o *OIDC) identify(t *Token) (*identity, error) {
	who := &identity{issuer: t.Issuer, subject: t.Subject, workload: o.Workload, claims: t.Claims()}
	for name, want := range o.BoundClaims {
		if !want.in(who.claims, name) {
			return nil, fault.New(fault.Unproven, "the claim %s of the token has none of the values that the provisioner %q accepts", name, o.p.Name)
		}
	}
	if !o.Workload {
		if err := o.checkEmail(t, who); err != nil {
			return nil, err
		}
	}
	groups := ClaimValues(textsOf(who.claims, "groups"))
	who.admin = o.isAdmin(who.email, groups)
	for i := range o.Rules {
		o.Rules[i].apply(who)
	}
	if err := o.checkDomain(who); err != nil {
		return nil, err
	}
	if len(o.Groups) > 0 && !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(o.Groups, g) }) {
		return nil, fault.New(fault.Unproven, "the token is of none of the groups that the provisioner %q accepts", o.p.Name)
	}
	return who, nil
}

// checkEmail takes the e-mail address unless the identity provider itself doubts it. Some say
// so in a string.
func (o *OIDC) checkEmail(t *Token, who *identity) error {
	verified := true
	switch v := who.claims["email_verified"].(type) {
	case nil:
	case bool:
		verified = v
	case string:
		switch strings.ToLower(v) {
		case "true":
		case "false":
			verified = false
		default:
			return fault.New(fault.Unproven, "the token says neither true nor false of its e-mail address (email_verified)")
		}
	default:
		return fault.New(fault.Unproven, "the token says neither true nor false of its e-mail address (email_verified)")
	}
	if t.Email != "" && !verified && !o.AllowUnverifiedEmail {
		return fault.New(fault.Unproven, "the identity provider has not verified the e-mail address in the token; have it verified there, or ask the operator to set allowUnverifiedEmail")
	}
	who.email = t.Email
	return nil
}

// checkDomain: with domains, a token needs an address in one of them, or an admin's rights.
func (o *OIDC) checkDomain(who *identity) error {
	if len(o.Domains) == 0 || who.admin {
		return nil
	}
	_, domain := splitEmail(who.email)
	if domain != "" && slices.ContainsFunc(o.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
		return nil
	}
	if who.email == "" {
		return fault.New(fault.Unproven, "the token has no e-mail address, and the provisioner %q accepts only those of certain domains", o.p.Name)
	}
	return fault.New(fault.Unproven, "the provisioner %q does not accept e-mail addresses of the domain %q", o.p.Name, domain)
}

// isAdmin: an entry with an @ is an address, one without is a group, so that nobody becomes
// an admin by founding a group with an admin's address for a name.
func (o *OIDC) isAdmin(email string, groups []string) bool {
	local, domain := splitEmail(email)
	for _, entry := range o.Admins {
		l, d := splitEmail(entry)
		if d != "" && l == local && strings.EqualFold(d, domain) || !strings.Contains(entry, "@") && slices.Contains(groups, entry) {
			return true
		}
	}
	return slices.ContainsFunc(o.GroupAdmins, func(g string) bool { return slices.Contains(groups, g) })
}

// splitEmail cuts at the last @; a name may contain others in quotes.
func splitEmail(email string) (local, domain string) {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return email, ""
	}
	return email[:at], email[at+1:]
}

// names are the address and what names the subject for certain, and those that rules give.
func (w *identity) names() issue.Names {
	n := issue.NamesOf(w.sans)
	if w.email != "" {
		n.Emails = append([]string{w.email}, n.Emails...)
	}
	if u, err := url.Parse(w.issuer); err == nil && u.Scheme != "" {
		u.Fragment = w.subject
		n.URIs = append([]*url.URL{u}, n.URIs...)
	}
	return n
}

// derivedPrincipals are the account names that the token stands for: that of a person in the
// form of accounts, the name as it is, all of the address, and what rules make of claims.
// Without an address the subject stands for itself. That of a job is no account.
func (w *identity) derivedPrincipals() []string {
	var all []string
	if !w.workload {
		local, _ := splitEmail(w.email)
		all = []string{accountName(local), local, w.email}
		if w.email == "" {
			all = []string{accountName(w.subject)}
		}
	}
	var some []string
	for _, name := range slices.Concat(all, w.mapped) {
		if name != "" && !slices.Contains(some, name) {
			some = append(some, name)
		}
	}
	return some
}

// accountName makes a name into what accounts are called.
func accountName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '.':
			return -1
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '_'
	}, strings.ToLower(name))
}

// textsOf are the values of a claim as text: of a list its elements. A name with dots may be
// the way into an object, if no claim is called that.
func textsOf(claims map[string]any, name string) []string {
	value, there := claims[name]
	for inner := claims; !there; {
		first, rest, dotted := strings.Cut(name, ".")
		if !dotted {
			return nil
		}
		next, ok := inner[first].(map[string]any)
		if !ok {
			return nil
		}
		inner, name = next, rest
		value, there = inner[name]
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var texts []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case bool, float64:
			text, err := json.Marshal(v)
			if err == nil {
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}
