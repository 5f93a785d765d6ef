package issue

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/signet-ca/signet/internal/fault"
)

// Bounds on RSA subject keys, in bits. Above the upper one a signature check costs a
// stranger nothing and us much.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// CheckKey is the one rule for subject keys, on sign and rekey alike: RSA from 2048 to 8192
// bits with an odd exponent of at least 65537, ECDSA on P-256, P-384 or P-521, Ed25519.
func CheckKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return checkRSA(k)
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fault.New(fault.Denied, "an ECDSA key on %s is not accepted; use P-256, P-384 or P-521", k.Curve.Params().Name)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return fault.New(fault.Invalid, "the Ed25519 key is %d bytes long, not %d", len(k), ed25519.PublicKeySize)
		}
		return nil
	}
	return fault.New(fault.Invalid, "keys of type %T are not supported; use RSA, ECDSA or Ed25519", pub)
}

// CheckCost refuses a stranger's key with which checking one signature would take seconds.
// It comes before any such check.
func CheckCost(pub crypto.PublicKey) error {
	if k, ok := pub.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSABits {
		return fault.New(fault.Denied, "an RSA key of %d bits is too large; the maximum is %d bits", k.N.BitLen(), maxRSABits)
	}
	return nil
}

func checkRSA(k *rsa.PublicKey) error {
	switch bits := k.N.BitLen(); {
	case bits < minRSABits:
		return fault.New(fault.Denied, "an RSA key of %d bits is too weak; the minimum is %d bits", bits, minRSABits)
	case bits > maxRSABits:
		return CheckCost(k)
	case k.E < 65537 || k.E%2 == 0:
		return fault.New(fault.Denied, "the RSA exponent %d is not accepted; use 65537", k.E)
	case k.N.Bit(0) == 0:
		return fault.New(fault.Denied, "the RSA modulus is even, so this is no RSA key")
	}
	return nil
}
