package issue

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

// LocalSSH seals SSH certificates of one type with a key of our own.
type LocalSSH struct {
	signer ssh.Signer
	count  func(error)
}

// NewLocalSSH takes a CA key into service. count is told of every signature made or missed.
func NewLocalSSH(key crypto.Signer, count func(error)) (*LocalSSH, error) {
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the key cannot sign SSH certificates; use Ed25519, ECDSA or RSA")
	}
	if algorithms, ok := signer.(ssh.AlgorithmSigner); ok && signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		// RFC 8332: what every server of today verifies; plain ssh-rsa means SHA-1.
		if signer, err = ssh.NewSignerWithAlgorithms(algorithms, []string{ssh.KeyAlgoRSASHA256}); err != nil {
			return nil, fmt.Errorf("choose the signature algorithm: %w", err)
		}
	}
	if count == nil {
		count = func(error) {}
	}
	return &LocalSSH{signer: signer, count: count}, nil
}

// PublicKey is what servers and clients trust.
func (l *LocalSSH) PublicKey() ssh.PublicKey { return l.signer.PublicKey() }

// SealSSH signs a checked SSH certificate.
func (l *LocalSSH) SealSSH(_ context.Context, c *CheckedSSH) (*ssh.Certificate, error) {
	cert := *c.cert
	err := cert.SignCert(rand.Reader, l.signer)
	l.count(err)
	if err != nil {
		return nil, fmt.Errorf("sign the SSH certificate of %q: %w", cert.KeyId, err)
	}
	return &cert, nil
}

// Type is "user" or "host".
func (c *CheckedSSH) Type() string { return SSHType(c.cert) }

// Template is the SHA-256 of the text of the template the certificate came from, in hex; ""
// if it came from none.
func (c *CheckedSSH) Template() string { return c.template }

// SSHType names the type of an SSH certificate: "user", "host", or "unknown".
func SSHType(c *ssh.Certificate) string {
	switch c.CertType {
	case ssh.UserCert:
		return "user"
	case ssh.HostCert:
		return "host"
	}
	return "unknown"
}

// NewSSHRenewal drafts the successor of a host certificate: same key ID, principals and
// permissions, a validity of the same length; the given key, which is the old one on renewal.
func NewSSHRenewal(g *Grant, old *ssh.Certificate, key ssh.PublicKey, now time.Time) (*SSHDraft, error) {
	if old.CertType != ssh.HostCert {
		return nil, fault.New(fault.Invalid, "only host certificates are renewed; ask for a new user certificate instead")
	}
	// Compared as unsigned numbers: "forever" is the largest one.
	if old.ValidAfter == 0 || old.ValidBefore == ssh.CertTimeInfinity || old.ValidBefore <= old.ValidAfter || old.ValidBefore > 1<<40 {
		return nil, fault.New(fault.Invalid, "the old certificate has no bounded validity to take over")
	}
	length := time.Duration(old.ValidBefore-old.ValidAfter) * time.Second
	backdate := g.Profile.Authority.Backdate
	if limit := g.Profile.HostSSH.Max + backdate; length > limit {
		length = limit // the limit may have been lowered since
	}
	begin := now.Add(-backdate).UTC().Truncate(time.Second)
	cert := &ssh.Certificate{
		Key: key, CertType: old.CertType, KeyId: old.KeyId, ValidPrincipals: old.ValidPrincipals,
		ValidAfter: uint64(begin.Unix()), ValidBefore: uint64(begin.Add(length).Unix()),
		Permissions: old.Permissions,
	}
	return &SSHDraft{grant: g, cert: cert, limit: Lifetimes{Max: g.Profile.HostSSH.Max}}, nil
}

// AddUserDraft drafts the certificate with which the CA's own principal adds an account for
// a checked user certificate; nil if that certificate does not name one plain user.
func (c *CheckedSSH) AddUserDraft(g *Grant, key ssh.PublicKey, principal, command string) (*SSHDraft, error) {
	user := c.cert
	if user.CertType != ssh.UserCert || len(user.ValidPrincipals) == 0 || len(user.ValidPrincipals) > 2 ||
		(len(user.ValidPrincipals) == 2 && !strings.Contains(user.ValidPrincipals[1], "@")) {
		return nil, nil
	}
	name := user.ValidPrincipals[0]
	if !plainAccount(name) {
		return nil, fault.New(fault.Denied, "the principal %q is no plain account name, so no account can be added for it", name)
	}
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, KeyId: name + "-" + principal, ValidPrincipals: []string{principal},
		ValidAfter: user.ValidAfter, ValidBefore: user.ValidBefore,
		Permissions: ssh.Permissions{CriticalOptions: map[string]string{"force-command": strings.ReplaceAll(command, "<principal>", name)}},
	}
	return &SSHDraft{grant: g, cert: cert, limit: g.Profile.UserSSH}, nil
}

// plainAccount: the name goes into a shell command of a privileged account.
func plainAccount(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		letter := b >= 'a' && b <= 'z' || b == '_'
		if !letter && (i == 0 || !(b >= '0' && b <= '9' || b == '-')) {
			return false
		}
	}
	return true
}

func keyHasSHA256(key ssh.PublicKey, want []byte) bool {
	sum := sha256.Sum256(key.Marshal())
	return subtle.ConstantTimeCompare(sum[:], want) == 1
}
