package cli

import (
	"context"
	"errors"

	"github.com/signet-ca/signet/internal/inspect"
)

func certificateLint() *command {
	var server serverFlags
	return &command{
		short: "hold a certificate against the rules of the web",
		long: `Applies the rules of zlint (RFC 5280, those of the CA/Browser forum and of others) to a
			certificate and prints the results as JSON. Exits with 1 if a rule gives error or fatal.

			Many rules are for public CAs: a certificate for a private host breaks some of them
			by design.`,
		args: []arg{may("file", "file or URL; standard input without it, or with -")},
		examples: []example{
			{"See what is wrong", `signet certificate lint site.crt | jq '.lints[] | select(.result == "error" or .result == "warn")'`},
			{"Check what a server presents", "signet certificate lint https://example.com"},
		},
		flags:  server.register,
		result: &inspect.Lints{},
		exits:  []exitNote{{exitFailure, "a rule gives error or fatal"}},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			source := "-"
			if len(args) > 0 {
				source = args[0]
			}
			certs, err := env.certificates(ctx, source, server)
			if err != nil {
				return nil, err
			}
			lints, err := inspect.LintCertificate(certs[0])
			if err != nil {
				return nil, err
			}
			if lints.Errors || lints.Fatals {
				return lints, exitWith(exitFailure, errors.New("the certificate breaks rules"))
			}
			return lints, nil
		},
	}
}
