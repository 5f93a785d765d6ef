package cli

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
)

type fingerprintResult struct {
	Fingerprints []fingerprint `json:"fingerprints" help:"one for each certificate"`
}

type fingerprint struct {
	Subject   string `json:"subject" help:"subject of the certificate"`
	Algorithm string `json:"algorithm" help:"SHA-256 or SHA-1"`
	Value     string `json:"value" help:"the fingerprint, in the form asked for"`
}

func (r *fingerprintResult) Text() string {
	var b strings.Builder
	for _, f := range r.Fingerprints {
		b.WriteString(f.Value + "\n")
	}
	return b.String()
}

func certificateFingerprint() *command {
	f := struct {
		format       string
		bundle, sha1 bool
		server       serverFlags
	}{format: "hex"}
	return &command{
		short: "print the fingerprint of a certificate",
		long: `Prints the SHA-256 of the DER of a certificate, or of a signing request. The fingerprint
			of a root is what 'ca bootstrap' asks for.`,
		args: []arg{may("file", "file or URL; standard input without it, or with -")},
		examples: []example{
			{"Fingerprint of a root", "signet certificate fingerprint root_ca.crt"},
			{"Of each certificate that a server presents", "signet certificate fingerprint https://example.com --bundle"},
		},
		flags: func(fs *flags) {
			fs.Enum(&f.format, "format", keys.FingerprintFormats, "form of the fingerprint")
			fs.Bool(&f.bundle, "bundle", "print one for each certificate, not only for the first one")
			fs.Bool(&f.sha1, "sha1", "print the SHA-1, which is broken; needs --insecure")
			f.server.register(fs)
			fs.Insecure("sha1")
		},
		result: &fingerprintResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			source := "-"
			if len(args) > 0 {
				source = args[0]
			}
			certs, request, err := env.certificatesOrRequest(ctx, source, f.server)
			if err != nil {
				return nil, err
			}
			type item struct {
				subject string
				der     []byte
			}
			var items []item
			if request != nil {
				items = append(items, item{request.Subject.String(), request.Raw})
			}
			for _, c := range certs {
				items = append(items, item{c.Subject.String(), c.Raw})
			}
			if !f.bundle {
				items = items[:1]
			}
			result := &fingerprintResult{}
			for _, it := range items {
				algorithm, digest := "SHA-256", sha256.Sum256(it.der)
				sum := digest[:]
				if f.sha1 {
					weak := sha1.Sum(it.der)
					algorithm, sum = "SHA-1", weak[:]
				}
				value, err := keys.FormatFingerprint(sum, f.format)
				if err != nil {
					return nil, err
				}
				result.Fingerprints = append(result.Fingerprints, fingerprint{it.subject, algorithm, value})
			}
			return result, nil
		},
	}
}
