package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

// messageText is an encoded message on one line.
type messageText struct {
	Message string `json:"message" help:"the encoded message"`
}

func (m *messageText) Text() string { return m.Message }

// jweEncrypt holds the flags of one call.
type jweEncrypt struct {
	joseKey
	alg, enc, typ, cty string
	subtle             bool
}

func cryptoJWEEncrypt() *command {
	f := jweEncrypt{enc: string(jose.A256GCM)}
	return &command{
		short: "encrypt data as JSON Web Encryption",
		long: `Encrypts the bytes of standard input and prints the message in its JSON form, on one line.
			The key is a public one or a shared secret; the algorithms PBES2-... take a password instead.`,
		examples: []example{
			{"Encrypt to a public key", "signet crypto jwe encrypt --key jwk.pub.json < message.txt"},
			{"Encrypt under a password", "signet crypto jwe encrypt --alg PBES2-HS256+A128KW < key.json | signet crypto jose format"},
		},
		flags:  f.register,
		result: &messageText{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			plain, err := env.readFile("-")
			if err != nil {
				return nil, err
			}
			jwe, err := f.encrypt(ctx, env, plain)
			if err != nil {
				return nil, err
			}
			return &messageText{jwe.JSON()}, nil
		},
	}
}

func (f *jweEncrypt) register(fs *flags) {
	f.joseKey.register(fs, "public key or secret to encrypt with")
	fs.Enum(&f.alg, "alg", algNames(keys.KeyAlgorithms()), "how the content key is wrapped").Alias("algorithm").Preset("that of the key")
	fs.Enum(&f.enc, "enc", algNames(keys.ContentEncryptions()), "how the content is encrypted").Alias("encryption-algorithm")
	fs.String(&f.typ, "typ", "type", "type of the whole message").Alias("type")
	fs.String(&f.cty, "cty", "type", "type of the content").Alias("content-type")
	fs.Bool(&f.subtle, "subtle", "allow what is easy to misuse").NoEnv().Hidden()
	fs.Requires("jwks", "kid")
	fs.Check(func(given func(string) bool) error {
		if keys.IsPBES2(jose.KeyAlgorithm(f.alg)) {
			for _, name := range []string{"key", "jwks"} {
				if given(name) {
					return usagef("flag --%s does not go with --alg %s, which takes a password", name, f.alg)
				}
			}
			return nil
		}
		if !given("key") && !given("jwks") {
			return errRequiredUnless("key", "jwks")
		}
		return nil
	})
}

func algNames[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func (f *jweEncrypt) encrypt(ctx context.Context, env *Env, plain []byte) (*keys.JWE, error) {
	header := map[string]any{}
	for name, value := range map[string]string{"typ": f.typ, "cty": f.cty} {
		if value != "" {
			header[name] = value
		}
	}
	alg, enc := jose.KeyAlgorithm(f.alg), jose.ContentEncryption(f.enc)
	if keys.IsPBES2(alg) {
		password, err := env.keyPassword(ctx, f.passwordFile, "password-file", "the message")
		if err != nil {
			return nil, err
		}
		return keys.EncryptPBES2(plain, password, alg, enc, header)
	}
	jwk, err := f.open(ctx, env, "", false)
	if err != nil {
		return nil, err
	}
	if jwk.Use != "" && jwk.Use != "enc" {
		return nil, fmt.Errorf("the key is for %q and must not encrypt", jwk.Use)
	}
	unbound := *jwk
	if f.subtle && f.alg != "" {
		unbound.Algorithm = ""
	}
	fitting := keys.EncryptionAlgorithms(&unbound)
	switch {
	case len(fitting) == 0:
		return nil, fmt.Errorf("the key can't encrypt: its type or its algorithm %q is for something else", jwk.Algorithm)
	case alg == "":
		alg = fitting[0]
	case !slices.Contains(fitting, alg):
		return nil, fmt.Errorf("algorithm %s doesn't fit the key, which takes %s", alg, strings.Join(algNames(fitting), ", "))
	}
	return keys.EncryptJWE(plain, jwk, alg, enc, header)
}

func cryptoJWEDecrypt() *command {
	var f joseKey
	return &command{
		short: "decrypt a JSON Web Encryption message",
		long: `Reads a message from standard input, compact or JSON, and prints its content as it is. A message
			that was encrypted under a password takes no key.`,
		examples: []example{
			{"Decrypt with a private key", "signet crypto jwe decrypt --key jwk.json < message.jwe"},
			{"Decrypt a provisioner's key", "signet ca provisioner list | jq -r '.[0].encryptedKey' | signet crypto jwe decrypt"},
		},
		flags:  func(fs *flags) { f.register(fs, "private key or secret to decrypt with") },
		result: &bytesResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			data, err := env.readFile("-")
			if err != nil {
				return nil, err
			}
			jwe, err := keys.ParseJWE(data)
			if err != nil {
				return nil, err
			}
			plain, err := decryptMessage(ctx, env, jwe, &f)
			if err != nil {
				return nil, err
			}
			return &bytesResult{plain}, nil
		},
	}
}

func decryptMessage(ctx context.Context, env *Env, jwe *keys.JWE, f *joseKey) (plain []byte, err error) {
	withKey := f.key != "" || f.jwks != ""
	if keys.IsPBES2(jwe.Algorithm) {
		if withKey {
			return nil, usagef("the message was encrypted under a password: --key and --jwks don't open it")
		}
		err = env.unlock(ctx, f.passwordFile, func(pw keys.Password) error {
			plain, err = jwe.DecryptPBES2("the message", pw)
			return err
		})
		return plain, err
	}
	if !withKey {
		return nil, errRequiredUnless("key", "jwks")
	}
	jwk, err := f.open(ctx, env, jwe.KeyID, false)
	if err != nil {
		return nil, err
	}
	if jwk.Use != "" && jwk.Use != "enc" {
		return nil, fmt.Errorf("the key is for %q and must not decrypt", jwk.Use)
	}
	return jwe.Decrypt(jwk)
}

func cryptoJOSEFormat() *command {
	return &command{
		short: "convert a JOSE message between its two forms",
		long: `Reads a JWS or JWE from standard input and prints the compact form as JSON, or the JSON form as
			compact. White space is ignored.`,
		examples: []example{{"Make a message fit for a URL", "signet crypto jose format < message.json"}},
		result:   &messageText{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			data, err := env.readFile("-")
			if err != nil {
				return nil, err
			}
			text, err := keys.ReserializeJOSE(data)
			return orError(&messageText{text}, err)
		},
	}
}
