package cli

import (
	"bytes"
	"context"
	"crypto"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

// keypair holds the flags of one call.
type keypair struct {
	keyFlags
	fromJWK, passwordFile string
	noPassword, force     bool
}

func cryptoKeypair() *command {
	var f keypair
	return &command{
		short: "make a key pair in PEM files",
		long: `Makes a key pair, or converts a JWK with --from-jwk, and writes both halves as PEM. The private
			key is encrypted under a password.`,
		args: []arg{need("public-key-file", "file for the public key"), may("private-key-file", "file for the private key")},
		examples: []example{
			{"Make an EC key pair", "signet crypto keypair key.pub key.pem"},
			{"Make an RSA key pair without password", "signet crypto keypair --kty RSA --size 3072 --no-password --insecure key.pub key.pem"},
			{"Turn a JWK into PEM", "signet crypto keypair --from-jwk jwk.json key.pub key.pem"},
		},
		flags: func(fs *flags) {
			f.keyFlags.register(fs)
			fs.String(&f.fromJWK, "from-jwk", "file", "convert the JWK in `file` instead of making a key").Alias("jwk")
			fs.String(&f.passwordFile, "password-file", "file", "`file` with the password to encrypt the private key, and to decrypt the one of --from-jwk")
			fs.Bool(&f.noPassword, "no-password", "write the private key unencrypted; requires --insecure").NoEnv()
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			fs.Insecure("no-password")
			fs.Exclusive("no-password", "password-file")
			fs.Incompatible("from-jwk", "kty", "curve", "size")
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			public, private, err := f.make(ctx, env)
			if err != nil {
				return nil, err
			}
			return nil, f.write(ctx, env, public, private, args)
		},
	}
}

func (f *keypair) make(ctx context.Context, env *Env) (crypto.PublicKey, crypto.Signer, error) {
	if f.fromJWK == "" {
		key, err := f.alg().Generate()
		if err != nil {
			return nil, nil, err
		}
		return key.Public(), key, nil
	}
	data, err := env.readFile(f.fromJWK)
	if err != nil {
		return nil, nil, err
	}
	var jwk *jose.JSONWebKey
	err = env.unlock(ctx, f.passwordFile, func(pw keys.Password) (err error) {
		jwk, err = keys.ParsePrivateJWK(data, f.fromJWK, pw)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", f.fromJWK, err)
	}
	if _, secret := jwk.Key.([]byte); secret {
		return nil, nil, fmt.Errorf("%s holds a secret, which has no PEM form", f.fromJWK)
	}
	private, _ := jwk.Key.(crypto.Signer)
	return jwk.Public().Key, private, nil
}

func (f *keypair) write(ctx context.Context, env *Env, public crypto.PublicKey, private crypto.Signer, args []string) error {
	if private != nil && len(args) < 2 {
		return usagef("too few arguments: <private-key-file> is missing")
	}
	if len(args) > 1 && args[0] == args[1] {
		return usagef("the public and the private key can't share one file")
	}
	if private == nil {
		args = args[:1]
	}
	if err := env.confirmOverwrite(ctx, f.force, args...); err != nil {
		return err
	}
	text, err := keys.EncodePublic(public)
	if err != nil {
		return err
	}
	if private != nil {
		if err := f.writePrivate(ctx, env, private, args[1]); err != nil {
			return err
		}
	}
	if err := env.writeFile(ctx, args[0], text, 0o600, true); err != nil {
		return err
	}
	env.Done("Public Key", "%s", args[0])
	if private == nil {
		env.Note("%s holds no private key: only the public key was written.", f.fromJWK)
	}
	return nil
}

func (f *keypair) writePrivate(ctx context.Context, env *Env, private crypto.Signer, file string) error {
	var text []byte
	var err error
	if f.noPassword {
		text, err = keys.EncodePrivate(private)
	} else {
		var password []byte
		if password, err = env.keyPassword(ctx, f.passwordFile, "password-file", "the private key"); err == nil {
			text, err = keys.EncodeEncrypted(private, password)
		}
	}
	if err != nil {
		return err
	}
	if err := env.writeFile(ctx, file, text, 0o600, true); err != nil {
		return err
	}
	env.Done("Private Key", "%s", file)
	return nil
}

// changePass holds the flags of one call.
type changePass struct {
	passwordFile, newPasswordFile, out string
	noPassword, insecure, force        bool
}

func cryptoChangePass() *command {
	var f changePass
	return &command{
		short: "change the password of a private key",
		long: `Reads a private key, PEM or JWK, and writes it back under another password. The form of the
			file stays, but old PEM encryption is replaced by PKCS#8.`,
		args: []arg{need("key-file", "file with the private key")},
		examples: []example{
			{"Change a password", "signet crypto change-pass key.pem"},
			{"Remove a password", "signet crypto change-pass key.pem --no-password --insecure --out plain.pem"},
		},
		flags: func(fs *flags) {
			fs.String(&f.passwordFile, "password-file", "file", "`file` with the password that the key has")
			fs.String(&f.newPasswordFile, "new-password-file", "file", "`file` with the password that the key gets")
			fs.String(&f.out, "out", "file", "write to `file` instead of the key's own").Alias("output-file")
			fs.Bool(&f.noPassword, "no-password", "write the key unencrypted; requires --insecure").NoEnv()
			fs.Bool(&f.insecure, "insecure", "allow what weakens security").NoEnv().Hidden()
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			fs.Insecure("no-password")
			fs.Exclusive("no-password", "new-password-file")
		},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			out := f.out
			if out == "" {
				out = args[0]
			}
			data, err := env.readFile(args[0])
			if err != nil {
				return nil, err
			}
			text, err := f.change(ctx, env, data, args[0])
			if err != nil {
				return nil, err
			}
			if err := env.writeFile(ctx, out, text, 0o600, f.force); err != nil {
				return nil, err
			}
			env.Done("Private Key", "%s", out)
			return nil, nil
		},
	}
}

func (f *changePass) change(ctx context.Context, env *Env, data []byte, name string) ([]byte, error) {
	if block, _ := pem.Decode(data); block == nil && isJOSE(data) {
		return f.changeJWK(ctx, env, data, name)
	}
	var key crypto.Signer
	err := env.unlock(ctx, f.passwordFile, func(pw keys.Password) (err error) {
		key, err = keys.ParsePrivate(data, name, pw)
		return err
	})
	if err != nil {
		return nil, err
	}
	label := ""
	if block, _ := pem.Decode(data); block != nil {
		label = block.Type
	}
	password, err := f.newPassword(ctx, env)
	switch {
	case err != nil:
		return nil, err
	case label == "OPENSSH PRIVATE KEY":
		return keys.EncodeOpenSSH(key, "", password)
	case password != nil:
		return keys.EncodeEncrypted(key, password)
	case strings.HasSuffix(label, "ED PRIVATE KEY") || label == "PRIVATE KEY":
		return keys.EncodePKCS8(key)
	}
	return keys.EncodePrivate(key)
}

func (f *changePass) changeJWK(ctx context.Context, env *Env, data []byte, name string) ([]byte, error) {
	var jwk *jose.JSONWebKey
	err := env.unlock(ctx, f.passwordFile, func(pw keys.Password) (err error) {
		jwk, err = keys.ParsePrivateJWK(data, name, pw)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if _, secret := jwk.Key.([]byte); !secret && jwk.IsPublic() {
		return nil, fmt.Errorf("%s holds a public key, which has no password", name)
	}
	password, err := f.newPassword(ctx, env)
	switch {
	case err != nil:
		return nil, err
	case password == nil:
		return jwkFile(jwk)
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return keys.EncryptJWKFile(jwk, password)
	}
	compact, err := keys.EncryptJWK(jwk, password)
	return []byte(compact), err
}

// newPassword is nil if there shall be none.
func (f *changePass) newPassword(ctx context.Context, env *Env) ([]byte, error) {
	if f.noPassword {
		return nil, nil
	}
	return env.keyPassword(ctx, f.newPasswordFile, "new-password-file", "the private key")
}

// isJOSE tells a JWK, or a JWE around one, from other forms of keys.
func isJOSE(data []byte) bool {
	data = bytes.TrimSpace(data)
	return bytes.HasPrefix(data, []byte("{")) || bytes.Count(data, []byte(".")) == 4
}
