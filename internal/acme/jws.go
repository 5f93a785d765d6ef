package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // hashes of the algorithms below
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// signed is a request body taken apart: a flattened JWS (RFC 8555, Section 6.2). Nothing in
// it is verified yet.
type signed struct {
	header    jwsHeader
	payload   []byte
	input     []byte // what the signature is over
	signature []byte
	key       crypto.PublicKey // that came along; nil: none did
}

// jwsHeader is the protected header.
type jwsHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     *string         `json:"kid"`
	JWK       json.RawMessage `json:"jwk"`
	Nonce     *string         `json:"nonce"`
	URL       *string         `json:"url"`
	Critical  json.RawMessage `json:"crit"`
	Base64    json.RawMessage `json:"b64"`
}

// algorithm is a way to sign.
type algorithm struct {
	hash crypto.Hash
	kind string // ec, rsa, pss, ed
	size int    // of an EC coordinate, in bytes
}

// algorithms are those that signatures may have (RFC 7518, RFC 8037).
var algorithms = map[string]algorithm{
	"ES256": {crypto.SHA256, "ec", 32}, "ES384": {crypto.SHA384, "ec", 48}, "ES512": {crypto.SHA512, "ec", 66},
	"RS256": {crypto.SHA256, "rsa", 0}, "RS384": {crypto.SHA384, "rsa", 0}, "RS512": {crypto.SHA512, "rsa", 0},
	"PS256": {crypto.SHA256, "pss", 0}, "PS384": {crypto.SHA384, "pss", 0}, "PS512": {crypto.SHA512, "pss", 0},
	"EdDSA": {0, "ed", 0},
}

// algorithmNames is what a client is told that uses another one.
var algorithmNames = []string{"ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// parseSigned takes a body apart. What is not exactly a flattened JWS with a protected
// header is refused: other forms have more than one way to be read.
func parseSigned(body []byte) (*signed, error) {
	var parts [3]string
	if found, ok := strict.Texts(body, []string{"protected", "payload", "signature"}, parts[:]); ok && found == 7 {
		return parseParts(parts[0], parts[1], parts[2])
	}
	var outer struct {
		Protected  *string         `json:"protected"`
		Payload    *string         `json:"payload"`
		Signature  *string         `json:"signature"`
		Header     json.RawMessage `json:"header"`
		Signatures json.RawMessage `json:"signatures"`
	}
	if len(body) == 0 {
		return nil, malformed("the request has no body; it has to be a signed message (RFC 8555, Section 6.2)")
	}
	if !json.Valid(body) {
		return nil, malformed("the request is no JSON; it has to be a signed message in the flattened JSON form (RFC 7515, Section 7.2.2)")
	}
	if err := strict.Decode(body, &outer); err != nil {
		return nil, err
	}
	switch {
	case outer.Signatures != nil:
		return nil, malformed("the message has a list of signatures; only the flattened form with one signature is accepted")
	case outer.Header != nil && !slices.Contains([]string{"{}", "null"}, strings.Join(strings.Fields(string(outer.Header)), "")):
		return nil, malformed("the message has an unprotected header, which nobody vouches for")
	case outer.Protected == nil || outer.Payload == nil || outer.Signature == nil:
		return nil, malformed("the message lacks one of protected, payload and signature")
	}
	return parseParts(*outer.Protected, *outer.Payload, *outer.Signature)
}

func parseParts(protected, payload, signature string) (*signed, error) {
	s := &signed{input: []byte(protected + "." + payload)}
	header, err := fromBase64(protected)
	if err == nil {
		s.payload, err = fromBase64(payload)
	}
	if err == nil {
		s.signature, err = fromBase64(signature)
	}
	if err != nil {
		return nil, malformed("protected, payload and signature have to be base64url without padding")
	}
	if err := s.header.read(header); err != nil {
		return nil, err
	}
	return s, s.checkHeader()
}

// fromBase64 decodes base64url as RFC 7515, Section 2 means it: without padding, line breaks or
// anything else in between. The library alone passes over line breaks.
func fromBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, base64.CorruptInputError(strings.IndexAny(s, "\r\n"))
	}
	return base64.RawURLEncoding.DecodeString(s)
}

// read reads the header of most requests, which has four plain texts, in one pass.
func (h *jwsHeader) read(raw []byte) error {
	var texts [4]string
	if found, ok := strict.Texts(raw, []string{"alg", "kid", "nonce", "url"}, texts[:]); ok && found == 15 {
		*h = jwsHeader{Algorithm: texts[0], KeyID: &texts[1], Nonce: &texts[2], URL: &texts[3]}
		return nil
	}
	if !json.Valid(raw) {
		return malformed("the protected header is no JSON")
	}
	return strict.Decode(raw, h)
}

func (s *signed) checkHeader() error {
	switch {
	case s.header.Critical != nil:
		return malformed("the protected header marks extensions as critical (crit) that this CA does not know")
	case s.header.Base64 != nil:
		return malformed("the protected header has b64; payloads are always encoded here")
	case len(s.signature) == 0:
		return malformed("the signature is empty")
	}
	if _, ok := algorithms[s.header.Algorithm]; !ok {
		return badAlgorithm("the algorithm %q is not accepted", clip(s.header.Algorithm))
	}
	return nil
}

func badAlgorithm(format string, args ...any) *problem {
	p := malformed(format, args...)
	p.Type, p.Algorithms = "badSignatureAlgorithm", algorithmNames
	return p
}

// verify checks the signature with a key, by the algorithm of the header, which has to fit.
func (s *signed) verify(pub crypto.PublicKey) error {
	a := algorithms[s.header.Algorithm]
	var digest []byte
	if a.hash != 0 {
		h := a.hash.New()
		h.Write(s.input)
		digest = h.Sum(nil)
	}
	fits, good := false, false
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		fits = a.kind == "ec" && (k.Curve.Params().BitSize+7)/8 == a.size
		good = fits && verifyEC(k, digest, s.signature, a.size)
	case *rsa.PublicKey:
		switch a.kind {
		case "rsa":
			fits, good = true, rsa.VerifyPKCS1v15(k, a.hash, digest, s.signature) == nil
		case "pss":
			fits, good = true, rsa.VerifyPSS(k, a.hash, digest, s.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case ed25519.PublicKey:
		fits = a.kind == "ed"
		good = fits && ed25519.Verify(k, s.input, s.signature)
	}
	if !fits {
		return badAlgorithm("the algorithm %s does not fit the key", s.header.Algorithm)
	}
	if !good {
		return malformed("the signature does not fit the key and what was signed")
	}
	return nil
}

// verifyEC checks R ‖ S (RFC 7518, Section 3.4). The ACME client of Apple's systems drops
// leading zero bytes of each, so a signature that is a byte short gets one back before R or
// before S, and one that is two bytes short before both.
func verifyEC(k *ecdsa.PublicKey, digest, sig []byte, size int) bool {
	try := func(r, s []byte) bool {
		return ecdsa.Verify(k, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
	}
	switch 2*size - len(sig) {
	case 0:
		return try(sig[:size], sig[size:])
	case 1:
		return try(sig[:size-1], sig[size-1:]) || try(sig[:size], sig[size:])
	case 2:
		return try(sig[:size-1], sig[size-1:])
	}
	return false
}

// parseKey reads a public key that came along, to check a signature by an algorithm; "": by none.
func parseKey(raw json.RawMessage, alg string) (crypto.PublicKey, error) {
	jwk, err := keys.ParseJWK(raw)
	if err != nil {
		return nil, badKey("the jwk cannot be used: %v", err)
	}
	if !jwk.IsPublic() {
		return nil, badKey("the jwk is not a public key; a private one must never be sent, so make a new one")
	}
	if alg != "" && jwk.Algorithm != "" && jwk.Algorithm != alg {
		return nil, malformed("the jwk is for the algorithm %q and the signature is made with %q", clip(jwk.Algorithm), alg)
	}
	if keys.SignatureAlgorithms(jwk.Key) == nil {
		return nil, badKey("the key is too weak or of a kind that cannot sign here: use P-256, P-384, P-521, Ed25519 or RSA from 2048 bits")
	}
	return jwk.Key, nil
}

func badKey(format string, args ...any) *problem {
	p := malformed(format, args...)
	p.Type, p.Status = "badPublicKey", http.StatusBadRequest
	return p
}

// text is the only member of a payload, if it has this name and is plain; ok is false for all
// that read has to look at.
func (s *signed) text(name string) (text string, ok bool) {
	var texts [1]string
	found, ok := strict.Texts(s.payload, []string{name}, texts[:])
	return texts[0], ok && found == 1
}

// read decodes a payload into v. Member names count in any case, as they always did; the
// same name twice, in whatever case, is refused.
func (s *signed) read(v any) error {
	if len(s.payload) == 0 {
		return malformed("the payload is empty; this address expects a JSON object")
	}
	if string(s.payload) == "{}" {
		return nil
	}
	if !json.Valid(s.payload) {
		return malformed("the payload is no JSON")
	}
	if err := strict.Check(s.payload); err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(s.payload, &members); err != nil || members == nil {
		return malformed("the payload is not a JSON object")
	}
	seen := make(map[string]bool, len(members))
	for name := range members {
		if seen[strings.ToLower(name)] {
			return malformed("the payload has the member %q twice", clip(name))
		}
		seen[strings.ToLower(name)] = true
	}
	if err := json.Unmarshal(s.payload, v); err != nil {
		return malformed("the payload has a member of the wrong kind: %v", err)
	}
	return nil
}
