package acme

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// aLabels maps what is an A-label already onto itself, and nothing else.
var aLabels = idna.New(idna.MapForLookup(), idna.StrictDomainName(true), idna.CheckHyphens(false), idna.BidiRule())

// normalize gives an identifier the one form in which it is kept and compared. What it
// refuses is for a subproblem.
func normalize(id store.ACMEIdentifier, kind *provisioner.ACME) (store.ACMEIdentifier, *subproblem) {
	var why string
	asked := id
	switch id.Type {
	case "dns":
		id.Value, why = normalDNS(id.Value, kind)
		if id.Ancestor != "" && why == "" {
			id.Ancestor, why = normalAncestor(id, kind)
		}
	case "ip":
		a, err := netip.ParseAddr(id.Value)
		if err != nil || a.Zone() != "" {
			why = "it is no IP address"
			break
		}
		id.Value, id.Ancestor = a.Unmap().String(), ""
	default:
		asked.Type, asked.Value = clip(id.Type), clip(id.Value)
		return id, &subproblem{Type: urn + "unsupportedIdentifier", Detail: "identifiers of type " + clip(id.Type) + " are not certified here; dns and ip are", Identifier: &asked}
	}
	if why == "" {
		return id, nil
	}
	asked.Value = clip(asked.Value)
	return id, &subproblem{Type: urn + "malformed", Detail: "the " + id.Type + " identifier " + clip(id.Value) + " cannot be certified: " + why, Identifier: &asked}
}

func normalDNS(s string, kind *provisioner.ACME) (out, why string) {
	out = strings.TrimSuffix(strings.ToLower(s), ".")
	name, wildcard := strings.CutPrefix(out, "*.")
	if wildcard && !strings.Contains(name, ".") && !kind.AllowTLDs {
		return s, "a wildcard stands directly below a top-level domain"
	}
	if len(name) > 253 {
		return s, "it is longer than 253 octets"
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return s, "it is an IP address; use the type ip"
	}
	for label := range strings.SplitSeq(name, ".") {
		if why := badLabel(label, kind.Underscores); why != "" {
			return s, why
		}
		if strings.HasPrefix(label, "xn--") {
			if a, err := aLabels.ToASCII(label); err != nil || a != label {
				return s, "a label begins with xn-- and is no internationalized name"
			}
		}
	}
	return out, ""
}

func badLabel(label string, underscores bool) string {
	switch {
	case label == "":
		return "it has an empty label"
	case len(label) > 63:
		return "it has a label of more than 63 octets"
	case label[0] == '-' || label[len(label)-1] == '-':
		return "a label begins or ends with a hyphen"
	}
	for i := range len(label) {
		c := label[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_' && underscores:
		case c >= 0x80:
			return "it is not ASCII; write internationalized names as A-labels (xn--…)"
		default:
			return "it has a character that names of hosts do not have"
		}
	}
	return ""
}

// normalAncestor checks the domain that is to be proven instead of a name (RFC 9444).
func normalAncestor(id store.ACMEIdentifier, kind *provisioner.ACME) (out, why string) {
	if !kind.SubdomainAuth {
		return "", "this CA does not take proofs for domains above it (ancestorDomain)"
	}
	out, why = normalDNS(id.Ancestor, kind)
	if why != "" {
		return out, "its ancestorDomain is wrong: " + why
	}
	name := strings.TrimPrefix(id.Value, "*.")
	if strings.HasPrefix(out, "*.") || (name != out && !strings.HasSuffix(name, "."+out)) {
		return out, "it is not below its ancestorDomain"
	}
	return out, ""
}

// proven is the name whose control is to be proven for an identifier.
func proven(id store.ACMEIdentifier) (value string, wildcard bool) {
	value, wildcard = strings.CutPrefix(id.Value, "*.")
	if id.Ancestor != "" {
		return id.Ancestor, wildcard
	}
	return value, wildcard
}

// identifiers brings a list into its normal form, each once, and holds it against all rules
// about names. Every fault is told, one subproblem each.
func (q *request) identifiers(asked []store.ACMEIdentifier, profile *issue.Profile) ([]store.ACMEIdentifier, error) {
	if len(asked) == 0 {
		return nil, malformed("an order needs at least one identifier")
	}
	if most := q.kind.Bounds().Identifiers; most > 0 && len(asked) > most {
		return nil, &problem{Type: "malformed", Status: http.StatusBadRequest, Detail: "an order has at most " + itoa(most) + " identifiers, this one has " + itoa(len(asked))}
	}
	var faults []subproblem
	var ids []store.ACMEIdentifier
	for _, one := range asked {
		id, wrong := normalize(one, q.kind)
		if wrong != nil {
			faults = append(faults, *wrong)
			continue
		}
		if !slices.ContainsFunc(ids, func(have store.ACMEIdentifier) bool { return have.Type == id.Type && have.Value == id.Value }) {
			ids = append(ids, id)
		}
	}
	if len(faults) > 0 {
		return nil, compound(faults)
	}
	own, err := q.eabPolicy()
	if err != nil {
		return nil, err
	}
	for i := range ids {
		if err := refusedByPolicy(ids[i], own, profile.Policy, profile.Authority.Policy); err != nil {
			faults = append(faults, subproblem{Type: urn + "rejectedIdentifier", Detail: faultText(err), Identifier: &store.ACMEIdentifier{Type: ids[i].Type, Value: ids[i].Value}})
		}
	}
	if len(faults) > 0 {
		return nil, compound(faults)
	}
	return ids, nil
}

// refusedByPolicy holds one name against all policies.
func refusedByPolicy(id store.ACMEIdentifier, all ...*policy.X509) error {
	var n policy.Names
	if id.Type == "ip" {
		n.IPs = []net.IP{net.ParseIP(id.Value)}
	} else {
		n.DNS = []string{id.Value}
	}
	for _, p := range all {
		if err := p.Check(n); err != nil {
			return err
		}
	}
	return nil
}

func faultText(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Message
	}
	return "it is refused"
}

// compound makes one problem of the faults of several names: of their type, if they share
// one.
func compound(faults []subproblem) *problem {
	p := &problem{Type: strings.TrimPrefix(faults[0].Type, urn), Status: http.StatusBadRequest, Detail: faults[0].Detail, Subproblems: faults}
	if slices.ContainsFunc(faults, func(s subproblem) bool { return s.Type != faults[0].Type }) {
		p.Type = "compound"
	}
	if len(faults) > 1 {
		p.Detail = itoa(len(faults)) + " identifiers are refused; the first: " + faults[0].Detail
	}
	return p
}
