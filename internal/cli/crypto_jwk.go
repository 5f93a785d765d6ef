package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/keys"
)

// jwkResult is a JSON Web Key. The order of its members is the customary one.
type jwkResult struct {
	Use     string   `json:"use,omitempty" help:"sig or enc"`
	Kty     string   `json:"kty" help:"type: EC, RSA, OKP or oct"`
	Kid     string   `json:"kid,omitempty" help:"ID of the key, usually its RFC 7638 thumbprint"`
	Crv     string   `json:"crv,omitempty" help:"curve of an EC or OKP key"`
	Alg     string   `json:"alg,omitempty" help:"the only algorithm the key is for"`
	K       string   `json:"k,omitempty" help:"secret of an oct key"`
	X       string   `json:"x,omitempty" help:"x coordinate, or the public key of OKP"`
	Y       string   `json:"y,omitempty" help:"y coordinate"`
	N       string   `json:"n,omitempty" help:"RSA modulus"`
	E       string   `json:"e,omitempty" help:"RSA public exponent"`
	D       string   `json:"d,omitempty" help:"private part"`
	P       string   `json:"p,omitempty" help:"RSA, private"`
	Q       string   `json:"q,omitempty" help:"RSA, private"`
	Dp      string   `json:"dp,omitempty" help:"RSA, private"`
	Dq      string   `json:"dq,omitempty" help:"RSA, private"`
	Qi      string   `json:"qi,omitempty" help:"RSA, private"`
	X5c     []string `json:"x5c,omitempty" help:"certificate chain, base64 DER"`
	X5u     string   `json:"x5u,omitempty" help:"URL of the chain"`
	X5t     string   `json:"x5t,omitempty" help:"SHA-1 of the certificate"`
	X5tS256 string   `json:"x5t#S256,omitempty" help:"SHA-256 of the certificate"`
}

func newJWKResult(k *jose.JSONWebKey) (*jwkResult, error) {
	data, err := keys.MarshalJWK(k)
	if err != nil {
		return nil, err
	}
	r := new(jwkResult)
	return r, json.Unmarshal(data, r)
}

// jwkCreate holds the flags of one call.
type jwkCreate struct {
	kty, crv, alg, use, kid, fromPEM, passwordFile string
	size                                           int
	noPassword, insecure, subtle, force            bool
}

// minSecret is the size in bytes below which an oct key takes --insecure, secretSize the
// usual one.
const (
	minSecret  = 16
	secretSize = 32
	maxSecret  = 4096
)

func cryptoJWKCreate() *command {
	var f jwkCreate
	return &command{
		short: "make a JSON Web Key",
		long: `Makes a key pair and writes both halves as JSON Web Keys, or converts an existing key with
			--from-pem. The private key is encrypted under a password. Its ID is the RFC 7638 thumbprint.

			A key of type oct is one secret: the public file then holds it too and must be kept as
			safe as the private one.`,
		args: []arg{need("public-jwk-file", "file for the public key"), may("private-jwk-file", "file for the private key")},
		examples: []example{
			{"Make an EC key on P-256", "signet crypto jwk create jwk.pub.json jwk.json"},
			{"Make an Ed25519 key", "signet crypto jwk create --kty OKP --crv Ed25519 jwk.pub.json jwk.json"},
			{"Convert a PEM key", "signet crypto jwk create --from-pem key.pem jwk.pub.json jwk.json"},
		},
		flags: f.register,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			jwk, err := f.make(ctx, env)
			if err != nil {
				return nil, err
			}
			return nil, f.write(ctx, env, jwk, args)
		},
	}
}

func (f *jwkCreate) register(fs *flags) {
	fs.Enum(&f.kty, "kty", []string{"EC", "OKP", "RSA", "oct"}, "type of the key").Preset("EC")
	fs.Enum(&f.crv, "curve", []string{"P-256", "P-384", "P-521", "Ed25519"}, "curve of an EC or OKP key; needs --kty").
		Alias("crv").Preset("P-256, or Ed25519 with --kty OKP")
	fs.Int(&f.size, "size", "n", "bits of an RSA key or bytes of an oct key; needs --kty").Preset("2048 or 32")
	fs.String(&f.alg, "alg", "name", "algorithm that the key is for").Alias("algorithm").Preset("that of its type")
	f.use = "sig"
	fs.Enum(&f.use, "use", []string{"sig", "enc"}, "what the key is for: signatures or encryption")
	fs.String(&f.kid, "kid", "id", "ID of the key instead of its thumbprint")
	fs.String(&f.fromPEM, "from-pem", "file", "convert the certificate, public or private key in `file` instead of making a key")
	fs.String(&f.passwordFile, "password-file", "file", "`file` with the password to encrypt the private key, and to decrypt the one of --from-pem")
	fs.Bool(&f.noPassword, "no-password", "write the private key unencrypted; requires --insecure").NoEnv()
	fs.Bool(&f.insecure, "insecure", "allow what weakens security").NoEnv().Hidden()
	fs.Bool(&f.subtle, "subtle", "allow what is easy to misuse").NoEnv().Hidden()
	fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
	fs.Insecure("no-password")
	fs.Exclusive("no-password", "password-file")
	fs.Incompatible("from-pem", "kty", "curve", "size")
	fs.Check(f.check)
}

func (f *jwkCreate) check(given func(string) bool) error {
	for _, name := range []string{"curve", "size"} {
		if given(name) && !given("kty") {
			return errRequires(name, "kty")
		}
	}
	takesCurve, takesSize := f.kty == "EC" || f.kty == "OKP", f.kty == "RSA" || f.kty == "oct"
	smallest, unit := minRSABits, "bits"
	if f.kty == "oct" {
		smallest, unit = minSecret, "bytes"
	}
	switch {
	case given("curve") && !takesCurve:
		return usagef("flag --curve does not go with --kty %s", f.kty)
	case given("size") && !takesSize:
		return usagef("flag --size does not go with --kty %s", f.kty)
	case f.kty == "EC" && f.crv == "Ed25519":
		return errValue("curve", f.crv, "P-256", "P-384", "P-521")
	case f.kty == "OKP" && given("curve") && f.crv != "Ed25519":
		return errValue("curve", f.crv, "Ed25519")
	case given("size") && f.size < smallest && !f.insecure:
		return usagef("%s keys below %d %s require --insecure", f.kty, smallest, unit)
	case f.kty == "oct" && given("size") && (f.size < 1 || f.size > maxSecret):
		return errValue("size", fmt.Sprint(f.size), fmt.Sprintf("1 to %d", maxSecret))
	}
	return nil
}

// make generates or converts the key and settles use, algorithm and ID.
func (f *jwkCreate) make(ctx context.Context, env *Env) (*jose.JSONWebKey, error) {
	jwk, err := f.key(ctx, env)
	if err != nil {
		return nil, err
	}
	jwk.Use, jwk.Algorithm = f.use, ""
	fitting := f.algorithms(jwk)
	switch {
	case len(fitting) == 0:
		return nil, fmt.Errorf("a key of this type can't have --use %s", f.use)
	case f.alg == "":
		jwk.Algorithm = fitting[0]
	case slices.Contains(fitting, f.alg) || f.subtle:
		jwk.Algorithm = f.alg
	default:
		return nil, errValue("alg", f.alg, fitting...)
	}
	if f.kid != "" {
		jwk.KeyID = f.kid
	}
	return jwk, nil
}

// algorithms lists what the key can be for, its default first.
func (f *jwkCreate) algorithms(jwk *jose.JSONWebKey) []string {
	if f.use == "enc" {
		return algNames(keys.EncryptionAlgorithms(jwk))
	}
	fitting := algNames(keys.SigningAlgorithms(jwk))
	if len(fitting) == 0 && f.insecure { // a small key: keys finds none to its liking
		switch f.kty {
		case "RSA":
			fitting = algNames([]jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512})
		case "oct":
			fitting = algNames([]jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512})
		}
	}
	return fitting
}

func (f *jwkCreate) key(ctx context.Context, env *Env) (*jose.JSONWebKey, error) {
	switch {
	case f.fromPEM != "":
		data, err := env.readFile(f.fromPEM)
		if err != nil {
			return nil, err
		}
		var jwk *jose.JSONWebKey
		err = env.unlock(ctx, f.passwordFile, func(pw keys.Password) (err error) {
			jwk, err = keys.ParseAsJWK(data, f.fromPEM, pw)
			return err
		})
		return jwk, err
	case f.kty == "oct":
		size := f.size
		if size == 0 {
			size = secretSize
		}
		return &jose.JSONWebKey{Key: []byte(keys.RandomAlphanumeric(size))}, nil
	}
	key, err := keys.Alg{Kty: f.kty, Crv: f.crv, Size: f.size}.Generate()
	if err != nil {
		return nil, err
	}
	kid, err := keys.Thumbprint(key)
	return &jose.JSONWebKey{Key: key, KeyID: kid}, err
}

func (f *jwkCreate) write(ctx context.Context, env *Env, jwk *jose.JSONWebKey, args []string) error {
	secret, isSecret := jwk.Key.([]byte)
	public := jwk.Public()
	if isSecret {
		public = *jwk
		public.Key = secret
	}
	onlyPublic := !isSecret && jwk.IsPublic()
	if !onlyPublic && len(args) < 2 {
		return usagef("too few arguments: <private-jwk-file> is missing")
	}
	if len(args) > 1 && args[0] == args[1] {
		return usagef("the public and the private key can't share one file")
	}
	if onlyPublic {
		args = args[:1]
	}
	if err := env.confirmOverwrite(ctx, f.force, args...); err != nil {
		return err
	}
	text, err := jwkFile(&public)
	if err != nil {
		return err
	}
	// The private key first: a lost password leaves no public key without its other half.
	if !onlyPublic {
		if err := f.writePrivate(ctx, env, jwk, args[1]); err != nil {
			return err
		}
	}
	if err := env.writeFile(ctx, args[0], text, 0o600, true); err != nil {
		return err
	}
	env.Done("Public Key", "%s", args[0])
	switch {
	case onlyPublic:
		env.Note("%s holds no private key: only the public key was written.", f.fromPEM)
	case isSecret:
		env.Warn("%s holds the secret itself, unencrypted", args[0])
	}
	return nil
}

func (f *jwkCreate) writePrivate(ctx context.Context, env *Env, jwk *jose.JSONWebKey, file string) error {
	text, err := jwkFile(jwk)
	if !f.noPassword && err == nil {
		var password []byte
		if password, err = env.keyPassword(ctx, f.passwordFile, "password-file", "the private key"); err != nil {
			return err
		}
		text, err = keys.EncryptJWKFile(jwk, password)
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

// jwkInput reads the JWK on standard input, for the commands that convert one.
func jwkInput(ctx context.Context, env *Env, passwordFile string) (*jose.JSONWebKey, error) {
	data, err := env.readFile("-")
	if err != nil {
		return nil, err
	}
	var jwk *jose.JSONWebKey
	err = env.unlock(ctx, passwordFile, func(pw keys.Password) (err error) {
		jwk, err = keys.ParsePrivateJWK(data, "the JWK", pw)
		return err
	})
	return jwk, err
}

func cryptoJWKPublic() *command {
	var passwordFile string
	return &command{
		short:    "print the public half of a JSON Web Key",
		long:     "Reads a JWK from standard input, encrypted or not, and prints its public half.",
		examples: []example{{"Extract the public key", "signet crypto jwk public < jwk.json > jwk.pub.json"}},
		flags: func(fs *flags) {
			fs.String(&passwordFile, "password-file", "file", "`file` with the password of an encrypted JWK")
		},
		result: &jwkResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			jwk, err := jwkInput(ctx, env, passwordFile)
			if err != nil {
				return nil, err
			}
			if _, secret := jwk.Key.([]byte); secret {
				return nil, fmt.Errorf("a JWK of type oct is a secret and has no public half")
			}
			public := jwk.Public()
			return orError(newJWKResult(&public))
		},
	}
}

// thumbprintResult is the RFC 7638 thumbprint of a key.
type thumbprintResult struct {
	Thumbprint string `json:"thumbprint" help:"SHA-256 thumbprint by RFC 7638, base64url"`
}

func (r *thumbprintResult) Text() string { return r.Thumbprint }

func cryptoJWKThumbprint() *command {
	var passwordFile string
	return &command{
		short:    "print the thumbprint of a JSON Web Key",
		long:     "Reads a JWK from standard input, encrypted or not, and prints its RFC 7638 thumbprint.",
		examples: []example{{"Name a key", "signet crypto jwk thumbprint < jwk.pub.json"}},
		flags: func(fs *flags) {
			fs.String(&passwordFile, "password-file", "file", "`file` with the password of an encrypted JWK")
		},
		result: &thumbprintResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			jwk, err := jwkInput(ctx, env, passwordFile)
			if err != nil {
				return nil, err
			}
			sum, err := keys.Thumbprint(jwk.Key)
			return orError(&thumbprintResult{sum}, err)
		},
	}
}
