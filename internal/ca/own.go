package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"github.com/signet-ca/signet/internal/issue"
)

// ownLifetime is how long the CA's own server certificate lives.
const ownLifetime = 24 * time.Hour

// OwnCertificate issues the CA's server certificate for a fresh key. It is kept in memory
// only; provisioner rules do not apply to it, the issuer's name constraints do.
func (c *CA) OwnCertificate(ctx context.Context) (*tls.Certificate, error) {
	return OwnCertificate(ctx, c.state.Load())
}

// OwnCertificate issues a server certificate from a state, which need not be in force yet.
func OwnCertificate(ctx context.Context, s *State) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the server key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: s.CommonName}}, key)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate request: %w", err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read the server's certificate request: %w", err)
	}
	authority := *s.Authority
	authority.Backdate, authority.Subject = time.Minute, pkix.Name{}
	authority.Policy = nil // it judges what others ask for
	g := &issue.Grant{
		Profile:     &issue.Profile{Authority: &authority, TLS: issue.Lifetimes{Min: time.Second, Max: ownLifetime, Default: ownLifetime}},
		Subject:     s.CommonName,
		CommonNames: []string{s.CommonName},
		Names:       issue.NamesOf(bareHosts(s.DNSNames)),
	}
	now := time.Now()
	draft, err := issue.NewX509(g, &issue.X509Ask{Request: request}, now)
	if err != nil {
		return nil, fmt.Errorf("draft the server certificate: %w", err)
	}
	checked, err := draft.Check(now)
	if err != nil {
		return nil, fmt.Errorf("check the server certificate: %w", err)
	}
	chain, err := s.Issuer.SealX509(ctx, checked)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, link := range chain {
		cert.Certificate = append(cert.Certificate, link.Raw)
	}
	return cert, nil
}

// bareHosts takes the brackets off IPv6 addresses.
func bareHosts(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		if len(n) > 2 && n[0] == '[' && n[len(n)-1] == ']' {
			n = n[1 : len(n)-1]
		}
		out[i] = n
	}
	return out
}
