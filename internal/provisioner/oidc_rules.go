package provisioner

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

// ClaimValues are accepted values of a claim: one, or a list of them. An asterisk stands for
// any characters, or for none.
type ClaimValues []string

// UnmarshalJSON reads a string or a list of strings; a number or a truth value counts as
// what it looks like.
func (c *ClaimValues) UnmarshalJSON(data []byte) error {
	var list []any
	if err := json.Unmarshal(data, &list); err != nil {
		var one any
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		list = []any{one}
	}
	values := textsOf(map[string]any{"": list}, "")
	if len(values) != len(list) || len(list) == 0 {
		return fault.New(fault.Invalid, "the accepted values of a claim are a string or a list of strings")
	}
	*c = values
	return nil
}

// in reports whether a claim has one of the values. A claim that is not there has none.
func (c ClaimValues) in(claims map[string]any, name string) bool {
	return slices.ContainsFunc(textsOf(claims, name), func(text string) bool {
		return slices.ContainsFunc(c, func(pattern string) bool { return like(pattern, text) })
	})
}

// like matches a text against a pattern with asterisks.
func like(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// Roles that rules give.
const (
	roleAdmin  = "admin"
	roleRevoke = "revoke"
)

// placeholder stands for the value of a claim.
var placeholder = strict.Pattern(`\{([^{}]+)\}`)

// check says what is wrong with a rule.
func (r *ClaimRule) check() error {
	for _, role := range r.Roles {
		if role != roleAdmin && role != roleRevoke {
			return fault.New(fault.Invalid, "there is no role %q; roles are %s and %s", role, roleAdmin, roleRevoke)
		}
	}
	for _, pattern := range slices.Concat(r.Principals, r.SANs) {
		if strings.ContainsAny(placeholder().ReplaceAllString(pattern, ""), "{}") || len(placeholder().FindAllString(pattern, 2)) > 1 {
			return fault.New(fault.Invalid, "%q: one claim in braces can stand in a principal or name, such as {preferred_username}", pattern)
		}
		if pattern == "" {
			return fault.New(fault.Invalid, "a principal or name is empty")
		}
	}
	if len(r.Principals)+len(r.SANs)+len(r.Roles) == 0 {
		return fault.New(fault.Invalid, "the rule gives nothing: it has neither principals nor sans nor roles")
	}
	return nil
}

// apply gives what the rule gives, if the token has the claims.
func (r *ClaimRule) apply(who *identity) {
	for name, want := range r.When {
		if !want.in(who.claims, name) {
			return
		}
	}
	for _, pattern := range r.Principals {
		if !placeholder().MatchString(pattern) {
			who.principals = append(who.principals, pattern)
			continue
		}
		who.mapped = append(who.mapped, fill(pattern, who.claims, fitsPrincipal)...)
	}
	for _, pattern := range r.SANs {
		who.sans = append(who.sans, fill(pattern, who.claims, fitsName)...)
	}
	who.admin = who.admin || slices.Contains(r.Roles, roleAdmin)
	who.revoker = who.revoker || slices.Contains(r.Roles, roleRevoke)
}

// mostValues bounds what one claim can turn into.
const mostValues = 100

// fill puts each value of the claim into a pattern. A value that does not fit is left out:
// what comes in a token is data and must not change what kind of name this is, or whose.
func fill(pattern string, claims map[string]any, fits func(before, value, after string) (string, bool)) (filled []string) {
	at := placeholder().FindStringSubmatchIndex(pattern)
	if at == nil {
		return []string{pattern}
	}
	before, name, after := pattern[:at[0]], pattern[at[2]:at[3]], pattern[at[1]:]
	for _, value := range textsOf(claims, name) {
		if text, ok := fits(before, value, after); ok && len(filled) < mostValues {
			filled = append(filled, text)
		}
	}
	return filled
}

var (
	accountWord = strict.Pattern(`^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}$`)
	dnsLabel    = strict.Pattern(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	dnsName     = strict.Pattern(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
	emailWord   = strict.Pattern(`^[A-Za-z0-9_]([A-Za-z0-9._+-]{0,62}[A-Za-z0-9_+-])?$`)
)

func fitsPrincipal(before, value, after string) (string, bool) {
	return before + value + after, accountWord().MatchString(value)
}

// uriHead is a URI up to where its host, if it has one, is settled.
var uriHead = strict.Pattern(`^[A-Za-z][A-Za-z0-9+.-]*:(//[^/?#]+[/?#]|[^/])`)

// fitsName: within a DNS name a value is one label, within an e-mail address a word, within
// a URI behind the host it is escaped. A value that is the whole name is a DNS name or an
// address, which says the claim that the operator named.
func fitsName(before, value, after string) (string, bool) {
	whole := before + value + after
	switch around := before + after; {
	case around == "":
		local, domain := splitEmail(value)
		return whole, net.ParseIP(value) == nil && dnsName().MatchString(value) || emailWord().MatchString(local) && dnsName().MatchString(domain)
	case strings.Contains(around, ":"):
		inside, ok := insideURI(value, after == "")
		return before + inside + after, ok && uriHead().MatchString(before)
	case strings.Contains(before, "@"):
		return whole, dnsLabel().MatchString(value)
	case strings.Contains(after, "@"):
		return whole, emailWord().MatchString(value)
	}
	return whole, dnsLabel().MatchString(value)
}

// insideURI escapes a value. At the end of a URI it may be several segments, such as the name
// of a repository, but none that leads back up.
func insideURI(value string, end bool) (string, bool) {
	segments := []string{value}
	if end {
		segments = strings.Split(value, "/")
	}
	for i, s := range segments {
		if strings.Trim(s, ".") == "" {
			return "", false
		}
		segments[i] = strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	}
	return strings.Join(segments, "/"), true
}
