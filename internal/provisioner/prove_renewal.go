package provisioner

import (
	"crypto/x509"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// ProveRenewal makes a renew token: signed by the key of a certificate, which it carries
// with its chain, leaf first. It renews what TLS no longer accepts as a client certificate.
// Of want count Key, Audience and the times; a Subject must be that of the leaf.
func ProveRenewal(chain []*x509.Certificate, want Want) (string, error) {
	if len(chain) == 0 {
		return "", fault.New(fault.Invalid, "a renew token needs the certificate to renew")
	}
	leaf := chain[0]
	if want.Key == nil || !keys.SamePublicKey(leaf.PublicKey, want.Key.Public()) {
		return "", fault.New(fault.Invalid, "the private key does not belong to the certificate")
	}
	cn := leaf.Subject.CommonName
	if want.Subject != "" && want.Subject != cn {
		return "", fault.New(fault.Invalid, "the subject %q is not that of the certificate, %q", want.Subject, cn)
	}
	want.Subject = cn
	notBefore, notAfter, err := want.times()
	if err != nil {
		return "", err
	}
	thumbprint, err := keys.Thumbprint(want.Key)
	if err != nil {
		return "", err
	}
	return keys.SignJWT(want.Key, map[string]any{"kid": thumbprint, "x5cInsecure": encodeChain(chain)}, &claims{
		Audience: want.Audience, Issuer: renewalIssuer, Subject: cn,
		IssuedAt: want.At.Unix(), NotBefore: notBefore.Unix(), Expiry: notAfter.Unix(),
	})
}
