package store_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	ca "github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// acmeOrdersVariable is how many orders the test of several servers makes.
const acmeOrdersVariable = "SIGNET_ACME_ORDERS"

// Three servers on one database behind a balancer that knows nothing of clients: every
// request of an order goes to whichever comes, nonces of the one to another, all orders are
// of one account and many are under way at the same time. None is lost, none gets a second
// certificate, nobody sees an error.
func TestACMEOnThreeServers(t *testing.T) {
	t.Parallel()
	orders := 24
	if text := os.Getenv(acmeOrdersVariable); text != "" {
		var err error
		if orders, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			acmeFleet(t, b.fresh(t), orders)
		})
	}
}

func acmeFleet(t *testing.T, c store.Config, orders int) {
	a := newAuthority(t)
	client := &acme.Client{Key: a.key}
	thumbprint, err := acme.JWKThumbprint(a.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, path.Base(r.URL.Path)+"."+thumbprint)
	}))
	t.Cleanup(web.Close)
	var members []*member
	for range 3 {
		m := a.member(t, c)
		addACME(t, m)
		serveACME(t, m, web.Listener.Addr().(*net.TCPAddr).Port)
		members = append(members, m)
	}
	for _, m := range members {
		a.until(t, m, 200, "")
	}
	b := balance(t, members)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: "localhost"}, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, b.socket.Addr().String())
		}}
	t.Cleanup(transport.CloseIdleConnections)
	var trouble atomic.Int64
	client.HTTPClient = &http.Client{Transport: counting{transport, &trouble}, Timeout: 60 * time.Second}
	client.DirectoryURL = "https://localhost:9000/acme/acme/directory"
	if _, err := client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	work := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	serials := map[string]int{}
	key := testca.P256(t) // keys of certificates are not what is tested
	for range 64 {
		wg.Go(func() {
			for n := range work {
				serial, err := acmeOrder(t.Context(), client, key)
				if err != nil {
					t.Errorf("order %d: %v", n, err)
				}
				mu.Lock()
				serials[serial]++
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	for n := range orders {
		work <- n
	}
	close(work)
	wg.Wait()
	t.Logf("%d orders in %v", orders, time.Since(began))
	if len(serials) != orders || trouble.Load() > 0 {
		t.Errorf("%d certificates of %d orders, %d answers from 500 on", len(serials), orders, trouble.Load())
	}
	n := 0
	err = open(t, c).View(t.Context(), func(tx *store.Tx) error {
		for one, err := range tx.Certificates(store.Query{Type: "x509"}) {
			if err != nil {
				return err
			}
			if one.ProvisionerType == "ACME" {
				n++
			}
		}
		return nil
	})
	if err != nil || n != orders {
		t.Errorf("%d certificates on record, %v", n, err)
	}
}

// counting counts answers that say the server has a trouble.
type counting struct {
	http.RoundTripper
	trouble *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.RoundTripper.RoundTrip(r)
	if err == nil && res.StatusCode >= 500 {
		c.trouble.Add(1)
	}
	return res, err
}

// acmeOrder goes the whole way of one order and gives the serial number of its certificate.
func acmeOrder(ctx context.Context, client *acme.Client, key crypto.Signer) (string, error) {
	order, err := client.AuthorizeOrder(ctx, acme.IPIDs("127.0.0.1"))
	if err != nil {
		return "", fmt.Errorf("new order: %w", err)
	}
	for _, url := range order.AuthzURLs {
		authz, err := client.GetAuthorization(ctx, url)
		if err != nil {
			return "", fmt.Errorf("authorization: %w", err)
		}
		for _, c := range authz.Challenges {
			if c.Type == "http-01" {
				if _, err := client.Accept(ctx, c); err != nil {
					return "", fmt.Errorf("challenge: %w", err)
				}
			}
		}
	}
	if order, err = client.WaitOrder(ctx, order.URI); err != nil {
		return "", fmt.Errorf("wait: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, key)
	if err != nil {
		return "", err
	}
	chain, _, err := client.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err != nil {
		return "", fmt.Errorf("finalize: %w", err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return "", err
	}
	return leaf.SerialNumber.Text(16), nil
}

// addACME gives a server's configuration an ACME provisioner.
func addACME(t *testing.T, m *member) {
	t.Helper()
	text, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	authority := c["authority"].(map[string]any)
	authority["provisioners"] = append(authority["provisioners"].([]any), map[string]any{"type": "ACME", "name": "acme", "limits": map[string]any{"pendingOrders": -1}})
	if text, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveACME is member.serve with a port of our own for http-01.
func serveACME(t *testing.T, m *member, port int) {
	t.Helper()
	o := m.options(slog.New(slog.DiscardHandler))
	o.ACMEHTTPPort = port
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ca.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server on %s: %v", m.address, err)
		}
	})
}
