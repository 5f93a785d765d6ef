package cli

import (
	"cmp"
	"context"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

// k8sTokenFile is where a pod finds the token of its service account.
const k8sTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// k8ssaFlags are what a proof by a Kubernetes service account needs.
type k8ssaFlags struct{ k8sToken string }

func (f *k8ssaFlags) register(fs *flags) {
	fs.String(&f.k8sToken, "k8ssa-token-path", "file", "token of a Kubernetes service account").Preset(k8sTokenFile)
}

func (f *k8ssaFlags) wanted() bool { return f.k8sToken != "" }

// proveK8sSA hands on the token that the cluster made.
func proveK8sSA(_ context.Context, p *proof) (string, error) {
	data, err := p.env.readFile(cmp.Or(p.flags.k8sToken, k8sTokenFile))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	_, err = provisioner.ParseToken(token, p.env.Now())
	return token, err
}
