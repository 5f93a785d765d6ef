package cli

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.Hash.New
	"encoding/base64"
	"fmt"

	"github.com/signet-ca/signet/internal/keys"
)

// keyFingerprint holds the flags of one call.
type keyFingerprint struct {
	sha1, pkix, ssh, raw bool
	format, passwordFile string
}

// keyDigest names a key or another object.
type keyDigest struct {
	Fingerprint string `json:"fingerprint" help:"digest of the public key, with its algorithm in front"`
}

func (f *keyDigest) Text() string { return f.Fingerprint }

func cryptoKeyFingerprint() *command {
	var f keyFingerprint
	return &command{
		short: "print the fingerprint of a key",
		long: `Prints the SHA-256 digest of a public key; a private key gives that of its public half. What is
			digested are the bits of the key alone, with --pkix the structure around them, with --ssh the form
			that OpenSSH uses.`,
		args: []arg{may("key-file", "file with the key; standard input without it")},
		examples: []example{
			{"Name a key", "signet crypto key fingerprint key.pem"},
			{"Name it as ssh-keygen does", "signet crypto key fingerprint --ssh id_ed25519.pub"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.sha1, "sha1", "use SHA-1, in hex")
			fs.Bool(&f.pkix, "pkix", "digest the SubjectPublicKeyInfo")
			fs.Bool(&f.ssh, "ssh", "digest the form of OpenSSH")
			fs.Bool(&f.raw, "raw", "print the bytes that are digested, not the digest")
			fs.Enum(&f.format, "format", keys.FingerprintFormats, "form of the digest").Preset("base64")
			fs.String(&f.passwordFile, "password-file", "file", "`file` with the password of an encrypted key")
			fs.Exclusive("pkix", "ssh")
			fs.Incompatible("raw", "sha1", "format")
		},
		result: &keyDigest{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			key, _, err := readKeyArg(ctx, env, args, f.passwordFile)
			if err != nil {
				return nil, err
			}
			content, err := f.content(key.public)
			if err != nil {
				return nil, err
			}
			if f.raw {
				return &bytesResult{content}, nil
			}
			text, err := f.digest(content)
			return orError(&keyDigest{text}, err)
		},
	}
}

func (f *keyFingerprint) content(key crypto.PublicKey) ([]byte, error) {
	switch {
	case f.ssh:
		public, err := keys.SSHPublicKey(key)
		if err != nil {
			return nil, err
		}
		return public.Marshal(), nil
	case f.pkix:
		return keys.MarshalPublic(key)
	}
	return keys.PublicKeyBits(key)
}

func (f *keyFingerprint) digest(content []byte) (string, error) {
	name, digest, format := "SHA256:", sha256.Sum256(content), f.format
	sum := digest[:]
	if f.sha1 {
		short := sha1.Sum(content)
		name, sum = "SHA1:", short[:]
	}
	switch {
	case format != "":
	case f.sha1:
		format = "hex"
	case f.ssh:
		format = "base64-raw" // as ssh-keygen -l
	default:
		format = "base64"
	}
	text, err := keys.FormatFingerprint(sum, format)
	return name + text, err
}

var signatureHashes = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

// keyUse are the flags of signing and verifying with a key alone.
type keyUse struct {
	key, alg, passwordFile string
	pss                    bool
}

func (f *keyUse) register(fs *flags, whose string) {
	fs.String(&f.key, "key", "file", "`file` with "+whose)
	fs.Enum(&f.alg, "alg", []string{"sha1", "sha224", "sha256", "sha384", "sha512"}, "digest; an Ed25519 key takes none").
		Alias("algorithm").Preset("sha256, or the one of the curve")
	fs.Bool(&f.pss, "pss", "use the padding RSA-PSS")
	fs.String(&f.passwordFile, "password-file", "file", "`file` with the password of an encrypted key")
	fs.Required("key")
}

// prepare digests the message as the key's type wants it.
func (f *keyUse) prepare(env *Env, args []string, key crypto.PublicKey) (digest []byte, hash crypto.Hash, err error) {
	message, err := env.readArg(args, 0)
	if err != nil {
		return nil, 0, err
	}
	if _, isRSA := key.(*rsa.PublicKey); f.pss && !isRSA {
		return nil, 0, usagef("flag --pss is for RSA keys")
	}
	hash = crypto.SHA256
	switch k := key.(type) {
	case ed25519.PublicKey:
		if f.alg != "" {
			return nil, 0, usagef("flag --alg does not go with an Ed25519 key")
		}
		return message, 0, nil
	case *ecdsa.PublicKey:
		if bits := k.Curve.Params().BitSize; bits > 384 {
			hash = crypto.SHA512
		} else if bits > 256 {
			hash = crypto.SHA384
		}
	}
	if f.alg != "" {
		hash = signatureHashes[f.alg]
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil), hash, nil
}

// signatureResult is a bare signature.
type signatureResult struct {
	Signature string `json:"signature" help:"the signature, base64"`
}

func (s *signatureResult) Text() string { return s.Signature }

func cryptoKeySign() *command {
	var f keyUse
	var raw bool
	return &command{
		short:    "sign a file with a private key",
		long:     "Signs a file or standard input and prints the signature, base64.",
		args:     []arg{may("file", "file to sign; standard input without it")},
		examples: []example{{"Sign a file", "signet crypto key sign --key key.pem message.txt"}},
		flags: func(fs *flags) {
			f.register(fs, "the private key")
			fs.Bool(&raw, "raw", "print the bytes of the signature")
		},
		result: &signatureResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			data, err := env.readFile(f.key)
			if err != nil {
				return nil, err
			}
			var key crypto.Signer
			err = env.unlock(ctx, f.passwordFile, func(pw keys.Password) (err error) {
				key, err = keys.ParsePrivate(data, f.key, pw)
				return err
			})
			if err != nil {
				return nil, err
			}
			digest, hash, err := f.prepare(env, args, key.Public())
			if err != nil {
				return nil, err
			}
			var opts crypto.SignerOpts = hash
			if f.pss {
				opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
			}
			signature, err := key.Sign(rand.Reader, digest, opts)
			if err != nil {
				return nil, fmt.Errorf("sign with %s: %w", f.key, err)
			}
			if raw {
				return &bytesResult{signature}, nil
			}
			return &signatureResult{base64.StdEncoding.EncodeToString(signature)}, nil
		},
	}
}

// verdict says whether a check succeeded.
type verdict struct {
	Valid bool `json:"valid" help:"whether the signature is that of the key over the file"`
}

func (v *verdict) Text() string { return fmt.Sprint(v.Valid) }

func cryptoKeyVerify() *command {
	var f keyUse
	var signature string
	return &command{
		short:    "verify the signature of a file",
		long:     "Checks a signature over a file or standard input and prints true or false.",
		args:     []arg{may("file", "signed file; standard input without it")},
		examples: []example{{"Check a file", "signet crypto key verify --key key.pub --signature $SIG message.txt"}},
		exits:    []exitNote{{1, "the signature is wrong"}},
		flags: func(fs *flags) {
			f.register(fs, "the public key, or a certificate")
			fs.String(&signature, "signature", "base64", "the signature").Alias("sig")
			fs.Required("signature")
		},
		result: &verdict{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			raw, err := decodeBase64([]byte(signature))
			if err != nil {
				return nil, errValue("signature", signature, "base64")
			}
			data, err := env.readFile(f.key)
			if err != nil {
				return nil, err
			}
			key, err := env.parseKey(ctx, data, f.key, f.passwordFile)
			if err != nil {
				return nil, err
			}
			digest, hash, err := f.prepare(env, args, key.public)
			if err != nil {
				return nil, err
			}
			v := &verdict{f.verify(key.public, hash, digest, raw)}
			if !v.Valid {
				return v, exitWith(exitFailure, nil)
			}
			return v, nil
		},
	}
}

func (f *keyUse) verify(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, signature)
	case ed25519.PublicKey:
		return ed25519.Verify(k, digest, signature)
	case *rsa.PublicKey:
		if f.pss {
			return rsa.VerifyPSS(k, hash, digest, signature, nil) == nil
		}
		return rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
	}
	return false
}
