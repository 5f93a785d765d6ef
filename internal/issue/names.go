package issue

import (
	"net"
	"net/url"
	"strings"

	"crypto/x509"
)

// Names are subject alternative names by kind (RFC 5280, Section 4.2.1.6). The zero value
// covers nothing.
type Names struct {
	DNS    []string
	IPs    []net.IP
	Emails []string
	URIs   []*url.URL
}

// NamesOf sorts untyped names into their kinds: an IP address literal, a URL with a scheme,
// something with an @, and a DNS name otherwise. Empty strings are dropped.
func NamesOf(list []string) Names {
	var n Names
	for _, s := range list {
		if s == "" {
			continue
		}
		if ip := net.ParseIP(s); ip != nil {
			n.IPs = append(n.IPs, ip)
		} else if u, err := url.Parse(s); err == nil && u.Scheme != "" {
			n.URIs = append(n.URIs, u)
		} else if strings.Contains(s, "@") {
			n.Emails = append(n.Emails, s)
		} else {
			n.DNS = append(n.DNS, s)
		}
	}
	return n
}

// RequestNames are the names a certificate request asks for.
func RequestNames(r *x509.CertificateRequest) Names {
	return Names{DNS: r.DNSNames, IPs: r.IPAddresses, Emails: r.EmailAddresses, URIs: r.URIs}
}

// CertificateNames are the names of a certificate.
func CertificateNames(c *x509.Certificate) Names {
	return Names{DNS: c.DNSNames, IPs: c.IPAddresses, Emails: c.EmailAddresses, URIs: c.URIs}
}

// Empty reports whether there is no name at all.
func (n Names) Empty() bool {
	return len(n.DNS) == 0 && len(n.IPs) == 0 && len(n.Emails) == 0 && len(n.URIs) == 0
}

// Strings lists all names as text: DNS names, IP addresses, e-mail addresses, URIs.
func (n Names) Strings() []string {
	all := make([]string, 0, len(n.DNS)+len(n.IPs)+len(n.Emails)+len(n.URIs))
	all = append(all, n.DNS...)
	all = append(all, n.ipStrings()...)
	all = append(all, n.Emails...)
	return append(all, n.uriStrings()...)
}

func (n Names) ipStrings() []string {
	out := make([]string, len(n.IPs))
	for i, ip := range n.IPs {
		out[i] = ip.String() // canonical: an IPv4-mapped address prints as IPv4
	}
	return out
}

func (n Names) uriStrings() []string {
	out := make([]string, len(n.URIs))
	for i, u := range n.URIs {
		out[i] = u.String()
	}
	return out
}

// sameSet reports whether two lists hold the same strings, whatever their order and
// repetitions.
func sameSet(a, b []string) bool {
	return subset(a, b) && subset(b, a)
}

// subset keeps to time linear in the lists: a stranger chooses their length.
func subset(a, b []string) bool {
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	for _, s := range a {
		if !in[s] {
			return false
		}
	}
	return true
}
