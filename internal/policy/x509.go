package policy

import (
	"errors"
	"iter"
	"net"
	"net/netip"
	"slices"
)

// Names are the names of a final certificate, decoded from its subject and its subject
// alternative name extension.
type Names struct {
	CommonName string
	DNS        []string
	IPs        []net.IP
	Emails     []string
	URIs       []string
	Other      []string // kinds without rules, for instance "otherName 1.3.6.1.4.1.311.20.2.3"
}

// X509 is a compiled policy for X.509 certificates. The nil policy allows everything.
type X509 struct{ rules ruleset }

// NewX509 compiles a policy. It returns nil if there are no rules, and otherwise all
// complaints about rules at once.
func NewX509(c *X509Config) (*X509, error) {
	if c == nil {
		return nil, nil
	}
	p := &X509{rules: ruleset{wildcards: c.AllowWildcardNames}}
	p.rules.deny.email.anyCase = true
	err := errors.Join(
		fillX509("x509.allow", c.Allow, &p.rules.allow),
		fillX509("x509.deny", c.Deny, &p.rules.deny),
	)
	if err != nil {
		return nil, err
	}
	if p.rules.allow.empty() && p.rules.deny.empty() {
		return nil, nil
	}
	p.rules.closed = !p.rules.allow.empty()
	return p, nil
}

func fillX509(where string, names *X509Names, l *list) error {
	if names == nil {
		return nil
	}
	return errors.Join(
		fill(where+".cn", names.CN, l.cn.addCN),
		fill(where+".dns", names.DNS, l.dns.add),
		fill(where+".ip", names.IP, l.ip.add),
		fill(where+".email", names.Email, l.email.add),
		fill(where+".uri", names.URI, l.uri.add),
	)
}

// Check refuses with fault.Denied at the first name that the policy does not allow.
func (p *X509) Check(n Names) error {
	if p == nil {
		return nil
	}
	return firstRefusal(p.verdicts(n))
}

// Explain says for each name which rule decides and why, refusals and all.
func (p *X509) Explain(n Names) []Verdict {
	if p == nil {
		return unruled((&X509{}).verdicts(n))
	}
	return slices.Collect(p.verdicts(n))
}

// verdicts judges the names one by one, in the order in which refusals are reported.
func (p *X509) verdicts(n Names) iter.Seq[Verdict] {
	s := &p.rules
	return func(yield func(Verdict) bool) {
		if s.closed && n.none() {
			yield(noNames())
			return
		}
		for _, name := range n.DNS {
			if !yield(s.dns(name)) {
				return
			}
		}
		for _, ip := range n.IPs {
			addr, _ := netip.AddrFromSlice(ip)
			if !yield(s.ip(addr, ip.String())) {
				return
			}
		}
		for _, name := range n.Emails {
			if !yield(s.email(name)) {
				return
			}
		}
		for _, name := range n.URIs {
			if !yield(s.uri(name)) {
				return
			}
		}
		for _, name := range n.Other {
			if !yield(s.other(name)) {
				return
			}
		}
		if n.CommonName != "" {
			yield(s.commonName(n.CommonName))
		}
	}
}

func (n *Names) none() bool {
	return n.CommonName == "" && len(n.DNS)+len(n.IPs)+len(n.Emails)+len(n.URIs)+len(n.Other) == 0
}
