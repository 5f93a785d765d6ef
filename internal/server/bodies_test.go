package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/testca"
)

// zeros is a body of any length that nobody holds in memory.
type zeros struct{ left int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), z.left)
	for i := range b[:n] {
		b[i] = '0'
	}
	z.left -= n
	return int(n), nil
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.configure(map[string]any{"logger": map[string]any{"format": "json"}})
	n.start()
	n.mustSign("warm.example.com")
	for name, protocol := range map[string]string{"HTTP/1.1": "http/1.1", "HTTP/2": "h2"} {
		for _, c := range []struct {
			name, path string
			length     int64 // -1: not announced
			body       func() io.Reader
			statuses   []int
		}{
			{"1 GB", "/1.0/sign", 1 << 30, func() io.Reader { return &zeros{1 << 30} }, []int{413}},
			{"1 GB in chunks", "/1.0/revoke", -1, func() io.Reader { return &zeros{1 << 30} }, []int{413}},
			{"1 GB in a token", "/1.0/sign", -1, func() io.Reader { return io.MultiReader(strings.NewReader(`{"ott":"`), &zeros{1 << 30}) }, []int{413}},
			{"20 MB token", "/1.0/sign", -1, func() io.Reader {
				return io.MultiReader(strings.NewReader(`{"ott":"`), &zeros{20 << 20}, strings.NewReader(`"}`))
			}, []int{413}},
			{"a token longer than 64 KiB", "/1.0/sign", -1, func() io.Reader {
				return bytes.NewReader(n.signBodyFor("long.example.com", n.Token("long.example.com", testca.Claim("padding", strings.Repeat("x", 64<<10)))))
			}, []int{400, 401, 413}},
			{"10000 nested arrays", "/1.0/sign", -1, func() io.Reader { return strings.NewReader(`{"csr":` + strings.Repeat("[", 10_000)) }, []int{400}},
			{"10000 nested objects", "/1.0/renew", -1, func() io.Reader { return strings.NewReader(strings.Repeat(`{"a":`, 10_000)) }, []int{400, 401}},
			{"no JSON", "/1.0/sign", -1, func() io.Reader { return strings.NewReader("\x00\xff") }, []int{400}},
			{"nothing", "/1.0/sign", 0, func() io.Reader { return http.NoBody }, []int{400}},
		} {
			r := request(t, "POST", n.url(c.path), c.body())
			r.ContentLength = c.length
			a := roundTrip(n.dial(func(c *tls.Config) { c.NextProtos = []string{protocol} }), r)
			ok := false
			for _, status := range c.statuses {
				ok = ok || a.status == status && strings.Contains(a.body, fmt.Sprintf(`"status":%d`, status))
			}
			if !ok {
				t.Errorf("%s over %s: %d %.300s %v, want %v", c.name, name, a.status, a.body, a.err, c.statuses)
			}
		}
	}
	n.mustSign("after.example.com")
	if peak := n.memory("VmHWM"); peak > 200<<20 {
		t.Errorf("the server needed %d MB for bodies it refuses", peak>>20)
	}
	for _, line := range strings.Split(n.log.String(), "\n") {
		if len(line) > 10_000 {
			t.Errorf("a line of %d bytes in the log: %.200s", len(line), line)
		}
	}
	n.stop()
}

// memory is a line of the process's status, in bytes.
func (n *node) memory(what string) int64 {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), what+":")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return kb << 10
}

// Two hundred clients that send their headers a byte at a time keep nobody else out, and are
// sent away.
func TestSlowHeadersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	config := n.dial().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	var slow []*tls.Conn
	for range 200 {
		conn, err := tls.Dial("tcp", n.address, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	n.mustSign("fast.example.com")
	for _, conn := range slow {
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && res.StatusCode < 400 {
			t.Fatalf("a request without an end was answered %d", res.StatusCode)
		}
		if os.IsTimeout(err) {
			t.Fatal("a slow client is never sent away")
		}
	}
	n.stop()
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	for _, protocol := range []string{"http/1.1", "h2"} {
		r := request(t, "GET", n.url("/health"), nil)
		r.Header.Set("X-Long", strings.Repeat("x", 1<<20))
		if a := roundTrip(n.dial(func(c *tls.Config) { c.NextProtos = []string{protocol} }), r); a.status == http.StatusOK {
			t.Errorf("%s: a header of 1 MB was taken", protocol)
		}
	}
	n.mustSign("after.example.com")
	n.stop()
}

// Clocks apart: a little is borne, more is refused, and the answer says what is wrong.
func TestTokensOfClocksApart(t *testing.T) {
	t.Parallel()
	n := newNode(t).start()
	now := time.Now()
	for _, c := range []struct {
		name string
		bend testca.Bend
		want int
	}{
		{"half a minute ahead", testca.At(now.Add(30 * time.Second)), http.StatusCreated},
		{"ten minutes ahead", testca.At(now.Add(10 * time.Minute)), http.StatusUnauthorized},
		{"four minutes behind", testca.At(now.Add(-4 * time.Minute)), http.StatusCreated},
		{"ten minutes behind", testca.At(now.Add(-10 * time.Minute)), http.StatusUnauthorized},
	} {
		a := n.sign(n.dial(), n.signBodyFor("clock.example.com", n.Token("clock.example.com", testca.SANs("clock.example.com"), c.bend)))
		if a.status != c.want {
			t.Errorf("a token made %s: %d %s", c.name, a.status, a.body)
		}
		if a.status == http.StatusUnauthorized && !strings.Contains(a.body, "expired") && !strings.Contains(a.body, "clock") && !strings.Contains(a.body, "valid") {
			t.Errorf("a token made %s: %s", c.name, a.body)
		}
	}
	n.stop()
}
