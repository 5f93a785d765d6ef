package issue

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// LocalDraft is a certificate that the holder of an issuing key makes by hand, without a
// CA server: nobody has to prove anything, so no Grant stands behind it. What X.509 itself
// demands is checked all the same.
type LocalDraft struct {
	Cert    *x509.Certificate // content; PublicKey set, NotBefore and NotAfter as far as wished
	CA      bool              // it may become a CA
	WeakKey bool              // the subject key may be weaker than CheckKey accepts
	Life    time.Duration     // how long it is good where NotAfter is zero, never beyond its issuer
}

// CheckIssuer reports why a certificate and a key can't sign other certificates.
func CheckIssuer(issuer *x509.Certificate, key crypto.PublicKey, now time.Time) error {
	switch {
	case !keys.SamePublicKey(issuer.PublicKey, key):
		return fault.New(fault.Invalid, "the issuing key does not belong to the issuing certificate %q", issuer.Subject)
	case !issuer.BasicConstraintsValid || !issuer.IsCA:
		return fault.New(fault.Invalid, "%q is not the certificate of a CA", issuer.Subject)
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCertSign == 0:
		return fault.New(fault.Invalid, "the key usage of %q does not permit signing certificates", issuer.Subject)
	case now.After(issuer.NotAfter):
		return fault.New(fault.Invalid, "the issuing certificate %q expired at %s", issuer.Subject, stamp(issuer.NotAfter))
	}
	return nil
}

// Check looks at the certificate as it would be signed by issuer, or by its own key if
// issuer is nil. What passes can be sealed by [SealLocal].
func (d *LocalDraft) Check(issuer *x509.Certificate, now time.Time) (*CheckedX509, error) {
	cert := *d.Cert
	if !d.WeakKey {
		if err := CheckKey(cert.PublicKey); err != nil {
			return nil, err
		}
	}
	if err := d.bound(&cert, issuer, now); err != nil {
		return nil, err
	}
	cert.ExtraExtensions = slices.Clone(cert.ExtraExtensions)
	commonNames, err := Settle(&cert, issuer, d.CA)
	if err != nil {
		return nil, err
	}
	names, err := finalNames(&cert)
	if err != nil {
		return nil, err
	}
	authority := &Authority{}
	if issuer != nil {
		authority.Chain = []*x509.Certificate{issuer}
	}
	if err := checkNames(&Profile{Authority: authority}, nil, names); err != nil {
		return nil, err
	}
	if err := checkDirectory(authority, &cert); err != nil {
		return nil, err
	}
	for _, cn := range commonNames {
		if err := checkText("common name", cn, maxCommonName); err != nil {
			return nil, err
		}
	}
	return (&X509Draft{cert: &cert}).complete(names.Names)
}

// bound settles the validity. An end nobody wished for is cut to the issuer's; a wish
// beyond it is refused.
func (d *LocalDraft) bound(cert, issuer *x509.Certificate, now time.Time) error {
	if cert.NotBefore.IsZero() {
		cert.NotBefore = now
	}
	if cert.NotAfter.IsZero() {
		cert.NotAfter = cert.NotBefore.Add(d.Life)
		if issuer != nil {
			cert.NotAfter = earliest(cert.NotAfter, issuer.NotAfter)
		}
	}
	cert.NotBefore = cert.NotBefore.UTC().Truncate(time.Second)
	cert.NotAfter = cert.NotAfter.UTC().Truncate(time.Second)
	switch {
	case !cert.NotAfter.After(cert.NotBefore):
		return fault.New(fault.Invalid, "the certificate would end at %s, not after it begins at %s", stamp(cert.NotAfter), stamp(cert.NotBefore))
	case issuer != nil && cert.NotAfter.After(issuer.NotAfter):
		return fault.New(fault.Denied, "the certificate would end at %s, after its issuer ends at %s", stamp(cert.NotAfter), stamp(issuer.NotAfter))
	}
	return nil
}

// SealLocal signs a checked certificate with the issuer's key, or with its own if issuer
// is nil.
func SealLocal(c *CheckedX509, issuer *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	template, parent := *c.cert, issuer
	if issuer == nil {
		if !keys.SamePublicKey(template.PublicKey, key.Public()) {
			return nil, fault.New(fault.Invalid, "a certificate without issuer is signed by its own key, which this is not")
		}
		parent = &template
	} else if template.SignatureAlgorithm == 0 {
		template.SignatureAlgorithm = sealAlgorithm(issuer)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, template.PublicKey, key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the certificate of %q can't be signed", template.Subject)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the certificate of %q would not be readable", template.Subject)
	}
	if issuer != nil && !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return nil, fmt.Errorf("the certificate of %q names another issuer than %q", cert.Subject, issuer.Subject)
	}
	return cert, nil
}
