package policy

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/signet-ca/signet/internal/fault"
)

// list is the allow or the deny list of a rule set.
type list struct {
	dns, uri domainRules
	ip       prefixRules
	email    mailRules
	text     textRules // principals
	cn       textRules
}

func (l *list) empty() bool {
	return l.dns.empty() && l.uri.empty() && l.ip.empty() && l.email.empty() && l.text.empty() && l.cn.empty()
}

// ruleset is a compiled pair of lists.
type ruleset struct {
	allow, deny list
	closed      bool // there are allow rules, of whatever kind
	wildcards   bool
}

// fill compiles rules of one kind and returns all complaints.
func fill(where string, rules []string, add func(string) error) error {
	var complaints []error
	for _, rule := range rules {
		if err := add(strings.TrimSpace(rule)); err != nil {
			complaints = append(complaints, fault.New(fault.Invalid, "%s rule %q: %s", where, clip(rule), err))
		}
	}
	return errors.Join(complaints...)
}

// found is what the two lists say about one name.
type found struct {
	deny, allow         string // the rule that matches
	denied, allowed     bool
	denyRules, hasAllow bool // the kind has rules of that list
}

// decide turns what was found into a verdict.
func (s *ruleset) decide(kind, name string, f found) Verdict {
	v := Verdict{Kind: kind, Name: name}
	switch {
	case f.denied:
		v.Rule, v.Reason = f.deny, "a deny rule matches"
	case f.allowed:
		v.Allowed, v.Rule, v.Reason = true, f.allow, "an allow rule matches"
	case f.hasAllow:
		v.Reason = "no allow rule matches"
	case s.closed:
		// Also where the kind has deny rules: a deny rule must never open anything.
		v.Reason = "there are allow rules, but none for names of this kind"
	case f.denyRules:
		v.Allowed, v.Reason = true, "no deny rule matches"
	default:
		v.Allowed, v.Reason = true, "no rule speaks of names of this kind"
	}
	return v
}

// unfit is the verdict about a name that cannot be compared with rules.
func unfit(kind, name string, err error) Verdict {
	return Verdict{Kind: kind, Name: name, Reason: "the name cannot be compared with rules: " + err.Error()}
}

func (s *ruleset) dns(name string) Verdict {
	host, wildcard, err := hostName(name)
	if err != nil {
		return unfit(KindDNS, name, err)
	}
	f := found{denyRules: !s.deny.dns.empty(), hasAllow: !s.allow.dns.empty()}
	if wildcard {
		if !s.wildcards {
			return Verdict{Kind: KindDNS, Name: name, Reason: "wildcard names are not allowed"}
		}
		f.deny, f.denied = s.deny.dns.touches(host)
		f.allow, f.allowed = s.allow.dns.covers(host)
	} else {
		f.deny, f.denied = s.deny.dns.match(host)
		f.allow, f.allowed = s.allow.dns.match(host)
	}
	return s.decide(KindDNS, name, f)
}

func (s *ruleset) ip(addr netip.Addr, name string) Verdict {
	if !addr.IsValid() || addr.Zone() != "" {
		return unfit(KindIP, name, errors.New("it is not an IP address"))
	}
	addr = addr.Unmap()
	f := found{denyRules: !s.deny.ip.empty(), hasAllow: !s.allow.ip.empty()}
	f.deny, f.denied = s.deny.ip.match(addr)
	f.allow, f.allowed = s.allow.ip.match(addr)
	return s.decide(KindIP, name, f)
}

func (s *ruleset) email(name string) Verdict {
	local, host, err := mailbox(name)
	if err != nil {
		return unfit(KindEmail, name, err)
	}
	f := found{denyRules: !s.deny.email.empty(), hasAllow: !s.allow.email.empty()}
	f.deny, f.denied = s.deny.email.match(local, host)
	f.allow, f.allowed = s.allow.email.match(local, host)
	return s.decide(KindEmail, name, f)
}

func (s *ruleset) uri(name string) Verdict {
	host, err := uriHost(name)
	if err != nil {
		return unfit(KindURI, name, err)
	}
	f := found{denyRules: !s.deny.uri.empty(), hasAllow: !s.allow.uri.empty()}
	f.deny, f.denied = s.deny.uri.match(host)
	f.allow, f.allowed = s.allow.uri.match(host)
	return s.decide(KindURI, name, f)
}

// principal judges a user's principal. sshd reads lists and patterns of principals, so a
// value with a separator or a glob character could mean more than one.
func (s *ruleset) principal(name string) Verdict {
	if err := plainText(name); err != nil {
		return unfit(KindPrincipal, name, err)
	}
	if strings.ContainsFunc(name, unicode.IsSpace) || strings.ContainsAny(name, ",*?!") {
		return unfit(KindPrincipal, name, errors.New("it has white space, a separator or a glob character"))
	}
	f := found{denyRules: !s.deny.text.empty(), hasAllow: !s.allow.text.empty()}
	f.deny, f.denied = s.deny.text.match(name)
	f.allow, f.allowed = s.allow.text.match(name)
	return s.decide(KindPrincipal, name, f)
}

// other judges a name of a kind that has no rules.
func (s *ruleset) other(name string) Verdict { return s.decide(KindOther, name, found{}) }

// commonName judges the CN. Its own rules come first; what they leave open is judged as
// the kind of name it looks like, since old software takes a CN for a host name.
func (s *ruleset) commonName(cn string) Verdict {
	if err := plainText(cn); err != nil {
		return unfit(KindCN, cn, err)
	}
	// White space and dots at the ends hide a name from comparison and not from a reader.
	bare := strings.TrimRight(strings.TrimSpace(cn), ". ")
	if rule, hit := s.deny.cn.match(bare); hit {
		return Verdict{Kind: KindCN, Name: cn, Rule: rule, Reason: "a deny rule matches"}
	}
	if rule, hit := s.deny.cn.match(cn); hit {
		return Verdict{Kind: KindCN, Name: cn, Rule: rule, Reason: "a deny rule matches"}
	}
	if rule, hit := s.allow.cn.match(cn); hit {
		return Verdict{Kind: KindCN, Name: cn, Allowed: true, Rule: rule, Reason: "an allow rule matches"}
	}
	if v, comparable := s.asOtherKind(bare); comparable {
		v.Name = cn
		if v.Allowed && s.closed && bare != cn {
			v = Verdict{Kind: KindCN, Name: cn, Reason: "it begins or ends with white space or a dot"}
		}
		return v
	}
	if s.closed {
		return Verdict{Kind: KindCN, Name: cn, Reason: "no allow rule matches"}
	}
	return Verdict{Kind: KindCN, Name: cn, Allowed: true, Reason: "it is plain text and no deny rule matches"}
}

// asOtherKind judges a text as a DNS name, address, e-mail address or URI, if it is one.
func (s *ruleset) asOtherKind(text string) (v Verdict, comparable bool) {
	switch classify(text) {
	case KindIP:
		addr, _ := netip.ParseAddr(text)
		return s.ip(addr, text), true
	case KindURI:
		if _, err := uriHost(text); err == nil {
			return s.uri(text), true
		}
	case KindEmail:
		if _, _, err := mailbox(text); err == nil {
			return s.email(text), true
		}
	case KindDNS:
		// A star where none may be is a pattern and no prose if the rest is a host name.
		if _, err := domain(strings.ReplaceAll(text, "*", "x")); err == nil {
			return s.dns(text), true
		}
	}
	return Verdict{}, false
}

// plainText refuses what no name may have: nothing at all, control characters, broken UTF-8.
func plainText(s string) error {
	switch {
	case s == "":
		return errEmpty
	case !utf8.ValidString(s):
		return errors.New("it is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("it has a control character")
	}
	return nil
}
