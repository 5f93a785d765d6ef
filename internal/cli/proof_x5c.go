package cli

import (
	"context"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// x5cFlags are what a proof by a certificate needs.
type x5cFlags struct {
	x5cCert, x5cKey string
	x5cChain        []string
	x5cInsecure     bool
}

func (f *x5cFlags) register(fs *flags) {
	fs.String(&f.x5cCert, "x5c-cert", "file", "certificate, with its chain, whose key signs the token")
	fs.String(&f.x5cKey, "x5c-key", "file", "private key of --x5c-cert")
	fs.Strings(&f.x5cChain, "x5c-chain", "file", "more certificates between --x5c-cert and a root of the provisioner")
	fs.Bool(&f.x5cInsecure, "x5c-insecure", "put the certificates into the header x5cInsecure, which CAs that ask for x5c do not look at")
	fs.Together("x5c-cert", "x5c-key")
	fs.Requires("x5c-chain", "x5c-cert")
	fs.Requires("x5c-insecure", "x5c-cert")
}

// wanted: only an X5C provisioner takes a certificate.
func (f *x5cFlags) wanted() bool { return f.x5cCert != "" }

// chain is the certificate in the files, with what is between it and a root.
func (p *proof) chain() error {
	f := &p.flags.x5cFlags
	for _, file := range append([]string{f.x5cCert}, f.x5cChain...) {
		certs, err := keys.ReadCertificates(file)
		if err != nil {
			return err
		}
		p.want.Chain = append(p.want.Chain, certs...)
	}
	p.want.Insecure = f.x5cInsecure
	return nil
}

// proveX5C signs a token with the key of a certificate.
func proveX5C(ctx context.Context, p *proof) (token string, err error) {
	for _, needed := range []struct{ flag, value string }{{"x5c-cert", p.flags.x5cCert}, {"x5c-key", p.flags.x5cKey}} {
		if needed.value == "" {
			return "", errRequired(needed.flag)
		}
	}
	if err := p.askSubject(ctx); err != nil {
		return "", err
	}
	if err := p.chain(); err != nil {
		return "", err
	}
	file, flag := p.flags.proofPassword()
	if p.want.Key, err = p.flags.openKey(ctx, p.env, p.flags.x5cKey, p.env.password(ctx, file, flag)); err != nil {
		return "", err
	}
	return provisioner.NewX5C(p.name()).Prove(ctx, p.act, p.stamp())
}
