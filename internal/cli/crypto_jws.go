package cli

import (
	"context"
	"io"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

func cryptoJWSSign() *command {
	var f joseSign
	var jku, typ, cty string
	var embed bool
	return &command{
		short: "sign data as JSON Web Signature",
		long:  "Signs the bytes of a file or of standard input and prints the signed message.",
		args:  []arg{may("file", "file to sign; standard input without it")},
		examples: []example{
			{"Sign a file", "signet crypto jws sign message.txt --key jwk.json"},
		},
		flags: func(fs *flags) {
			f.register(fs)
			fs.String(&jku, "jku", "url", "URL of the key set that holds the key")
			fs.Bool(&embed, "jwk", "put the public key into the header")
			fs.String(&typ, "typ", "type", "type of the whole message").Alias("type")
			fs.String(&cty, "cty", "type", "type of the payload").Alias("content-type")
		},
		result: &signedToken{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			payload, err := env.readArg(args, 0)
			if err != nil {
				return nil, err
			}
			jwk, alg, header, err := f.open(ctx, env)
			if err != nil {
				return nil, err
			}
			for name, value := range map[string]string{"jku": jku, "typ": typ, "cty": cty} {
				if value != "" {
					header[name] = value
				}
			}
			if embed {
				if err := embedKey(jwk, header); err != nil {
					return nil, err
				}
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

func embedKey(jwk *jose.JSONWebKey, header map[string]any) error {
	if _, secret := jwk.Key.([]byte); secret {
		return usagef("flag --jwk would publish the secret")
	}
	public := jwk.Public()
	header["jwk"] = &public
	return nil
}

// signedData is a signed message whose payload is printed as it is.
type signedData struct {
	Header    map[string]any `json:"header" help:"members of the header"`
	Payload   []byte         `json:"payload" help:"the signed bytes, base64"`
	Signature string         `json:"signature" help:"the signature, base64url"`
}

func newSignedData(j *keys.JWS) *signedData { return &signedData{j.Header, j.Payload, j.Signature} }

func (s *signedData) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(s.Payload)
	return int64(n), err
}

func cryptoJWSVerify() *command {
	var f joseVerify
	return &command{
		short: "verify a JSON Web Signature",
		long: `Reads a signed message from standard input, checks its signature and prints the signed bytes,
			or with --json header, payload and signature.`,
		examples: []example{{"Check a message", "signet crypto jws verify --key jwk.pub.json < message.jws"}},
		flags:    f.register,
		result:   &signedData{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			message, err := f.verify(ctx, env)
			if err != nil {
				return nil, err
			}
			return newSignedData(message), nil
		},
	}
}

func cryptoJWSInspect() *command {
	var insecure bool
	return &command{
		short:    "show a JSON Web Signature without checking it",
		long:     "Reads a signed message from standard input and prints its payload, or with --json all of it. Nothing is verified, which takes --insecure.",
		examples: []example{{"What is signed here", "signet crypto jws inspect --insecure --json < message.jws"}},
		flags: func(fs *flags) {
			fs.Bool(&insecure, "insecure", "accept that nothing is verified").NoEnv()
			fs.Required("insecure")
		},
		result: &signedData{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			data, err := env.readFile("-")
			if err != nil {
				return nil, err
			}
			message, err := keys.ParseJWS(data)
			if err != nil {
				return nil, err
			}
			return newSignedData(message), nil
		},
	}
}
