package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

// PBES2 iteration counts (RFC 7518, Section 4.8.1.2). Existing clients refuse more than a
// million, so more is never written; less than a thousand protects nothing.
const (
	jweIterations    = 600_000
	minJWEIterations = 1000
	maxJWEIterations = 1_000_000
	maxJWE           = 1 << 20
)

var (
	pbes2Algs = []jose.KeyAlgorithm{jose.PBES2_HS256_A128KW, jose.PBES2_HS384_A192KW, jose.PBES2_HS512_A256KW}
	encAlgs   = []jose.ContentEncryption{
		jose.A128GCM, jose.A192GCM, jose.A256GCM, jose.A128CBC_HS256, jose.A192CBC_HS384, jose.A256CBC_HS512,
	}
)

// EncryptJWK hides a private JWK under a password, in the one form that every client of a CA
// understands: a compact JWE by PBES2-HS256+A128KW and A256GCM.
func EncryptJWK(k *jose.JSONWebKey, password []byte) (string, error) {
	plain, err := MarshalJWK(k)
	if err != nil {
		return "", err
	}
	defer clear(plain)
	obj, err := EncryptPBES2(plain, password, jose.PBES2_HS256_A128KW, "jwk+json")
	if err != nil {
		return "", err
	}
	return obj.CompactSerialize()
}

// EncryptPBES2 encrypts plain under a password with A256GCM. contentType becomes the header
// cty, if there is one.
func EncryptPBES2(plain, password []byte, alg jose.KeyAlgorithm, contentType string) (*jose.JSONWebEncryption, error) {
	opts := new(jose.EncrypterOptions)
	if contentType != "" {
		opts = opts.WithContentType(jose.ContentType(contentType))
	}
	to := jose.Recipient{Algorithm: alg, Key: password, PBES2Count: jweIterations}
	enc, err := jose.NewEncrypter(jose.A256GCM, to, opts)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "nothing can be encrypted by %s", alg)
	}
	obj, err := enc.Encrypt(plain)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "nothing can be encrypted by %s", alg)
	}
	return obj, nil
}

// DecryptPBES2 decrypts a JWE in any serialization with one recipient. Iteration counts from
// a thousand to a million are taken. A wrong password lies on ErrPassword.
func DecryptPBES2(jwe, password []byte) ([]byte, error) {
	obj, err := openPBES2(jwe)
	if err != nil {
		return nil, err
	}
	plain, err := obj.Decrypt(password)
	if err != nil {
		return nil, wrongPassword("the JWE")
	}
	return plain, nil
}

// openPBES2 checks everything about a JWE that doesn't take the password.
func openPBES2(jwe []byte) (*jose.JSONWebEncryption, error) {
	if len(jwe) > maxJWE {
		return nil, fault.New(fault.TooLarge, "the JWE is larger than %d KiB", maxJWE>>10)
	}
	jwe = bytes.TrimSpace(jwe)
	if err := checkIterations(jwe); err != nil {
		return nil, err
	}
	parse := jose.ParseEncryptedCompact
	if bytes.HasPrefix(jwe, []byte("{")) {
		parse = jose.ParseEncryptedJSON
	}
	obj, err := parse(string(jwe), pbes2Algs, encAlgs)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the JWE is malformed, or not encrypted with a password")
	}
	return obj, nil
}

// jweShape is where a JWE keeps its headers (RFC 7516, Section 7.2).
type jweShape struct {
	Protected   string          `json:"protected"`
	Unprotected json.RawMessage `json:"unprotected"`
	Header      json.RawMessage `json:"header"`
	Recipients  []struct {
		Header json.RawMessage `json:"header"`
	} `json:"recipients"`
}

// checkIterations holds every iteration count in the headers against its bounds, before a
// derivation may spend the time that a stranger asked for.
func checkIterations(jwe []byte) error {
	var shape jweShape
	if bytes.HasPrefix(jwe, []byte("{")) {
		if err := strict.Decode(jwe, &shape); err != nil {
			return err
		}
		if len(shape.Recipients) > 1 {
			return fault.New(fault.Invalid, "the JWE has %d recipients where one is expected", len(shape.Recipients))
		}
	} else {
		shape.Protected, _, _ = strings.Cut(string(jwe), ".")
	}
	protected, err := base64.RawURLEncoding.DecodeString(shape.Protected)
	if err != nil {
		return fault.New(fault.Invalid, "the protected header of the JWE is not base64url")
	}
	headers := []json.RawMessage{protected, shape.Unprotected, shape.Header}
	for _, r := range shape.Recipients {
		headers = append(headers, r.Header)
	}
	for _, h := range headers {
		if len(h) == 0 {
			continue
		}
		var params struct {
			P2C *int64 `json:"p2c"`
		}
		if err := strict.Decode(h, &params); err != nil {
			return err
		}
		if params.P2C != nil && (*params.P2C < minJWEIterations || *params.P2C > maxJWEIterations) {
			return fault.New(fault.Invalid, "a JWE with %d PBKDF2 iterations is not supported: %d to %d are",
				*params.P2C, minJWEIterations, maxJWEIterations)
		}
	}
	return nil
}

// DecryptJWK undoes EncryptJWK, and reads what other tools write: any PBES2 algorithm, any
// standard content encryption, compact or JSON serialization.
func DecryptJWK(jwe, password []byte) (*jose.JSONWebKey, error) {
	plain, err := DecryptPBES2(jwe, password)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return ParseJWK(plain)
}

// ParsePrivateJWK reads a JWK, or a JWE around one. pw is asked only for a JWE.
func ParsePrivateJWK(data []byte, what string, pw Password) (*jose.JSONWebKey, error) {
	if !isJWE(data) {
		return ParseJWK(data)
	}
	obj, err := openPBES2(data)
	if err != nil {
		return nil, err
	}
	password, err := pw(what)
	if err != nil {
		return nil, err
	}
	plain, err := obj.Decrypt(password)
	if err != nil {
		return nil, wrongPassword(what)
	}
	defer clear(plain)
	return ParseJWK(plain)
}

func isJWE(data []byte) bool {
	data = bytes.TrimSpace(data)
	if !bytes.HasPrefix(data, []byte("{")) {
		return true
	}
	var shape struct {
		Ciphertext *json.RawMessage `json:"ciphertext"`
	}
	return strict.Decode(data, &shape) == nil && shape.Ciphertext != nil
}
