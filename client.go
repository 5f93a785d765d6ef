package signet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout = 30 * time.Second
	maxAnswer      = 16 << 20
	maxErrorAnswer = 64 << 10
	maxCRL         = 256 << 20
	maxPages       = 10_000
	pageSize       = "100"
)

// Options are what a client may be told. The zero value is usable.
type Options struct {
	Roots       *x509.CertPool   // whom to trust; nil: the machine's roots
	Certificate *tls.Certificate // presented to the CA; nil: none
	UserAgent   string           // product and version of the program; empty: this package's
	Timeout     time.Duration    // of one call; 0: 30 seconds

	// Dial replaces how connections are made, below TLS.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client talks to one CA. It may be used by several goroutines.
type Client struct {
	base    *url.URL
	options Options
	http    *http.Client
}

// NewClient makes a client for the CA at an address such as https://ca.example.com:9000. A
// path in the address is dropped: a CA lives at the root of its host.
func NewClient(address string, options *Options) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.User != nil {
		return nil, fmt.Errorf("address of the CA: %q is not a URL such as https://ca.example.com", address)
	}
	if base.Scheme != "https" {
		return nil, fmt.Errorf("address of the CA: %q must start with https://", address)
	}
	c := &Client{base: &url.URL{Scheme: base.Scheme, Host: base.Host}}
	if options != nil {
		c.options = *options
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.options.Roots}
	if cert := c.options.Certificate; cert != nil {
		// A CA may advertise only its roots while the chain is of an older intermediate: the
		// certificate is sent whatever the CA says it accepts.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	c.http = newHTTP(config, &c.options)
	return c, nil
}

func newHTTP(config *tls.Config, options *Options) *http.Client {
	return &http.Client{
		Timeout:   cmp.Or(options.Timeout, defaultTimeout),
		Transport: newTransport(config, options.Dial),
		// A token must not follow a redirect to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport(config *tls.Config, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		TLSClientConfig:     config,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     30 * time.Second,
		MaxIdleConnsPerHost: 4,
	}
}

// Bootstrap makes a client that trusts the root with this fingerprint, the SHA-256 of its
// DER in hex. The root is fetched without verification and compared; it is returned to be
// kept. Roots in options are ignored.
func Bootstrap(ctx context.Context, address, fingerprint string, options *Options) (*Client, *x509.Certificate, error) {
	var own Options
	if options != nil {
		own = *options
	}
	own.Roots = nil
	c, err := NewClient(address, &own)
	if err != nil {
		return nil, nil, err
	}
	root, err := c.Root(ctx, fingerprint)
	if err != nil {
		return nil, nil, err
	}
	own.Roots = x509.NewCertPool()
	own.Roots.AddCert(root)
	c, err = NewClient(address, &own)
	return c, root, err
}

// As is this client, presenting another certificate.
func (c *Client) As(cert *tls.Certificate) *Client {
	return c.with(func(o *Options) { o.Certificate = cert })
}

// trusting is this client with other roots.
func (c *Client) trusting(roots *x509.CertPool) *Client {
	return c.with(func(o *Options) { o.Roots = roots })
}

func (c *Client) with(change func(*Options)) *Client {
	options := c.options
	change(&options)
	other, err := NewClient(c.base.String(), &options)
	if err != nil {
		panic(err) // c's own address was good
	}
	return other
}

// URL is the address of the CA, without a slash at the end.
func (c *Client) URL() string { return c.base.String() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is a refusal by the CA.
type Error struct {
	Status    int    // of HTTP
	Message   string // of the CA, for people
	RequestID string // names the request in the CA's log
}

func (e *Error) Error() string {
	return fmt.Sprintf("the CA answered %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
}

// call asks the CA and decodes its JSON answer into answer, unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	data, err := c.exchange(ctx, c.http, &ask{method: method, path: path, body: body, limit: maxAnswer})
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("read answer of %s to %s: %w", c.base.Host, path, err)
	}
	return nil
}

// ask is one request.
type ask struct {
	method, path string
	body         any    // sent as JSON; nil: none
	bearer       string // token for the Authorization header; empty: none
	limit        int64  // of the answer's size
}

// exchange sends a request and returns the body of a successful answer.
func (c *Client) exchange(ctx context.Context, via *http.Client, a *ask) ([]byte, error) {
	request, err := c.request(ctx, a)
	if err != nil {
		return nil, err
	}
	answer, err := via.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the CA: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return nil, refusal(answer, request.Header.Get("X-Request-Id"))
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, a.limit+1))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s to %s: %w", c.base.Host, a.path, err)
	}
	if int64(len(data)) > a.limit {
		return nil, fmt.Errorf("read answer of %s to %s: it is larger than %d bytes", c.base.Host, a.path, a.limit)
	}
	return data, nil
}

func (c *Client) request(ctx context.Context, a *ask) (*http.Request, error) {
	var body io.Reader
	if a.body != nil {
		data, err := json.Marshal(a.body)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, a.method, c.base.String()+a.path, body)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if a.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if a.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+a.bearer)
	}
	request.Header.Set("User-Agent", cmp.Or(c.options.UserAgent, "signet-go/1.0"))
	request.Header.Set("X-Request-Id", newUUID())
	return request, nil
}

// refusal reads the error in an answer. What is not the CA's JSON, a proxy's page say, is
// not repeated.
func refusal(answer *http.Response, sent string) error {
	e := &Error{Status: answer.StatusCode, RequestID: cmp.Or(answer.Header.Get("X-Request-Id"), sent)}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorAnswer))
	var body ErrorResponse
	if err == nil && json.Unmarshal(data, &body) == nil {
		e.Message = cmp.Or(body.Message, body.Detail, body.Title)
	}
	if e.Message == "" {
		e.Message = "no reason was given"
	}
	e.Message = strings.TrimSpace(e.Message)
	return e
}

// newUUID is a random UUID. RFC 9562, Section 5.4.
func newUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Root fetches the root certificate with this fingerprint. Nothing but the fingerprint is
// trusted on the way: TLS is not verified.
func (c *Client) Root(ctx context.Context, fingerprint string) (*x509.Certificate, error) {
	want, err := normalizeFingerprint(fingerprint)
	if err != nil {
		return nil, err
	}
	unverified := newHTTP(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, &c.options)
	defer unverified.CloseIdleConnections()
	data, err := c.exchange(ctx, unverified, &ask{method: http.MethodGet, path: "/root/" + want, limit: maxAnswer})
	if err != nil {
		return nil, err
	}
	var answer RootResponse
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("read root of %s: %w", c.base.Host, err)
	}
	if answer.Root.Certificate == nil {
		return nil, fmt.Errorf("read root of %s: the answer holds none", c.base.Host)
	}
	if got := Fingerprint(answer.Root.Certificate); got != want {
		return nil, fmt.Errorf("the root of %s has fingerprint %s instead of %s: somebody is in between, or the fingerprint is of another CA", c.base.Host, got, want)
	}
	return answer.Root.Certificate, nil
}

// Health asks how the CA is; the answer of a healthy one is "ok".
func (c *Client) Health(ctx context.Context) (string, error) {
	var answer Status
	err := c.call(ctx, http.MethodGet, "/health", nil, &answer)
	return answer.Status, err
}

// Version asks which version the CA is of.
func (c *Client) Version(ctx context.Context) (*VersionResponse, error) {
	answer := new(VersionResponse)
	return answer, c.call(ctx, http.MethodGet, "/version", nil, answer)
}

// Roots fetches the CA's own roots.
func (c *Client) Roots(ctx context.Context) ([]*x509.Certificate, error) {
	return c.certificates(ctx, "/roots")
}

// Intermediates fetches the certificates of the issuing keys.
func (c *Client) Intermediates(ctx context.Context) ([]*x509.Certificate, error) {
	return c.certificates(ctx, "/intermediates")
}

// Federation fetches the CA's own roots and those it federates with.
func (c *Client) Federation(ctx context.Context) ([]*x509.Certificate, error) {
	return c.certificates(ctx, "/federation")
}

func (c *Client) certificates(ctx context.Context, path string) ([]*x509.Certificate, error) {
	var answer CertificatesResponse
	if err := c.call(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, cert := range answer.Certificates {
		if cert.Certificate != nil {
			certs = append(certs, cert.Certificate)
		}
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("read answer of %s to %s: it holds no certificate", c.base.Host, path)
	}
	return certs, nil
}

// Provisioners fetches the public form of all provisioners, in the CA's order.
func (c *Client) Provisioners(ctx context.Context) ([]json.RawMessage, error) {
	var all []json.RawMessage
	cursor := ""
	for range maxPages {
		query := url.Values{"limit": {pageSize}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page ProvisionersResponse
		if err := c.call(ctx, http.MethodGet, "/provisioners?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Provisioners...)
		if page.NextCursor == "" {
			return all, nil
		}
		if page.NextCursor == cursor {
			break // an answer that leads nowhere
		}
		cursor = page.NextCursor
	}
	return nil, errors.New("read provisioners: the CA's pages do not end")
}

// EncryptedKey fetches the encrypted private key of a JWK provisioner, as a compact JWE.
func (c *Client) EncryptedKey(ctx context.Context, kid string) (string, error) {
	var answer EncryptedKeyResponse
	err := c.call(ctx, http.MethodGet, "/provisioners/"+url.PathEscape(kid)+"/encrypted-key", nil, &answer)
	return answer.Key, err
}

// CRL fetches the certificate revocation list, in DER.
func (c *Client) CRL(ctx context.Context) ([]byte, error) {
	return c.exchange(ctx, c.http, &ask{method: http.MethodGet, path: "/crl", limit: maxCRL})
}

// Sign asks for a certificate. A request without TemplateData asks for no data.
func (c *Client) Sign(ctx context.Context, request *SignRequest) (*SignResponse, error) {
	return c.issue(ctx, &ask{method: http.MethodPost, path: "/sign", body: request})
}

// Renew asks for a fresh copy of the certificate this client presents; see [Client.As].
func (c *Client) Renew(ctx context.Context) (*SignResponse, error) {
	if c.options.Certificate == nil {
		return nil, errors.New("renew: the client presents no certificate")
	}
	return c.issue(ctx, &ask{method: http.MethodPost, path: "/renew", body: struct{}{}})
}

// RenewByToken asks for a fresh copy of the certificate that signed a renewal token. It
// works after the certificate's end, if the provisioner allows that.
func (c *Client) RenewByToken(ctx context.Context, token string) (*SignResponse, error) {
	return c.issue(ctx, &ask{method: http.MethodPost, path: "/renew", body: struct{}{}, bearer: token})
}

// Rekey asks for the certificate this client presents with the key of csr.
func (c *Client) Rekey(ctx context.Context, csr *x509.CertificateRequest) (*SignResponse, error) {
	if c.options.Certificate == nil {
		return nil, errors.New("rekey: the client presents no certificate")
	}
	return c.issue(ctx, &ask{method: http.MethodPost, path: "/rekey", body: &RekeyRequest{CertificateRequest{csr}}})
}

func (c *Client) issue(ctx context.Context, a *ask) (*SignResponse, error) {
	a.limit = maxAnswer
	data, err := c.exchange(ctx, c.http, a)
	if err != nil {
		return nil, err
	}
	answer := new(SignResponse)
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, fmt.Errorf("read answer of %s to %s: %w", c.base.Host, a.path, err)
	}
	if len(answer.Certificates()) == 0 {
		return nil, fmt.Errorf("read answer of %s to %s: it holds no certificate", c.base.Host, a.path)
	}
	return answer, nil
}

// Revoke revokes a certificate: by the token in the request, or without one as the holder
// of the certificate this client presents.
func (c *Client) Revoke(ctx context.Context, request *RevokeRequest) error {
	if request.OTT == "" && c.options.Certificate == nil {
		return errors.New("revoke: a token or a client certificate is needed")
	}
	return c.call(ctx, http.MethodPost, "/revoke", request, nil)
}
