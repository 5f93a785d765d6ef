package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
)

// XEdDSA is the name under which tokens carry signatures by X25519 keys.
const XEdDSA = "XEdDSA"

// X25519Signer is a private X25519 key that signs, by XEdDSA ("The XEdDSA and VXEdDSA
// Signature Schemes", 2016): its holder has no other key. It signs whole messages, so the
// hash in the options of Sign must be 0.
type X25519Signer struct {
	public *ecdh.PublicKey
	scalar *edwards25519.Scalar // of the Edwards point whose sign bit is 0
	point  []byte               // that point
}

// NewX25519Signer takes the 32 octets of a private X25519 key.
func NewX25519Signer(private []byte) (*X25519Signer, error) {
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "a private X25519 key has 32 octets, this one has %d", len(private))
	}
	scalar, err := new(edwards25519.Scalar).SetBytesWithClamping(private)
	if err != nil {
		return nil, fmt.Errorf("read X25519 key: %w", err)
	}
	point := new(edwards25519.Point).ScalarBaseMult(scalar).Bytes()
	if point[31]&0x80 != 0 {
		scalar.Negate(scalar)
		point[31] &= 0x7f
	}
	return &X25519Signer{public: key.PublicKey(), scalar: scalar, point: point}, nil
}

// Public is the X25519 public key, an *ecdh.PublicKey.
func (k *X25519Signer) Public() crypto.PublicKey { return k.public }

// Sign signs a whole message.
func (k *X25519Signer) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts != nil && opts.HashFunc() != 0 {
		return nil, errors.New("XEdDSA signs messages, not hashes")
	}
	if random == nil {
		random = rand.Reader
	}
	var noise [64]byte
	if _, err := io.ReadFull(random, noise[:]); err != nil {
		return nil, err
	}
	// hash1 of the scheme: its prefix is no encoding of a point, so that it can't collide
	// with the hash below.
	prefix := make([]byte, 32)
	for i := range prefix {
		prefix[i] = 0xff
	}
	prefix[0] = 0xfe
	r := hashToScalar(prefix, k.scalar.Bytes(), message, noise[:])
	commitment := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	h := hashToScalar(commitment, k.point, message)
	s := new(edwards25519.Scalar).MultiplyAdd(h, k.scalar, r)
	return append(commitment, s.Bytes()...), nil
}

func hashToScalar(parts ...[]byte) *edwards25519.Scalar {
	digest := sha512.New()
	for _, p := range parts {
		digest.Write(p)
	}
	scalar, _ := new(edwards25519.Scalar).SetUniformBytes(digest.Sum(nil)) // fails only for another length
	return scalar
}

// VerifyXEdDSA checks a signature by an X25519 key. Keys of small order are refused: a
// signature that fits one says nothing, since anybody can make it.
func VerifyXEdDSA(public, message, signature []byte) error {
	bad := fault.New(fault.Unproven, "the XEdDSA signature does not fit the key")
	if len(public) != 32 || len(signature) != ed25519.SignatureSize {
		return bad
	}
	u, err := new(field.Element).SetBytes(public)
	if err != nil {
		return bad
	}
	// RFC 7748, Section 4.1: y = (u - 1) / (u + 1). The scheme wants u below the prime.
	if !bytes.Equal(u.Bytes(), public) {
		return bad
	}
	one := new(field.Element).One()
	y := new(field.Element).Multiply(new(field.Element).Subtract(u, one), new(field.Element).Invert(new(field.Element).Add(u, one)))
	point := y.Bytes()
	p, err := new(edwards25519.Point).SetBytes(point)
	if err != nil || new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return bad
	}
	if !ed25519.Verify(point, message, signature) {
		return bad
	}
	return nil
}

// opaqueX25519 shows a signer to the library that makes tokens, which does not know its
// algorithm.
type opaqueX25519 struct{ *X25519Signer }

func (opaqueX25519) Public() *jose.JSONWebKey        { return nil }
func (opaqueX25519) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{XEdDSA} }
func (k opaqueX25519) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	return k.Sign(nil, payload, nil)
}
