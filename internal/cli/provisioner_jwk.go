package cli

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

// jwkFlags are the flags of JWK provisioners.
type jwkFlags struct {
	create                bool
	publicKey, privateKey string
	passwordFile          string
}

func (f *jwkFlags) register(fs *flags) {
	fs.Bool(&f.create, "create", "make a new key pair").NoEnv()
	fs.String(&f.publicKey, "public-key", "file", "public key that verifies tokens, from `file`: JWK or PEM; of a K8sSA provisioner PEM of one or more").Alias("pem-keys").NoEnv()
	fs.String(&f.privateKey, "private-key", "file", "private key that clients get encrypted, from `file`: a JWE stays as it is, a plain key is encrypted; empty takes it out").NoEnv()
	fs.String(&f.passwordFile, "password-file", "file", "read the password that encrypts the private key from `file`")
	fs.Incompatible("create", "public-key", "private-key")
}

// apply puts the keys that the flags name into a provisioner.
func (f *jwkFlags) apply(ctx context.Context, env *Env, o *jsonObject) error {
	if f.create {
		signer, err := keys.Alg{}.Generate()
		if err != nil {
			return err
		}
		if err := putPublic(o, signer.Public()); err != nil {
			return err
		}
		return f.putPrivate(ctx, env, o, signer)
	}
	if f.publicKey != "" {
		data, err := env.readFile(f.publicKey)
		if err != nil {
			return err
		}
		if err := readPublic(o, data); err != nil {
			return fmt.Errorf("read public key %s: %w", f.publicKey, err)
		}
	}
	switch {
	case f.privateKey != "":
		return f.applyPrivate(ctx, env, o)
	case env.Typed("private-key"):
		o.remove("encryptedKey")
	}
	if len(o.get("key")) == 0 {
		return errors.New("a JWK provisioner needs a key: make one with --create, or give --public-key")
	}
	return nil
}

func readPublic(o *jsonObject, data []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		jwk, err := keys.ParseJWK(data)
		if err != nil {
			return err
		}
		if !jwk.IsPublic() {
			return errors.New("this is a private or symmetric key; everybody could read it here")
		}
		if jwk.KeyID == "" {
			if jwk.KeyID, err = keys.Thumbprint(jwk); err != nil {
				return err
			}
		}
		return putJWK(o, jwk)
	}
	pub, err := keys.ParsePublic(data)
	if err != nil {
		return err
	}
	return putPublic(o, pub)
}

func putPublic(o *jsonObject, pub crypto.PublicKey) error {
	jwk, err := keys.NewJWK(pub)
	if err != nil {
		return err
	}
	return putJWK(o, jwk)
}

func putJWK(o *jsonObject, jwk *jose.JSONWebKey) error {
	text, err := keys.MarshalJWK(jwk)
	if err != nil {
		return err
	}
	o.put("key", text)
	return nil
}

// applyPrivate takes an encrypted key as it is, in compact form, and encrypts a plain one.
func (f *jwkFlags) applyPrivate(ctx context.Context, env *Env, o *jsonObject) error {
	data, err := env.readFile(f.privateKey)
	if err != nil {
		return err
	}
	data = bytes.TrimSpace(data)
	if jwe, err := keys.ParseJWE(data); err == nil {
		compact, err := jwe.Compact()
		if err != nil {
			return fmt.Errorf("read private key %s: %w", f.privateKey, err)
		}
		if len(o.get("key")) == 0 {
			return errors.New("the public key cannot be told from an encrypted private one; give --public-key as well")
		}
		o.set("encryptedKey", compact)
		return nil
	}
	signer, err := keys.ParsePrivate(data, f.privateKey, env.password(ctx, "", "password-file"))
	if err != nil {
		return err
	}
	if f.publicKey == "" {
		if err := putPublic(o, signer.Public()); err != nil {
			return err
		}
	}
	return f.putPrivate(ctx, env, o, signer)
}

func (f *jwkFlags) putPrivate(ctx context.Context, env *Env, o *jsonObject, signer crypto.Signer) error {
	password, err := env.keyPassword(ctx, f.passwordFile, "password-file", "the provisioner key")
	if err != nil {
		return err
	}
	jwk, err := keys.NewPrivateJWK(signer)
	if err != nil {
		return err
	}
	encrypted, err := keys.EncryptJWK(jwk, password)
	if err != nil {
		return err
	}
	o.set("encryptedKey", encrypted)
	return nil
}
