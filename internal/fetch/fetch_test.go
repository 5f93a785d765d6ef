package fetch_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestBounds(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/big":
			_, _ = w.Write([]byte(strings.Repeat("x", 101)))
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/hop":
			http.Redirect(w, r, "/end", http.StatusFound)
		default:
			_, _ = w.Write([]byte("end"))
		}
	})
	client := fetch.New(fetch.Options{Timeout: 200 * time.Millisecond, Size: 100, Redirects: 2})
	still := fetch.New(fetch.Options{Size: 100})
	if _, err := client.Do(t.Context(), &fetch.Request{URL: url + "/slow"}); !fetch.IsTimeout(err) {
		t.Errorf("slow: %v", err)
	}
	if _, err := client.Do(t.Context(), &fetch.Request{URL: url + "/big"}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("big: %v", err)
	}
	if _, err := client.Do(t.Context(), &fetch.Request{URL: url + "/loop"}); err == nil {
		t.Error("an endless redirect ended well")
	}
	if a, err := client.Do(t.Context(), &fetch.Request{URL: url + "/hop"}); err != nil || string(a.Body) != "end" {
		t.Errorf("hop: %v %v", a, err)
	}
	if a, err := still.Do(t.Context(), &fetch.Request{URL: url + "/hop"}); err != nil || a.Status != http.StatusFound {
		t.Errorf("without redirects: %v %v", a, err)
	}
}

// A plain address never follows from a TLS one, and what a stranger names is not reached by
// a redirect into this machine.
func TestRedirectsOfStrangers(t *testing.T) {
	t.Parallel()
	var url string
	url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			http.Redirect(w, r, strings.Replace(url, "127.0.0.1", "localhost", 1)+"/end", http.StatusFound)
		}
	})
	client := fetch.New(fetch.Options{Redirects: 5, Reach: fetch.Validation})
	if _, err := client.Do(t.Context(), &fetch.Request{URL: url + "/end"}); err != nil {
		t.Errorf("loopback itself: %v", err)
	}
	if _, err := client.Do(t.Context(), &fetch.Request{URL: url + "/in"}); err == nil {
		t.Error("a redirect into loopback was followed")
	}
	secure := httptest.NewTLSServer(http.RedirectHandler(url+"/end", http.StatusFound))
	t.Cleanup(secure.Close)
	client = fetch.New(fetch.Options{Redirects: 5, Roots: []*x509.Certificate{secure.Certificate()}})
	if _, err := client.Do(t.Context(), &fetch.Request{URL: secure.URL}); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("from https to http: %v", err)
	}
}

// SEC-21: an IPv4 address that is forbidden is so inside IPv6 as well, in each way of writing it
// that a gateway takes back out.
func TestAddressesOfStrangers(t *testing.T) {
	t.Parallel()
	client := fetch.New(fetch.Options{Reach: fetch.Validation, Timeout: 2 * time.Second})
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "224.0.0.1", "0.0.0.0", "[::]", "[fd00:ec2::254]", "168.63.129.16", "255.255.255.255",
		"[64:ff9b::a9fe:a9fe]", "[::ffff:0:a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[64:ff9b::a83f:8110]", "[64:ff9b::e000:1]", "[64:ff9b::]"} {
		_, err := client.Do(t.Context(), &fetch.Request{URL: "http://" + host + ":9/"})
		if err == nil || !strings.Contains(err.Error(), "may not be reached") {
			t.Errorf("%s: %v", host, err)
		}
	}
}
