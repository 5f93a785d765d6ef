package interop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// solver answers challenges in this process, at the ports and the name server of a site.
type solver struct {
	*site
	mu    sync.Mutex
	files map[string]string
	certs map[string]*tls.Certificate
}

func newSolver(s *site) *solver {
	r := &solver{site: s, files: map[string]string{}, certs: map[string]*tls.Certificate{}}
	plain, err := net.Listen("tcp", "127.0.0.1:"+s.httpPort)
	s.check(err)
	secure, err := tls.Listen("tcp", "127.0.0.1:"+s.tlsPort, &tls.Config{NextProtos: []string{acmez.ACMETLS1Protocol}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.certs[hello.ServerName], nil
	}})
	s.check(err)
	server := &http.Server{Handler: r}
	go func() { _ = server.Serve(plain) }()
	go shakeHands(secure)
	s.Cleanup(func() { server.Close(); secure.Close() })
	return r
}

func (r *solver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = w.Write([]byte(r.files[q.URL.Path]))
}

func (r *solver) Present(_ context.Context, c acme.Challenge) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c.Type {
	case "http-01":
		r.files[c.HTTP01ResourcePath()] = c.KeyAuthorization
	case "dns-01":
		return r.dns.set(c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
	case "tls-alpn-01":
		cert, err := acmez.TLSALPN01ChallengeCert(c)
		r.certs[c.Identifier.Value] = cert
		return err
	}
	return nil
}

func (r *solver) CleanUp(_ context.Context, c acme.Challenge) error {
	if c.Type == "dns-01" {
		return r.dns.clear(c.DNS01TXTRecordName())
	}
	return nil
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// acmez is what Caddy 2.10 is built on: renewal information, replacement, key rollover.
func TestAcmez(t *testing.T) {
	t.Parallel()
	s := newSite(t, "Go acmez")
	answers := newSolver(s)
	ctx := t.Context()
	client := func(provisioner, challenge string) *acmez.Client {
		return &acmez.Client{Client: &acme.Client{Directory: s.directory(provisioner), HTTPClient: s.browser()}, ChallengeSolvers: map[string]acmez.Solver{challenge: answers}}
	}
	account, err := client(open, "http-01").NewAccount(ctx, acme.Account{PrivateKey: ecKey(t), TermsOfServiceAgreed: true, Contact: []string{"mailto:me@example.com"}})
	s.check(err)
	get := func(challenge string, key crypto.Signer, replaces *x509.Certificate, names ...string) *x509.Certificate {
		s.Helper()
		csr, err := acmez.NewCSR(key, names)
		s.check(err)
		order, err := acmez.OrderParametersFromCSR(account, csr)
		s.check(err)
		order.Replaces = replaces
		found, err := client(open, challenge).ObtainCertificate(ctx, order)
		s.check(err)
		kind := "EC"
		if _, ok := key.(*rsa.PrivateKey); ok {
			kind = "RSA"
		}
		return s.chain(found[0].ChainPEM, kind, names...)
	}
	one := get("http-01", ecKey(t), nil, "one.acmez.test", "two.acmez.test")
	info, err := client(open, "http-01").GetRenewalInfo(ctx, one)
	s.check(err)
	if !info.SuggestedWindow.Start.After(time.Now()) || info.RetryAfter == nil {
		t.Errorf("renewal information %+v", info)
	}
	again := get("http-01", ecKey(t), one, "one.acmez.test", "two.acmez.test")
	s.renewed(one, again)
	get("tls-alpn-01", rsaKey(t), nil, "alpn.acmez.test")
	get("dns-01", ecKey(t), nil, "*.wild.acmez.test")
	get("http-01", rsaKey(t), nil, "127.0.0.1")

	account, err = client(open, "http-01").AccountKeyRollover(ctx, account, rsaKey(t))
	s.check(err)
	certKey := ecKey(t)
	last := get("http-01", certKey, nil, "last.acmez.test")
	s.check(client(open, "http-01").RevokeCertificate(ctx, account, again, nil, acme.ReasonSuperseded))
	s.revoked(again)
	s.check(client(open, "http-01").RevokeCertificate(ctx, account, last, certKey, acme.ReasonKeyCompromise))
	s.revoked(last)
	if info, err = client(open, "http-01").GetRenewalInfo(ctx, again); err != nil || info.SuggestedWindow.End.After(time.Now()) {
		t.Errorf("a revoked certificate should be renewed at once: %+v %v", info.SuggestedWindow, err)
	}

	s.acmezNews(client, account, get)
	s.acmezBindings(client)
}

// acmezNews is what came after RFC 8555: profiles and other chains.
func (s *site) acmezNews(client func(provisioner, challenge string) *acmez.Client, account acme.Account, get func(challenge string, key crypto.Signer, replaces *x509.Certificate, names ...string) *x509.Certificate) {
	s.Helper()
	ctx := s.Context()
	for _, challenge := range []string{"tls-alpn-01", "dns-01"} { // renewals and revocations by each
		name := challenge + ".again.acmez.test"
		first := get(challenge, ecKey(s.T), nil, name)
		second := get(challenge, ecKey(s.T), first, name)
		s.renewed(first, second)
		s.check(client(open, challenge).RevokeCertificate(ctx, account, second, nil, acme.ReasonSuperseded))
		s.revoked(second)
	}
	csr, err := acmez.NewCSR(ecKey(s.T), []string{"short.acmez.test"})
	s.check(err)
	order, err := acmez.OrderParametersFromCSR(account, csr)
	s.check(err)
	order.Profile = "short"
	found, err := client(open, "http-01").ObtainCertificate(ctx, order)
	s.check(err)
	leaf := s.chain(found[0].ChainPEM, "EC", "short.acmez.test")
	if lasts := leaf.NotAfter.Sub(leaf.NotBefore).Round(time.Minute); lasts != 3*time.Hour {
		s.Errorf("the profile's certificate lasts %s", lasts)
	}
	if len(found) != 2 {
		s.Fatalf("%d chains", len(found))
	}
	s.alternate(s.file("other.crt", string(found[1].ChainPEM)))
}

// acmezBindings has accounts of both kinds vouched for, and refused.
func (s *site) acmezBindings(client func(provisioner, challenge string) *acmez.Client) {
	s.Helper()
	ctx := s.Context()
	register := func(key crypto.Signer, id, secret string) (acme.Account, error) {
		account := acme.Account{PrivateKey: key}
		if id != "" {
			s.check(account.SetExternalAccountBinding(ctx, client(bound, "http-01").Client, acme.EAB{KeyID: id, MACKey: strings.TrimRight(secret, "=")}))
		}
		return client(bound, "http-01").NewAccount(ctx, account)
	}
	var id, secret string
	for _, key := range []crypto.Signer{ecKey(s.T), rsaKey(s.T)} {
		id, secret = s.eab()
		account, err := register(key, id, secret)
		s.check(err)
		for kind, of := range map[string]crypto.Signer{"EC": ecKey(s.T), "RSA": rsaKey(s.T)} {
			found, err := client(bound, "http-01").ObtainCertificateForSANs(ctx, account, of, []string{"eab.acmez.test"})
			s.check(err)
			s.chain(found[0].ChainPEM, kind, "eab.acmez.test")
		}
	}
	s.refusesBindings(id, secret, "", func(id, key string) (string, error) {
		_, err := register(ecKey(s.T), id, key)
		return said(err)
	})
}
