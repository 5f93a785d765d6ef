package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-ca/signet"
)

// rootsResult is a bundle of root certificates.
type rootsResult struct {
	Certificates []rootEntry `json:"certificates" help:"the certificates, in the CA's order"`
}

type rootEntry struct {
	Subject     string `json:"subject" help:"distinguished name"`
	Fingerprint string `json:"fingerprint" help:"SHA-256 of the DER, in hex"`
	NotBefore   string `json:"notBefore" help:"start of validity, RFC 3339"`
	NotAfter    string `json:"notAfter" help:"end of validity, RFC 3339"`
	PEM         string `json:"pem" help:"the certificate in PEM"`
}

func newRootsResult(certs []*x509.Certificate) *rootsResult {
	r := &rootsResult{}
	for _, cert := range certs {
		r.Certificates = append(r.Certificates, rootEntry{
			Subject: cert.Subject.String(), Fingerprint: signet.Fingerprint(cert),
			NotBefore: When{Time: cert.NotBefore}.String(), NotAfter: When{Time: cert.NotAfter}.String(),
			PEM: string(signet.EncodePEM(cert)),
		})
	}
	return r
}

func (r *rootsResult) Text() string {
	text := ""
	for _, cert := range r.Certificates {
		text += cert.PEM
	}
	return text
}

// deliver writes the bundle into the file that args name, or leaves it to be printed.
func (r *rootsResult) deliver(ctx context.Context, env *Env, args []string, force bool) (any, error) {
	if len(args) == 0 {
		return r, nil
	}
	if err := env.writeFile(ctx, args[0], []byte(r.Text()), 0o600, force); err != nil {
		return nil, err
	}
	env.Note("Saved %d root certificate(s) in %s.", len(r.Certificates), args[0])
	if !env.JSON {
		return nil, nil
	}
	return r, nil
}

func caRoot() *command {
	var f struct {
		url, fingerprint string
		force            bool
	}
	return &command{
		short: "download the root certificate and check its fingerprint",
		long: `Downloads the root certificate that has the given fingerprint and compares it, so that
			the connection need not be trusted. Prints it in PEM, or saves it in a file.`,
		args: []arg{may("file", "where to save the certificate")},
		examples: []example{
			{"Print the root certificate of the bootstrapped CA", "signet ca root"},
			{"Save the root of another CA", "signet ca root root.crt --ca-url ca.example.com --fingerprint $FINGERPRINT"},
		},
		flags: func(fs *flags) {
			fs.URL(&f.url, "ca-url", "address of the CA, such as https://ca.example.com:9000")
			fs.String(&f.fingerprint, "fingerprint", "hex", "SHA-256 of the root certificate")
			fs.Bool(&f.force, "force", "overwrite the file without asking").Alias("f")
			fs.Required("ca-url", "fingerprint")
		},
		context: contextMust,
		result:  &rootsResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			client, err := signet.NewClient(f.url, clientOptions(env))
			if err != nil {
				return nil, err
			}
			root, err := client.Root(ctx, f.fingerprint)
			if err != nil {
				return nil, err
			}
			return newRootsResult([]*x509.Certificate{root}).deliver(ctx, env, args, f.force)
		},
	}
}

func caRoots() *command {
	return rootsCommand((*signet.Client).Roots, &command{
		short: "download all root certificates of a CA",
		long: `Downloads the CA's own root certificates over a connection verified with the root known
			here. Prints them in PEM, or saves them in a file.`,
		examples: []example{{"Save the roots for a server that checks client certificates", "signet ca roots roots.crt"}},
	})
}

func caFederation() *command {
	return rootsCommand((*signet.Client).Federation, &command{
		short: "download the root certificates of a CA and those it federates with",
		long: `Downloads the CA's own root certificates and those of the CAs it federates with, over a
			connection verified with the root known here. Prints them in PEM, or saves them in a file.`,
		examples: []example{{"Save all roots of the federation", "signet ca federation federation.crt"}},
	})
}

// rootsCommand completes a command that downloads a bundle.
func rootsCommand(fetch func(*signet.Client, context.Context) ([]*x509.Certificate, error), c *command) *command {
	var f struct {
		ca    caFlags
		force bool
	}
	c.args = []arg{may("file", "where to save the certificates")}
	c.flags = func(fs *flags) {
		f.ca.register(fs)
		fs.Bool(&f.force, "force", "overwrite the file without asking").Alias("f")
	}
	c.context = contextMust
	c.result = &rootsResult{}
	c.run = func(ctx context.Context, env *Env, args []string) (any, error) {
		client, err := f.ca.client(env)
		if err != nil {
			return nil, err
		}
		certs, err := fetch(client, ctx)
		if err != nil {
			return nil, err
		}
		return newRootsResult(certs).deliver(ctx, env, args, f.force)
	}
	return c
}

// healthResult is what the CA says of itself.
type healthResult struct{ signet.Status }

func (h *healthResult) Text() string { return printable(h.Status.Status) }

func caHealth() *command {
	var ca caFlags
	return &command{
		short:    "ask whether a CA is well",
		long:     "Asks the CA for its health and prints the answer, which is ok if all is well.",
		examples: []example{{"Ask the bootstrapped CA", "signet ca health"}},
		flags:    ca.register,
		context:  contextMust,
		result:   &healthResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			client, err := ca.client(env)
			if err != nil {
				return nil, err
			}
			status, err := client.Health(ctx)
			if err != nil {
				return nil, fmt.Errorf("health of %s: %w", client.URL(), err)
			}
			if status != "ok" {
				err = errors.New("the CA is not well")
			}
			return &healthResult{signet.Status{Status: status}}, err
		},
	}
}
