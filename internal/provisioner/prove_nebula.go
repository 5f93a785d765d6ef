package provisioner

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"slices"

	"github.com/slackhq/nebula/cert"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// NewNebula is a Nebula provisioner by name alone: enough to make its proofs.
func NewNebula(name string) *Nebula { return &Nebula{name: name} }

// ReadNebulaKey reads the private key of a host's certificate from PEM, as nebula-cert
// writes it.
func ReadNebulaKey(data []byte) (crypto.Signer, error) {
	raw, _, curve, err := cert.UnmarshalPrivateKeyFromPEM(data)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "there is no private key of a Nebula host (NEBULA X25519 or P256 PRIVATE KEY)")
	}
	defer clear(raw)
	if curve == cert.Curve_CURVE25519 {
		return keys.NewX25519Signer(raw)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the private key is none of the curve P-256")
	}
	return key, nil
}

// nebulaKeyOf is the public key as it stands in certificates; nil for other kinds of keys.
func nebulaKeyOf(key crypto.PublicKey) []byte {
	switch k := key.(type) {
	case *ecdh.PublicKey:
		return k.Bytes()
	case *ecdsa.PublicKey:
		if raw, err := k.Bytes(); err == nil {
			return raw
		}
	}
	return nil
}

// Prove signs a token with the key of a Nebula certificate, which it carries.
func (n *Nebula) Prove(_ context.Context, act Act, want Want) (string, error) {
	c := want.Nebula
	switch {
	case !rowOf("Nebula").permits(act) || act == RenewX509:
		return "", fault.New(fault.Invalid, "a token of a Nebula provisioner can't %s", act)
	case c == nil || want.Key == nil:
		return "", fault.New(fault.Invalid, "a certificate of the network of the provisioner %q and its private key are needed", n.name)
	case c.IsCA():
		return "", fault.New(fault.Invalid, "the Nebula certificate is that of a CA, which proves nothing")
	case !slices.Equal(nebulaKeyOf(want.Key.Public()), c.PublicKey()):
		return "", fault.New(fault.Invalid, "the private key does not belong to the Nebula certificate")
	case !want.At.Before(c.NotAfter()):
		return "", fault.New(fault.Invalid, "the Nebula certificate expired at %s", stamp(c.NotAfter()))
	case act == SignSSH && want.SSH != nil && want.SSH.CertType == "user":
		return "", fault.New(fault.Invalid, "a Nebula certificate is that of a host, so it buys no SSH user certificates; give --host")
	}
	raw, err := c.Marshal()
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "the Nebula certificate can't be written")
	}
	body, err := want.claims(act, n.name)
	if err != nil {
		return "", err
	}
	body.Audience += fragment(n.TokenID())
	return keys.SignJWT(want.Key, map[string]any{"nebula": base64.StdEncoding.EncodeToString(raw)}, body)
}
