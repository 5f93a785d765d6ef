package challenge

import (
	"errors"
	"strings"
)

// issueValue is what a CAA "issue" property and a dns-persist-01 record say (RFC 8659,
// Section 4.2): an issuer, "" for nobody, and parameters.
type issueValue struct {
	issuer     string
	parameters []parameter
}

// parameter has its tag in lower case.
type parameter struct{ tag, value string }

var errIssueValue = errors.New("not an issue value of RFC 8659, Section 4.2")

const blank = " \t"

// parseIssueValue reads an issue value. It is strict: an empty parameter, one without "=" or
// with a character outside the grammar, and one that occurs twice are faults. The issuer is
// returned even if the parameters are faulty.
func parseIssueValue(s string) (*issueValue, error) {
	domain, rest, more := strings.Cut(s, ";")
	v := &issueValue{issuer: strings.ToLower(strings.TrimSuffix(strings.Trim(domain, blank), "."))}
	if v.issuer != "" {
		for label := range strings.SplitSeq(v.issuer, ".") {
			if !isLabel(label) {
				return &issueValue{}, errIssueValue
			}
		}
	}
	if !more || strings.Trim(rest, blank) == "" {
		return v, nil
	}
	seen := map[string]bool{}
	for one := range strings.SplitSeq(rest, ";") {
		tag, value, ok := strings.Cut(strings.Trim(one, blank), "=")
		tag, value = strings.ToLower(strings.TrimRight(tag, blank)), strings.TrimLeft(value, blank)
		if !ok || !isLabel(tag) || !isParameterValue(value) || seen[tag] {
			return v, errIssueValue
		}
		seen[tag] = true
		v.parameters = append(v.parameters, parameter{tag, value})
	}
	return v, nil
}

// get finds a parameter.
func (v *issueValue) get(tag string) (value string, ok bool) {
	for _, p := range v.parameters {
		if p.tag == tag {
			return p.value, true
		}
	}
	return "", false
}

// isLabel reports letters and digits with hyphens inside.
func isLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return s != ""
}

// isParameterValue reports visible ASCII; a semicolon cannot occur any more.
func isParameterValue(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
