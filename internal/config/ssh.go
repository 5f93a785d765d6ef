package config

import (
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// SSHKeys are the keys of the SSH certificate authority. A signer is nil where the
// configuration names no key.
type SSHKeys struct {
	User, Host                           crypto.Signer
	UserKeys, HostKeys                   []ssh.PublicKey // ours, signing key first
	FederatedUserKeys, FederatedHostKeys []ssh.PublicKey
}

// LoadSSH reads the keys of the ssh member; nil if there is none. The error joins all
// complaints.
func LoadSSH(c *Config, userPassword, hostPassword keys.Password) (*SSHKeys, error) {
	if c.SSH == nil {
		return nil, nil
	}
	l := &loader{c: c, src: &source{name: "configuration", at: map[string]int{}, broken: map[string]bool{}}}
	if c.source != nil {
		l.src = &source{name: c.source.name, data: c.source.data, at: c.source.at, broken: map[string]bool{}}
	}
	k := new(SSHKeys)
	k.User, k.UserKeys = l.sshSigner("ssh.userKey", c.SSH.UserKey, userPassword)
	k.Host, k.HostKeys = l.sshSigner("ssh.hostKey", c.SSH.HostKey, hostPassword)
	for i, extra := range c.SSH.Keys {
		pub, err := keys.SSHPublicKey(extra.Key.Key)
		if err != nil {
			l.src.complain(element("ssh.keys", i), "%s.key is no key SSH can use: %v", element("ssh.keys", i), err)
			continue
		}
		list := map[string]*[]ssh.PublicKey{"user": &k.UserKeys, "host": &k.HostKeys}[strings.ToLower(extra.Type)]
		if extra.Federated {
			list = map[string]*[]ssh.PublicKey{"user": &k.FederatedUserKeys, "host": &k.FederatedHostKeys}[strings.ToLower(extra.Type)]
		}
		*list = append(*list, pub)
	}
	if _, err := l.src.report(false); err != nil {
		return nil, err
	}
	return k, nil
}

func (l *loader) sshSigner(path, name string, pw keys.Password) (crypto.Signer, []ssh.PublicKey) {
	if name == "" {
		return nil, nil
	}
	if scheme := keyScheme(name); scheme != "" && scheme != "softkms" {
		l.src.complain(path, "%s: this version does not serve keys in %s yet; name a file", path, scheme)
		return nil, nil
	}
	file := KeyFile(name)
	l.checkKeyMode(file)
	signer, err := keys.ReadPrivate(file, pw)
	if err != nil {
		l.src.complain(path, "%s: %v", path, err)
		return nil, nil
	}
	pub, err := keys.SSHPublicKey(signer.Public())
	if err != nil {
		l.src.complain(path, "%s: %s holds a key SSH cannot use: %v", path, file, err)
		return nil, nil
	}
	return signer, []ssh.PublicKey{pub}
}

// Text reads the file of a template. Its name follows the rule for all template files:
// absolute, ~/ for the user's home, ./ and ../ for the working directory, else below home.
func (t *Template) Text(home string) (string, error) {
	if t.Type == "directory" {
		return "", nil
	}
	name := t.Template
	switch {
	case filepath.IsAbs(name), strings.HasPrefix(name, "./"), strings.HasPrefix(name, "../"):
	case strings.HasPrefix(name, "~/"):
		user, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the home directory for template %s: %w", t.Name, err)
		}
		name = filepath.Join(user, name[2:])
	default:
		name = filepath.Join(home, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read template %s: %w", t.Name, err)
	}
	if len(data) > maxTemplate {
		return "", fmt.Errorf("template %s is larger than %d bytes", name, maxTemplate)
	}
	return string(data), nil
}

// maxTemplate bounds a template file, in bytes.
const maxTemplate = 1 << 20
