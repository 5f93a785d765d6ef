package cli

import (
	"crypto"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// For tests of the package's own rules.
var (
	UserPrincipals = userPrincipals
	ReplaceSnippet = replaceSnippet
	PrependLine    = prependLine
)

// Agent is the ssh-agent behind a connection.
type Agent struct{ a sshAgent }

func NewAgent(conn io.ReadWriteCloser) *Agent {
	return &Agent{sshAgent{agent.NewClient(conn), conn}}
}

func (a *Agent) Add(cert *ssh.Certificate, key crypto.Signer, now time.Time, confirm bool) error {
	return a.a.addCertificate(cert, key, "c", agentOptions{now, confirm})
}

// Valid counts the certificates of a CA that are good at a time.
func (a *Agent) Valid(ca ssh.PublicKey, now time.Time) (int, error) {
	list, err := a.a.valid([]ssh.PublicKey{ca}, now)
	return len(list), err
}
