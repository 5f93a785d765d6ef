package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// ReadPrivate reads the private key in the file at path, see ParsePrivate.
func ReadPrivate(path string, pw Password) (crypto.Signer, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", path, err)
	}
	defer clear(data)
	return ParsePrivate(data, path, pw)
}

// ParsePrivate finds out what data is and reads the private key in it: PEM (SEC 1, PKCS#1,
// PKCS#8, encrypted by RFC 8018 or by RFC 1423, OpenSSH), bare DER, a JWK, or a JWE around a
// JWK. what names the key in prompts and errors. pw is asked at most once, and only if the
// key is encrypted; if it is wrong, the error lies on ErrPassword.
func ParsePrivate(data []byte, what string, pw Password) (crypto.Signer, error) {
	if len(data) > maxFile {
		return nil, fault.New(fault.TooLarge, "private key %s is larger than %d KiB", what, maxFile>>10)
	}
	if pw == nil {
		pw = NoPassword
	}
	key, err := parsePrivate(data, what, pw)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", what, err)
	}
	return key, nil
}

func parsePrivate(data []byte, what string, pw Password) (crypto.Signer, error) {
	if looksJOSE(data) {
		jwk, err := ParsePrivateJWK(data, what, pw)
		if err != nil {
			return nil, err
		}
		return signer(jwk.Key)
	}
	block, err := onlyKeyBlock(data)
	if err != nil {
		return nil, err
	}
	if block != nil {
		return privateFromPEM(block, what, pw)
	}
	if len(data) <= maxKey {
		if key, err := privateFromDER(data); err == nil {
			return key, nil
		}
		if isEncryptedPKCS8(data) {
			return privateFromPBES2(data, what, pw)
		}
	}
	return nil, fault.New(fault.Invalid, "no private key found: neither PEM, DER, JWK nor JWE")
}

// onlyKeyBlock returns the one PEM block in data, or nil if there is none. Text around it is
// allowed, and so are the curve parameters that `openssl ecparam` puts before its key.
func onlyKeyBlock(data []byte) (*pem.Block, error) {
	var only *pem.Block
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return only, nil
		}
		data = rest
		if block.Type == "EC PARAMETERS" {
			continue
		}
		if only != nil {
			return nil, fault.New(fault.Invalid, "more than one PEM block found (%q and %q) where a single key is expected", only.Type, block.Type)
		}
		only = block
	}
}

// firstBlock is the first PEM block that may be a key.
func firstBlock(data []byte) *pem.Block {
	for {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "EC PARAMETERS" {
			return block
		}
		data = rest
	}
}

func privateFromPEM(block *pem.Block, what string, pw Password) (crypto.Signer, error) {
	if len(block.Bytes) > maxKey {
		return nil, fault.New(fault.TooLarge, "the key is larger than %d KiB", maxKey>>10)
	}
	switch block.Type {
	case "EC PRIVATE KEY", "RSA PRIVATE KEY", "PRIVATE KEY":
		if isRFC1423(block) {
			return privateFromRFC1423(block, what, pw)
		}
		return privateFromDER(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return privateFromPBES2(block.Bytes, what, pw)
	case "OPENSSH PRIVATE KEY":
		return privateFromOpenSSH(block, what, pw)
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return nil, fault.New(fault.Invalid, "private keys of type %q are not supported", block.Type)
	}
	return nil, fault.New(fault.Invalid, "a private key is expected, but the PEM block is a %q", block.Type)
}

// privateFromDER tries the three structures a private key is found in. The label of a PEM
// block is no help: tools of all times have mixed them up.
func privateFromDER(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return signer(key)
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return signer(key)
	}
	return nil, fault.New(fault.Invalid, "the key is malformed, or of a type other than EC, RSA and Ed25519")
}

// decrypted reads a key that has just been decrypted with a password. A block cipher without
// integrity can't tell a wrong password from a damaged file: what decrypts to no key is both.
func decrypted(der []byte, what string) (crypto.Signer, error) {
	defer clear(der)
	key, err := privateFromDER(der)
	if err != nil {
		return nil, wrongPassword(what)
	}
	return key, nil
}

func wrongPassword(what string) error {
	return fault.Wrap(ErrPassword, fault.Invalid, "%s can't be decrypted: the password is wrong, or the data is damaged", what)
}

// EncodePrivate writes key as unencrypted PEM: SEC 1 for EC and PKCS#1 for RSA, which the
// oldest tools read, and PKCS#8 for Ed25519.
func EncodePrivate(key crypto.PrivateKey) ([]byte, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the EC key can't be written")
		}
		return encodeAndClear("EC PRIVATE KEY", der), nil
	case *rsa.PrivateKey:
		return encodeAndClear("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)), nil
	}
	return EncodePKCS8(key)
}

// EncodePKCS8 writes key as unencrypted PKCS#8 PEM, whatever its type.
func EncodePKCS8(key crypto.PrivateKey) ([]byte, error) {
	der, err := MarshalPKCS8(key)
	if err != nil {
		return nil, err
	}
	return encodeAndClear("PRIVATE KEY", der), nil
}

// EncodeEncrypted writes key as PKCS#8 PEM encrypted under password by PBES2 (RFC 8018),
// which every tool of the last decade reads. The old RFC 1423 form is never written: it has
// no integrity and falls to guessing at billions of passwords a second.
func EncodeEncrypted(key crypto.PrivateKey, password []byte) ([]byte, error) {
	der, err := MarshalEncrypted(key, password)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), nil
}

// MarshalPKCS8 is the DER inside EncodePKCS8.
func MarshalPKCS8(key crypto.PrivateKey) ([]byte, error) {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
	default:
		return nil, fault.New(fault.Unsupported, "a key of type %T can't leave its keeper", key)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the private key can't be written")
	}
	return der, nil
}

func encodeAndClear(label string, der []byte) []byte {
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// looksJOSE tells JSON and compact JWE from PEM and DER.
func looksJOSE(data []byte) bool {
	data = bytes.TrimSpace(data)
	return bytes.HasPrefix(data, []byte("{")) ||
		bytes.HasPrefix(data, []byte("eyJ")) && bytes.Count(data, []byte(".")) == 4
}
