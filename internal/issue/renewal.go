package issue

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// NewRenewal drafts the successor of a leaf: same subject, same extensions byte for byte,
// a new validity of the same length, and the given key, which is the old one on renewal and
// a new one on rekey. The authority key identifier is made anew by the issuer, the subject
// key identifier only with a new key.
//
// What the caller must have checked: that the old certificate is ours and may be renewed.
func NewRenewal(g *Grant, old *x509.Certificate, key crypto.PublicKey, now time.Time) (*X509Draft, error) {
	if old.IsCA {
		return nil, fault.New(fault.Denied, "a CA certificate is never renewed this way")
	}
	cert := &x509.Certificate{
		RawSubject:      old.RawSubject,
		Subject:         old.Subject,
		PublicKey:       key,
		ExtraExtensions: inherited(old, key),
	}
	a := g.Profile.Authority
	length := old.NotAfter.Sub(old.NotBefore)
	if limit := g.Profile.TLS.Max + a.Backdate; length > limit {
		length = limit // the limit may have been lowered since
	}
	begin := now.Add(-a.Backdate).UTC().Truncate(time.Second)
	cert.NotBefore, cert.NotAfter = begin, earliest(begin.Add(length), a.end()).UTC().Truncate(time.Second)
	if !cert.NotAfter.After(now) {
		return nil, fault.New(fault.Denied, "the successor would end at %s, which is past: the old validity of %s is too short, or the issuer is expiring", stamp(cert.NotAfter), length)
	}
	return &X509Draft{grant: g, cert: cert, renewal: true, bounded: true}, nil
}

// inherited lists the extensions a successor takes over.
func inherited(old *x509.Certificate, key crypto.PublicKey) []pkix.Extension {
	type equaler interface{ Equal(crypto.PublicKey) bool }
	same := false
	if k, ok := old.PublicKey.(equaler); ok {
		same = k.Equal(key)
	}
	kept := make([]pkix.Extension, 0, len(old.Extensions))
	for _, ext := range old.Extensions {
		if ext.Id.Equal(oidAuthorityKeyID) || (!same && ext.Id.Equal(oidSubjectKeyID)) {
			continue
		}
		kept = append(kept, ext)
	}
	return kept
}
