package cli

import (
	"context"
	"fmt"

	"github.com/signet-ca/signet/internal/provisioner"
)

// nebulaFlags are what a proof by a certificate of a Nebula network needs.
type nebulaFlags struct{ nebulaCert, nebulaKey string }

func (f *nebulaFlags) register(fs *flags) {
	fs.String(&f.nebulaCert, "nebula-cert", "file", "certificate of this host in a Nebula network, whose key signs the token")
	fs.String(&f.nebulaKey, "nebula-key", "file", "private key of --nebula-cert")
	fs.Together("nebula-cert", "nebula-key")
}

// wanted: only a Nebula provisioner takes such a certificate.
func (f *nebulaFlags) wanted() bool { return f.nebulaCert != "" }

// proveNebula signs a token with the key of a Nebula certificate.
func proveNebula(ctx context.Context, p *proof) (string, error) {
	for _, needed := range []struct{ flag, value string }{{"nebula-cert", p.flags.nebulaCert}, {"nebula-key", p.flags.nebulaKey}} {
		if needed.value == "" {
			return "", errRequired(needed.flag)
		}
	}
	if err := p.askSubject(ctx); err != nil {
		return "", err
	}
	data, err := p.env.readFile(p.flags.nebulaCert)
	if err != nil {
		return "", err
	}
	if p.want.Nebula, err = provisioner.ReadNebulaCertificate(data); err != nil {
		return "", fmt.Errorf("read %s: %w", p.flags.nebulaCert, err)
	}
	if data, err = p.env.readFile(p.flags.nebulaKey); err != nil {
		return "", err
	}
	defer clear(data)
	if p.want.Key, err = provisioner.ReadNebulaKey(data); err != nil {
		return "", fmt.Errorf("read %s: %w", p.flags.nebulaKey, err)
	}
	return provisioner.NewNebula(p.name()).Prove(ctx, p.act, p.stamp())
}
