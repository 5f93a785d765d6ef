package provisioner

import (
	"context"
	"crypto"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// NewJWK is a JWK provisioner by name and public key alone: enough to make its proofs where
// its configuration is out of reach. kid "" is the key's thumbprint.
func NewJWK(name, kid string, pub crypto.PublicKey) (*JWK, error) {
	key, err := keys.NewJWK(pub)
	if err != nil {
		return nil, err
	}
	if kid != "" {
		key.KeyID = kid
	}
	return &JWK{Key: PublicJWK{JSONWebKey: key}, p: &Provisioner{Type: "JWK", Name: name}}, nil
}

// Prove signs a token with the provisioner's private key.
func (j *JWK) Prove(_ context.Context, act Act, want Want) (string, error) {
	if !rowOf("JWK").permits(act) || act == RenewX509 {
		return "", fault.New(fault.Invalid, "a token of a JWK provisioner can't %s", act)
	}
	if want.Key == nil {
		return "", fault.New(fault.Invalid, "the private key of provisioner %q is needed", j.p.Name)
	}
	if j.Key.JSONWebKey == nil {
		return "", fault.New(fault.Invalid, "provisioner %q has no public key", j.p.Name)
	}
	if !keys.SamePublicKey(j.Key.Key, want.Key.Public()) {
		return "", fault.New(fault.Invalid, "the private key is not the one of provisioner %q (its key ID is %s)", j.p.Name, j.keyID())
	}
	c, err := want.claims(act, j.p.Name)
	if err != nil {
		return "", err
	}
	header := map[string]any{"kid": j.keyID()}
	if alg := jose.SignatureAlgorithm(j.Key.Algorithm); alg != "" {
		header["alg"] = string(alg)
	}
	return keys.SignJWT(want.Key, header, c)
}

// keyID is the ID of the key, its thumbprint where the configuration gives none.
func (j *JWK) keyID() string {
	if j.Key.KeyID != "" {
		return j.Key.KeyID
	}
	thumbprint, err := keys.Thumbprint(j.Key.Key)
	if err != nil {
		return ""
	}
	return thumbprint
}
