package challenge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/challenge"
	"github.com/signet-ca/signet/internal/fetch"
)

const (
	keyAuthorization = token + "." + thumbprint
	path             = "/.well-known/acme-challenge/" + token
)

// site is an HTTP server on an address of loopback, and its port.
func site(t *testing.T, listen string, h http.HandlerFunc) int {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().(*net.TCPAddr).Port
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, text)
	}
}

func TestHTTP01Content(t *testing.T) {
	t.Parallel()
	names := serveNames(t, "web.test. 60 IN A 127.0.0.1")
	for name, c := range map[string]struct{ body, want string }{
		"right":         {keyAuthorization, ""},
		"white space":   {"\r\n " + keyAuthorization + "\n\t", ""},
		"other key":     {token + ".other", "rejectedIdentifier!"},
		"empty":         {"", "rejectedIdentifier!"},
		"more":          {keyAuthorization + "x", "rejectedIdentifier!"},
		"too long":      {strings.Repeat("x", 129), "rejectedIdentifier!"},
		"bytes":         {"\x00\xff", "rejectedIdentifier!"},
		"beyond bounds": {strings.Repeat(" ", 5000) + keyAuthorization, "connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := site(t, "127.0.0.1:0", says(c.body))
			v := challenge.New(challenge.Settings{HTTPPort: port, Resolver: names.addr})
			err := v.Try(t.Context(), attempt("http-01", "web.test"))
			check(t, err, c.want)
			if err != nil && len(c.body) > 20 && !strings.HasPrefix(c.body, token) && strings.Contains(err.Error(), c.body[:20]) {
				t.Errorf("the refusal quotes what was fetched: %v", err)
			}
		})
	}
}

// Behind a load balancer the second or third machine may know the answer.
func TestHTTP01LooksAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	port := site(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") != "signet (ACME validation)" || r.Header.Get("Accept") != "*/*" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("header %v", r.Header)
		}
		if calls.Add(1) < 3 {
			_, _ = io.WriteString(w, "not yet")
			return
		}
		_, _ = io.WriteString(w, keyAuthorization)
	})
	a := attempt("http-01", "127.0.0.1")
	a.Identifier.Type = "ip"
	check(t, challenge.New(challenge.Settings{HTTPPort: port}).Try(t.Context(), a), "")
}

func TestHTTP01Status(t *testing.T) {
	t.Parallel()
	for _, status := range []int{204, 300, 304, 400, 404, 500, 503} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			port := site(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			a := attempt("http-01", "127.0.0.1")
			a.Identifier.Type = "ip"
			want := "connection"
			if status == 204 {
				want = "rejectedIdentifier!"
			}
			check(t, challenge.New(challenge.Settings{HTTPPort: port}).Try(t.Context(), a), want)
		})
	}
}

func TestHTTP01Addresses(t *testing.T) {
	t.Parallel()
	var host atomic.Value
	port := site(t, "[::1]:0", func(w http.ResponseWriter, r *http.Request) {
		host.Store(r.Host)
		says(keyAuthorization)(w, r)
	})
	t.Run("an IPv6 identifier", func(t *testing.T) {
		a := attempt("http-01", "::1")
		a.Identifier.Type = "ip"
		check(t, challenge.New(challenge.Settings{HTTPPort: port}).Try(t.Context(), a), "")
		if want := fmt.Sprintf("[::1]:%d", port); host.Load() != want {
			t.Errorf("Host %v, want %s", host.Load(), want)
		}
	})
	names := serveNames(t, "six.test. 60 IN AAAA ::1", "both.test. 60 IN A 127.0.0.1", "both.test. 60 IN AAAA ::1",
		"mapped.test. 60 IN AAAA ::ffff:169.254.169.254", "rebound.test. 60 IN A 169.254.169.254",
		"local.test. 60 IN AAAA fe80::1", "multi.test. 60 IN A 224.0.0.1", "nothing.test. 60 IN TXT x",
		"later.test. 60 IN A 169.254.169.254", "later.test. 60 IN AAAA ::1")
	v := challenge.New(challenge.Settings{HTTPPort: port, Resolver: names.addr})
	t.Run("a host with IPv6 only", func(t *testing.T) {
		check(t, v.Try(t.Context(), attempt("http-01", "six.test")), "")
		check(t, v.Try(t.Context(), attempt("http-01", "both.test")), "")
	})
	t.Run("IPv4 where IPv6 refuses", func(t *testing.T) {
		four := site(t, "127.0.0.1:0", says(keyAuthorization))
		v := challenge.New(challenge.Settings{HTTPPort: four, Resolver: names.addr})
		check(t, v.Try(t.Context(), attempt("http-01", "both.test")), "")
		err := v.Try(t.Context(), attempt("http-01", "six.test"))
		check(t, err, "connection")
		if !strings.Contains(err.Error(), "refused") {
			t.Error(err)
		}
	})
	// SEC-21: what a name resolves to is judged when it is connected to.
	for _, name := range []string{"mapped.test", "rebound.test", "local.test", "multi.test"} {
		err := v.Try(t.Context(), attempt("http-01", name))
		check(t, err, "connection")
		if !strings.Contains(err.Error(), "may not be reached") {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, v.Try(t.Context(), attempt("http-01", "nothing.test")), "dns")
	check(t, v.Try(t.Context(), attempt("http-01", "absent.test")), "dns")
	check(t, v.Try(t.Context(), attempt("http-01", "later.test")), "") // one forbidden address does not spoil the other
}

// A name whose address changes between two questions leads nowhere forbidden either.
func TestSEC21_DNSRebinding(t *testing.T) {
	t.Parallel()
	names := serveNames(t, "turn.test. 0 IN A 127.0.0.1")
	port := site(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		names.mu.Lock()
		delete(names.records, "turn.test.")
		names.mu.Unlock()
		names.add(t, "turn.test. 0 IN A 169.254.169.254")
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	v := challenge.New(challenge.Settings{HTTPPort: port, Resolver: names.addr})
	err := v.Try(t.Context(), attempt("http-01", "turn.test"))
	check(t, err, "connection")
	if !strings.Contains(err.Error(), "169.254.169.254 may not be reached") {
		t.Error(err)
	}
}

// localAddress finds an address of this machine that is neither loopback nor link-local, as
// targets of redirects have to be.
func localAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

func TestHTTP01Redirects(t *testing.T) {
	t.Parallel()
	var port int
	type answer struct {
		to     string
		status int
	}
	var says atomic.Pointer[answer]
	names := serveNames(t, "web.test. 60 IN A 127.0.0.1", "inside.test. 60 IN A 127.0.0.1", "meta.test. 60 IN A 169.254.169.254")
	port = site(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		a := says.Load()
		w.Header().Set("Location", a.to)
		w.WriteHeader(a.status)
	})
	v := challenge.New(challenge.Settings{HTTPPort: port, Resolver: names.addr})
	at := func(host string) string { return "http://" + host + ":" + strconv.Itoa(port) + "/x" }
	for _, c := range []struct {
		name, to string
		status   int
		words    string
	}{
		{"loopback by name", at("inside.test"), 302, "127.0.0.1 may not be reached"},
		{"loopback", at("127.0.0.2"), 301, "127.0.0.2 may not be reached"},
		{"loopback of IPv6", at("[::1]"), 307, "::1 may not be reached"},
		{"loopback in disguise", at("[::ffff:127.0.0.1]"), 308, "127.0.0.1 may not be reached"},
		{"the same path", path, 302, "circle"},
		{"another path on loopback", "/x", 302, "127.0.0.1 may not be reached"},
		{"metadata", "http://169.254.169.254/latest/meta-data/", 302, "169.254.169.254 may not be reached"},
		{"metadata by name", "http://meta.test/", 302, "169.254.169.254 may not be reached"},
		{"another port", "http://inside.test:22/", 302, "port 22"},
		{"another scheme", "ftp://inside.test/", 302, "http and https only"},
		{"a file", "file:///etc/passwd", 302, "http and https only"},
		{"a user", "http://a:b@inside.test/", 302, "user name"},
		{"a status that is not followed", at("inside.test"), 303, "303"},
		{"nowhere", "", 302, "status 302"},
		{"rubbish", "http://[::1", 302, ""},
	} {
		says.Store(&answer{c.to, c.status})
		err := v.Try(t.Context(), attempt("http-01", "web.test"))
		check(t, err, "connection")
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Redirects to a host elsewhere are followed, to https with any certificate, ten times at
// most, and nothing of what is there is quoted.
func TestHTTP01RedirectsElsewhere(t *testing.T) {
	t.Parallel()
	here := localAddress(t)
	if here == "" {
		t.Fatal("this machine has no address besides loopback; redirects cannot be followed")
	}
	tlsSite := httptest.NewUnstartedServer(says(keyAuthorization))
	l, err := net.Listen("tcp", net.JoinHostPort(here, "0"))
	if err != nil {
		t.Fatal(err)
	}
	tlsSite.Listener = l
	tlsSite.StartTLS()
	t.Cleanup(tlsSite.Close)
	secure, _ := url.Parse(tlsSite.URL)
	tlsPort, _ := strconv.Atoi(secure.Port())
	plain := site(t, net.JoinHostPort(here, "0"), func(w http.ResponseWriter, r *http.Request) {
		switch n, _ := strconv.Atoi(r.URL.Query().Get("n")); {
		case r.URL.Path == path:
			http.Redirect(w, r, tlsSite.URL+path, http.StatusMovedPermanently)
		case r.URL.Path == "/secret":
			_, _ = io.WriteString(w, "the secret of another house")
		case n > 0:
			http.Redirect(w, r, fmt.Sprintf("/hop?n=%d", n-1), http.StatusTemporaryRedirect)
		default:
			_, _ = io.WriteString(w, keyAuthorization)
		}
	})
	v := challenge.New(challenge.Settings{HTTPPort: plain, TLSPort: tlsPort})
	a := attempt("http-01", here)
	a.Identifier.Type = "ip"
	check(t, v.Try(t.Context(), a), "")

	var target atomic.Value
	entry := site(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.Load().(string), http.StatusFound)
	})
	v = challenge.New(challenge.Settings{HTTPPort: entry, TLSPort: plain})
	a.Identifier.Value = "127.0.0.1"
	base := "http://" + net.JoinHostPort(here, strconv.Itoa(plain))
	for hops := range 12 {
		target.Store(fmt.Sprintf("%s/hop?n=%d", base, hops))
		want := ""
		if hops > 9 {
			want = "connection"
		}
		check(t, v.Try(t.Context(), a), want)
	}
	target.Store(base + "/secret")
	err = v.Try(t.Context(), a)
	check(t, err, "rejectedIdentifier!")
	if strings.Contains(err.Error(), "another house") || strings.Contains(strings.Join(a.Trace, " "), "another house") {
		t.Errorf("quoted: %v %v", err, a.Trace)
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	port := site(t, "127.0.0.1:0", says(keyAuthorization))
	a := attempt("http-01", "127.0.0.1")
	a.Identifier.Type = "ip"
	for prefix, want := range map[string]string{"127.0.0.0/8": "", "10.0.0.0/8": "connection"} {
		n := fetch.Networks{Allow: []netip.Prefix{netip.MustParsePrefix(prefix)}}
		check(t, challenge.New(challenge.Settings{HTTPPort: port, Networks: n}).Try(t.Context(), a), want)
	}
	n := fetch.Networks{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	check(t, challenge.New(challenge.Settings{HTTPPort: port, Networks: n}).Try(t.Context(), a), "connection")
	a.Identifier.Value = "64:ff9b::7f00:1" // the same by way of NAT64
	err := challenge.New(challenge.Settings{HTTPPort: port, Networks: n}).Try(t.Context(), a)
	check(t, err, "connection")
	if !strings.Contains(err.Error(), "in no network that may be reached") {
		t.Error(err)
	}
}

// A server that never ends does not hold a validator longer than its time.
func TestSlowServers(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := site(t, "127.0.0.1:0", h)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			a := attempt("http-01", "127.0.0.1")
			a.Identifier.Type = "ip"
			check(t, challenge.New(challenge.Settings{HTTPPort: port}).Try(ctx, a), "connection")
		})
	}
	t.Run("endless header", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
					for err == nil {
						_, err = io.WriteString(conn, "X: "+strings.Repeat("y", 1000)+"\r\n")
					}
				}()
			}
		}()
		a := attempt("http-01", "127.0.0.1")
		a.Identifier.Type = "ip"
		check(t, challenge.New(challenge.Settings{HTTPPort: l.Addr().(*net.TCPAddr).Port}).Try(t.Context(), a), "connection")
	})
}
