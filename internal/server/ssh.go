package server

import (
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/sshfiles"
)

const (
	addUserPrincipal = "provisioner"
	addUserCommand   = "sudo useradd -m <principal>; nc -q0 localhost 22"
)

// loadSSH opens the keys of the SSH certificate authority. Without passwords of their own
// they share the issuing key's.
func (s *Server) loadSSH(cfg *config.Config) (*config.SSHKeys, error) {
	of := func(own []byte) keys.Password {
		if own != nil {
			return keys.FixedPassword(own)
		}
		return s.keyPassword(cfg)
	}
	return config.LoadSSH(cfg, of(s.o.SSHUserPassword), of(s.o.SSHHostPassword))
}

// newSSHState makes the SSH half of a state; nil without an ssh member.
func (s *Server) newSSHState(l *loaded) (*ca.SSHState, error) {
	if l.ssh == nil {
		return nil, nil
	}
	cfg := l.cfg.SSH
	st := &ca.SSHState{
		UserKeys: l.ssh.UserKeys, HostKeys: l.ssh.HostKeys,
		FederatedUserKeys: l.ssh.FederatedUserKeys, FederatedHostKeys: l.ssh.FederatedHostKeys,
		AddUserPrincipal: orElse(cfg.AddUserPrincipal, addUserPrincipal), AddUserCommand: orElse(cfg.AddUserCommand, addUserCommand),
		HideHosts: l.cfg.Authority.DisableGetSSHHosts,
	}
	if b := cfg.Bastion; b != nil && b.Hostname != "" {
		st.Bastion = (*ca.Bastion)(b)
	}
	var err error
	if l.ssh.User != nil {
		if st.User, err = issue.NewLocalSSH(l.ssh.User, s.metrics.signed); err != nil {
			return nil, err
		}
	}
	if l.ssh.Host != nil {
		if st.Host, err = issue.NewLocalSSH(l.ssh.Host, s.metrics.signed); err != nil {
			return nil, err
		}
	}
	st.Templates, err = s.sshTemplates(l.cfg)
	return st, err
}

// sshTemplates are the configured templates, or the built-in ones where none is configured.
func (s *Server) sshTemplates(cfg *config.Config) (*sshfiles.Set, error) {
	user, host := sshfiles.Builtin("user"), sshfiles.Builtin("host")
	var data map[string]any
	if t := cfg.Templates; t != nil {
		data = t.Data
		if t.SSH.ForClients() {
			var userErr, hostErr error
			user, userErr = s.readTemplates(t.SSH.User)
			host, hostErr = s.readTemplates(t.SSH.Host)
			if err := errors.Join(userErr, hostErr); err != nil {
				return nil, err
			}
		}
	}
	return sshfiles.Compile(user, host, data)
}

func (s *Server) readTemplates(list []config.Template) ([]sshfiles.Template, error) {
	out := make([]sshfiles.Template, len(list))
	var errs []error
	for i := range list {
		t := &list[i]
		text, err := t.Text(s.o.Home)
		errs = append(errs, err)
		out[i] = sshfiles.Template{Name: t.Name, Type: t.Type, Path: t.Path, Comment: orElse(t.Comment, "#"), Requires: t.Requires, Text: text}
		// Files of old installations lack what the built-in text has always needed.
		if t.Name == "sshd_config.tpl" && t.Requires == nil {
			out[i].Requires = []string{"Certificate", "Key"}
		}
	}
	return out, errors.Join(errs...)
}

func orElse(s, preset string) string {
	if s == "" {
		return preset
	}
	return s
}

func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
