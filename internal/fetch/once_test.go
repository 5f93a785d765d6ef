package fetch_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fetch"
)

// raw answers each connection with a text, byte for byte, and gives what was asked.
func raw(t *testing.T, answer func(net.Conn)) (url string, asked chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked = make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				var text strings.Builder
				_ = req.Write(&text)
				asked <- text.String()
				answer(conn)
			}()
		}
	}()
	return "http://" + l.Addr().String(), asked
}

// What a server may send over a connection that is used once, and what comes of it.
func TestOnce(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ sent, want string }{
		"a length":           {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabcd", "ab"},
		"to the end":         {"HTTP/1.0 200 OK\r\n\r\nabcd", "abcd"},
		"chunks":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc"},
		"early hints":        {"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "a"},
		"no body":            {"HTTP/1.1 204 No Content\r\n\r\n", ""},
		"only hints":         {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), "!"},
		"cut off":            {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcd", "!"},
		"nothing":            {"", "!"},
		"no HTTP":            {"SSH-2.0-OpenSSH\r\n", "!"},
		"a long header":      {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", "!"},
		"many header lines":  {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 50<<10) + "\r\n", "!"},
		"more than its size": {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 101), "!"},
		"a long body":        {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 100), strings.Repeat("x", 100)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, asked := raw(t, func(conn net.Conn) { _, _ = io.WriteString(conn, c.sent) })
			client := fetch.New(fetch.Options{Fresh: true, Reach: fetch.Validation, Size: 100})
			a, err := client.Do(t.Context(), &fetch.Request{URL: url + "/p?q", Header: http.Header{"Accept": {"*/*"}}})
			switch {
			case c.want == "!" && err == nil:
				t.Errorf("it was read: %d %.50q", a.Status, a.Body)
			case c.want != "!" && err != nil:
				t.Error(err)
			case err == nil && string(a.Body) != c.want:
				t.Errorf("body %q, want %q", a.Body, c.want)
			}
			got := <-asked
			want := "GET /p?q HTTP/1.1\r\nHost: " + strings.TrimPrefix(url, "http://") + "\r\nUser-Agent: signet\r\nAccept: */*\r\nConnection: close\r\n\r\n"
			if got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
		})
	}
}

// Whoever never comes to an end is left when the time is over or the caller gives up.
func TestOnceEnds(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{"without an answer": "", "within the header": "HTTP/1.1 200 OK\r\nX:", "within the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{}, 2)
			url, _ := raw(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, sent)
				_, _ = io.Copy(io.Discard, conn) // until the caller hangs up
				gone <- struct{}{}
			})
			client := fetch.New(fetch.Options{Fresh: true, Reach: fetch.Validation, Timeout: 100 * time.Millisecond})
			if _, err := client.Do(t.Context(), &fetch.Request{URL: url}); !fetch.IsTimeout(err) {
				t.Errorf("not a timeout: %v", err)
			}
			<-gone
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			patient := fetch.New(fetch.Options{Fresh: true, Reach: fetch.Validation, Timeout: time.Minute})
			if _, err := patient.Do(ctx, &fetch.Request{URL: url}); ctx.Err() == nil || err == nil {
				t.Errorf("it went on: %v", err)
			}
			<-gone
		})
	}
}
