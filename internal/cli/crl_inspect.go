package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/inspect"
	"github.com/signet-ca/signet/internal/keys"
)

type crlFlags struct {
	format, ca string
	from       bool
	server     serverFlags
}

func crlInspect() *command {
	f := crlFlags{format: "text"}
	return &command{
		short: "print a certificate revocation list",
		long: `Prints a certificate revocation list: of a file (PEM or DER), of standard input, or from a
			web server. With --from the argument is a server: the list is the one that its
			certificate names, and the issuer is taken from its chain.

			The signature is checked if the issuer is known, by --ca or --from.`,
		args: []arg{may("file", "file or URL; standard input without it, or with -")},
		examples: []example{
			{"Look at the list of a CA", "signet crl inspect https://ca.example.com/crl --ca intermediate_ca.crt"},
			{"Count what is revoked", "signet crl inspect ca.crl --format json | jq '.revoked_certificates | length'"},
			{"Look at the list behind a server's certificate", "signet crl inspect --from https://example.com"},
		},
		flags: func(fs *flags) {
			fs.Enum(&f.format, "format", []string{"text", "json", "pem"}, "form of what is printed")
			fs.String(&f.ca, "ca", "file", "certificate of the issuer, to check the signature with")
			fs.Bool(&f.from, "from", "the argument is a server whose certificate names the list")
			f.server.register(fs)
		},
		result: &inspect.List{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			source := "-"
			if len(args) > 0 {
				source = args[0]
			}
			list, issuers, err := f.read(ctx, env, source)
			if err != nil {
				return nil, err
			}
			if f.ca != "" {
				if issuers, err = keys.ReadCertificates(f.ca); err != nil {
					return nil, err
				}
			}
			verdict := judgeList(list, issuers)
			if verdict.Checked && !verdict.Valid && !f.server.insecure {
				err = fmt.Errorf("the signature of the revocation list is not valid: %s", verdict.Reason)
			}
			return f.show(env, list, verdict), err
		},
	}
}

// read gives the list, and with --from the certificates that may have signed it.
func (f *crlFlags) read(ctx context.Context, env *Env, source string) (*x509.RevocationList, []*x509.Certificate, error) {
	if f.from {
		return f.readFrom(ctx, env, source)
	}
	if lower := strings.ToLower(source); strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
		list, err := f.server.revocationList(ctx, source)
		return list, nil, err
	}
	data, err := env.readFile(source)
	if err != nil {
		return nil, nil, err
	}
	list, err := parseRevocationList(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", source, err)
	}
	return list, nil, nil
}

func (f *crlFlags) readFrom(ctx context.Context, env *Env, source string) (*x509.RevocationList, []*x509.Certificate, error) {
	if !isServer(source) {
		return nil, nil, usagef("flag --from needs the URL of a server, which %q is not", source)
	}
	chain, err := env.certificates(ctx, source, f.server)
	if err != nil {
		return nil, nil, err
	}
	urls := webAddresses(chain[0].CRLDistributionPoints)
	if len(urls) == 0 {
		return nil, nil, fmt.Errorf("the certificate of %s doesn't say where its revocation list is", source)
	}
	roots, err := readRootList(f.server.roots)
	if err != nil {
		return nil, nil, err
	}
	var failures []error
	for _, url := range urls {
		list, err := f.server.revocationList(ctx, url)
		if err == nil {
			return list, append(chain[1:], roots...), nil
		}
		failures = append(failures, err)
	}
	return nil, nil, errors.Join(failures...)
}

// judgeList checks the signature by that of the certificates which is the issuer's.
func judgeList(list *x509.RevocationList, issuers []*x509.Certificate) inspect.Verdict {
	verdict := inspect.Verdict{}
	for _, issuer := range issuers {
		err := checkListIssuer(list, issuer)
		if err == nil {
			return inspect.Verdict{Checked: true, Valid: true}
		}
		verdict = inspect.Verdict{Checked: true, Reason: err.Error()}
	}
	return verdict
}

func (f *crlFlags) show(env *Env, list *x509.RevocationList, verdict inspect.Verdict) any {
	switch {
	case env.JSON || f.format == "json":
		return inspect.ListJSON(list, verdict)
	case f.format == "pem":
		return string(encodeCRL(list.Raw))
	}
	return inspect.ListText(list, verdict)
}
