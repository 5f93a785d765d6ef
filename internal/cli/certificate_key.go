package cli

import (
	"context"
	"crypto"

	"github.com/signet-ca/signet/internal/keys"
)

type publicKeyResult struct {
	Key string `json:"key" help:"the public key, PEM"`
}

func (r *publicKeyResult) Text() string { return r.Key }

func certificateKey() *command {
	f := struct {
		out   string
		force bool
	}{}
	return &command{
		short: "print the public key of a certificate",
		long:  `Prints the public key that a certificate or a signing request holds, as PEM.`,
		args:  []arg{need("file", "certificate or signing request; - is standard input")},
		examples: []example{
			{"Print it", "signet certificate key site.crt"},
			{"Write it into a file", "signet certificate key site.csr --out site.pub"},
		},
		flags: func(fs *flags) {
			fs.String(&f.out, "out", "file", "write to `file` instead of standard output").Alias("output-file")
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
		},
		result: &publicKeyResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			data, err := env.readFile(args[0])
			if err != nil {
				return nil, err
			}
			certs, request, err := certificatesOrRequest(data, args[0])
			if err != nil {
				return nil, err
			}
			var key crypto.PublicKey
			if request != nil {
				key = request.PublicKey
			} else {
				key = certs[0].PublicKey
			}
			text, err := keys.EncodePublic(key)
			if err != nil {
				return nil, err
			}
			if f.out == "" {
				return &publicKeyResult{string(text)}, nil
			}
			if err := env.writeFile(ctx, f.out, text, 0o600, f.force); err != nil {
				return nil, err
			}
			env.Done("Public Key", "%s", f.out)
			return nil, nil
		},
	}
}
