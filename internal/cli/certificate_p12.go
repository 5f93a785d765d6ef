package cli

import (
	"context"
	"crypto/x509"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/signet-ca/signet/internal/keys"
)

type p12Flags struct {
	ca                        []string
	password, keyPassword     string
	noPassword, legacy, force bool
	insecure                  bool
}

// p12Iterations slow down guessing. They count three times, for the two safes and the
// seal around them, and .NET refuses files with more than 600,000 in all.
const p12Iterations = 150_000

func certificateP12() *command {
	f := p12Flags{}
	return &command{
		short: "put a certificate and its key into a PKCS#12 file",
		long: `Writes a PKCS#12 file (.p12, .pfx) with a certificate, its private key, and the
			certificates of its issuers: those that follow in the certificate's file, and those given
			by --ca. Without a certificate the file is a trust store, for Java, of those given by --ca.

			The file is encrypted with AES-256. Programs of before 2020 may need --legacy, whose
			encryption is weak.`,
		args: []arg{need("p12-file", "file to write"), may("crt-file", "the certificate"), may("key-file", "its private key")},
		examples: []example{
			{"Put a certificate, its key and its issuer into one file", "signet certificate p12 site.p12 site.crt site.key --ca intermediate_ca.crt"},
			{"Make a trust store", "signet certificate p12 trust.p12 --ca root_ca.crt --password-file password.txt"},
		},
		flags: func(fs *flags) {
			fs.Strings(&f.ca, "ca", "file", "certificates of issuers, or to trust")
			fs.String(&f.password, "password-file", "file", "password to encrypt the PKCS#12 file")
			fs.String(&f.keyPassword, "key-password-file", "file", "password of the private key")
			fs.Bool(&f.noPassword, "no-password", "encrypt with an empty password, which is no protection; needs --insecure")
			fs.Bool(&f.legacy, "legacy", "encrypt in an old way that old programs read")
			fs.Bool(&f.insecure, "insecure", "allow what weakens security").NoEnv()
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			fs.Exclusive("password-file", "no-password")
			fs.Insecure("no-password")
		},
		result: &fileResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			switch {
			case len(args) == 2:
				return nil, usagef("too few arguments: <key-file> is missing")
			case len(args) == 1 && len(f.ca) == 0:
				return nil, usagef("a trust store needs --ca, anything else a certificate and a key")
			}
			data, err := f.encode(ctx, env, args)
			if err != nil {
				return nil, err
			}
			if err := env.writeFile(ctx, args[0], data, 0o600, f.force); err != nil {
				return nil, err
			}
			if args[0] == "-" {
				return nil, nil
			}
			env.Done("PKCS#12", "%s", args[0])
			return &fileResult{args[0]}, nil
		},
	}
}

func (f *p12Flags) encode(ctx context.Context, env *Env, args []string) ([]byte, error) {
	var issuers []*x509.Certificate
	for _, name := range f.ca {
		certs, err := keys.ReadCertificates(name)
		if err != nil {
			return nil, err
		}
		issuers = append(issuers, certs...)
	}
	encoder := pkcs12.Modern2023.WithIterations(p12Iterations)
	if f.legacy {
		encoder = pkcs12.LegacyDES
	}
	if len(args) == 1 {
		password, err := f.secret(ctx, env, args[0])
		if err != nil {
			return nil, err
		}
		return encoder.EncodeTrustStore(issuers, password)
	}
	chain, err := keys.ReadCertificates(args[1])
	if err != nil {
		return nil, err
	}
	key, err := keys.ReadPrivate(args[2], env.password(ctx, f.keyPassword, "key-password-file"))
	if err != nil {
		return nil, err
	}
	if !keys.SamePublicKey(chain[0].PublicKey, key.Public()) {
		return nil, fmt.Errorf("the key in %s does not belong to the certificate in %s", args[2], args[1])
	}
	password, err := f.secret(ctx, env, args[0])
	if err != nil {
		return nil, err
	}
	return encoder.Encode(key, chain[0], once(append(chain[1:], issuers...)), password)
}

// secret is the password of the new file.
func (f *p12Flags) secret(ctx context.Context, env *Env, file string) (string, error) {
	if f.noPassword {
		return "", nil
	}
	password, err := env.keyPassword(ctx, f.password, "password-file", file)
	return string(password), err
}

// once drops certificates that stand in the list already.
func once(list []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for i, c := range list {
		seen := false
		for _, earlier := range list[:i] {
			seen = seen || earlier.Equal(c)
		}
		if !seen {
			out = append(out, c)
		}
	}
	return out
}
