package provisioner

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// renewalIssuer is the issuer of renew tokens; old clients write the provisioner's name.
const renewalIssuer = "step-ca-client/1.0"

// maxChain bounds the certificates a token may carry in its header.
const maxChain = 10

// Anchors are what a renew token is held against.
type Anchors struct {
	Roots, Intermediates []*x509.Certificate
	Audiences            *Audiences
}

// RenewalProof is what a renew token proves.
type RenewalProof struct {
	Leaf *x509.Certificate
	Once issue.Once
}

// VerifyRenewal checks a renew token: a JWS by the key of the certificate in its header
// (x5cInsecure, or x5c). The chain is verified just before the leaf's end, since renewing an
// expired certificate is what the token is for.
func VerifyRenewal(t *Token, anchors Anchors) (*RenewalProof, error) {
	encoded := t.X5CInsecure
	if len(encoded) == 0 {
		encoded = t.X5C
	}
	chain, err := certificatesOf(encoded, "x5cInsecure")
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	if _, err := waysTo(chain, anchors.Roots, anchors.Intermediates, leaf.NotAfter.Add(-time.Minute)); err != nil {
		return nil, fault.Wrap(err, fault.Unproven, "the certificate in the token does not lead to a root of this CA, or is not for client authentication")
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, fault.New(fault.Unproven, "the certificate in the token may not be used for signatures")
	}
	if err := t.VerifyBy(leaf.PublicKey, keys.SignatureAlgorithms(leaf.PublicKey)); err != nil {
		return nil, err
	}
	if cn := leaf.Subject.CommonName; cn != "" && t.Subject != cn {
		return nil, fault.New(fault.Unproven, "the token is for the subject %q, its certificate for %q", t.Subject, cn)
	}
	if t.Expiry == nil {
		return nil, fault.New(fault.Unproven, "the token has no expiry (exp), so it is not accepted")
	}
	if err := t.CheckTimes(); err != nil {
		return nil, err
	}
	if !anchors.Audiences.Accepts(RenewX509, t.Audience, "") {
		return nil, fault.New(fault.Unproven, "the token is made out to %q, which is no address of this CA to %s", []string(t.Audience), RenewX509)
	}
	return &RenewalProof{Leaf: leaf, Once: t.once("renew " + keys.CertificateFingerprint(leaf))}, nil
}

// CheckRenewalIssuer: a renew token is issued by the client software, or under the name of
// the certificate's provisioner.
func CheckRenewalIssuer(t *Token, provisioner string) error {
	if t.Issuer == renewalIssuer || (t.Issuer == provisioner && provisioner != "") {
		return nil
	}
	return fault.New(fault.Unproven, "the token's issuer %q is not that of a renew token (%s)", t.Issuer, renewalIssuer)
}

// certificatesOf decodes the certificates in a header of a token, leaf first.
func certificatesOf(encoded []string, header string) ([]*x509.Certificate, error) {
	if len(encoded) == 0 || len(encoded) > maxChain {
		return nil, fault.New(fault.Unproven, "the token's header %s carries %d certificates; it must be the chain, at most %d", header, len(encoded), maxChain)
	}
	chain := make([]*x509.Certificate, len(encoded))
	for i, s := range encoded {
		der, err := base64.StdEncoding.DecodeString(s)
		if err == nil {
			chain[i], err = x509.ParseCertificate(der)
		}
		if err == nil {
			// The sender chose these keys, and each may be asked to check a signature.
			err = issue.CheckCost(chain[i].PublicKey)
		}
		if err != nil {
			return nil, fault.Wrap(errors.New(err.Error()), fault.Unproven, "certificate %d in the token's header cannot be used", i+1)
		}
	}
	return chain, nil
}
