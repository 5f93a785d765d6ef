package issue

import (
	"crypto/x509"
	"net"
	"net/url"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// checkConstraints holds names against the name constraints of every issuer above them
// (RFC 5280, Section 4.2.1.10): a certificate that no relying party would accept is not
// worth signing.
//
// Relying parties read constraints differently. What is permitted is read here as narrowly
// as any of them does, what is excluded as widely: what passes here passes with all.
func checkConstraints(a *Authority, n Names) error {
	for _, issuer := range a.anchored() {
		if err := checkConstraintsOf(issuer, n); err != nil {
			return err
		}
	}
	return nil
}

func checkConstraintsOf(c *x509.Certificate, n Names) error {
	dns := subtrees[string, string]{"DNS name", c.PermittedDNSDomains, c.ExcludedDNSDomains, dnsWithin, dnsTouches}
	if err := dns.check(n.DNS, c); err != nil {
		return err
	}
	emails := subtrees[string, string]{"email address", c.PermittedEmailAddresses, c.ExcludedEmailAddresses, emailWithin, emailTouches}
	if err := emails.check(n.Emails, c); err != nil {
		return err
	}
	uris := subtrees[*url.URL, string]{"URI", c.PermittedURIDomains, c.ExcludedURIDomains, uriWithin, uriTouches}
	if err := uris.check(n.URIs, c); err != nil {
		return err
	}
	ips := subtrees[net.IP, *net.IPNet]{"IP address", c.PermittedIPRanges, c.ExcludedIPRanges, ipWithin, ipWithin}
	return ips.check(n.IPs, c)
}

// subtrees is what one issuer says about one kind of name.
type subtrees[N, C any] struct {
	kind                string
	permitted, excluded []C
	within              func(N, C) bool // all that the name stands for lies in the subtree
	touches             func(N, C) bool // something that the name stands for may lie in it
}

func (s subtrees[N, C]) check(names []N, issuer *x509.Certificate) error {
	for _, name := range names {
		for _, e := range s.excluded {
			if s.touches(name, e) {
				return fault.New(fault.Denied, "the %s %v is excluded by the name constraints of %q", s.kind, name, issuer.Subject)
			}
		}
		inside := len(s.permitted) == 0
		for _, p := range s.permitted {
			inside = inside || s.within(name, p)
		}
		if !inside {
			return fault.New(fault.Denied, "the %s %v is outside the name constraints of %q", s.kind, name, issuer.Subject)
		}
	}
	return nil
}

// dnsWithin: a subtree holds its own name and every name below; one with a leading dot only
// those below.
func dnsWithin(name, subtree string) bool {
	name, subtree = strings.ToLower(name), strings.ToLower(subtree)
	switch {
	case subtree == "":
		return true
	case subtree[0] == '.':
		return strings.HasSuffix(name, subtree)
	}
	return name == subtree || strings.HasSuffix(name, "."+subtree)
}

// dnsTouches: a wildcard stands for a sibling that is excluded, too.
func dnsTouches(name, subtree string) bool {
	if dnsWithin(name, subtree) {
		return true
	}
	parent, wildcard := strings.CutPrefix(name, "*")
	_, siblings, found := strings.Cut(subtree, ".")
	return wildcard && found && strings.EqualFold(parent, "."+siblings)
}

// hostWithin: without a leading dot, the subtree of an email address or a URI is one host.
func hostWithin(host, subtree string) bool {
	host, subtree = strings.ToLower(host), strings.ToLower(subtree)
	if strings.HasPrefix(subtree, ".") {
		return strings.HasSuffix(host, subtree)
	}
	return host == subtree
}

// emailWithin: a subtree is a mailbox, a host, or with a leading dot the hosts below. A
// quoted local part has many spellings, of which each reader may take another for the same.
func emailWithin(address, subtree string) bool {
	local, host, ok := cutLast(address, "@")
	if !ok || strings.ContainsAny(local, `"\`) {
		return false
	}
	if wantLocal, wantHost, ok := cutLast(subtree, "@"); ok {
		return local == wantLocal && strings.EqualFold(host, wantHost)
	}
	return hostWithin(host, subtree)
}

func emailTouches(address, subtree string) bool {
	local, host, ok := cutLast(address, "@")
	if !ok || strings.ContainsAny(local, `"\`) {
		return true
	}
	if wantLocal, wantHost, ok := cutLast(subtree, "@"); ok {
		return strings.EqualFold(local, wantLocal) && strings.EqualFold(host, wantHost)
	}
	return dnsWithin(host, subtree)
}

// comparableURI reports whether a URI has a host that all readers find: constraints do not
// apply to URIs without one or with an address in its place (RFC 5280, Section 4.2.1.10).
func comparableURI(u *url.URL) bool {
	return u.Hostname() != "" && u.User == nil && net.ParseIP(u.Hostname()) == nil
}

func uriWithin(u *url.URL, subtree string) bool {
	return comparableURI(u) && hostWithin(u.Hostname(), subtree)
}

func uriTouches(u *url.URL, subtree string) bool {
	return !comparableURI(u) || dnsWithin(u.Hostname(), subtree)
}

func ipWithin(ip net.IP, block *net.IPNet) bool {
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return len(ip) == len(block.IP) && block.Contains(ip)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
