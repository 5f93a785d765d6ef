package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "crypto/sha256" // hashes of the signature algorithms
	_ "crypto/sha512"
)

// Token is a JWT before it is put together.
type Token struct {
	Header, Claims map[string]any
	HeaderText     string // instead of Header, if not ""
	ClaimsText     string // instead of Claims, if not ""
	Key            any    // *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey, or []byte for HMAC; nil: no signature
	Algorithm      string // how it is signed, whatever the header says; "": as the header says
}

// Bend changes one thing about a token.
type Bend func(*Token)

// Claim sets a claim.
func Claim(name string, value any) Bend { return func(t *Token) { t.Claims[name] = value } }

// NoClaim leaves a claim out.
func NoClaim(name string) Bend { return func(t *Token) { delete(t.Claims, name) } }

// Head sets a member of the header.
func Head(name string, value any) Bend { return func(t *Token) { t.Header[name] = value } }

// NoHead leaves a member of the header out.
func NoHead(name string) Bend { return func(t *Token) { delete(t.Header, name) } }

// SANs sets the names the token is good for.
func SANs(names ...string) Bend { return Claim("sans", names) }

// Audience sets the address the token is made out to.
func Audience(aud any) Bend { return Claim("aud", aud) }

// SignedBy signs with another key and algorithm, and says so in the header.
func SignedBy(key any, alg string) Bend {
	return func(t *Token) { t.Key, t.Algorithm, t.Header["alg"] = key, alg, alg }
}

// ClaimIn sets a claim to a time, counted from when the token is made: a busy machine comes
// to a parallel case of a table long after the table.
func ClaimIn(name string, d time.Duration) Bend {
	return func(t *Token) { t.Claims[name] = time.Now().Add(d).Unix() }
}

// AtIn moves the token in time as At does, counted from when it is made.
func AtIn(d time.Duration) Bend { return func(t *Token) { At(time.Now().Add(d))(t) } }

// At moves the token in time: issued then, good for five minutes.
func At(at time.Time) Bend {
	return func(t *Token) {
		t.Claims["iat"], t.Claims["nbf"], t.Claims["exp"] = at.Unix(), at.Unix(), at.Add(5*time.Minute).Unix()
	}
}

// Expiry sets exp.
func Expiry(at time.Time) Bend { return Claim("exp", at.Unix()) }

// Raw replaces the text of the claims.
func Raw(claims string) Bend { return func(t *Token) { t.ClaimsText = claims } }

// RawHeader replaces the text of the header.
func RawHeader(header string) Bend { return func(t *Token) { t.HeaderText = header } }

// Token makes a token of the CA's JWK provisioner for a subject, as clients do.
func (c *CA) Token(subject string, bend ...Bend) string {
	c.t.Helper()
	return c.bare(subject, "/1.0/sign").With(bend...).Compact(c.t)
}

// RevokeToken makes a token that revokes a serial number, given in decimal.
func (c *CA) RevokeToken(serial string, bend ...Bend) string {
	c.t.Helper()
	return c.bare(serial, "/1.0/revoke").With(bend...).Compact(c.t)
}

// RenewToken makes a renew token: signed by the certificate's own key, the chain in its
// header.
func (c *CA) RenewToken(h *Holder, bend ...Bend) string {
	c.t.Helper()
	t := c.bare(h.Leaf().Subject.CommonName, "/renew")
	t.Header = map[string]any{"typ": "JWT", "alg": algorithmOf(h.Key), "x5cInsecure": Encode(h.Chain...)}
	t.Claims["iss"] = "step-ca-client/1.0"
	t.Key = h.Key
	return t.With(bend...).Compact(c.t)
}

// Encode writes certificates as the headers x5c and x5cInsecure carry them.
func Encode(chain ...*x509.Certificate) []string {
	var list []string
	for _, cert := range chain {
		list = append(list, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	return list
}

func (c *CA) bare(subject, path string) *Token {
	now := time.Now()
	return &Token{
		Header: map[string]any{"alg": "ES256", "kid": c.KeyID, "typ": "JWT"},
		Claims: map[string]any{
			"iss": Provisioner, "sub": subject, "aud": "https://localhost:9000" + path,
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
			"jti": randomID(), "sha": hex.EncodeToString(make([]byte, 32)),
		},
		Key: c.Key,
	}
}

func randomID() string {
	id := make([]byte, 32)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// With applies changes.
func (t *Token) With(bend ...Bend) *Token {
	for _, b := range bend {
		b(t)
	}
	return t
}

// Compact is the token as RFC 7515, Section 7.1 writes it.
func (t *Token) Compact(tb testing.TB) string {
	tb.Helper()
	input := Base64(t.text(tb, t.HeaderText, t.Header)) + "." + Base64(t.text(tb, t.ClaimsText, t.Claims))
	alg := t.Algorithm
	if alg == "" {
		alg, _ = t.Header["alg"].(string)
	}
	return input + "." + Base64(string(Sign(tb, t.Key, alg, input)))
}

func (t *Token) text(tb testing.TB, text string, members map[string]any) string {
	tb.Helper()
	if text != "" {
		return text
	}
	data, err := json.Marshal(members)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// Base64 is base64url without padding.
func Base64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// hashes by the digits at the end of an algorithm's name.
var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// Sign is RFC 7518, Section 3: how each algorithm signs its input.
func Sign(tb testing.TB, key any, alg, input string) []byte {
	tb.Helper()
	if key == nil || alg == "none" {
		return nil
	}
	hash, ok := hashes[strings.TrimLeft(alg, "EPHRS")]
	if !ok {
		hash = crypto.SHA256
	}
	signature, err := signWith(key, alg, hash, input)
	if err != nil {
		tb.Fatal(err)
	}
	return signature
}

func signWith(key any, alg string, hash crypto.Hash, input string) ([]byte, error) {
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, digest)
		if err != nil {
			return nil, err
		}
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	case *rsa.PrivateKey:
		if strings.HasPrefix(alg, "PS") {
			return rsa.SignPSS(rand.Reader, k, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, k, hash, digest)
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(input)), nil
	case []byte:
		mac := hmac.New(hash.New, k)
		mac.Write([]byte(input))
		return mac.Sum(nil), nil
	}
	return nil, fmt.Errorf("no way to sign with %T", key)
}

// algorithmOf is the usual algorithm of a key.
func algorithmOf(key any) string {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Params().BitSize]
	case *rsa.PrivateKey:
		return "RS256"
	}
	return "EdDSA"
}
