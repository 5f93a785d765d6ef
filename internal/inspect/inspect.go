// Package inspect shows certificates, signing requests and revocation lists to people: in
// full in the layout that `openssl x509 -text` made familiar, in a few lines, and as JSON.
//
// Everything shown may come from a stranger. What cannot be decoded is shown in hex, and no
// text reaches a terminal with control characters in it.
package inspect

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CertificateText shows all of a certificate.
func CertificateText(c *x509.Certificate) string {
	var s sheet
	s.line(0, "Certificate:")
	s.line(1, "Data:")
	s.line(2, "Version: %d (%#x)", c.Version, max(c.Version-1, 0))
	s.line(2, "Serial Number: %s (%#x)", c.SerialNumber, c.SerialNumber)
	s.line(1, "Signature Algorithm: %s", signatureName(c.SignatureAlgorithm))
	s.line(2, "Issuer: %s", distinguishedName(c.RawIssuer))
	s.line(2, "Validity")
	s.line(3, "Not Before: %s", moment(c.NotBefore))
	s.line(3, "Not After : %s", moment(c.NotAfter))
	s.line(2, "Subject: %s", distinguishedName(c.RawSubject))
	s.publicKey(c.PublicKey, c.RawSubjectPublicKeyInfo)
	if len(c.Extensions) > 0 {
		s.line(2, "X509v3 extensions:")
		s.extensions(3, c.Extensions)
	}
	s.signature(signatureName(c.SignatureAlgorithm), c.Signature)
	return s.b.String()
}

// RequestText shows all of a certificate signing request, and whether its own signature
// proves that the asker holds the key.
func RequestText(r *x509.CertificateRequest) string {
	var s sheet
	s.line(0, "Certificate Request:")
	s.line(1, "Data:")
	s.line(2, "Version: %d (%#x)", r.Version+1, max(r.Version, 0))
	s.line(2, "Subject: %s", distinguishedName(r.RawSubject))
	s.publicKey(r.PublicKey, r.RawSubjectPublicKeyInfo)
	if len(r.Extensions) > 0 {
		s.line(2, "Requested Extensions:")
		s.extensions(3, r.Extensions)
	}
	s.signature(signatureName(r.SignatureAlgorithm), r.Signature)
	verdict := "valid"
	if r.CheckSignature() != nil {
		verdict = "not valid"
	}
	s.line(1, "Self-signature: %s", verdict)
	return s.b.String()
}

// sheet collects lines.
type sheet struct{ b strings.Builder }

const indent = "    "

func (s *sheet) line(depth int, format string, args ...any) {
	text := strings.Repeat(indent, depth) + fmt.Sprintf(format, args...)
	s.b.WriteString(strings.TrimRight(text, " ") + "\n")
}

// hex dumps bytes in lines of perLine, each behind the margin.
func (s *sheet) hex(margin string, b []byte, perLine int) {
	for len(b) > 0 {
		n := min(perLine, len(b))
		s.b.WriteString(margin + colons(b[:n], "%02x"))
		b = b[n:]
		if len(b) > 0 {
			s.b.WriteByte(':')
		}
		s.b.WriteByte('\n')
	}
}

func (s *sheet) signature(algorithm string, value []byte) {
	s.line(1, "Signature Algorithm: %s", algorithm)
	s.hex("         ", value, 18)
}

// colons writes bytes in hex, separated by colons.
func colons(b []byte, format string) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = fmt.Sprintf(format, c)
	}
	return strings.Join(parts, ":")
}

func moment(t time.Time) string { return t.UTC().Format("Jan 2 15:04:05 2006 MST") }

func signatureName(a x509.SignatureAlgorithm) string {
	if a == x509.UnknownSignatureAlgorithm {
		return "unknown"
	}
	return a.String()
}

// plain makes foreign text safe for a terminal: control characters are shown, not sent.
func plain(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			quoted := strconv.Quote(s)
			return quoted[1 : len(quoted)-1]
		}
	}
	return s
}
