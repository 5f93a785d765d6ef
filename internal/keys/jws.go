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

// maxJWS bounds a signature message. Tokens for a CA have a smaller bound of their own.
const maxJWS = 16 << 20

// allSigAlgs is everything a header may name. What is taken for a key is SigningAlgorithms.
var allSigAlgs = []jose.SignatureAlgorithm{
	jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512, jose.EdDSA, jose.HS256, jose.HS384, jose.HS512, XEdDSA,
}

// SigningAlgorithms lists the algorithms that fit a JWK, its default first: those of its
// type, or the one that the JWK itself names.
func SigningAlgorithms(k *jose.JSONWebKey) []jose.SignatureAlgorithm {
	var fitting []jose.SignatureAlgorithm
	if secret, ok := k.Key.([]byte); ok {
		// RFC 7518, Section 3.2: a secret is at least as long as the digest.
		for i, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
			if len(secret) >= 32+16*i {
				fitting = append(fitting, alg)
			}
		}
	} else {
		fitting = SignatureAlgorithms(k.Public().Key)
	}
	if k.Algorithm == "" {
		return fitting
	}
	own := jose.SignatureAlgorithm(k.Algorithm)
	if !slices.Contains(fitting, own) {
		return nil
	}
	return []jose.SignatureAlgorithm{own}
}

// SignJWS signs a payload with a private or secret JWK. header adds protected members; a kid
// is among them only if the caller puts it there.
func SignJWS(k *jose.JSONWebKey, alg jose.SignatureAlgorithm, header map[string]any, payload []byte) (*jose.JSONWebSignature, error) {
	opts := new(jose.SignerOptions)
	for name, value := range header {
		opts = opts.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: k.Key}, opts)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the key can't sign by %s", alg)
	}
	obj, err := s.Sign(payload)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the key can't sign by %s", alg)
	}
	return obj, nil
}

// JWS is a signed message whose signature may not have been checked yet.
type JWS struct {
	Header    map[string]any // protected members, and in a JSON serialization unprotected ones
	Payload   []byte         // unverified until Verify said yes
	Signature string         // base64url
	obj       *jose.JSONWebSignature
}

// ParseJWS takes a message apart, compact or JSON, without checking its signature. It
// refuses what nobody needs and attackers like: several signatures, members named twice,
// an unknown algorithm, the algorithm none.
func ParseJWS(data []byte) (*JWS, error) {
	if len(data) > maxJWS {
		return nil, fault.New(fault.TooLarge, "the signed message is larger than %d MiB", maxJWS>>20)
	}
	data = bytes.TrimSpace(data)
	parse := jose.ParseSignedCompact
	var raw jwsShape
	if bytes.HasPrefix(data, []byte("{")) {
		parse = jose.ParseSignedJSON
		if err := strict.Decode(data, &raw); err != nil {
			return nil, err
		}
	} else {
		raw.Protected, _, _ = strings.Cut(string(data), ".")
	}
	header, err := raw.header()
	if err != nil {
		return nil, err
	}
	obj, err := parse(string(data), allSigAlgs)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the message is no JWS, or its algorithm is unknown")
	}
	if len(obj.Signatures) != 1 {
		return nil, fault.New(fault.Invalid, "the message has %d signatures where one is expected", len(obj.Signatures))
	}
	return &JWS{
		Header: header, Payload: obj.UnsafePayloadWithoutVerification(),
		Signature: base64.RawURLEncoding.EncodeToString(obj.Signatures[0].Signature), obj: obj,
	}, nil
}

// jwsShape is where a JSON serialization keeps its headers (RFC 7515, Section 7.2).
type jwsShape struct {
	Protected  string         `json:"protected"`
	Header     map[string]any `json:"header"`
	Signatures []struct {
		Protected string         `json:"protected"`
		Header    map[string]any `json:"header"`
	} `json:"signatures"`
}

func (r *jwsShape) header() (map[string]any, error) {
	if len(r.Signatures) > 1 {
		return nil, fault.New(fault.Invalid, "the message has %d signatures where one is expected", len(r.Signatures))
	}
	if len(r.Signatures) == 1 {
		if r.Protected != "" || r.Header != nil {
			return nil, fault.New(fault.Invalid, "the message mixes two serializations")
		}
		r.Protected, r.Header = r.Signatures[0].Protected, r.Signatures[0].Header
	}
	text, err := base64.RawURLEncoding.DecodeString(r.Protected)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the header of the message is not base64url")
	}
	header := map[string]any{}
	if len(text) > 0 {
		if err := strict.Decode(text, &header); err != nil {
			return nil, err
		}
	}
	for name, value := range r.Header {
		// RFC 7515, Section 4: the names in both headers must be disjoint.
		if _, both := header[name]; both {
			return nil, fault.New(fault.Invalid, "header member %q stands in both headers", name)
		}
		if header == nil {
			header = map[string]any{}
		}
		header[name] = value
	}
	return header, nil
}

// Algorithm is what the protected header names.
func (j *JWS) Algorithm() jose.SignatureAlgorithm {
	return jose.SignatureAlgorithm(j.obj.Signatures[0].Protected.Algorithm)
}

// KeyID is the kid of the header, or "".
func (j *JWS) KeyID() string { return j.obj.Signatures[0].Header.KeyID }

// Verify checks the signature with a JWK by exactly alg, which must fit the key. A critical
// extension is refused: there is none that we know.
func (j *JWS) Verify(k *jose.JSONWebKey, alg jose.SignatureAlgorithm) error {
	for _, name := range []string{"crit", "b64"} {
		if _, there := j.Header[name]; there {
			return fault.New(fault.Unproven, "header member %q is not supported", name)
		}
	}
	if j.Algorithm() != alg {
		return fault.New(fault.Unproven, "the message is signed by %q and not by %q", j.Algorithm(), alg)
	}
	if !slices.Contains(SigningAlgorithms(k), alg) {
		return fault.New(fault.Unproven, "algorithm %q doesn't fit the key", alg)
	}
	key := k.Key
	if _, secret := key.([]byte); !secret {
		key = k.Public().Key
	}
	if _, err := j.obj.Verify(key); err != nil {
		return fault.Wrap(err, fault.Unproven, "the signature is wrong")
	}
	return nil
}

// ReserializeJOSE turns a compact JWS or JWE into its flattened JSON form, and any JSON form
// with one signature or recipient into the compact one. White space is ignored.
func ReserializeJOSE(data []byte) (string, error) {
	data = bytes.Join(bytes.Fields(data), nil)
	if len(data) > maxJWS {
		return "", fault.New(fault.TooLarge, "the message is larger than %d MiB", maxJWS>>20)
	}
	compact := !bytes.HasPrefix(data, []byte("{"))
	if isJWEForm(data, compact) {
		obj, err := ParseJWE(data)
		if err != nil {
			return "", err
		}
		if compact {
			return obj.JSON(), nil
		}
		return obj.Compact()
	}
	j, err := ParseJWS(data)
	if err != nil {
		return "", err
	}
	if compact {
		return j.obj.FullSerialize(), nil
	}
	out, err := j.obj.CompactSerialize()
	return out, compactly(err)
}

func compactly(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(err, fault.Invalid, "the message has unprotected headers or several recipients, which the compact form can't carry")
}

func isJWEForm(data []byte, compact bool) bool {
	if compact {
		return bytes.Count(data, []byte(".")) == 4
	}
	var shape struct {
		Ciphertext *json.RawMessage `json:"ciphertext"`
	}
	return json.Unmarshal(data, &shape) == nil && shape.Ciphertext != nil
}
