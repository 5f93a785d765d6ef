package keys

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

// SSHPublicKey is the SSH form of a public key.
func SSHPublicKey(pub crypto.PublicKey) (ssh.PublicKey, error) {
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "a key of type %T has no SSH form", pub)
	}
	return key, nil
}

// PublicFromSSH undoes SSHPublicKey; of an SSH certificate it takes the certified key.
func PublicFromSSH(key ssh.PublicKey) (crypto.PublicKey, error) {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	inner, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "SSH keys of type %q are not supported", key.Type())
	}
	return supported(inner.CryptoPublicKey())
}

// SSHFingerprint is "SHA256:" and the unpadded base64 SHA-256 of the wire form, as
// ssh-keygen -l prints it: of a certificate, the one of its key.
func SSHFingerprint(key ssh.PublicKey) string {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return ssh.FingerprintSHA256(key)
}

func privateFromOpenSSH(block *pem.Block, what string, pw Password) (crypto.Signer, error) {
	text := pem.EncodeToMemory(block)
	defer clear(text)
	key, err := ssh.ParseRawPrivateKey(text)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		password, perr := pw(what)
		if perr != nil {
			return nil, perr
		}
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(text, password)
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, wrongPassword(what)
		}
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the OpenSSH key is malformed or of an unsupported type")
	}
	return signer(key)
}
