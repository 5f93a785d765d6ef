package provisioner

import (
	"context"
	"crypto/x509"
	"encoding/base64"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// NewX5C is an X5C provisioner by name alone: enough to make its proofs.
func NewX5C(name string) *X5C { return &X5C{name: name} }

// Prove signs a token with the key of a certificate, which it carries with its chain.
func (x *X5C) Prove(_ context.Context, act Act, want Want) (string, error) {
	switch {
	case !rowOf("X5C").permits(act) || act == RenewX509:
		return "", fault.New(fault.Invalid, "a token of an X5C provisioner can't %s", act)
	case len(want.Chain) == 0 || want.Key == nil:
		return "", fault.New(fault.Invalid, "a certificate of the provisioner %q and its private key are needed", x.name)
	case !keys.SamePublicKey(want.Chain[0].PublicKey, want.Key.Public()):
		return "", fault.New(fault.Invalid, "the private key does not belong to the certificate")
	case want.Chain[0].IsCA:
		return "", fault.New(fault.Invalid, "the certificate is that of a CA, which proves nothing to an X5C provisioner")
	case want.Chain[0].KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return "", fault.New(fault.Invalid, "the certificate may not be used for signatures (its key usage lacks digitalSignature)")
	case !want.At.Before(want.Chain[0].NotAfter):
		return "", fault.New(fault.Invalid, "the certificate expired at %s", stamp(want.Chain[0].NotAfter))
	case len(want.Chain) > maxChain:
		return "", fault.New(fault.Invalid, "the chain has %d certificates; a CA reads %d at most", len(want.Chain), maxChain)
	}
	c, err := want.claims(act, x.name)
	if err != nil {
		return "", err
	}
	c.Audience += fragment(x.TokenID())
	thumbprint, err := keys.Thumbprint(want.Key)
	if err != nil {
		return "", err
	}
	header := "x5c"
	if want.Insecure {
		header = "x5cInsecure"
	}
	return keys.SignJWT(want.Key, map[string]any{"kid": thumbprint, header: encodeChain(want.Chain)}, c)
}

// encodeChain writes certificates as a token's header carries them (RFC 7515, Section 4.1.6).
func encodeChain(chain []*x509.Certificate) []string {
	encoded := make([]string, len(chain))
	for i, c := range chain {
		encoded[i] = base64.StdEncoding.EncodeToString(c.Raw)
	}
	return encoded
}
