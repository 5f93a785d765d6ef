// Package keys turns bytes into keys and certificates and back: PEM, DER, JWK, OpenSSH,
// PKCS#12. It knows no CA. Everything it reads may come from a stranger: sizes, iteration
// counts and nesting are bounded, and nothing here panics on input.
package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/signet-ca/signet/internal/fault"
)

// Bounds on what is read. A 16384-bit RSA key is under 16 KiB in every form.
const (
	maxFile        = 1 << 20  // a file that holds one key
	maxBundle      = 16 << 20 // a file that holds certificates
	maxKey         = 32 << 10 // one private key, decoded
	maxPassword    = 64 << 10
	minRSA, maxRSA = 2048, 16384
)

// ErrPassword lies below every fault that a wrong password may have caused, so that a prompt
// knows when asking again makes sense.
var ErrPassword = errors.New("wrong password")

// Password supplies a password when, and only when, something turns out to be encrypted.
// what names the thing for a prompt. The bytes stay the callee's own: nobody changes them.
type Password func(what string) ([]byte, error)

// FixedPassword answers every question with pw.
func FixedPassword(pw []byte) Password {
	return func(string) ([]byte, error) { return pw, nil }
}

// NoPassword is for those who have none to offer.
func NoPassword(what string) ([]byte, error) {
	return nil, fault.New(fault.Invalid, "%s is encrypted and no password was given", what)
}

// ReadPasswordFile reads a password and cuts trailing white space, which editors and echo
// leave behind. Leading white space belongs to the password; a blank file is the empty one.
func ReadPasswordFile(path string) ([]byte, error) {
	data, err := readFile(path, maxPassword)
	if err != nil {
		return nil, fmt.Errorf("read password file %s: %w", path, err)
	}
	return bytes.TrimRightFunc(data, unicode.IsSpace), nil
}

// readFile reads at most limit bytes. It opens once and asks for no size, so that pipes
// such as a shell's <(...) work.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.TooLarge, "the file is larger than %d KiB", limit>>10)
	}
	return data, nil
}

// Alg names a kind of key to generate. The zero value is EC P-256.
type Alg struct {
	Kty  string // "EC", "RSA" or "OKP"; "" is EC
	Crv  string // "P-256", "P-384", "P-521" or "Ed25519"; "" is the default of Kty
	Size int    // RSA bits; 0 is 2048
}

// Generate makes a new private key.
func (a Alg) Generate() (crypto.Signer, error) {
	switch strings.ToUpper(a.Kty) {
	case "", "EC":
		curve, err := a.curve()
		if err != nil {
			return nil, err
		}
		return ecdsa.GenerateKey(curve, rand.Reader)
	case "RSA":
		bits := a.Size
		if bits == 0 {
			bits = minRSA
		}
		if a.Crv != "" {
			return nil, fault.New(fault.Invalid, "an RSA key has no curve, but %q was asked for", a.Crv)
		}
		// The lower bound is that of crypto/rsa. Below minRSA it takes the caller's own insistence.
		if bits < 1024 || bits > maxRSA {
			return nil, fault.New(fault.Invalid, "an RSA key of %d bits can't be made: from 1024 to %d are possible", bits, maxRSA)
		}
		return rsa.GenerateKey(rand.Reader, bits)
	case "OKP":
		if a.Crv != "" && !strings.EqualFold(a.Crv, "Ed25519") {
			return nil, fault.New(fault.Invalid, "curve %q is not supported for OKP keys: use Ed25519", a.Crv)
		}
		if a.Size != 0 {
			return nil, fault.New(fault.Invalid, "an OKP key has no size to choose")
		}
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fault.New(fault.Invalid, "key type %q is unknown: use EC, RSA or OKP", a.Kty)
}

func (a Alg) curve() (elliptic.Curve, error) {
	if a.Size != 0 {
		return nil, fault.New(fault.Invalid, "the size of an EC key follows from its curve")
	}
	switch strings.ToUpper(a.Crv) {
	case "", "P-256":
		return elliptic.P256(), nil
	case "P-384":
		return elliptic.P384(), nil
	case "P-521":
		return elliptic.P521(), nil
	}
	return nil, fault.New(fault.Invalid, "curve %q is not supported for EC keys: use P-256, P-384 or P-521", a.Crv)
}

// CheckStrength refuses public keys that nobody should certify today: RSA below 2048 bits,
// absurdly large RSA, curves other than P-256, P-384, P-521 and Ed25519.
func CheckStrength(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if sigAlgOfCurve(k) == "" {
			return fault.New(fault.Invalid, "EC keys must be on P-256, P-384 or P-521")
		}
	case *rsa.PublicKey:
		if k.N == nil || k.N.BitLen() < minRSA || k.N.BitLen() > maxRSA {
			return fault.New(fault.Invalid, "RSA keys must have %d to %d bits", minRSA, maxRSA)
		}
		if k.E < 3 || k.E&1 == 0 {
			return fault.New(fault.Invalid, "the public exponent of an RSA key must be odd and at least 3")
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return fault.New(fault.Invalid, "the Ed25519 key has a wrong length")
		}
	default:
		return fault.New(fault.Invalid, "keys of type %T are not supported", pub)
	}
	return nil
}

// signer accepts what the standard library's parsers return for a private key.
func signer(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	case *ed25519.PrivateKey:
		return *k, nil
	case *rsa.PrivateKey:
		if k.N.BitLen() > maxRSA {
			return nil, fault.New(fault.Invalid, "RSA keys above %d bits are not supported", maxRSA)
		}
		return k, nil
	}
	return nil, fault.New(fault.Invalid, "the key's type is not supported: EC, RSA and Ed25519 are")
}
