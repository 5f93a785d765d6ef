package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// Bounds on what an ACME server may make this command do: its answers are those of a stranger.
const (
	acmeTime     = 15 * time.Minute // one certificate
	acmeCallTime = 90 * time.Second // one call; a server may validate while the client waits
	acmeRequests = 2000
	acmeBody     = 1 << 20
	acmeHeader   = 64 << 10
)

// acmeServer is an ACME server and the account there.
type acmeServer struct {
	flags   *acmeWays
	env     *Env
	client  *acme.Client
	account acme.Account
}

// acmeByURL is the ACME server of --acme. It is trusted by the roots of the machine, and by
// that of the flags or the home if there is one.
func (a *acmeWays) acmeByURL(env *Env, ca *caFlags) (*acmeServer, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without roots of its own
	}
	certs, err := keys.ReadCertificates(ca.rootFile(env))
	if err != nil && (ca.root != "" || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	for _, c := range certs {
		pool.AddCert(c)
	}
	return a.open(env, a.directory, pool), nil
}

// acmeOfCA is the ACME server of a provisioner of our CA, which is trusted by its root alone.
func (a *acmeWays) acmeOfCA(env *Env, ca *caFlags, base, provisioner string) (*acmeServer, error) {
	pool, err := ca.pool(env)
	if err != nil {
		return nil, err
	}
	return a.open(env, base+"/acme/"+url.PathEscape(provisioner)+"/directory", pool), nil
}

func (a *acmeWays) open(env *Env, directory string, roots *x509.CertPool) *acmeServer {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: acmeCallTime, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: acmeHeader,
	}
	return &acmeServer{flags: a, env: env, client: &acme.Client{
		Directory: directory, UserAgent: clientOptions(env).UserAgent, PollTimeout: acmeTime, PollInterval: time.Second,
		HTTPClient: &http.Client{Transport: &acmeGuard{next: transport}, Timeout: acmeCallTime},
	}}
}

// acmeGuard bounds what a server can make a client do: only https (RFC 8555, Section 6.1),
// so many requests, so many bytes.
type acmeGuard struct {
	next     http.RoundTripper
	requests atomic.Int64
}

func (g *acmeGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("the server's address is not https but %q", r.URL.Scheme)
	}
	if g.requests.Add(1) > acmeRequests {
		return nil, fmt.Errorf("the server made this command ask more than %d times", acmeRequests)
	}
	answer, err := g.next.RoundTrip(r)
	if err == nil {
		answer.Body = &boundedBody{ReadCloser: answer.Body, left: acmeBody}
	}
	return answer, err
}

// boundedBody is an answer that ends with an error where it becomes too long.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fmt.Errorf("the server's answer has more than %d bytes", acmeBody)
	}
	return n, err
}

// acmeOrder is a certificate to get. Zero times leave them to the server.
type acmeOrder struct {
	csr                 *x509.CertificateRequest
	names               []acme.Identifier
	notBefore, notAfter time.Time
	replaces            *x509.Certificate // told to the server, which may know better what to do with the old one
}

// obtain gets a certificate. It comes leaf first, without the root.
func (s *acmeServer) obtain(ctx context.Context, o *acmeOrder) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeTime)
	defer cancel()
	if err := s.register(ctx); err != nil {
		return nil, s.refusal(err)
	}
	answers, err := s.newAnswers(o.names)
	if err != nil {
		return nil, err
	}
	chain, err := s.order(ctx, o, answers)
	return chain, errors.Join(err, answers.close(ctx))
}

func (s *acmeServer) order(ctx context.Context, o *acmeOrder, answers *acmeAnswers) ([]*x509.Certificate, error) {
	if o.replaces != nil && !s.knowsReplacement(ctx) {
		o.replaces = nil
	}
	client := &acmez.Client{Client: s.client, ChallengeSolvers: answers.solvers()}
	found, err := client.ObtainCertificate(ctx, acmez.OrderParameters{
		Account: s.account, Identifiers: o.names, CSR: acmez.StaticCSR(o.csr), Profile: s.flags.profile,
		NotBefore: o.notBefore, NotAfter: o.notAfter, Replaces: o.replaces,
	})
	if answers.failed != nil {
		return nil, answers.failed // says more than what came of it
	}
	if err != nil {
		return nil, s.refusal(err)
	}
	if len(found) == 0 {
		return nil, errors.New("the ACME server gave no certificate")
	}
	return acmeChain(found[0].ChainPEM, o)
}

// knowsReplacement reports whether the server has renewal information, and so understands
// which certificate an order replaces (RFC 9773, Section 5).
func (s *acmeServer) knowsReplacement(ctx context.Context) bool {
	d, err := s.client.GetDirectory(ctx)
	return err == nil && d.RenewalInfo != ""
}

const maxACMEChain = 10

// acmeChain reads the chain that a server gave, and makes sure that it is what was asked for.
func acmeChain(pem []byte, o *acmeOrder) ([]*x509.Certificate, error) {
	chain, err := keys.ParseCertificates(pem)
	if err != nil {
		return nil, fmt.Errorf("the ACME server gave something else than certificates: %w", err)
	}
	if len(chain) > maxACMEChain {
		return nil, fmt.Errorf("the ACME server gave a chain of %d certificates", len(chain))
	}
	leaf := chain[0]
	if !keys.SamePublicKey(leaf.PublicKey, o.csr.PublicKey) {
		return nil, errors.New("the ACME server gave a certificate for another key; nothing was written")
	}
	for _, name := range o.names {
		value := name.Value
		if name.Type == "ip" {
			value = "[" + value + "]"
		}
		if err := leaf.VerifyHostname(strings.Replace(value, "*.", "any.", 1)); err != nil {
			return nil, fmt.Errorf("the ACME server gave a certificate without %s; nothing was written", name.Value)
		}
	}
	return chain, nil
}

var urnOfProblem = strict.Pattern(`^urn:ietf:params:acme:error:([A-Za-z]{1,40})$`)

// refusal puts an error of the library or the server into words. What the server says is
// cut, and shown without anything that a terminal would obey.
func (s *acmeServer) refusal(err error) error {
	problem, ok := errors.AsType[acme.Problem](err)
	if !ok {
		return fmt.Errorf("ACME server %s: %s", s.client.Directory, cut(err.Error()))
	}
	words := problem.Detail
	if len(problem.Subproblems) > 0 {
		words = ""
		for i, sub := range problem.Subproblems {
			if i == 10 {
				words += "; and more"
				break
			}
			if i > 0 {
				words += "; "
			}
			if sub.Identifier.Value != "" {
				words += sub.Identifier.Value + ": "
			}
			words += sub.Detail
		}
	}
	kind := "problem"
	if m := urnOfProblem().FindStringSubmatch(problem.Type); m != nil {
		kind = m[1]
	}
	if hint := acmeHints[kind]; hint != "" {
		words += " (" + hint + ")"
	}
	if a, ok := problem.Resource.(acme.Authorization); ok && a.Identifier.Value != "" {
		words = a.Identifier.Value + ": " + words
	}
	return fmt.Errorf("the ACME server refuses with %s: %s", kind, cut(words))
}

// acmeHints say what to do about problems that a user can do something about.
var acmeHints = map[string]string{
	"externalAccountRequired": "give --eab-key-id and --eab-hmac-key",
	"alreadyRevoked":          "there is nothing left to do",
	"badRevocationReason":     "choose another --reasonCode",
	"rateLimited":             "try again later",
	"userActionRequired":      "the server's terms have to be agreed to first",
}

const maxForeignWords = 600

// cut makes a stranger's words fit for a terminal. Of long ones begin and end stay.
func cut(words string) string {
	if len(words) > maxForeignWords {
		const half = maxForeignWords / 2
		words = strings.ToValidUTF8(words[:half], "") + " … " + strings.ToValidUTF8(words[len(words)-half:], "")
	}
	return printable(words)
}
