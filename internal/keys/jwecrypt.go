package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
)

// KeyAlgorithms is every way to hand over a content key, ContentEncryptions every way to
// encrypt content; both in the order in which help shows them.
func KeyAlgorithms() []jose.KeyAlgorithm           { return slices.Clone(allKeyAlgs) }
func ContentEncryptions() []jose.ContentEncryption { return slices.Clone(encAlgs) }

// IsPBES2 reports whether an algorithm takes a password instead of a key.
func IsPBES2(alg jose.KeyAlgorithm) bool { return slices.Contains(pbes2Algs, alg) }

// EncryptionAlgorithms lists the algorithms that fit a JWK, its default first: those of its
// type, or the one that the JWK itself names. An Ed25519 key has none.
func EncryptionAlgorithms(k *jose.JSONWebKey) []jose.KeyAlgorithm {
	var fitting []jose.KeyAlgorithm
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey, *ecdsa.PrivateKey:
		fitting = ecdhAlgs
	case *rsa.PublicKey, *rsa.PrivateKey:
		fitting = rsaAlgs
	case []byte:
		if len(key) > 0 {
			fitting = octAlgs
		}
	}
	if k.Algorithm == "" {
		return slices.Clone(fitting)
	}
	own := jose.KeyAlgorithm(k.Algorithm)
	if !slices.Contains(fitting, own) {
		return nil
	}
	return []jose.KeyAlgorithm{own}
}

// EncryptJWE encrypts plain to a public or secret JWK. header adds protected members.
func EncryptJWE(plain []byte, k *jose.JSONWebKey, alg jose.KeyAlgorithm, enc jose.ContentEncryption, header map[string]any) (*JWE, error) {
	key := k.Key
	if _, secret := key.([]byte); !secret {
		key = k.Public().Key
	}
	return encryptTo(plain, jose.Recipient{Algorithm: alg, Key: key, KeyID: k.KeyID}, enc, header)
}

// EncryptPBES2 encrypts plain under a password.
func EncryptPBES2(plain, password []byte, alg jose.KeyAlgorithm, enc jose.ContentEncryption, header map[string]any) (*JWE, error) {
	return encryptTo(plain, jose.Recipient{Algorithm: alg, Key: password, PBES2Count: jweIterations}, enc, header)
}

func encryptTo(plain []byte, to jose.Recipient, enc jose.ContentEncryption, header map[string]any) (*JWE, error) {
	opts := new(jose.EncrypterOptions)
	for name, value := range header {
		opts = opts.WithHeader(jose.HeaderKey(name), value)
	}
	e, err := jose.NewEncrypter(enc, to, opts)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "nothing can be encrypted by %s and %s with this key", to.Algorithm, enc)
	}
	obj, err := e.Encrypt(plain)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "nothing can be encrypted by %s and %s with this key", to.Algorithm, enc)
	}
	return &JWE{Algorithm: to.Algorithm, KeyID: to.KeyID, obj: obj}, nil
}

// JWE is an encrypted message with one recipient.
type JWE struct {
	Algorithm jose.KeyAlgorithm // how its content key is wrapped
	KeyID     string            // of the recipient, or ""
	obj       *jose.JSONWebEncryption
}

// ParseJWE takes an encrypted message apart, compact or JSON with one recipient, and holds
// its password iterations against their bounds.
func ParseJWE(data []byte) (*JWE, error) {
	if len(data) > maxJWE {
		return nil, fault.New(fault.TooLarge, "the JWE is larger than %d MiB", maxJWE>>20)
	}
	data = bytes.TrimSpace(data)
	shape, err := shapeOf(data)
	if err != nil {
		return nil, err
	}
	header, err := shape.header()
	if err != nil {
		return nil, err
	}
	if _, there := header["crit"]; there {
		return nil, fault.New(fault.Invalid, "the JWE has a critical extension, and none is supported")
	}
	if count, there := header["p2c"]; there {
		if err := checkIterations(count); err != nil {
			return nil, err
		}
	}
	parse := jose.ParseEncryptedCompact
	if bytes.HasPrefix(data, []byte("{")) {
		parse = jose.ParseEncryptedJSON
	}
	obj, err := parse(string(data), allKeyAlgs, encAlgs)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the JWE is malformed, or its algorithms are unknown")
	}
	jwe := &JWE{obj: obj}
	for name, into := range map[string]any{"alg": &jwe.Algorithm, "kid": &jwe.KeyID} {
		if value, there := header[name]; there && json.Unmarshal(value, into) != nil {
			return nil, fault.New(fault.Invalid, "header member %q is not a string", name)
		}
	}
	return jwe, nil
}

// JSON is the flattened JSON serialization.
func (j *JWE) JSON() string { return j.obj.FullSerialize() }

// Compact is the compact serialization, if the headers allow it.
func (j *JWE) Compact() (string, error) {
	out, err := j.obj.CompactSerialize()
	return out, compactly(err)
}

// DecryptPBES2 decrypts with the password that pw gives for what. A wrong one lies on
// ErrPassword.
func (j *JWE) DecryptPBES2(what string, pw Password) ([]byte, error) {
	if !IsPBES2(j.Algorithm) {
		return nil, fault.New(fault.Invalid, "%s is not encrypted with a password but by %q", what, j.Algorithm)
	}
	password, err := pw(what)
	if err != nil {
		return nil, err
	}
	plain, err := j.obj.Decrypt(password)
	if err != nil {
		return nil, wrongPassword(what)
	}
	return plain, nil
}

// Decrypt decrypts with a private or secret JWK, whose type and own algorithm must fit.
func (j *JWE) Decrypt(k *jose.JSONWebKey) ([]byte, error) {
	if !slices.Contains(EncryptionAlgorithms(k), j.Algorithm) {
		return nil, fault.New(fault.Invalid, "algorithm %q doesn't fit the key", j.Algorithm)
	}
	if _, secret := k.Key.([]byte); !secret && k.IsPublic() {
		return nil, fault.New(fault.Invalid, "decrypting takes a private key, and this one is public")
	}
	plain, err := j.obj.Decrypt(k.Key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the JWE can't be decrypted with this key")
	}
	return plain, nil
}
