package keys

import (
	"crypto"

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
