package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

// metadataVariable names where the metadata service of this machine is, if it is not where
// its cloud has it.
const metadataVariable = "SIGNET_METADATA_URL"

// azureTenant is the tenant of an Azure provisioner.
func azureTenant(p *provisioner.Provisioner) string {
	if a, ok := p.Kind().(*provisioner.Azure); ok {
		return a.TenantID
	}
	return ""
}

// proveMachine asks the cloud that this machine is in who it is.
func proveMachine(ctx context.Context, p *proof) (string, error) {
	prover, ok := p.provisioner.Kind().(provisioner.Prover)
	if !ok {
		return "", fmt.Errorf("the CA says too little of the provisioner %q", p.provisioner.Name)
	}
	if strings.EqualFold(p.provisioner.Type, "AWS") { // the others name the machine themselves
		if err := p.askSubject(ctx); err != nil {
			return "", err
		}
	}
	want := p.stamp()
	want.Metadata = p.env.Getenv(metadataVariable)
	return prover.Prove(ctx, p.act, want)
}

// isMachine reports whether a kind of token is that of a machine in a cloud.
func isMachine(kind string) bool { return slices.Contains([]string{"AWS", "GCP", "Azure"}, kind) }

// machineAsk is what a machine asks for: the names on the command line, or those its cloud
// gives it and the subject.
type machineAsk struct {
	source  *authority
	subject string
	names   []string // of --san
	key     crypto.Signer
}

// request is the certificate request that goes with a machine's token; nil for other tokens.
func (m *machineAsk) request(ctx context.Context, env *Env, token string) (*x509.CertificateRequest, error) {
	t, err := provisioner.ParseToken(token, env.Now())
	if err != nil {
		return nil, err
	}
	if !isMachine(tokenKind(t)) {
		return nil, nil
	}
	names := m.names
	if len(names) == 0 {
		fixed, err := m.fixed(ctx, env, t)
		if err != nil {
			return nil, err
		}
		names = provisioner.MachineNames(t)
		if !fixed && !slices.Contains(names, m.subject) {
			names = append(names, m.subject)
		}
	}
	return newRequest(m.key, m.subject, names)
}

// fixed finds out whether the provisioner of a token certifies only what the cloud vouches
// for.
func (m *machineAsk) fixed(ctx context.Context, env *Env, t *provisioner.Token) (bool, error) {
	if m.source.local == nil && m.source.provisioners == nil { // the token came from elsewhere
		if err := m.source.learn(ctx, env); err != nil {
			return false, err
		}
	}
	for _, p := range m.source.provisioners {
		if p.Selects(t) {
			return p.NamesAreFixed(), nil
		}
	}
	return false, nil
}
