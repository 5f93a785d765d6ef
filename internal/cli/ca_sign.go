package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

func caSign() *command {
	f := new(signFlags)
	return &command{
		short: "get a certificate for a certificate request",
		long: `Sends a certificate request (CSR) to a CA and writes the certificate with its chain, leaf first and without the
			root.

			The right to the certificate is proved by a token: the one given with --token, or one that is made here with the key
			of a provisioner, for the names in the request and bound to it.

			` + acmeHelp,
		args: []arg{
			need("csr-file", "file of the certificate request, PEM or DER"),
			need("crt-file", "file to write the certificate to"),
		},
		examples: []example{
			{"Certify a request", "signet ca sign internal.csr internal.crt"},
			{"With a token made elsewhere", "signet ca sign internal.csr internal.crt --token $TOKEN"},
			{"By ACME", "signet ca sign internal.csr internal.crt --provisioner acme"},
		},
		flags: func(fs *flags) {
			f.register(fs)
			f.acme.register(fs)
		},
		context: contextMust,
		result:  &certificateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args[0], args[1])
		},
	}
}

func (f *signFlags) run(ctx context.Context, env *Env, csrFile, crtFile string) (any, error) {
	csr, err := env.readRequest(csrFile)
	if err != nil {
		return nil, err
	}
	if err := env.confirmOverwrite(ctx, f.force, crtFile); err != nil {
		return nil, err
	}
	if err := f.fits(env, csr); err != nil {
		return nil, err
	}
	ask, err := f.ask(env)
	if err != nil {
		return nil, err
	}
	ask.CSR.CertificateRequest = csr
	source, server, err := f.issuer(ctx, env)
	if err != nil {
		return nil, err
	}
	if server != nil {
		o, err := f.acmeOrder(server)
		if err != nil {
			return nil, err
		}
		chain, err := server.signed(ctx, csr, o)
		if err != nil {
			return nil, err
		}
		return keepSigned(ctx, env, &authority{site: server.client.Directory}, crtFile, chain)
	}
	if ask.OTT == "" {
		subject, names, err := namesOfRequest(csr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", csrFile, err)
		}
		if ask.OTT, err = f.prove(ctx, env, source, wantFor(subject, names, csr)); err != nil {
			return nil, err
		}
	}
	chain, err := source.sign(ctx, ask)
	if err != nil {
		return nil, err
	}
	return keepSigned(ctx, env, source, crtFile, chain)
}

// keepSigned stores a certificate whose key is elsewhere, and says so.
func keepSigned(ctx context.Context, env *Env, source *authority, crtFile string, chain []*x509.Certificate) (any, error) {
	if err := env.writeFile(ctx, crtFile, keys.EncodeCertificates(chain...), pairMode, true); err != nil {
		return nil, err
	}
	env.Done("CA", "%s", source.name())
	env.Done("Certificate", "%s", crtFile)
	return newCertificateResult(source, chain, crtFile, ""), nil
}

// fits complains if the token on the command line is for another subject than the request.
func (f *signFlags) fits(env *Env, csr *x509.CertificateRequest) error {
	if f.token == "" {
		return nil
	}
	token, err := f.given(env)
	if err != nil {
		return err
	}
	kind, cn := tokenKind(token), csr.Subject.CommonName
	if (kind == "JWK" || kind == "X5C" || kind == "Nebula") && cn != "" && !strings.EqualFold(token.Subject, cn) {
		return fmt.Errorf("the token is for the subject %q, the certificate request for %q", token.Subject, cn)
	}
	return nil
}

// readRequest reads a certificate request and checks its signature.
func (e *Env) readRequest(file string) (*x509.CertificateRequest, error) {
	data, err := e.readFile(file)
	if err != nil {
		return nil, err
	}
	csr, err := keys.ParseCSR(data)
	if err != nil {
		return nil, fmt.Errorf("read certificate request %s: %w", file, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the signature of the certificate request in %s is wrong: %w", file, err)
	}
	return csr, nil
}

// namesOfRequest is what a token for a request must be for. Without a common name the first
// name is the subject.
func namesOfRequest(csr *x509.CertificateRequest) (subject string, names []string, err error) {
	names = issue.RequestNames(csr).Strings()
	subject = csr.Subject.CommonName
	switch {
	case subject != "" && len(names) == 0:
		return subject, []string{subject}, nil
	case subject == "" && len(names) > 0:
		return names[0], names, nil
	case subject == "":
		return "", nil, fmt.Errorf("the certificate request has neither a common name nor other names")
	}
	return subject, names, nil
}
