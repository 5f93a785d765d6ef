package issue_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// Provisioners Section 3: a token bound to a key buys no SSH certificate for another one.
func TestSSHBindings(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	mine, other := testca.P256(t), testca.P256(t)
	key, err := ssh.NewPublicKey(mine.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(key.Marshal())
	for _, c := range []struct {
		name string
		bend func(*issue.SSHRight)
		good bool
	}{
		{"nothing", func(*issue.SSHRight) {}, true},
		{"the key's bytes", func(r *issue.SSHRight) { r.KeySHA256 = sum[:] }, true},
		{"other bytes", func(r *issue.SSHRight) { r.KeySHA256 = make([]byte, 32) }, false},
		{"the key", func(r *issue.SSHRight) { r.Key = mine.Public() }, true},
		{"another key", func(r *issue.SSHRight) { r.Key = other.Public() }, false},
		{"the thumbprint", func(r *issue.SSHRight) { r.KeyThumbprint = testca.Thumbprint(&mine.PublicKey) }, true},
		{"another thumbprint", func(r *issue.SSHRight) { r.KeyThumbprint = testca.Thumbprint(&other.PublicKey) }, false},
		{"the key and other bytes", func(r *issue.SSHRight) { r.Key, r.KeySHA256 = mine.Public(), make([]byte, 32) }, false},
	} {
		g := grant(ca, func(g *issue.Grant) {
			g.SSH = &issue.SSHRight{Type: "user", KeyID: "ann", Principals: []string{"ann"}}
			g.Profile.UserSSH = issue.Lifetimes{Min: time.Minute, Max: time.Hour, Default: time.Hour}
			c.bend(g.SSH)
		})
		_, err := issue.NewSSH(g, &issue.SSHAsk{Key: key}, time.Now())
		if (err == nil) != c.good || (err != nil && !fault.Is(err, fault.Denied)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
