package config

import (
	"embed"
	"fmt"
	"path"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

//go:embed ssh/*.tpl
var sshFiles embed.FS

// BuiltinSSHTemplates are the templates of a CA that configures none. Template names a file
// of BuiltinSSHTemplate.
func BuiltinSSHTemplates() *SSHTemplates {
	return &SSHTemplates{
		User: []Template{
			{Name: "config.tpl", Type: "snippet", Path: "~/.ssh/config", Comment: "#"},
			{Name: "step_includes.tpl", Type: "prepend-line", Path: "${STEPPATH}/ssh/includes", Comment: "#"},
			{Name: "step_config.tpl", Type: "file", Path: "ssh/config", Comment: "#"},
			{Name: "known_hosts.tpl", Type: "file", Path: "ssh/known_hosts", Comment: "#"},
		},
		Host: []Template{
			{Name: "sshd_config.tpl", Type: "snippet", Path: "/etc/ssh/sshd_config", Comment: "#", Requires: []string{"Certificate", "Key"}},
			{Name: "ca.tpl", Type: "snippet", Path: "/etc/ssh/ca.pub", Comment: "#"},
		},
	}
}

// BuiltinSSHTemplate is the text of a built-in template; nil if there is none of that name.
func BuiltinSSHTemplate(name string) []byte {
	text, err := sshFiles.ReadFile(path.Join("ssh", path.Base(name)))
	if err != nil {
		return nil
	}
	return text
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
		all := BuiltinSSHTemplates()
		for _, t := range append(all.User, all.Host...) {
			c.add("", c.path("templates", "ssh", t.Name), BuiltinSSHTemplate(t.Name), 0o644)
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
