package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
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
	maxJWE           = 16 << 20
)

var (
	pbes2Algs = []jose.KeyAlgorithm{jose.PBES2_HS256_A128KW, jose.PBES2_HS384_A192KW, jose.PBES2_HS512_A256KW}
	ecdhAlgs  = []jose.KeyAlgorithm{jose.ECDH_ES, jose.ECDH_ES_A128KW, jose.ECDH_ES_A192KW, jose.ECDH_ES_A256KW}
	rsaAlgs   = []jose.KeyAlgorithm{jose.RSA_OAEP_256, jose.RSA_OAEP, jose.RSA1_5}
	octAlgs   = []jose.KeyAlgorithm{
		jose.A256GCMKW, jose.A192GCMKW, jose.A128GCMKW, jose.A256KW, jose.A192KW, jose.A128KW, jose.DIRECT,
	}
	allKeyAlgs = slices.Concat(rsaAlgs, octAlgs, ecdhAlgs, pbes2Algs)

	encAlgs = []jose.ContentEncryption{
		jose.A256GCM, jose.A192GCM, jose.A128GCM, jose.A128CBC_HS256, jose.A192CBC_HS384, jose.A256CBC_HS512,
	}
)

// EncryptJWK hides a private JWK under a password, in the one form that every client of a CA
// understands: a compact JWE by PBES2-HS256+A128KW and A256GCM.
func EncryptJWK(k *jose.JSONWebKey, password []byte) (string, error) {
	obj, err := encryptPrivateJWK(k, password)
	if err != nil {
		return "", err
	}
	return obj.Compact()
}

// EncryptJWKFile is EncryptJWK in the form that files have: flattened JSON, indented.
func EncryptJWKFile(k *jose.JSONWebKey, password []byte) ([]byte, error) {
	obj, err := encryptPrivateJWK(k, password)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(obj.JSON()), "", "  "); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func encryptPrivateJWK(k *jose.JSONWebKey, password []byte) (*JWE, error) {
	plain, err := MarshalJWK(k)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return EncryptPBES2(plain, password, jose.PBES2_HS256_A128KW, jose.A256GCM, map[string]any{"cty": "jwk+json"})
}

// DecryptJWK undoes EncryptJWK, and reads what other tools write: any PBES2 algorithm, any
// standard content encryption, compact or JSON serialization with one recipient. A wrong
// password lies on ErrPassword.
func DecryptJWK(jwe []byte, password []byte) (*jose.JSONWebKey, error) {
	return decryptJWK(jwe, "the JWE", FixedPassword(password))
}

// ParsePrivateJWK reads a JWK, or a JWE around one. pw is asked only for a JWE.
func ParsePrivateJWK(data []byte, what string, pw Password) (*jose.JSONWebKey, error) {
	if !isJWE(data) {
		return ParseJWK(data)
	}
	return decryptJWK(data, what, pw)
}

func decryptJWK(data []byte, what string, pw Password) (*jose.JSONWebKey, error) {
	jwe, err := ParseJWE(data)
	if err != nil {
		return nil, err
	}
	plain, err := jwe.DecryptPBES2(what, pw)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return ParseJWK(plain)
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

func shapeOf(jwe []byte) (shape jweShape, err error) {
	if !bytes.HasPrefix(jwe, []byte("{")) {
		shape.Protected, _, _ = strings.Cut(string(jwe), ".")
		return shape, nil
	}
	if err := strict.Decode(jwe, &shape); err != nil {
		return shape, err
	}
	if len(shape.Recipients) > 1 {
		return shape, fault.New(fault.Invalid, "the JWE has %d recipients where one is expected", len(shape.Recipients))
	}
	return shape, nil
}

// header merges the headers of a JWE with one recipient. RFC 7516, Section 4: no name may
// stand in two of them, or two readers would see two messages.
func (s *jweShape) header() (map[string]json.RawMessage, error) {
	protected, err := base64.RawURLEncoding.DecodeString(s.Protected)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the protected header of the JWE is not base64url")
	}
	parts := []json.RawMessage{protected, s.Unprotected, s.Header}
	for _, r := range s.Recipients {
		parts = append(parts, r.Header)
	}
	merged := map[string]json.RawMessage{}
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		var members map[string]json.RawMessage
		if err := strict.Decode(part, &members); err != nil {
			return nil, err
		}
		for name, value := range members {
			if _, both := merged[name]; both {
				return nil, fault.New(fault.Invalid, "header member %q stands in two headers", name)
			}
			merged[name] = value
		}
	}
	return merged, nil
}

// checkIterations holds the iteration count against its bounds, before a derivation may
// spend the time that a stranger asked for.
func checkIterations(count json.RawMessage) error {
	var n int64
	if err := strict.Decode(count, &n); err != nil || n < minJWEIterations || n > maxJWEIterations {
		return fault.New(fault.Invalid, "a JWE with these PBKDF2 iterations is not supported: %d to %d are", minJWEIterations, maxJWEIterations)
	}
	return nil
}

func isJWE(data []byte) bool {
	data = bytes.TrimSpace(data)
	return isJWEForm(data, !bytes.HasPrefix(data, []byte("{")))
}
