package cli

import (
	"context"

	"github.com/signet-ca/signet/internal/keys"
)

// fileResult is a file that was written. The note about it is enough for people.
type fileResult struct {
	File string `json:"file" help:"file that was written"`
}

func (*fileResult) Text() string { return "" }

func certificateBundle() *command {
	force := false
	return &command{
		short: "put a certificate and its issuers into one file",
		long: `Writes a certificate and the certificates of its issuers, one after the other, as servers
			want them.`,
		args: []arg{
			need("crt-file", "the certificate"),
			need("ca", "certificates of the issuers, the next one first"),
			need("bundle-file", "file to write"),
		},
		examples: []example{{"Make a chain", "signet certificate bundle site.crt intermediate_ca.crt site-chain.crt"}},
		flags: func(fs *flags) {
			fs.Bool(&force, "force", "overwrite files without asking").Alias("f")
		},
		result: &fileResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			leaf, err := env.certificates(ctx, args[0], serverFlags{})
			if err != nil {
				return nil, err
			}
			issuers, err := env.certificates(ctx, args[1], serverFlags{})
			if err != nil {
				return nil, err
			}
			last := leaf[len(leaf)-1]
			if err := last.CheckSignatureFrom(issuers[0]); err != nil {
				env.Warn("%s is not signed by %s", last.Subject, issuers[0].Subject)
			}
			chain := keys.EncodeCertificates(append(leaf, issuers...)...)
			if err := env.writeFile(ctx, args[2], chain, 0o600, force); err != nil {
				return nil, err
			}
			if args[2] == "-" {
				return nil, nil
			}
			env.Done("Bundle", "%s", args[2])
			return &fileResult{args[2]}, nil
		},
	}
}
