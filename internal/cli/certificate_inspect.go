package cli

import (
	"context"
	"crypto/x509"
	"strings"

	"github.com/signet-ca/signet/internal/inspect"
	"github.com/signet-ca/signet/internal/keys"
)

type inspectFlags struct {
	format        string
	bundle, short bool
	server        serverFlags
}

func certificateInspect() *command {
	f := inspectFlags{format: "text"}
	return &command{
		short: "print a certificate or signing request",
		long: `Prints what is in a certificate, or in a certificate signing request: of a file (PEM or
			DER), of standard input, or of the server behind a URL.

			Of several certificates only the first one is shown, unless --bundle. The JSON follows
			the layout of zcrypto; with --bundle it is a list, unless there is only one certificate.`,
		args: []arg{may("file", "file or URL (https://, tls://, tcp://, smtps://, ldaps://); standard input without it, or with -")},
		examples: []example{
			{"Look at a certificate", "signet certificate inspect site.crt"},
			{"See in short what a server presents", "signet certificate inspect https://example.com --bundle --short"},
			{"Get the end of a certificate for a script", "signet certificate inspect site.crt --format json | jq -r .validity.end"},
			{"Look at a server that is not trusted", "signet certificate inspect https://192.0.2.1:8443 --insecure"},
		},
		flags: func(fs *flags) {
			fs.Enum(&f.format, "format", []string{"text", "json", "pem"}, "form of what is printed")
			fs.Bool(&f.bundle, "bundle", "print all certificates, not only the first one")
			fs.Bool(&f.short, "short", "print a few lines about each certificate")
			f.server.register(fs)
			fs.Check(func(given func(string) bool) error {
				if f.short && f.format != "text" {
					return usagef("flag --short does not go with --format %s", f.format)
				}
				return nil
			})
		},
		result: &inspect.Certificate{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			source := "-"
			if len(args) > 0 {
				source = args[0]
			}
			certs, request, err := env.certificatesOrRequest(ctx, source, f.server)
			if err != nil {
				return nil, err
			}
			if env.JSON {
				f.format = "json"
			}
			if request != nil {
				return f.request(request)
			}
			if !f.bundle {
				certs = certs[:1]
			}
			return f.certificates(certs)
		},
	}
}

// certificatesOrRequest reads certificates or a signing request from a file, from standard
// input, or certificates from a server.
func (e *Env) certificatesOrRequest(ctx context.Context, source string, s serverFlags) ([]*x509.Certificate, *x509.CertificateRequest, error) {
	if isServer(source) {
		certs, err := e.certificates(ctx, source, s)
		return certs, nil, err
	}
	data, err := e.readFile(source)
	if err != nil {
		return nil, nil, err
	}
	return certificatesOrRequest(data, source)
}

func (f *inspectFlags) request(r *x509.CertificateRequest) (any, error) {
	switch {
	case f.format == "json":
		return inspect.RequestJSON(r)
	case f.format == "pem":
		return string(keys.EncodeCSR(r.Raw)), nil
	case f.short:
		return inspect.RequestShort(r), nil
	}
	return inspect.RequestText(r), nil
}

func (f *inspectFlags) certificates(certs []*x509.Certificate) (any, error) {
	if f.format == "pem" {
		return string(keys.EncodeCertificates(certs...)), nil
	}
	if f.format != "json" {
		show := inspect.CertificateText
		if f.short {
			show = inspect.CertificateShort
		}
		var b strings.Builder
		for _, c := range certs {
			b.WriteString(show(c))
		}
		return b.String(), nil
	}
	var list []*inspect.Certificate
	for _, c := range certs {
		one, err := inspect.CertificateJSON(c)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	if len(list) == 1 {
		return list[0], nil // old scripts expect an object, even with --bundle
	}
	return list, nil
}
