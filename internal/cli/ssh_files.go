package cli

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// sshLine is a key as a line of authorized_keys.
func sshLine(key ssh.PublicKey, comment string) []byte {
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	if comment != "" {
		line += " " + strings.Map(func(r rune) rune {
			if r == '\n' || r == '\r' {
				return ' '
			}
			return r
		}, comment)
	}
	return []byte(line + "\n")
}

// readSSHKey reads a public key or certificate from a file or standard input.
func (e *Env) readSSHKey(name string) (key ssh.PublicKey, comment string, err error) {
	data, err := e.readFile(name)
	if err != nil {
		return nil, "", err
	}
	key, comment, _, _, err = ssh.ParseAuthorizedKey(data)
	if err == nil {
		return key, comment, nil
	}
	pub, pemErr := keys.ParsePublic(data)
	if pemErr != nil {
		return nil, "", fmt.Errorf("%s: neither an SSH public key nor a certificate", name)
	}
	key, err = keys.SSHPublicKey(pub)
	return key, "", err
}

// readSSHCertificate is readSSHKey for those who need a certificate.
func (e *Env) readSSHCertificate(name string) (*ssh.Certificate, string, error) {
	key, comment, err := e.readSSHKey(name)
	if err != nil {
		return nil, "", err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, "", fmt.Errorf("%s holds a plain public key, not a certificate", name)
	}
	return cert, comment, nil
}

// writeSSHKey writes a private key in OpenSSH's format and its public key beside it.
func writeSSHKey(name string, key crypto.Signer, comment string, password []byte) error {
	text, err := keys.EncodeOpenSSH(key, comment, password)
	if err != nil {
		return err
	}
	defer clear(text)
	pub, err := keys.SSHPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := makeDirs(name); err != nil {
		return err
	}
	if err := durable.WriteFile(name, text, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(name+".pub", sshLine(pub, comment), 0o644)
}

// certificateName is where OpenSSH looks for the certificate of a key file.
func certificateName(keyFile string) string { return strings.TrimSuffix(keyFile, ".pub") + "-cert.pub" }

// sshPasswordFlags say how a new private key is protected.
type sshPasswordFlags struct {
	noPassword bool
	minLength  int
}

func (p *sshPasswordFlags) register(fs *flags) {
	fs.Bool(&p.noPassword, "no-password", "store the private key unencrypted; needs --insecure")
	fs.Int(&p.minLength, "min-password-length", "n", "refuse a shorter password")
	fs.Incompatible("no-password", "min-password-length")
	fs.Insecure("no-password")
}

// password is the one for a new key; nil with --no-password.
func (p *sshPasswordFlags) password(ctx context.Context, env *Env, file string) ([]byte, error) {
	if p.noPassword {
		return nil, nil
	}
	password, err := env.keyPassword(ctx, file, "password-file", "the private key")
	if err == nil && len(password) < p.minLength {
		err = fmt.Errorf("the password has %d characters, %d are the least", len(password), p.minLength)
	}
	return password, err
}
