package signet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// RenewerOptions are what a renewer may be told. The zero value is usable.
type RenewerOptions struct {
	// Renewed is called with each new certificate, to keep it in a file say. It must not
	// change the certificate.
	Renewed func(cert *tls.Certificate)

	// Failed is called when a renewal did not work and says when the next attempt follows.
	Failed func(err error, wait time.Duration)
}

// Renewer keeps a certificate fresh and gives servers and clients TLS settings that use
// the latest one. Its methods may be used by several goroutines.
type Renewer struct {
	options RenewerOptions
	current atomic.Pointer[tls.Certificate]
	trust   atomic.Pointer[trust]
}

// trust is the CA's roots and what verifies by them.
type trust struct {
	pool      *x509.CertPool
	client    *Client         // asks the CA
	transport *http.Transport // asks others
}

// NewRenewer makes a renewer for a certificate of the client's CA, whose roots the client
// must know. It renews while Run runs.
func NewRenewer(client *Client, cert *tls.Certificate, options *RenewerOptions) (*Renewer, error) {
	if client.options.Roots == nil {
		// Without them a server would accept client certificates of every public CA.
		return nil, errors.New("make renewer: the client does not know the CA's roots")
	}
	leaf, err := leafOf(cert)
	if err != nil {
		return nil, err
	}
	own := *cert
	own.Leaf = leaf
	r := &Renewer{}
	if options != nil {
		r.options = *options
	}
	r.current.Store(&own)
	r.setTrust(client, client.options.Roots)
	return r, nil
}

// Certificate is the latest certificate. It must not be changed.
func (r *Renewer) Certificate() *tls.Certificate { return r.current.Load() }

// ServerTLS is for a server that presents the certificate and accepts client certificates
// of the same CA as far as auth says.
func (r *Renewer) ServerTLS(auth tls.ClientAuthType) *tls.Config {
	settings := func() *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			ClientAuth: auth, ClientCAs: r.trust.Load().pool,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.Certificate(), nil },
		}
	}
	config := settings()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return settings(), nil }
	return config
}

// ClientTLS is for a client that presents the certificate and trusts the CA's roots as
// they are now. An [http.Client] from HTTPClient learns of new roots as well.
func (r *Renewer) ClientTLS() *tls.Config { return r.clientTLS(r.trust.Load().pool) }

func (r *Renewer) clientTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.Certificate(), nil },
	}
}

// HTTPClient is for requests to servers with certificates of the same CA. It presents the
// latest certificate.
func (r *Renewer) HTTPClient() *http.Client { return &http.Client{Transport: latest{r}} }

// latest sends requests by the latest transport.
type latest struct{ r *Renewer }

func (l latest) RoundTrip(request *http.Request) (*http.Response, error) {
	return l.r.trust.Load().transport.RoundTrip(request)
}

// setTrust takes over the roots that client learned. Connections in use stay; idle ones
// are closed, for they still show the old certificate.
func (r *Renewer) setTrust(client *Client, pool *x509.CertPool) {
	before := r.trust.Load()
	if before != nil {
		defer before.transport.CloseIdleConnections()
		if before.pool.Equal(pool) {
			return
		}
	}
	r.trust.Store(&trust{pool: pool, client: client.trusting(pool), transport: newTransport(r.clientTLS(pool), nil)})
}

const (
	// maxNap bounds a sleep: timers stand still while a machine is suspended, so the clock
	// on the wall is looked at again and again.
	maxNap = time.Minute

	minRetry = time.Second
	maxRetry = 10 * time.Minute
)

// Run renews the certificate when two thirds of its lifetime are over, a little earlier by
// chance so that many holders do not come at once, until ctx ends. A renewal that fails is
// tried again, less and less often but never less often than twelve times in a lifetime.
func (r *Renewer) Run(ctx context.Context) error {
	failures := 0
	due := renewalTime(r.Certificate().Leaf)
	for {
		if wait := time.Until(due.Round(0)); wait > 0 {
			if err := sleep(ctx, min(wait, maxNap)); err != nil {
				return err
			}
			continue
		}
		if err := r.Renew(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			wait := retryWait(r.Certificate().Leaf, failures)
			failures++
			if r.options.Failed != nil {
				r.options.Failed(err, wait)
			}
			due = time.Now().Round(0).Add(wait)
			continue
		}
		failures = 0
		due = renewalTime(r.Certificate().Leaf)
		if !due.After(time.Now()) {
			// The CA gave out what is nearly over already: don't ask it without end.
			due = time.Now().Round(0).Add(minRetry)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// renewalTime is when a certificate is due: at two thirds of its lifetime, less up to a
// twentieth of it.
func renewalTime(leaf *x509.Certificate) time.Time {
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	early := time.Duration(rand.Float64() * float64(lifetime) / 20)
	return leaf.NotBefore.Add(lifetime*2/3 - early)
}

// retryWait doubles with every failure, and is spread by chance over its second half.
func retryWait(leaf *x509.Certificate, failures int) time.Duration {
	limit := min(max(leaf.NotAfter.Sub(leaf.NotBefore)/12, minRetry), maxRetry)
	wait := min(minRetry<<min(failures, 20), limit)
	return wait/2 + time.Duration(rand.Float64()*float64(wait)/2)
}

// Renew renews the certificate now: over TLS with it, or after its end by a token of its
// key. It also asks for the CA's roots, which may have changed.
func (r *Renewer) Renew(ctx context.Context) error {
	client, cert := r.trust.Load().client, r.Certificate()
	answer, err := renew(ctx, client, cert)
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	fresh := answer.Pair(cert.PrivateKey)
	if err := fits(fresh, cert); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	r.current.Store(fresh)
	pool := r.trust.Load().pool
	if roots, err := client.Roots(ctx); err == nil {
		pool = x509.NewCertPool()
		for _, root := range roots {
			pool.AddCert(root)
		}
	}
	r.setTrust(client, pool)
	if r.options.Renewed != nil {
		r.options.Renewed(fresh)
	}
	return nil
}

func renew(ctx context.Context, client *Client, cert *tls.Certificate) (*SignResponse, error) {
	if now := time.Now(); now.After(cert.Leaf.NotAfter) {
		token, err := client.RenewalToken(cert, now)
		if err != nil {
			return nil, err
		}
		return client.RenewByToken(ctx, token)
	}
	holder := client.As(cert)
	defer holder.Close()
	return holder.Renew(ctx)
}

// fits refuses a certificate that does not go with the key.
func fits(fresh, old *tls.Certificate) error {
	if !bytes.Equal(fresh.Leaf.RawSubjectPublicKeyInfo, old.Leaf.RawSubjectPublicKeyInfo) {
		return errors.New("the CA answered with a certificate of another key")
	}
	return nil
}
