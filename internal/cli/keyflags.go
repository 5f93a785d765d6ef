package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
)

// keyFlags are the flags that choose what key is made.
type keyFlags struct {
	kty, crv string
	size     int
	insecure bool
}

const minRSABits = 2048

func (k *keyFlags) register(fs *flags) {
	fs.Enum(&k.kty, "kty", []string{"EC", "OKP", "RSA"}, "kind of key to make").Preset("EC")
	fs.Enum(&k.crv, "curve", []string{"P-256", "P-384", "P-521", "Ed25519"}, "curve of an EC or OKP key; needs --kty").
		Alias("crv").Preset("P-256, or Ed25519 with --kty OKP")
	fs.Int(&k.size, "size", "bits", "size of an RSA key; needs --kty RSA").Preset("2048")
	if fs.lookup("insecure") == nil {
		fs.Bool(&k.insecure, "insecure", "allow what weakens security, such as small keys").NoEnv().Hidden()
	}
	fs.Check(func(given func(string) bool) error { return k.check(given) })
}

func (k *keyFlags) check(given func(string) bool) error {
	for _, name := range []string{"curve", "size"} {
		if given(name) && !given("kty") {
			return errRequires(name, "kty")
		}
	}
	switch {
	case k.kty == "RSA" && given("curve"):
		return usagef("flag --curve does not go with --kty RSA")
	case k.kty != "RSA" && given("size"):
		return usagef("flag --size does not go with --kty %s", k.kty)
	case k.kty == "EC" && k.crv == "Ed25519":
		return errValue("curve", k.crv, "P-256", "P-384", "P-521")
	case k.kty == "OKP" && given("curve") && k.crv != "Ed25519":
		return errValue("curve", k.crv, "Ed25519")
	case given("size") && k.size < minRSABits && !given("insecure"):
		return usagef("RSA keys below %d bits require --insecure", minRSABits)
	}
	return nil
}

// alg is the kind of key asked for; without any flag EC P-256.
func (k *keyFlags) alg() keys.Alg {
	switch k.kty {
	case "RSA":
		size := k.size
		if size == 0 {
			size = minRSABits
		}
		return keys.Alg{Kty: "RSA", Size: size}
	case "OKP":
		return keys.Alg{Kty: "OKP", Crv: "Ed25519"}
	}
	crv := k.crv
	if crv == "" {
		crv = "P-256"
	}
	return keys.Alg{Kty: "EC", Crv: crv}
}

// dataFlags are the flags that give data to templates.
type dataFlags struct {
	set  []string
	file string
}

func (d *dataFlags) register(fs *flags) {
	fs.Strings(&d.set, "set", "key=value", "data for the template; a value that is JSON is taken as such")
	fs.String(&d.file, "set-file", "file", "JSON object with data for the template; --set overrides it")
}

// data is the object made of the file and, on top of it, the single values. It is nil when
// nothing was given.
func (d *dataFlags) data(env *Env) (map[string]any, error) {
	var data map[string]any
	if d.file != "" {
		text, err := env.readFile(d.file)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &data); err != nil || data == nil {
			return nil, fmt.Errorf("%s does not hold a JSON object", d.file)
		}
	}
	for _, pair := range d.set {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("invalid value %q for flag --set: key=value is needed", pair)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		if data == nil {
			data = map[string]any{}
		}
		data[name] = value
	}
	return data, nil
}

// password gives the password in file, or asks for it, when a key turns out to be
// encrypted. flag names the flag that gives the file. It reads or asks once.
func (e *Env) password(ctx context.Context, file, flag string) keys.Password {
	var known []byte
	return func(what string) ([]byte, error) {
		if known != nil {
			return known, nil
		}
		label := "Password"
		if what != "" {
			label = "Password of " + what
		}
		password, err := e.readPassword(ctx, file, question{label: label, flag: flag, empty: true})
		if err == nil && file != "" {
			known = password // a prompt names one thing; a file is for all
		}
		return password, err
	}
}

// keyPassword is the password under which a new key is stored: from file, or asked. An
// empty one is refused.
func (e *Env) keyPassword(ctx context.Context, file, flag, what string) ([]byte, error) {
	password, err := e.readPassword(ctx, file, question{label: "Password to encrypt " + what, flag: flag})
	if err == nil && len(password) == 0 {
		err = fmt.Errorf("the password in %s is empty", file)
	}
	return password, err
}
