package provisioner

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// MaxTokenSize bounds a token in bytes, before anything is parsed.
const MaxTokenSize = 64 << 10

// leeway is how far clocks may be apart.
const leeway = 60 * time.Second

// signatureAlgorithms are those any token may use; each kind narrows them to its key.
var signatureAlgorithms = []jose.SignatureAlgorithm{
	jose.ES256, jose.ES384, jose.ES512,
	jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512,
	jose.EdDSA, keys.XEdDSA,
	jose.HS256, jose.HS384, jose.HS512, // of identity documents of AWS alone
}

// Token is a JWT taken apart once (RFC 7519). Nothing in it is verified until VerifyBy.
type Token struct {
	Header
	TokenClaims
	At      time.Time // when it is looked at
	SSHType string    // type of SSH certificate that is asked for with it; "" if the request does not say
	raw     string    // compact form
	payload []byte
}

// Header is the protected header of a token (RFC 7515, Section 4.1).
type Header struct {
	Algorithm   string          `json:"alg"`
	KeyID       string          `json:"kid"`
	X5C         []string        `json:"x5c"`
	X5CInsecure []string        `json:"x5cInsecure"`
	SSHPOP      string          `json:"sshpop"`
	Nebula      string          `json:"nebula"`
	Critical    json.RawMessage `json:"crit"`
	Base64      json.RawMessage `json:"b64"` // RFC 7797
}

// TokenClaims are the claims of a token that the CA looks at.
type TokenClaims struct {
	Issuer          string          `json:"iss"`
	Subject         string          `json:"sub"`
	Audience        Audience        `json:"aud"`
	Expiry          *Date           `json:"exp"`
	NotBefore       *Date           `json:"nbf"`
	IssuedAt        *Date           `json:"iat"`
	ID              string          `json:"jti"`
	SANs            []string        `json:"sans"`
	Confirmation    json.RawMessage `json:"cnf"`
	Step            *StepClaims     `json:"step"`
	AuthorizedParty string          `json:"azp"`
	Email           string          `json:"email"`
	TenantID        string          `json:"tid"`
	Nonce           string          `json:"nonce"`
	Amazon          json.RawMessage `json:"amazon"` // read by those it is for
}

// StepClaims say what an SSH certificate should be, and carry a registration authority's
// own data.
type StepClaims struct {
	SSH json.RawMessage `json:"ssh"`
	RA  json.RawMessage `json:"ra"`
}

// Audience is one string or a list of them.
type Audience []string

// UnmarshalJSON reads a string or a list of strings.
func (a *Audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = Audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return errors.New("aud is neither a string nor a list of strings")
	}
	*a = many
	return nil
}

// Date is a NumericDate: seconds since 1970, with a fraction or without.
type Date float64

// Time is the date as a time.
func (d *Date) Time() time.Time {
	if d == nil {
		return time.Time{}
	}
	whole, part := math.Modf(float64(*d))
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}

// valid: dates beyond the year 9999 or before 1970 are nobody's honest clock.
func (d *Date) valid() bool {
	return d == nil || (float64(*d) >= 0 && float64(*d) <= 253402300799)
}

// ParseToken takes a compact JWS apart: one signature, bounded, no unknown critical header.
// White space around it is cut off, since token files end in newlines.
func ParseToken(raw string, now time.Time) (*Token, error) {
	raw = strings.TrimSpace(raw)
	if len(raw) > MaxTokenSize {
		return nil, fault.New(fault.TooLarge, "the token is %d bytes long; %d is the most", len(raw), MaxTokenSize)
	}
	if strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, " \t\r\n") {
		return nil, badToken(nil, "it is not a signed token in compact form (header.payload.signature)")
	}
	t := &Token{At: now, raw: raw}
	head, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	err := t.Header.read(head)
	if err != nil {
		return nil, err
	}
	if t.payload, err = base64.RawURLEncoding.DecodeString(payload); err != nil {
		return nil, badToken(err, "its payload is not base64url")
	}
	if _, err := base64.RawURLEncoding.DecodeString(signature); err != nil {
		return nil, badToken(err, "its signature is not base64url")
	}
	if err := strict.Decode(t.payload, &t.TokenClaims); err != nil {
		return nil, badToken(err, "its claims are no proper JSON object")
	}
	if t.Amazon == nil && strings.HasPrefix(t.Algorithm, "HS") {
		return nil, badToken(nil, "it is signed with a shared secret, which this CA has with nobody")
	}
	if !t.Expiry.valid() || !t.NotBefore.valid() || !t.IssuedAt.valid() {
		return nil, badToken(nil, "a date in it (exp, nbf, iat) is out of range")
	}
	return t, nil
}

// badToken refuses what is no token. A fault below would decide the answer, as innermost
// ones do; here its words are kept, and the answer is that nothing was proven.
func badToken(cause error, why string) error {
	if f := fault.Of(cause); f != nil {
		return fault.New(fault.Unproven, "the token cannot be read: %s: %s", why, f.Message)
	}
	return fault.Wrap(cause, fault.Unproven, "the token cannot be read: %s", why)
}

// VerifyBy checks the signature with a key and only the algorithms that fit it.
func (t *Token) VerifyBy(key any, algs []jose.SignatureAlgorithm) error {
	fits := false
	for _, a := range algs {
		fits = fits || string(a) == t.Algorithm
	}
	if !fits {
		return fault.New(fault.Unproven, "the token is signed with %s, which does not fit the key it must be signed with", t.Algorithm)
	}
	if k, ok := key.(*ecdsa.PublicKey); ok && k.Curve == elliptic.P256() && t.Algorithm == string(jose.ES256) {
		if !t.verifyES256(k) {
			return fault.New(fault.Unproven, "the signature of the token does not fit the key it must be signed with")
		}
		return nil
	}
	jws, err := t.jws()
	if err != nil {
		return err
	}
	payload, err := jws.Verify(key)
	if err != nil || !bytes.Equal(payload, t.payload) {
		return fault.Wrap(err, fault.Unproven, "the signature of the token does not fit the key it must be signed with")
	}
	return nil
}

// verifyES256 is RFC 7518, Section 3.4: what most tokens are signed with, without a second
// reading of the header.
func (t *Token) verifyES256(key *ecdsa.PublicKey) bool {
	dot := strings.LastIndexByte(t.raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(t.raw[dot+1:])
	if err != nil || len(signature) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(t.raw[:dot]))
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// jws is the token as go-jose reads it.
func (t *Token) jws() (*jose.JSONWebSignature, error) {
	jws, err := jose.ParseSignedCompact(t.raw, signatureAlgorithms)
	if err != nil {
		return nil, badToken(err, "it is not a signed token with an algorithm this CA accepts")
	}
	return jws, nil
}

// CheckTimes applies exp, nbf and iat with a leeway of a minute for clocks that differ.
func (t *Token) CheckTimes() error {
	if t.Expiry != nil && t.At.Add(-leeway).After(t.Expiry.Time()) {
		return fault.New(fault.Unproven, "the token expired at %s; make a new one, or set the clock that is wrong (this one shows %s)", stamp(t.Expiry.Time()), stamp(t.At))
	}
	if t.NotBefore != nil && t.At.Add(leeway).Before(t.NotBefore.Time()) {
		return fault.New(fault.Unproven, "the token is not valid before %s; the clock here shows %s", stamp(t.NotBefore.Time()), stamp(t.At))
	}
	if t.IssuedAt != nil && t.At.Add(leeway).Before(t.IssuedAt.Time()) {
		return fault.New(fault.Unproven, "the token claims to be issued at %s, in the future; the clock here shows %s", stamp(t.IssuedAt.Time()), stamp(t.At))
	}
	return nil
}

// claimsOf are all claims of a token, where a template or a webhook may want to see them.
func (p *Provisioner) claimsOf(t *Token) map[string]any {
	if p.profile.X509.Template == nil && p.profile.SSH.Template == nil && len(p.webhooks) == 0 {
		return nil
	}
	return t.Claims()
}

// Claims are all claims as decoded JSON, for templates.
func (t *Token) Claims() map[string]any {
	var all map[string]any
	_ = json.Unmarshal(t.payload, &all) // decoded before without an error
	return all
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
