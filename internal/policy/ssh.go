package policy

import (
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// SSH is a compiled policy for SSH certificates. The nil policy allows everything.
type SSH struct{ user, host *ruleset } // a nil side has no rules

// NewSSH compiles a policy. It returns nil if there are no rules, and otherwise all
// complaints about rules at once.
func NewSSH(c *SSHConfig) (*SSH, error) {
	if c == nil {
		return nil, nil
	}
	user, errUser := newSide("ssh.user", c.User)
	host, errHost := newSide("ssh.host", c.Host)
	if err := errors.Join(errUser, errHost, onlyForHosts(c.User)); err != nil {
		return nil, err
	}
	if user == nil && host == nil {
		return nil, nil
	}
	return &SSH{user: user, host: host}, nil
}

func newSide(where string, c *SSHSide) (*ruleset, error) {
	if c == nil {
		return nil, nil
	}
	s := &ruleset{}
	s.deny.email.anyCase = true
	err := errors.Join(
		fillSSH(where+".allow", c.Allow, &s.allow),
		fillSSH(where+".deny", c.Deny, &s.deny),
	)
	if err != nil || s.allow.empty() && s.deny.empty() {
		return nil, err
	}
	s.closed = !s.allow.empty()
	return s, nil
}

func fillSSH(where string, names *SSHNames, l *list) error {
	if names == nil {
		return nil
	}
	return errors.Join(
		fill(where+".dns", names.DNS, l.dns.add),
		fill(where+".ip", names.IP, l.ip.add),
		fill(where+".email", names.Email, l.email.add),
		fill(where+".principal", names.Principal, l.text.addPrincipal),
	)
}

// onlyForHosts complains about user rules that could never match: a user has no address,
// and an operator who wrote one would believe in a protection that is not there.
func onlyForHosts(c *SSHSide) error {
	if c == nil {
		return nil
	}
	never := func(string) error {
		return errors.New("user certificates have no names of this kind; use email or principal")
	}
	var allow, deny SSHNames
	if c.Allow != nil {
		allow = *c.Allow
	}
	if c.Deny != nil {
		deny = *c.Deny
	}
	return errors.Join(
		fill("ssh.user.allow.dns", allow.DNS, never), fill("ssh.user.allow.ip", allow.IP, never),
		fill("ssh.user.deny.dns", deny.DNS, never), fill("ssh.user.deny.ip", deny.IP, never),
	)
}

// CheckUser refuses with fault.Denied at the first principal that a user certificate may
// not have.
func (p *SSH) CheckUser(principals []string) error {
	if p == nil {
		return nil
	}
	if p.user == nil {
		return fault.New(fault.Denied, "the policy allows no SSH user certificates: it has rules for hosts only")
	}
	return firstRefusal(p.user.userVerdicts(principals))
}

// CheckHost refuses with fault.Denied at the first principal that a host certificate may
// not have.
func (p *SSH) CheckHost(principals []string) error {
	if p == nil {
		return nil
	}
	if p.host == nil {
		return fault.New(fault.Denied, "the policy allows no SSH host certificates: it has rules for users only")
	}
	return firstRefusal(p.host.hostVerdicts(principals))
}

// ExplainUser says for each principal of a user certificate which rule decides and why.
func (p *SSH) ExplainUser(principals []string) []Verdict {
	if p == nil {
		return unruled((&ruleset{}).userVerdicts(principals))
	}
	if p.user == nil {
		return []Verdict{{Kind: KindOther, Reason: "the policy has rules for hosts only"}}
	}
	return slices.Collect(p.user.userVerdicts(principals))
}

// ExplainHost says for each principal of a host certificate which rule decides and why.
func (p *SSH) ExplainHost(principals []string) []Verdict {
	if p == nil {
		return unruled((&ruleset{}).hostVerdicts(principals))
	}
	if p.host == nil {
		return []Verdict{{Kind: KindOther, Reason: "the policy has rules for users only"}}
	}
	return slices.Collect(p.host.hostVerdicts(principals))
}

func (s *ruleset) userVerdicts(principals []string) iter.Seq[Verdict] {
	return s.each(principals, func(name string) Verdict {
		switch classify(name) {
		case KindIP, KindURI:
			return unfit(KindPrincipal, name, errors.New("an address or a URL is no user"))
		case KindEmail:
			return s.email(name)
		}
		return s.principal(name)
	})
}

// hostVerdicts never looks at principal rules: a host has names and addresses. As allow
// rules they count all the same and close the other kinds.
func (s *ruleset) hostVerdicts(principals []string) iter.Seq[Verdict] {
	return s.each(principals, func(name string) Verdict {
		if addr, err := netip.ParseAddr(name); err == nil {
			return s.ip(addr, name)
		}
		if strings.Contains(name, "@") {
			return s.email(name)
		}
		return s.dns(name)
	})
}

func (s *ruleset) each(principals []string, judge func(string) Verdict) iter.Seq[Verdict] {
	return func(yield func(Verdict) bool) {
		if s.closed && len(principals) == 0 {
			yield(noNames())
			return
		}
		for _, name := range principals {
			if !yield(judge(name)) {
				return
			}
		}
	}
}
