package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/issue"
)

// clientVerifier checks the certificate that a TLS client shows, as crypto/tls would against
// the roots and the issuing chain. That would verify three signatures for a leaf that comes
// with its issuer, one for each way to an anchor; nearly all are leaves of our issuing key,
// for which its one is enough, and which may be remembered.
type clientVerifier struct {
	anchors *x509.CertPool
	issuer  *issue.Local
	simple  bool // the issuing certificate forbids its leaves nothing
}

func newClientVerifier(issuer *issue.Local, anchors *x509.CertPool) *clientVerifier {
	return &clientVerifier{anchors: anchors, issuer: issuer, simple: restrictsNothing(issuer.Issuer())}
}

// verify is for tls.Config.VerifyConnection, which is asked at resumed sessions, too.
func (v *clientVerifier) verify(c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 0 {
		return nil
	}
	leaf, now := c.PeerCertificates[0], time.Now()
	if v.plain(leaf, now) && v.issuer.Signed(leaf) {
		return nil
	}
	sent := x509.NewCertPool()
	for _, cert := range c.PeerCertificates[1:] {
		sent.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: v.anchors, Intermediates: sent, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: c.PeerCertificates, Err: err}
	}
	return nil
}

// plain reports whether nothing but its signature is left to check of a leaf of ours.
func (v *clientVerifier) plain(leaf *x509.Certificate, now time.Time) bool {
	return v.simple && within(v.issuer.Issuer(), now) && within(leaf, now) && !leaf.IsCA &&
		len(leaf.UnhandledCriticalExtensions) == 0 && slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		!slices.ContainsFunc(leaf.Extensions, func(ext pkix.Extension) bool { return ext.Id.Equal(policyConstraints) })
}

// policyConstraints may demand a policy of the chain it ends (RFC 5280, Section 4.2.1.11).
var policyConstraints = asn1.ObjectIdentifier{2, 5, 29, 36}

func within(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

// harmless are the extensions of an issuing certificate that forbid its leaves nothing: RFC
// 5280, Sections 4.2.1.1 to 4.2.1.3, 4.2.1.6, 4.2.1.9, 4.2.1.13 and 4.2.2.1.
var harmless = []asn1.ObjectIdentifier{{2, 5, 29, 35}, {2, 5, 29, 14}, {2, 5, 29, 15}, {2, 5, 29, 17}, {2, 5, 29, 19}, {2, 5, 29, 31},
	{1, 3, 6, 1, 5, 5, 7, 1, 1}}

func restrictsNothing(issuer *x509.Certificate) bool {
	for _, ext := range issuer.Extensions {
		if !slices.ContainsFunc(harmless, ext.Id.Equal) {
			return false
		}
	}
	return len(issuer.UnhandledCriticalExtensions) == 0
}
