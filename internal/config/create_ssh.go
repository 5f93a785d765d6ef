package config

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/sshfiles"
)

// BuiltinSSHTemplates are the templates of a CA that configures none, their files not named.
func BuiltinSSHTemplates() *SSHTemplates {
	entries := func(kind string) (list []Template) {
		for _, t := range sshfiles.Builtin(kind) {
			list = append(list, Template{Name: t.Name, Type: t.Type, Path: t.Path, Comment: t.Comment, Requires: t.Requires})
		}
		return list
	}
	return &SSHTemplates{User: entries("user"), Host: entries("host")}
}

// makeSSH makes both keys of the SSH CA and adds the template files.
func (c *Created) makeSSH() (*SSH, error) {
	for _, kind := range []string{"host", "user"} {
		key, err := c.o.Alg.Generate()
		if err != nil {
			return nil, err
		}
		public, err := keys.SSHPublicKey(key.Public())
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("ssh_%s_ca_key", kind)
		c.add("SSH "+kind+" public key", c.path("certs", name+".pub"), ssh.MarshalAuthorizedKey(public), 0o600)
		if err := c.addKey("SSH "+kind+" private key", name, key); err != nil {
			return nil, err
		}
	}
	if !c.o.PKIOnly {
		c.TemplateDir = c.path("templates", "ssh")
		for _, t := range append(sshfiles.Builtin("user"), sshfiles.Builtin("host")...) {
			c.add("", c.path("templates", "ssh", t.Name), []byte(t.Text), 0o644)
		}
	}
	return &SSH{HostKey: c.path("secrets", "ssh_host_ca_key"), UserKey: c.path("secrets", "ssh_user_ca_key")}, nil
}

// sshTemplates names the template files as they lie below the home directory.
func (c *Created) sshTemplates() *Templates {
	all := BuiltinSSHTemplates()
	for _, list := range [][]Template{all.User, all.Host} {
		for i := range list {
			list[i].Template = "templates/ssh/" + list[i].Name
		}
	}
	return &Templates{SSH: all, Data: map[string]any{}}
}
