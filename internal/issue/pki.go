package issue

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// AuthorityLifetime is how long root and intermediate certificates are good unless somebody
// wishes otherwise.
const AuthorityLifetime = 3650 * 24 * time.Hour

// AuthoritySpec describes a CA certificate to make.
type AuthoritySpec struct {
	Name     string    // organization, and the beginning of the common name
	NotAfter time.Time // zero: AuthorityLifetime from now, but never beyond the signer
}

// Pair is a certificate and its private key.
type Pair struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// NewRoot makes a self-signed root for key: room for one intermediate below it.
func NewRoot(spec AuthoritySpec, key crypto.Signer, now time.Time) (*x509.Certificate, error) {
	template, err := authorityTemplate(spec, "Root", key.Public(), now)
	if err != nil {
		return nil, err
	}
	template.MaxPathLen = 1
	return signAuthority(template, template, key.Public(), key)
}

// NewIntermediate makes the certificate of an issuing CA for pub, signed by root: leaves
// only below it. It never outlives the root.
func NewIntermediate(spec AuthoritySpec, pub crypto.PublicKey, signer Pair, now time.Time) (*x509.Certificate, error) {
	root := signer.Certificate
	if err := CheckRoot(root, signer.Key.Public(), now); err != nil {
		return nil, err
	}
	if spec.NotAfter.After(root.NotAfter) {
		return nil, fault.New(fault.Invalid, "the intermediate certificate would end at %s, after its root ends at %s", stamp(spec.NotAfter), stamp(root.NotAfter))
	}
	template, err := authorityTemplate(spec, "Intermediate", pub, now)
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(root.NotAfter) {
		template.NotAfter = root.NotAfter
	}
	template.MaxPathLenZero = true
	template.SignatureAlgorithm = sealAlgorithm(root)
	return signAuthority(template, root, pub, signer.Key)
}

// CheckRoot reports why a certificate and a public key cannot be the root of a new CA.
func CheckRoot(root *x509.Certificate, pub crypto.PublicKey, now time.Time) error {
	name := root.Subject.String()
	switch {
	case !keys.SamePublicKey(root.PublicKey, pub):
		return fault.New(fault.Invalid, "the root certificate %q and the private key are no pair", name)
	case !root.BasicConstraintsValid || !root.IsCA:
		return fault.New(fault.Invalid, "%q is not the certificate of a CA", name)
	case root.KeyUsage != 0 && root.KeyUsage&x509.KeyUsageCertSign == 0:
		return fault.New(fault.Invalid, "the key usage of %q does not permit signing certificates", name)
	case root.MaxPathLen == 0:
		return fault.New(fault.Invalid, "the path length 0 of %q leaves no room for an intermediate below it", name)
	case !bytes.Equal(root.RawSubject, root.RawIssuer) || root.CheckSignature(root.SignatureAlgorithm, root.RawTBSCertificate, root.Signature) != nil:
		return fault.New(fault.Invalid, "%q is not self-signed, so it is no root", name)
	case now.After(root.NotAfter):
		return fault.New(fault.Invalid, "%q expired at %s", name, stamp(root.NotAfter))
	case now.Before(root.NotBefore):
		return fault.New(fault.Invalid, "%q is valid only from %s on", name, stamp(root.NotBefore))
	}
	return keys.CheckStrength(root.PublicKey)
}

func authorityTemplate(spec AuthoritySpec, kind string, pub crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if err := checkText("name", spec.Name, maxCommonName); err != nil || spec.Name == "" {
		return nil, fault.New(fault.Invalid, "%q is no name for a CA", spec.Name)
	}
	serial, err := NewSerial()
	if err != nil {
		return nil, err
	}
	id, err := keys.SubjectKeyID(pub)
	if err != nil {
		return nil, fmt.Errorf("identify the key of the %s certificate: %w", kind, err)
	}
	// Clients with a slow clock trust it at once, too.
	begin := now.Add(-time.Minute).UTC().Truncate(time.Second)
	end := spec.NotAfter
	if end.IsZero() {
		end = now.Add(AuthorityLifetime)
	}
	if end = end.UTC().Truncate(time.Second); !end.After(now) {
		return nil, fault.New(fault.Invalid, "the %s certificate would end at %s, which is past", kind, stamp(end))
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{spec.Name}, CommonName: spec.Name + " " + kind + " CA"},
		NotBefore:             begin,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          id,
	}, nil
}

func signAuthority(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", template.Subject, err)
	}
	return x509.ParseCertificate(der)
}
