package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/config"
)

// exportResult is a configuration that needs no other file.
type exportResult struct {
	Version        string            `json:"version" help:"version of the program that wrote it"`
	Config         json.RawMessage   `json:"config" help:"the configuration, ca.json, as it stands in the file"`
	Files          map[string][]byte `json:"files" help:"content of every file that the configuration names, in base64, by the name that stands there"`
	Password       string            `json:"password,omitempty" help:"the password of --password-file"`
	IssuerPassword string            `json:"issuerPassword,omitempty" help:"the password of --issuer-password-file"`
}

func configExport() *command {
	var f struct{ passwordFile, issuerPasswordFile string }
	return &command{
		short: "print a configuration together with its files",
		long: `Prints the server's configuration as JSON, with the files it names inside: certificates, private
			keys as they are stored (encrypted, usually), templates, and the files of secrets. It is meant for moving
			a CA, or for keeping it. Records and what is administered over the network lie in the database and are
			not part of it.

			With a password inside, the output is as secret as the keys are: write it to a place that only you read.`,
		args: []arg{need("config", "configuration file (ca.json)")},
		examples: []example{
			{"Keep all that a CA needs besides its database", "signet config export ca.json > ca-export.json"},
			{"Show which files a configuration names", "signet config export ca.json | jq '.files | keys'"},
		},
		flags: func(fs *flags) {
			fs.String(&f.passwordFile, "password-file", "file", "add the password of the keys, from `file`")
			fs.String(&f.issuerPasswordFile, "issuer-password-file", "file", "add the password of a registration authority's issuer key, from `file`")
		},
		result: &exportResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			r := &exportResult{Version: Version()}
			for _, p := range []struct {
				file string
				dst  *string
			}{{f.passwordFile, &r.Password}, {f.issuerPasswordFile, &r.IssuerPassword}} {
				if p.file == "" {
					continue
				}
				password, err := env.readPassword(ctx, p.file, question{})
				if err != nil {
					return nil, err
				}
				if len(password) == 0 {
					return nil, fmt.Errorf("the password in %s is empty", p.file)
				}
				*p.dst = string(password)
			}
			x, err := config.Options{Home: env.Home.Path()}.Export(args[0])
			if err != nil {
				return nil, err
			}
			r.Config, r.Files = x.Config, x.Files
			return r, nil
		},
	}
}

// onboard is known by name only, so that whoever asks for it learns where to go instead.
func onboard() *command {
	return &command{
		short:  "tell why there is no hosted onboarding",
		args:   []arg{rest("token", "token of the vendor's service")},
		hidden: true,
		examples: []example{
			{"Ask for the wizard", "signet onboard TOKEN"},
		},
		run: func(context.Context, *Env, []string) (any, error) {
			return nil, errors.New("onboard sets up a CA from a vendor's hosted service, which this program does not use; make a CA of your own with `signet ca init`")
		},
	}
}
