package server_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
)

// slow sends the first half of a request for a certificate and returns when the server has
// begun to read it. finish sends the rest and gives the answer.
func (n *node) slow(client *http.Client, name string) (finish func() answer) {
	n.t.Helper()
	body := n.signBody(name)
	from, to := io.Pipe()
	r := request(n.t, "POST", n.url("/1.0/sign"), from)
	r.ContentLength = int64(len(body))
	r.Header.Set("Expect", "100-continue")
	reading := make(chan struct{})
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }}))
	transport := client.Transport.(*http.Transport)
	transport.ExpectContinueTimeout = 1 << 40
	answers := make(chan answer, 1)
	go func() { answers <- roundTrip(client, r) }()
	<-reading
	if _, err := to.Write(body[:len(body)/2]); err != nil {
		n.t.Fatal(err)
	}
	return func() answer {
		if _, err := io.Copy(to, bytes.NewReader(body[len(body)/2:])); err != nil {
			return answer{err: err}
		}
		to.Close()
		return <-answers
	}
}

func http1(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }

func TestStopLetsRequestsUnderWayFinish(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	finish := n.slow(n.dial(http1), "slow.example.com")
	n.signal(syscall.SIGTERM)
	n.until("no new connection is accepted", func() bool { return !open(n.address) })
	cert := n.leaf(finish())
	n.wait(0)
	n.recorded([]string{ca.SerialHex(cert.SerialNumber)})
}

// A listener that a reload closed still has requests under way when the server is stopped.
func TestStopWaitsForRequestsOfListenersThatAReloadClosed(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	finish := n.slow(n.dial(http1), "slow.example.com")
	was := n.address
	n.configure(map[string]any{"address": freeAddress(t)})
	n.reload(reloaded)
	n.until("the old address is closed", func() bool { return !open(was) })
	n.signal(syscall.SIGTERM)
	n.until("the new address is closed", func() bool { return !open(n.members["address"].(string)) })
	cert := n.leaf(finish())
	n.wait(0)
	n.recorded([]string{ca.SerialHex(cert.SerialNumber)})
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	// A slow request is cut off after 15 seconds, and the server then ends well by itself. On
	// a machine too busy to send the second signal before that, the attempt says nothing.
	for range 5 {
		begun := time.Now()
		killed := secondSignalKills(t)
		if killed {
			return
		}
		if time.Since(begun) < 10*time.Second {
			t.Fatal("a killed server says that it ended well")
		}
	}
	t.Error("no second signal came in time")
}

func secondSignalKills(t *testing.T) bool {
	n := newNode(t).start()
	finish := n.slow(n.dial(http1), "slow.example.com")
	n.signal(syscall.SIGTERM)
	n.until("no new connection is accepted", func() bool { return !open(n.address) })
	// The first signal is still being taken note of, maybe: go on until it works.
	for {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-n.exited:
			killed := !n.cmd.ProcessState.Success()
			if a := finish(); killed && a.err == nil {
				t.Errorf("the request was answered: %d", a.status)
			}
			return killed
		case <-time.After(20 * time.Millisecond):
		}
	}
}
