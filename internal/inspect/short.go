package inspect

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/issue"
)

// CertificateShort shows a certificate in a few lines: kind, names, issuer, provisioner,
// validity.
func CertificateShort(c *x509.Certificate) string {
	kind := "TLS"
	switch {
	case c.IsCA && bytes.Equal(c.RawSubject, c.RawIssuer):
		kind = "Root CA"
	case c.IsCA:
		kind = "Intermediate CA"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "X.509v%d %s Certificate (%s) [Serial: %s]\n", c.Version, kind, keyName(c.PublicKey), shortened(c.SerialNumber.String()))
	subjectLines(&b, c.Subject.CommonName, c.RawSubject, names(c.DNSNames, c.EmailAddresses, c.IPAddresses, c.URIs))
	fmt.Fprintf(&b, "  Issuer:      %s\n", nameOr(c.Issuer.CommonName, c.RawIssuer))
	if p := issue.ProvisionerOf(c); p != nil {
		fmt.Fprintf(&b, "  Provisioner: %s", plain(p.Name))
		if p.CredentialID != "" {
			fmt.Fprintf(&b, " [ID: %s]", shortened(plain(p.CredentialID)))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "  Valid from:  %s\n", c.NotBefore.UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "          to:  %s\n", c.NotAfter.UTC().Format(time.RFC3339))
	return b.String()
}

// RequestShort shows a signing request in a few lines.
func RequestShort(r *x509.CertificateRequest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "X.509v3 Certificate Signing Request (%s)\n", keyName(r.PublicKey))
	subjectLines(&b, r.Subject.CommonName, r.RawSubject, names(r.DNSNames, r.EmailAddresses, r.IPAddresses, r.URIs))
	return b.String()
}

// subjectLines lists the common name and every other name once.
func subjectLines(b *strings.Builder, commonName string, rawSubject []byte, names []string) {
	label := "  Subject:     "
	if commonName != "" || len(names) == 0 {
		fmt.Fprintf(b, "%s%s\n", label, nameOr(commonName, rawSubject))
		label = "               "
	}
	for _, name := range names {
		if name == commonName {
			continue
		}
		fmt.Fprintf(b, "%s%s\n", label, plain(name))
		label = "               "
	}
}

// nameOr is the common name, or without one the whole name.
func nameOr(commonName string, raw []byte) string {
	if commonName != "" {
		return plain(commonName)
	}
	return distinguishedName(raw)
}

func names(dns, emails []string, ips []net.IP, uris []*url.URL) []string {
	all := append(append([]string{}, dns...), emails...)
	for _, ip := range ips {
		all = append(all, ip.String())
	}
	for _, u := range uris {
		all = append(all, u.String())
	}
	return all
}

// shortened keeps the ends of what is longer than nine characters.
func shortened(s string) string {
	r := []rune(s)
	if len(r) <= 9 {
		return s
	}
	return string(r[:4]) + "..." + string(r[len(r)-4:])
}
