package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

const maxJWK = 64 << 10

// NewJWK describes a public key for signatures: its RFC 7638 thumbprint as kid, the default
// algorithm of its type, use "sig".
func NewJWK(pub crypto.PublicKey) (*jose.JSONWebKey, error) {
	algs := SignatureAlgorithms(pub)
	if algs == nil {
		if err := CheckStrength(pub); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Invalid, "keys of type %T can't sign tokens", pub)
	}
	kid, err := Thumbprint(pub)
	if err != nil {
		return nil, err
	}
	return &jose.JSONWebKey{Key: pub, KeyID: kid, Algorithm: string(algs[0]), Use: "sig"}, nil
}

// NewPrivateJWK is NewJWK with the private key inside. Keys that live in a keeper have none.
func NewPrivateJWK(key crypto.Signer) (*jose.JSONWebKey, error) {
	private, err := signer(key)
	if err != nil {
		return nil, fault.New(fault.Unsupported, "a key of type %T can't leave its keeper", key)
	}
	jwk, err := NewJWK(private.Public())
	if err != nil {
		return nil, err
	}
	jwk.Key = private
	return jwk, nil
}

// Thumbprint is the RFC 7638 thumbprint of a key by SHA-256, base64url without padding.
func Thumbprint(key any) (string, error) {
	jwk := &jose.JSONWebKey{Key: key}
	if s, ok := key.(crypto.Signer); ok {
		jwk.Key = s.Public()
	}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "keys of type %T have no thumbprint", key)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// MarshalJWK writes compact JSON with its members in the customary order:
// use, kty, kid, crv, alg, then the key's own.
func MarshalJWK(k *jose.JSONWebKey) ([]byte, error) {
	out, err := k.MarshalJSON()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the JWK can't be written")
	}
	return out, nil
}

// ParseJWK reads a JWK, public, private or a shared secret.
func ParseJWK(data []byte) (*jose.JSONWebKey, error) {
	if len(data) > maxJWK {
		return nil, fault.New(fault.TooLarge, "the JWK is larger than %d KiB", maxJWK>>10)
	}
	var size struct {
		Kty  string `json:"kty"`
		N    string `json:"n"`
		D    string `json:"d"`
		P, Q string
	}
	if err := strict.Decode(data, &size); err != nil {
		return nil, err
	}
	// Large numbers are slow to check, and a stranger chooses them.
	if limit := base64.RawURLEncoding.EncodedLen(maxRSA / 8); len(size.N) > limit || len(size.D) > limit {
		return nil, fault.New(fault.Invalid, "RSA keys above %d bits are not supported", maxRSA)
	}
	jwk := new(jose.JSONWebKey)
	if err := jwk.UnmarshalJSON(bytes.TrimSpace(data)); err != nil {
		// The cause stays inside: it may quote the member, and with it a secret.
		return nil, fault.Wrap(err, fault.Invalid, "the JWK is malformed, or of a type other than EC, RSA, Ed25519 and oct")
	}
	return jwk, nil
}

// SignatureAlgorithms lists the JOSE algorithms that fit a public key, its default first. An
// EC key has exactly the one of its curve. A key unfit for signing tokens has none; no public
// key ever serves as the secret of an HMAC.
func SignatureAlgorithms(pub crypto.PublicKey) []jose.SignatureAlgorithm {
	if CheckStrength(pub) != nil {
		return nil
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		return []jose.SignatureAlgorithm{sigAlgOfCurve(k)}
	case *rsa.PublicKey:
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}

func sigAlgOfCurve(k *ecdsa.PublicKey) jose.SignatureAlgorithm {
	switch k.Curve {
	case elliptic.P256():
		return jose.ES256
	case elliptic.P384():
		return jose.ES384
	case elliptic.P521():
		return jose.ES512
	}
	return ""
}
