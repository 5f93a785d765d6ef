package cli_test

import (
	"crypto/rand"
	"math"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/signet-ca/signet/internal/cli"
	"github.com/signet-ca/signet/internal/testca"
)

// listeningAgent notes what it is given; a deaf one throws it away.
type listeningAgent struct {
	agent.Agent
	added []agent.AddedKey
	deaf  bool
}

func (l *listeningAgent) Add(k agent.AddedKey) error {
	l.added = append(l.added, k)
	if l.deaf {
		return nil
	}
	k.ConfirmBeforeUse = false // which the library's own agent does not know
	return l.Agent.Add(k)
}

func newAgent(t *testing.T) (*listeningAgent, *cli.Agent) {
	t.Helper()
	l := &listeningAgent{Agent: agent.NewKeyring()}
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	go func() { _ = agent.ServeAgent(l, there) }()
	return l, cli.NewAgent(here)
}

// SEC-26: a key goes to the agent with its lifetime and, where it was asked for, the question
// before each use; the agent must list it afterwards; what has ended is taken out.
func TestSEC26_AgentConstraints(t *testing.T) {
	t.Parallel()
	ca, err := ssh.NewSignerFromSigner(testca.P256(t))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	key := testca.Ed25519(t)
	cert := func(before uint64) *ssh.Certificate {
		c := &ssh.Certificate{Key: testca.SSHKey(t, key.Public()), CertType: ssh.UserCert, KeyId: "ann", ValidPrincipals: []string{"ann"},
			ValidAfter: uint64(now.Unix()) - 60, ValidBefore: before}
		if err := c.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tc := range []struct {
		name    string
		before  uint64
		confirm bool
		seconds uint32
	}{
		{"an hour", uint64(now.Unix()) + 3600, false, 3600},
		{"an hour, with a question", uint64(now.Unix()) + 3600, true, 3600},
		{"a second", uint64(now.Unix()) + 1, false, 1},
		{"longer than an agent counts", uint64(now.Unix()) + math.MaxInt32 + 10, false, math.MaxInt32},
		{"for ever", ssh.CertTimeInfinity, true, math.MaxInt32},
		{"beyond what is signed", math.MaxInt64 + 5, false, math.MaxInt32},
	} {
		heard, a := newAgent(t)
		if err := a.Add(cert(tc.before), key, now, tc.confirm); err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if k := heard.added[0]; k.LifetimeSecs != tc.seconds || k.ConfirmBeforeUse != tc.confirm || k.Certificate == nil {
			t.Errorf("%s: it got %d seconds, a question %v", tc.name, k.LifetimeSecs, k.ConfirmBeforeUse)
		}
	}

	heard, a := newAgent(t)
	for name, before := range map[string]uint64{"now": uint64(now.Unix()), "before": uint64(now.Unix()) - 10, "never": 0} {
		if err := a.Add(cert(before), key, now, false); err == nil || len(heard.added) > 0 {
			t.Errorf("a certificate that ended %s was given away: %v", name, err)
		}
	}
	heard.deaf = true
	if err := a.Add(cert(uint64(now.Unix())+60), key, now, false); err == nil {
		t.Error("an agent that keeps nothing was believed")
	}

	// Time passes: the first ends, the second does not.
	heard, a = newAgent(t)
	for _, seconds := range []uint64{60, 3600} {
		if err := a.Add(cert(uint64(now.Unix())+seconds), key, now, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		at          time.Duration
		valid, held int
	}{{0, 2, 2}, {2 * time.Minute, 1, 1}, {2 * time.Hour, 0, 0}} {
		n, err := a.Valid(ca.PublicKey(), now.Add(tc.at))
		left, _ := heard.List()
		if err != nil || n != tc.valid || len(left) != tc.held {
			t.Errorf("after %s: %d are valid, %d are held, %v", tc.at, n, len(left), err)
		}
	}
}
