package server_test

import (
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
)

// killed is what clients know after a server was killed under them.
type killed struct {
	mu      sync.Mutex
	serials []string // answered
	spent   [][]byte // bodies whose certificate was answered: no token of these may work again
	open    [][]byte // bodies without an answer: their token may work once, or never
}

// TestKilledAtAnyMoment kills the server while clients get certificates. SIGNET_KILLS says
// how often.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	const clients = 6
	kills := 20
	if more, err := strconv.Atoi(os.Getenv("SIGNET_KILLS")); err == nil && more > 0 {
		kills = more
	}
	n := newNode(t)
	var known killed
	for range kills {
		n.start()
		n.killUnderLoad(&known, clients)
	}
	n.start()
	client := n.dial()
	for i, body := range known.spent {
		if a := n.sign(client, body); a.status != http.StatusUnauthorized {
			t.Errorf("a token that bought certificate %s was answered %d after the restart", known.serials[i], a.status)
		}
	}
	for _, body := range known.open {
		first := n.sign(client, body)
		if first.status == http.StatusCreated {
			known.serials = append(known.serials, ca.SerialHex(n.leaf(first).SerialNumber))
		}
		if again := n.sign(client, body); again.status != http.StatusUnauthorized {
			t.Errorf("a token worked twice: %d, %d", first.status, again.status)
		}
	}
	n.stop()
	if len(known.serials) < kills {
		t.Errorf("only %d certificates were answered before %d kills", len(known.serials), kills)
	}
	n.recorded(known.serials)
	t.Logf("%d kills, %d certificates answered, %d requests cut off", kills, len(known.spent), len(known.open))
}

// killUnderLoad kills the server once a random number of certificates is out.
func (n *node) killUnderLoad(known *killed, clients int) {
	n.t.Helper()
	var answered atomic.Int64
	var all sync.WaitGroup
	for range clients {
		client := n.dial()
		all.Go(func() {
			for {
				body := n.signBody("kill.example.com")
				a := n.sign(client, body)
				known.mu.Lock()
				if a.status != http.StatusCreated || a.err != nil {
					known.open = append(known.open, body)
					known.mu.Unlock()
					return
				}
				cert, err := leafOf(a.body)
				if err != nil {
					n.t.Error(err)
				} else {
					known.serials = append(known.serials, ca.SerialHex(cert.SerialNumber))
					known.spent = append(known.spent, body)
				}
				known.mu.Unlock()
				answered.Add(1)
			}
		})
	}
	enough := int64(1 + rand.N(40))
	n.until("certificates are out", func() bool { return answered.Load() >= enough })
	time.Sleep(rand.N(5 * time.Millisecond)) // another moment each time
	if err := n.cmd.Process.Kill(); err != nil {
		n.t.Error(err)
	}
	<-n.exited
	all.Wait()
}
