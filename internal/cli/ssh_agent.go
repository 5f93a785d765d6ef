package cli

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// errNoAgent says that there is no ssh-agent to talk to.
var errNoAgent = errors.New("no ssh-agent is running here (SSH_AUTH_SOCK is not set)")

// windowsAgent is where the agent of Windows listens.
const windowsAgent = `\\.\pipe\openssh-ssh-agent`

// sshAgent is the user's ssh-agent.
type sshAgent struct {
	agent.ExtendedAgent
	conn io.Closer
}

func (e *Env) openAgent() (*sshAgent, error) {
	address := e.Getenv("SSH_AUTH_SOCK")
	if runtime.GOOS == "windows" {
		if address == "" {
			address = windowsAgent
		}
		pipe, err := os.OpenFile(address, os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("open the ssh-agent: %w", err)
		}
		return &sshAgent{agent.NewClient(pipe), pipe}, nil
	}
	if address == "" {
		return nil, errNoAgent
	}
	conn, err := net.Dial("unix", address)
	if err != nil {
		return nil, fmt.Errorf("open the ssh-agent: %w", err)
	}
	return &sshAgent{agent.NewClient(conn), conn}, nil
}

func (a *sshAgent) close() { a.conn.Close() }

// maxAgentLifetime is below what every agent can count to.
const maxAgentLifetime = math.MaxInt32

// addCertificate gives the agent a key with its certificate until the certificate ends.
func (a *sshAgent) addCertificate(cert *ssh.Certificate, key crypto.Signer, comment string, o agentOptions) error {
	seconds := int64(maxAgentLifetime)
	if cert.ValidBefore < math.MaxInt64 {
		seconds = min(int64(cert.ValidBefore)-o.now.Unix(), seconds)
	}
	if seconds <= 0 {
		return errors.New("the certificate has expired already")
	}
	var private any = key
	if k, ok := key.(*ed25519.PrivateKey); ok {
		private = *k
	}
	err := a.Add(agent.AddedKey{PrivateKey: private, Certificate: cert, Comment: comment,
		LifetimeSecs: uint32(seconds), ConfirmBeforeUse: o.confirm})
	if err != nil {
		return fmt.Errorf("the ssh-agent does not take the key for %s: %w", time.Duration(seconds)*time.Second, err)
	}
	// An agent that says yes and does nothing would be noticed at the next login only.
	held, err := a.List()
	if err != nil {
		return fmt.Errorf("read back from the ssh-agent: %w", err)
	}
	blob := cert.Marshal()
	if !slices.ContainsFunc(held, func(k *agent.Key) bool { return bytes.Equal(k.Blob, blob) }) {
		return errors.New("the ssh-agent took the key, and does not list it")
	}
	return nil
}

// agentOptions are how a key is kept.
type agentOptions struct {
	now     time.Time
	confirm bool // the agent asks before each use
}

// agentCertificate is a certificate that the agent holds.
type agentCertificate struct {
	key     *agent.Key
	cert    *ssh.Certificate
	comment string
}

// certificates lists the certificates signed by one of the CA keys; cas nil means of any.
func (a *sshAgent) certificates(cas []ssh.PublicKey) ([]agentCertificate, error) {
	held, err := a.List()
	if err != nil {
		return nil, fmt.Errorf("ask the ssh-agent: %w", err)
	}
	var list []agentCertificate
	for _, k := range held {
		pub, err := ssh.ParsePublicKey(k.Blob)
		if err != nil {
			continue // of a kind not known here
		}
		cert, ok := pub.(*ssh.Certificate)
		if !ok || cas != nil && !signedBy(cert, cas) {
			continue
		}
		list = append(list, agentCertificate{k, cert, k.Comment})
	}
	return list, nil
}

// signedBy reports whether a certificate names one of the keys as the one that signed it,
// and the signature is good.
func signedBy(cert *ssh.Certificate, cas []ssh.PublicKey) bool {
	signed := *cert
	signed.Signature = nil
	blob := signed.Marshal()
	return slices.ContainsFunc(cas, func(ca ssh.PublicKey) bool {
		return bytes.Equal(ca.Marshal(), cert.SignatureKey.Marshal()) && ca.Verify(blob[:len(blob)-4], cert.Signature) == nil
	})
}

// expired reports whether a certificate has ended. Times are compared as the unsigned
// numbers they are: "forever" is the largest one.
func expired(cert *ssh.Certificate, now time.Time) bool {
	return cert.ValidBefore != ssh.CertTimeInfinity && uint64(max(now.Unix(), 0)) >= cert.ValidBefore
}

// valid lists the certificates of a CA that are good now, and removes those that have ended.
func (a *sshAgent) valid(cas []ssh.PublicKey, now time.Time) ([]agentCertificate, error) {
	list, err := a.certificates(cas)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(c agentCertificate) bool {
		if expired(c.cert, now) {
			_ = a.Remove(c.key) // it is of no use to anybody; the next call tries again
			return true
		}
		return uint64(max(now.Unix(), 0)) < c.cert.ValidAfter
	}), nil
}
