package ca

import (
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/sshfiles"
)

// SSHConfig makes the files for a client's machine, a user's or a host, from the data it
// sent.
func (c *CA) SSHConfig(kind string, data map[string]string) ([]sshfiles.File, error) {
	s := c.state.Load().SSH
	if s == nil || s.Templates == nil {
		return nil, fault.New(fault.Missing, "this CA is not configured for SSH")
	}
	return s.Templates.Render(kind, &sshfiles.Keys{User: s.UserKeys, Host: s.HostKeys,
		FederatedUser: s.FederatedUserKeys, FederatedHost: s.FederatedHostKeys}, data)
}
