package provisioner

import (
	"context"
	"encoding/base64"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// NewSSHPOP is an SSHPOP provisioner by name alone: enough to make its proofs.
func NewSSHPOP(name string) *SSHPOP { return &SSHPOP{name: name} }

// Prove signs a token with the key of the SSH certificate in want, about that certificate.
func (s *SSHPOP) Prove(_ context.Context, act Act, want Want) (string, error) {
	cert := want.Certificate
	switch {
	case !rowOf("SSHPOP").permits(act):
		return "", fault.New(fault.Invalid, "a token of an SSHPOP provisioner can't %s", act)
	case cert == nil || want.Key == nil:
		return "", fault.New(fault.Invalid, "an SSH certificate and its private key are needed")
	case act != RevokeSSH && cert.CertType != ssh.HostCert:
		return "", fault.New(fault.Invalid, "only host certificates are renewed; ask for a new user certificate instead")
	}
	pub, err := keys.PublicFromSSH(cert)
	if err != nil {
		return "", err
	}
	if !keys.SamePublicKey(pub, want.Key.Public()) {
		return "", fault.New(fault.Invalid, "the private key is not the one of the SSH certificate")
	}
	want.Subject = strconv.FormatUint(cert.Serial, 10)
	c, err := want.claims(act, s.name)
	if err != nil {
		return "", err
	}
	c.Audience += "#" + s.TokenID()
	return keys.SignJWT(want.Key, map[string]any{"sshpop": base64.StdEncoding.EncodeToString(cert.Marshal())}, c)
}
