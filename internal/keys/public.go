package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

// ParsePublic finds out what data is and reads the public key in it: PEM or DER of a key
// (PKIX, PKCS#1), of a certificate or of a signing request, a JWK, or a line as in
// authorized_keys. A private JWK gives its public half.
func ParsePublic(data []byte) (crypto.PublicKey, error) {
	if len(data) > maxFile {
		return nil, fault.New(fault.TooLarge, "the public key is larger than %d KiB", maxFile>>10)
	}
	if looksJOSE(data) {
		jwk, err := ParseJWK(data)
		if err != nil {
			return nil, err
		}
		if _, secret := jwk.Key.([]byte); secret {
			return nil, fault.New(fault.Invalid, "the JWK is a shared secret and has no public key")
		}
		return jwk.Public().Key, nil
	}
	if block := firstBlock(data); block != nil {
		return publicFromPEM(block)
	}
	if key, err := publicFromDER(data); err == nil {
		return key, nil
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		return PublicFromSSH(key)
	}
	return nil, fault.New(fault.Invalid, "no public key found: neither PEM, DER, JWK nor an SSH key line")
}

func publicFromPEM(block *pem.Block) (crypto.PublicKey, error) {
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		var c *x509.CertificateRequest
		if c, err = x509.ParseCertificateRequest(block.Bytes); err == nil {
			key = c.PublicKey
		}
	default:
		return nil, fault.New(fault.Invalid, "a public key is expected, but the PEM block is a %q", block.Type)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the %s is malformed", block.Type)
	}
	return supported(key)
}

func publicFromDER(der []byte) (crypto.PublicKey, error) {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return supported(key)
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return supported(key)
	}
	if c, err := x509.ParseCertificate(der); err == nil {
		return supported(c.PublicKey)
	}
	if c, err := x509.ParseCertificateRequest(der); err == nil {
		return supported(c.PublicKey)
	}
	return nil, fault.New(fault.Invalid, "no public key found")
}

func supported(key crypto.PublicKey) (crypto.PublicKey, error) {
	switch key.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey:
		return key, nil
	}
	return nil, fault.New(fault.Invalid, "the public key's type is not supported: EC, RSA and Ed25519 are")
}

// EncodePublic writes pub as PKIX PEM.
func EncodePublic(pub crypto.PublicKey) ([]byte, error) {
	der, err := MarshalPublic(pub)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// p256Info is what stands before the point in the SubjectPublicKeyInfo of each P-256 key
// (RFC 5480): by far the most common ones, and four of them are written for one certificate.
var p256Info = []byte{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
	0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00}

// MarshalPublic is the DER inside EncodePublic, a SubjectPublicKeyInfo.
func MarshalPublic(pub crypto.PublicKey) ([]byte, error) {
	if k, ok := pub.(*ecdsa.PublicKey); ok && k.Curve == elliptic.P256() {
		if point, err := k.Bytes(); err == nil {
			return append(slices.Clone(p256Info), point...), nil
		}
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "public keys of type %T can't be written", pub)
	}
	return der, nil
}

// PublicKeyID names a public key: the SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
func PublicKeyID(pub crypto.PublicKey) (string, error) {
	der, err := MarshalPublic(pub)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// SubjectKeyID is RFC 5280, Section 4.2.1.2, method (1): the SHA-1 of the key's bits.
func SubjectKeyID(pub crypto.PublicKey) ([]byte, error) {
	bits, err := PublicKeyBits(pub)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(bits)
	return sum[:], nil
}

// PublicKeyBits is the content of the subjectPublicKey BIT STRING.
func PublicKeyBits(pub crypto.PublicKey) ([]byte, error) {
	der, err := MarshalPublic(pub)
	if err != nil {
		return nil, err
	}
	if bits, ok := bytes.CutPrefix(der, p256Info); ok {
		return bits, nil
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if err := unmarshalWhole(der, &info); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the public key can't be taken apart")
	}
	return info.Key.RightAlign(), nil
}

// SamePublicKey reports whether a and b are one key. What it doesn't know is never the same.
func SamePublicKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && b != nil && comparable.Equal(b)
}
