package cli

import (
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

var signatureAlgorithms = []string{
	"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "HS256", "HS384", "HS512",
}

func isHMAC(alg string) bool { return strings.HasPrefix(alg, "HS") }

// joseSign are the flags of the commands that sign.
type joseSign struct {
	joseKey
	alg, x5cCert, x5tCert        string
	header                       []string
	x5cInsecure, subtle, noKeyID bool
}

func (f *joseSign) register(fs *flags) {
	f.joseKey.register(fs, "private key to sign with", "x5c-key", "x5t-key")
	fs.Enum(&f.alg, "alg", signatureAlgorithms, "algorithm of the signature").Alias("algorithm").Preset("that of the key")
	fs.Strings(&f.header, "header", "key=value", "member to add to the header")
	fs.String(&f.x5cCert, "x5c-cert", "file", "`file` with the certificate chain of the key, which goes into the header x5c")
	fs.String(&f.x5tCert, "x5t-cert", "file", "`file` with the certificate of the key, whose SHA-1 goes into the header x5t")
	fs.Bool(&f.x5cInsecure, "x5c-insecure", "call the header of --x5c-cert x5cInsecure, as tokens that renew an expired certificate do")
	fs.Bool(&f.subtle, "subtle", "allow what is easy to misuse").NoEnv().Hidden()
	fs.Bool(&f.noKeyID, "no-kid", "leave the ID of the key out").NoEnv().Hidden()
	fs.Requires("x5c-cert", "key")
	fs.Requires("x5t-cert", "key")
	fs.Requires("x5c-insecure", "x5c-cert")
	fs.Exclusive("x5c-cert", "x5t-cert")
	fs.Requires("jwks", "kid")
	fs.Check(func(given func(string) bool) error {
		if !given("key") && !given("jwks") {
			return errRequiredUnless("key", "jwks")
		}
		return nil
	})
}

// open reads the key and settles algorithm and header.
func (f *joseSign) open(ctx context.Context, env *Env) (*jose.JSONWebKey, jose.SignatureAlgorithm, map[string]any, error) {
	fail := func(err error) (*jose.JSONWebKey, jose.SignatureAlgorithm, map[string]any, error) {
		return nil, "", nil, err
	}
	jwk, err := f.joseKey.open(ctx, env, "", isHMAC(f.alg))
	if err != nil {
		return fail(err)
	}
	alg, err := f.algorithm(jwk)
	if err != nil {
		return fail(err)
	}
	header := map[string]any{}
	kid := f.kid
	if kid == "" {
		kid = jwk.KeyID
	}
	if kid != "" && !f.noKeyID {
		header["kid"] = kid
	}
	if err := f.certificates(jwk, header); err != nil {
		return fail(err)
	}
	for _, pair := range f.header {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fail(errValue("header", pair, "key=value"))
		}
		if name == "alg" || name == "crit" || name == "b64" {
			return fail(usagef("header member %q can't be set with --header", name))
		}
		header[name] = value
	}
	return jwk, alg, header, nil
}

func (f *joseSign) algorithm(jwk *jose.JSONWebKey) (jose.SignatureAlgorithm, error) {
	if jwk.Use != "" && jwk.Use != "sig" {
		return "", fmt.Errorf("the key is for %q and must not sign", jwk.Use)
	}
	if _, secret := jwk.Key.([]byte); !secret && jwk.IsPublic() {
		return "", fmt.Errorf("signing takes a private key, and this one is public")
	}
	open := *jwk
	if f.subtle && f.alg != "" {
		open.Algorithm = "" // what the key says of itself is set aside, its type is not
	}
	fitting := keys.SigningAlgorithms(&open)
	switch {
	case len(fitting) == 0:
		return "", fmt.Errorf("the key can't sign: its type or its algorithm %q is for something else", jwk.Algorithm)
	case f.alg == "":
		return fitting[0], nil
	case !slices.Contains(fitting, jose.SignatureAlgorithm(f.alg)):
		return "", fmt.Errorf("algorithm %s doesn't fit the key, which takes %s", f.alg, strings.Join(algNames(fitting), ", "))
	}
	return jose.SignatureAlgorithm(f.alg), nil
}

// certificates adds the header members that carry or name the key's certificate.
func (f *joseSign) certificates(jwk *jose.JSONWebKey, header map[string]any) error {
	file := f.x5cCert
	if file == "" {
		file = f.x5tCert
	}
	if file == "" {
		return nil
	}
	chain, err := keys.ReadCertificates(file)
	if err != nil {
		return err
	}
	if !keys.SamePublicKey(chain[0].PublicKey, jwk.Public().Key) {
		return fmt.Errorf("the certificate in %s is for another key", file)
	}
	if f.x5tCert != "" {
		// RFC 7515, Section 4.1.7: base64url, and so without padding.
		sum := sha1.Sum(chain[0].Raw)
		header["x5t"] = base64.RawURLEncoding.EncodeToString(sum[:])
		return nil
	}
	if chain[0].KeyUsage&x509.KeyUsageDigitalSignature == 0 && !f.subtle {
		return fmt.Errorf("the certificate in %s is not for digital signatures", file)
	}
	list := make([]string, len(chain))
	for i, c := range chain {
		list[i] = base64.StdEncoding.EncodeToString(c.Raw)
	}
	name := "x5c"
	if f.x5cInsecure {
		name = "x5cInsecure"
	}
	header[name] = list
	return nil
}

// joseVerify are the flags of the commands that check a signature.
type joseVerify struct {
	joseKey
	alg              string
	insecure, subtle bool
}

func (f *joseVerify) register(fs *flags) {
	f.joseKey.register(fs, "public key to verify with")
	fs.Enum(&f.alg, "alg", signatureAlgorithms, "algorithm that the signature must have; needed unless the JWK names one").Alias("algorithm")
	fs.Bool(&f.insecure, "insecure", "take the algorithm from the message; it must still fit the key").NoEnv().Hidden()
	fs.Bool(&f.subtle, "subtle", "allow what is easy to misuse").NoEnv().Hidden()
	fs.Check(func(given func(string) bool) error {
		if !given("key") && !given("jwks") {
			return errRequiredUnless("key", "jwks")
		}
		return nil
	})
}

// verify reads a message from standard input and checks its signature.
func (f *joseVerify) verify(ctx context.Context, env *Env) (*keys.JWS, error) {
	data, err := env.readFile("-")
	if err != nil {
		return nil, err
	}
	message, err := keys.ParseJWS(data)
	if err != nil {
		return nil, err
	}
	// A secret without any form is one only if the caller, not the message, says so.
	jwk, err := f.joseKey.open(ctx, env, message.KeyID(), isHMAC(f.alg))
	if err != nil {
		return nil, err
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return nil, fmt.Errorf("the key is for %q and not for signatures", jwk.Use)
	}
	if f.kid != "" && message.KeyID() != "" && f.kid != message.KeyID() {
		return nil, fmt.Errorf("the message names the key %q and not %q", message.KeyID(), f.kid)
	}
	alg := jose.SignatureAlgorithm(f.alg)
	if alg == "" {
		alg = jose.SignatureAlgorithm(jwk.Algorithm)
	}
	if alg == "" && f.insecure {
		alg = message.Algorithm()
	}
	if alg == "" {
		return nil, usagef("flag --alg is required: the key names no algorithm")
	}
	return message, message.Verify(jwk, alg)
}
