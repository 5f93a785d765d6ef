package issue

import (
	"crypto/x509"
	"net"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// checkConstraints holds names against the name constraints of every issuer above them
// (RFC 5280, Section 4.2.1.10): a certificate that no relying party would accept is not
// worth signing. Comparison folds case, for excluded subtrees too.
func checkConstraints(a *Authority, n Names) error {
	for _, issuer := range a.anchored() {
		if err := checkConstraintsOf(issuer, n); err != nil {
			return err
		}
	}
	return nil
}

func checkConstraintsOf(c *x509.Certificate, n Names) error {
	for _, s := range n.DNS {
		if err := constrained(c, "DNS name", s, c.PermittedDNSDomains, c.ExcludedDNSDomains, matchDNS); err != nil {
			return err
		}
	}
	for _, s := range n.Emails {
		if err := constrained(c, "email address", s, c.PermittedEmailAddresses, c.ExcludedEmailAddresses, matchEmail); err != nil {
			return err
		}
	}
	for _, u := range n.URIs {
		if len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) == 0 {
			continue
		}
		host := u.Hostname()
		if host == "" || net.ParseIP(host) != nil {
			return fault.New(fault.Denied, "the URI %q has no host name, so the name constraints of %q refuse it", u, c.Subject)
		}
		if err := constrained(c, "URI", host, c.PermittedURIDomains, c.ExcludedURIDomains, matchHost); err != nil {
			return err
		}
	}
	for _, ip := range n.IPs {
		if err := constrained(c, "IP address", ip, c.PermittedIPRanges, c.ExcludedIPRanges, matchIP); err != nil {
			return err
		}
	}
	return nil
}

func constrained[N, C any](c *x509.Certificate, kind string, name N, permitted, excluded []C, match func(N, C) bool) error {
	for _, e := range excluded {
		if match(name, e) {
			return fault.New(fault.Denied, "the %s %v is excluded by the name constraints of %q", kind, name, c.Subject)
		}
	}
	if len(permitted) == 0 {
		return nil
	}
	for _, p := range permitted {
		if match(name, p) {
			return nil
		}
	}
	return fault.New(fault.Denied, "the %s %v is outside the name constraints of %q", kind, name, c.Subject)
}

// matchDNS: a constraint covers itself and every name below it; a leading dot asks for at
// least one more label. A wildcard name is covered only if all it could stand for is.
func matchDNS(name, constraint string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	constraint = strings.ToLower(strings.TrimSuffix(constraint, "."))
	if constraint == "" {
		return true
	}
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(name, constraint)
	}
	return name == constraint || strings.HasSuffix(name, "."+constraint)
}

// matchHost: without a leading dot a URI or email constraint names exactly one host.
func matchHost(host, constraint string) bool {
	host, constraint = strings.ToLower(host), strings.ToLower(constraint)
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(host, constraint)
	}
	return host == constraint
}

func matchEmail(address, constraint string) bool {
	local, host, ok := cutLast(address, "@")
	if !ok {
		return false
	}
	if wantLocal, wantHost, ok := cutLast(constraint, "@"); ok {
		return local == wantLocal && strings.EqualFold(host, wantHost)
	}
	return matchHost(host, constraint)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func matchIP(ip net.IP, block *net.IPNet) bool {
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return len(ip) == len(block.IP) && block.Contains(ip)
}
