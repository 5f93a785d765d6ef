package cli

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// readKeyArg reads the key that is positional argument 0, or standard input without it.
func readKeyArg(ctx context.Context, env *Env, args []string, passwordFile string) (*someKey, []byte, error) {
	data, err := env.readArg(args, 0)
	if err != nil {
		return nil, nil, err
	}
	key, err := env.parseKey(ctx, data, inputName(args, 0), passwordFile)
	return key, data, err
}

// keyFormat holds the flags of one call.
type keyFormat struct {
	pem, der, ssh, jwk, pkcs8   bool
	out, passwordFile           string
	noPassword, insecure, force bool
}

func cryptoKeyFormat() *command {
	var f keyFormat
	return &command{
		short: "convert a key to another form",
		long: `Reads a public or private key in any form and writes it in the one of the flags; without one,
			PEM becomes DER and anything else PEM.

			A private key that is encrypted stays so, under the same password. Another one becomes
			encrypted with --password-file.`,
		args: []arg{may("key-file", "file with the key; standard input without it")},
		examples: []example{
			{"Convert PEM to DER", "signet crypto key format key.pem --out key.der"},
			{"Convert to the form of OpenSSH", "signet crypto key format --ssh key.pem --out id_ecdsa"},
			{"Convert to PKCS#8", "signet crypto key format --pem --pkcs8 key.pem"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.pem, "pem", "write PEM")
			fs.Bool(&f.der, "der", "write DER")
			fs.Bool(&f.ssh, "ssh", "write the form of OpenSSH")
			fs.Bool(&f.jwk, "jwk", "write a JSON Web Key")
			fs.Bool(&f.pkcs8, "pkcs8", "wrap a private key in PKCS#8; PEM unless --der is given")
			fs.String(&f.out, "out", "file", "write to `file` instead of standard output").Alias("output-file")
			fs.String(&f.passwordFile, "password-file", "file", "`file` with the password to decrypt and to encrypt the private key")
			fs.Bool(&f.noPassword, "no-password", "write a private key unencrypted; requires --insecure").NoEnv()
			fs.Bool(&f.insecure, "insecure", "allow what weakens security").NoEnv().Hidden()
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			fs.Insecure("no-password")
			fs.Exclusive("pem", "der", "ssh", "jwk")
			fs.Incompatible("pkcs8", "ssh", "jwk")
		},
		result: &bytesResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			key, data, err := readKeyArg(ctx, env, args, f.passwordFile)
			if err != nil {
				return nil, err
			}
			if block, _ := pem.Decode(data); !f.pem && !f.ssh && !f.jwk {
				f.der = f.der || block != nil && !f.pkcs8
			}
			text, err := f.convert(ctx, env, key)
			if err != nil {
				return nil, err
			}
			if f.out == "" {
				return &bytesResult{text}, nil
			}
			if err := env.writeFile(ctx, f.out, text, 0o600, f.force); err != nil {
				return nil, err
			}
			env.Done("Key", "%s", f.out)
			return nil, nil
		},
	}
}

func (f *keyFormat) convert(ctx context.Context, env *Env, key *someKey) ([]byte, error) {
	if key.private == nil {
		return f.public(key.public)
	}
	password := key.password
	if f.passwordFile != "" && password == nil {
		var err error
		if password, err = env.keyPassword(ctx, f.passwordFile, "password-file", "the key"); err != nil {
			return nil, err
		}
	}
	if f.noPassword {
		password = nil
	}
	return f.private(key.private, password)
}

func (f *keyFormat) public(key crypto.PublicKey) ([]byte, error) {
	switch {
	case f.ssh:
		public, err := keys.SSHPublicKey(key)
		if err != nil {
			return nil, err
		}
		return ssh.MarshalAuthorizedKey(public), nil
	case f.jwk:
		jwk, err := keys.NewJWK(key)
		if err != nil {
			return nil, err
		}
		return jwkFile(jwk)
	}
	text, err := keys.EncodePublic(key)
	return f.unwrapped(text, err)
}

func (f *keyFormat) private(key crypto.Signer, password []byte) ([]byte, error) {
	switch {
	case f.ssh:
		return keys.EncodeOpenSSH(key, "", password)
	case f.jwk:
		jwk, err := keys.NewPrivateJWK(key)
		if err != nil {
			return nil, err
		}
		if len(password) > 0 {
			return keys.EncryptJWKFile(jwk, password)
		}
		return jwkFile(jwk)
	case len(password) > 0:
		return f.unwrapped(keys.EncodeEncrypted(key, password))
	case f.pkcs8:
		return f.unwrapped(keys.EncodePKCS8(key))
	}
	return f.unwrapped(keys.EncodePrivate(key))
}

// unwrapped is the DER inside a PEM block, if that was asked for.
func (f *keyFormat) unwrapped(text []byte, err error) ([]byte, error) {
	if err != nil || !f.der {
		return text, err
	}
	block, _ := pem.Decode(text)
	return block.Bytes, nil
}

func cryptoKeyPublic() *command {
	var passwordFile string
	return &command{
		short: "print the public half of a key",
		long:  "Reads a key, a certificate or a signing request in any form and prints its public key as PEM.",
		args:  []arg{may("key-file", "file with the key; standard input without it")},
		examples: []example{
			{"Extract the public key", "signet crypto key public key.pem"},
		},
		flags: func(fs *flags) {
			fs.String(&passwordFile, "password-file", "file", "`file` with the password of an encrypted key")
		},
		result: &pemResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			key, _, err := readKeyArg(ctx, env, args, passwordFile)
			if err != nil {
				return nil, err
			}
			text, err := keys.EncodePublic(key.public)
			return orError(&pemResult{string(text)}, err)
		},
	}
}

// pemResult is text in PEM.
type pemResult struct {
	PEM string `json:"pem" help:"PEM block"`
}

func (p *pemResult) Text() string { return p.PEM }

// keyReport describes a key. Private values are never shown.
type keyReport struct {
	Type        string `json:"type" help:"EC, RSA or Ed25519"`
	Private     bool   `json:"private" help:"whether the private half is there"`
	Encrypted   bool   `json:"encrypted" help:"whether it was stored under a password"`
	Bits        int    `json:"bits" help:"size"`
	Curve       string `json:"curve,omitempty" help:"curve of an EC key"`
	X           string `json:"x,omitempty" help:"x coordinate, hex"`
	Y           string `json:"y,omitempty" help:"y coordinate, hex"`
	Modulus     string `json:"modulus,omitempty" help:"RSA modulus, hex"`
	Exponent    int    `json:"exponent,omitempty" help:"RSA public exponent"`
	Public      string `json:"public,omitempty" help:"Ed25519 public key, hex"`
	Fingerprint string `json:"fingerprint" help:"SHA-256 of the public key, as 'crypto key fingerprint' prints it"`
	Thumbprint  string `json:"thumbprint,omitempty" help:"RFC 7638 thumbprint, the usual ID of a JWK"`
}

func (k *keyReport) Text() string {
	var b strings.Builder
	half := "Public"
	if k.Private {
		half = "Private"
	}
	fmt.Fprintf(&b, "%s %s Key: (%d bit)\n", k.Type, half, k.Bits)
	for _, v := range []struct{ name, value string }{{"X", k.X}, {"Y", k.Y}, {"Modulus", k.Modulus}, {"Public", k.Public}} {
		if v.value != "" {
			fmt.Fprintf(&b, "    %s:\n%s", v.name, hexLines(v.value))
		}
	}
	if k.Curve != "" {
		fmt.Fprintf(&b, "    Curve: %s\n", k.Curve)
	}
	if k.Exponent != 0 {
		fmt.Fprintf(&b, "    Exponent: %d (0x%x)\n", k.Exponent, k.Exponent)
	}
	fmt.Fprintf(&b, "    Fingerprint: %s\n", k.Fingerprint)
	if k.Thumbprint != "" {
		fmt.Fprintf(&b, "    Thumbprint: %s\n", k.Thumbprint)
	}
	return b.String()
}

// hexLines lays hex digits out as OpenSSL does: 15 bytes a line, with colons.
func hexLines(digits string) string {
	const width = 30
	var b strings.Builder
	for len(digits) > 0 {
		line := digits[:min(width, len(digits))]
		digits = digits[len(line):]
		b.WriteString("        ")
		for i := 0; i < len(line); i += 2 {
			b.WriteString(line[i : i+2])
			if i+2 < len(line) || digits != "" {
				b.WriteByte(':')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func newKeyReport(k *someKey) (*keyReport, error) {
	r := &keyReport{Private: k.private != nil, Encrypted: k.password != nil}
	switch key := k.public.(type) {
	case *ecdsa.PublicKey:
		r.Type, r.Curve, r.Bits = "EC", key.Curve.Params().Name, key.Curve.Params().BitSize
		point, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		half := len(point) / 2
		r.X, r.Y = hex.EncodeToString(point[1:1+half]), hex.EncodeToString(point[1+half:])
	case *rsa.PublicKey:
		r.Type, r.Bits, r.Exponent = "RSA", key.N.BitLen(), key.E
		r.Modulus = hex.EncodeToString(append([]byte{0}, key.N.Bytes()...)) // a positive number, as in DER
	case ed25519.PublicKey:
		r.Type, r.Bits, r.Public = "Ed25519", 256, hex.EncodeToString(key)
	}
	var err error
	if r.Fingerprint, err = keys.KeyFingerprint(k.public); err != nil {
		return nil, err
	}
	r.Thumbprint, _ = keys.Thumbprint(k.public) // a curve that JOSE doesn't know has none
	return r, nil
}

func cryptoKeyInspect() *command {
	var passwordFile string
	return &command{
		short:    "show a key",
		long:     "Reads a key in any form and prints its type, size and public values. Private values are never shown.",
		args:     []arg{may("key-file", "file with the key; standard input without it")},
		examples: []example{{"Show a key", "signet crypto key inspect key.pem"}},
		flags: func(fs *flags) {
			fs.String(&passwordFile, "password-file", "file", "`file` with the password of an encrypted key")
		},
		result: &keyReport{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			key, _, err := readKeyArg(ctx, env, args, passwordFile)
			if err != nil {
				return nil, err
			}
			return orError(newKeyReport(key))
		},
	}
}
