// Package fetch makes HTTP calls to others, each bounded in time, size, redirects and the
// addresses it may reach.
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// Bounds where Options say nothing.
const (
	defaultTimeout = 10 * time.Second
	defaultSize    = 1 << 20
	maxHeader      = 64 << 10
)

// Options are the bounds of a client. The zero value may reach any address, follows no
// redirect and trusts the machine's roots.
type Options struct {
	Timeout   time.Duration                                       // of one call with all its redirects; 0: ten seconds
	Size      int64                                               // most bytes of an answer; 0: 1 MiB
	Redirects int                                                 // most redirects; 0: the redirect itself is the answer
	Reach     Reach                                               // addresses; the zero value is for URLs that an operator wrote
	Roots     []*x509.Certificate                                 // trusted besides the machine's
	Identity  func(ctx context.Context) (*tls.Certificate, error) // TLS client certificate, given if the server asks; nil: none
	Direct    bool                                                // by no proxy, whatever the environment says
	Proxy     func(*http.Request) (*url.URL, error)               // nil: that of the environment for Anywhere, else none

	Networks   Networks                                                     // narrows Reach
	Resolve    func(ctx context.Context, host string) ([]netip.Addr, error) // as of Dialer
	Follow     func(hop Hop) error                                          // may refuse a redirect; nil refuses none
	Unverified bool                                                         // a TLS server need not prove its name
	Fresh      bool                                                         // every call and redirect connects anew, and answers come as they are sent
}

// Hop is a redirect about to be followed.
type Hop struct {
	Status int      // of the answer that redirects
	Next   *url.URL // where to
	Via    []string // URLs asked so far, oldest first
}

// Client makes calls within its bounds. Any number of goroutines may use it at once.
type Client struct {
	http func() *http.Client // made at the first call: most clients of a server never make one, and roots cost time and memory
	o    Options
}

// New makes a client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Size == 0 {
		o.Size = defaultSize
	}
	if o.Direct {
		o.Proxy = nil
	} else if o.Proxy == nil && o.Reach == Anywhere {
		o.Proxy = http.ProxyFromEnvironment
	}
	c := &Client{o: o}
	c.http = sync.OnceValue(c.open)
	return c
}

func (c *Client) open() *http.Client {
	o := &c.o
	dialer := &Dialer{Timeout: min(o.Timeout, defaultTimeout), Reach: o.Reach, Networks: o.Networks, Resolve: o.Resolve}
	transport := &http.Transport{
		Proxy: o.Proxy, DialContext: dialer.DialContext, TLSClientConfig: o.tls(), ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout, IdleConnTimeout: 30 * time.Second,
		MaxIdleConns: 64, MaxIdleConnsPerHost: 16, MaxResponseHeaderBytes: maxHeader,
		DisableKeepAlives: o.Fresh, DisableCompression: o.Fresh,
	}
	client := &http.Client{CheckRedirect: c.checkRedirect, Transport: transport}
	if o.Fresh && o.Proxy == nil {
		client.Transport = &once{dialer.DialContext, transport}
	}
	return client
}

func (o *Options) tls() *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Unverified}
	if len(o.Roots) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without roots of its own
		}
		for _, root := range o.Roots {
			pool.AddCert(root)
		}
		config.RootCAs = pool
	}
	if o.Identity != nil {
		config.GetClientCertificate = func(ask *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return o.Identity(ask.Context())
		}
	}
	return config
}

// checkRedirect bounds redirects and keeps secrets off plain connections: what came by
// https never goes on by http.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	if c.o.Redirects == 0 {
		return http.ErrUseLastResponse
	}
	if len(via) > c.o.Redirects {
		return fault.New(fault.Denied, "more than %d redirects", c.o.Redirects)
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("a redirect from https to " + next.URL.Scheme)
	}
	if c.o.Follow != nil {
		hop := Hop{Status: next.Response.StatusCode, Next: next.URL}
		for _, r := range via {
			hop.Via = append(hop.Via, r.URL.String())
		}
		if err := c.o.Follow(hop); err != nil {
			return err
		}
	}
	*next = *next.WithContext(context.WithValue(next.Context(), redirected{}, true))
	return nil
}

// Request is one call.
type Request struct {
	Method string // "" is GET
	URL    string
	Header http.Header
	Body   []byte
}

// Answer is what came back, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do makes a call. An answer beyond the bound on size is fault.TooLarge; other errors are
// those of the connection and may name addresses, which are for the log alone.
func (c *Client) Do(ctx context.Context, r *Request) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "signet")
	}
	res, err := c.http().Do(req)
	if broken, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("call %s: %w", req.URL.Host, broken.Err) // without the query, which may hold secrets
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, c.o.Size+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	}
	if int64(len(body)) > c.o.Size {
		return nil, fault.New(fault.TooLarge, "the answer of %s has more than %d bytes", req.URL.Host, c.o.Size)
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// IsTimeout reports whether a call ended because its time was over.
func IsTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
