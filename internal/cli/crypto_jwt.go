package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// signedToken is a signed message in its compact form.
type signedToken struct {
	Token string `json:"token" help:"the compact serialization"`
}

func (t *signedToken) Text() string { return t.Token }

// jwtSign holds the flags of one call.
type jwtSign struct {
	joseSign
	iss, sub, jti string
	aud           []string
	exp, nbf, iat int
}

func cryptoJWTSign() *command {
	var f jwtSign
	return &command{
		short: "sign a JSON Web Token",
		long: `Makes a token with the claims of the flags and prints it. The members of a JSON object, given
			as a file or on standard input, are added and win over the flags.`,
		args: []arg{may("payload", "file with a JSON object, or - for standard input")},
		examples: []example{
			{"Make a token that lives five minutes", "signet crypto jwt sign --key jwk.json --iss me --aud you --sub us --exp $(date -d +5min +%s)"},
			{"Sign with a certificate's key", "signet crypto jwt sign --x5c-cert me.crt --x5c-key me.key --iss me --aud you --sub us --exp 1900000000"},
		},
		flags: func(fs *flags) {
			f.joseSign.register(fs)
			fs.String(&f.iss, "iss", "issuer", "who issues the token").Alias("issuer")
			fs.Strings(&f.aud, "aud", "audience", "whom the token is for").Alias("audience")
			fs.String(&f.sub, "sub", "subject", "whom the token is about").Alias("subject")
			fs.Int(&f.exp, "exp", "time", "end of the token, in seconds since 1970").Alias("expiration")
			fs.Int(&f.nbf, "nbf", "time", "start of the token, in seconds since 1970").Alias("not-before").Preset("now")
			fs.Int(&f.iat, "iat", "time", "when the token was made, in seconds since 1970").Alias("issued-at").Preset("now")
			fs.String(&f.jti, "jti", "id", "ID of the token").Alias("jwt-id").Preset("random")
			fs.Check(func(given func(string) bool) error {
				for _, name := range []string{"iss", "aud", "sub", "exp"} {
					if !given(name) && !f.subtle {
						return errRequired(name)
					}
				}
				return nil
			})
		},
		result: &signedToken{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			// The key first: it may come from standard input, where a payload then finds nothing.
			jwk, alg, header, err := f.open(ctx, env)
			if err != nil {
				return nil, err
			}
			claims, err := f.claims(env, args)
			if err != nil {
				return nil, err
			}
			payload, err := json.Marshal(claims)
			if err != nil {
				return nil, err
			}
			if _, set := header["typ"]; !set {
				header["typ"] = "JWT"
			}
			obj, err := keys.SignJWS(jwk, alg, header, payload)
			if err != nil {
				return nil, err
			}
			token, err := obj.CompactSerialize()
			return orError(&signedToken{token}, err)
		},
	}
}

func (f *jwtSign) claims(env *Env, args []string) (map[string]any, error) {
	now := env.Now().Unix()
	if env.Given("exp") && int64(f.exp) <= now && !f.subtle {
		return nil, usagef("the time of --exp has passed")
	}
	claims := map[string]any{"nbf": now, "iat": now}
	for name, value := range map[string]int{"exp": f.exp, "nbf": f.nbf, "iat": f.iat} {
		if env.Given(name) {
			claims[name] = value
		}
	}
	for name, value := range map[string]string{"iss": f.iss, "sub": f.sub} {
		if value != "" {
			claims[name] = value
		}
	}
	switch len(f.aud) {
	case 0:
	case 1:
		claims["aud"] = f.aud[0]
	default:
		claims["aud"] = f.aud
	}
	switch {
	case f.jti != "":
		claims["jti"] = f.jti
	case env.Typed("jti"):
		claims["jti"] = keys.RandomHex(20)
	default:
		claims["jti"] = keys.RandomHex(32)
	}
	return claims, addPayload(env, args, claims)
}

// addPayload merges the JSON object that the user gave into claims.
func addPayload(env *Env, args []string, claims map[string]any) error {
	if len(args) == 0 && !env.hasData() {
		return nil
	}
	data, err := env.readArg(args, 0)
	if err != nil {
		return err
	}
	if len(args) == 0 && len(strings.TrimSpace(string(data))) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := strict.Decode(data, &members); err != nil || members == nil {
		return fmt.Errorf("payload %s is not a JSON object: %w", inputName(args, 0), err)
	}
	for name, value := range members {
		claims[name] = value
	}
	return nil
}

// messageResult is a signed message taken apart.
type messageResult struct {
	Header    map[string]any `json:"header" help:"members of the header"`
	Payload   any            `json:"payload" help:"claims of the token"`
	Signature string         `json:"signature" help:"the signature, base64url"`
}

func newMessageResult(j *keys.JWS) (*messageResult, error) {
	var payload any
	if err := strict.Check(j.Payload); err != nil {
		return nil, fmt.Errorf("read payload of the token: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(j.Payload)))
	decoder.UseNumber() // large numbers stay what they are
	if err := decoder.Decode(&payload); err != nil {
		return nil, fmt.Errorf("read payload of the token: %w", err)
	}
	return &messageResult{j.Header, payload, j.Signature}, nil
}

func cryptoJWTInspect() *command {
	var insecure bool
	return &command{
		short:    "show a JSON Web Token without checking it",
		long:     "Reads a token from standard input and prints what it says. Nothing is verified, which takes --insecure.",
		examples: []example{{"What does this token say", "echo $TOKEN | signet crypto jwt inspect --insecure"}},
		flags: func(fs *flags) {
			fs.Bool(&insecure, "insecure", "accept that nothing is verified").NoEnv()
			fs.Required("insecure")
		},
		result: &messageResult{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			data, err := env.readFile("-")
			if err != nil {
				return nil, err
			}
			message, err := keys.ParseJWS(data)
			if err != nil {
				return nil, err
			}
			return orError(newMessageResult(message))
		},
	}
}

func cryptoJWTVerify() *command {
	var f joseVerify
	var iss, aud string
	var noExpiry bool
	return &command{
		short: "verify a JSON Web Token",
		long: `Reads a token from standard input, checks its signature, issuer, audience and times, and prints
			it. The algorithm must be known beforehand: from --alg or from the JWK.`,
		examples: []example{{"Check a token", "echo $TOKEN | signet crypto jwt verify --key jwk.pub.json --iss me --aud you"}},
		flags: func(fs *flags) {
			f.register(fs)
			fs.String(&iss, "iss", "issuer", "who must have issued the token").Alias("issuer")
			fs.String(&aud, "aud", "audience", "whom the token must be for").Alias("audience")
			fs.Bool(&noExpiry, "no-exp-check", "accept an expired token").NoEnv().Hidden()
			fs.Insecure("no-exp-check")
			fs.Check(func(given func(string) bool) error {
				for _, name := range []string{"iss", "aud"} {
					if !given(name) && !f.subtle {
						return errRequired(name)
					}
				}
				return nil
			})
		},
		result: &messageResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			message, err := f.verify(ctx, env)
			if err != nil {
				return nil, err
			}
			var claims tokenClaims
			if err := strict.Decode(message.Payload, &claims); err != nil {
				return nil, fmt.Errorf("read payload of the token: %w", err)
			}
			if err := claims.check(iss, aud, env.Now(), noExpiry); err != nil {
				return nil, err
			}
			return orError(newMessageResult(message))
		},
	}
}

// tokenClaims are the registered claims that a verifier looks at (RFC 7519, Section 4.1).
type tokenClaims struct {
	Issuer    string   `json:"iss"`
	Audience  audience `json:"aud"`
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
}

// audience is one string or a list of them.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	var list []string
	if json.Unmarshal(data, &list) != nil {
		return errors.New("aud is neither a string nor a list of strings")
	}
	*a = list
	return nil
}

// check collects everything that is wrong with the claims. Clocks get no leeway here.
func (c *tokenClaims) check(iss, aud string, now time.Time, noExpiry bool) error {
	var wrong []string
	if iss != "" && c.Issuer != iss {
		wrong = append(wrong, fmt.Sprintf("its issuer is %q and not %q", printable(c.Issuer), iss))
	}
	if aud != "" && !slices.Contains(c.Audience, aud) {
		wrong = append(wrong, fmt.Sprintf("it is not for the audience %q", aud))
	}
	if c.NotBefore != nil && float64(now.Unix()) < *c.NotBefore {
		wrong = append(wrong, "it is not valid yet (nbf)")
	}
	if c.Expires != nil && float64(now.Unix()) >= *c.Expires && !noExpiry {
		wrong = append(wrong, "it has expired (exp)")
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("the token is refused: %s", strings.Join(wrong, "; "))
}
