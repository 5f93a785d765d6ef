package interop_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/acme"
)

// golang.org/x/crypto/acme is what many Go programs have inside. It authorizes names before
// it orders, where a server has that.
func TestXCryptoACME(t *testing.T) {
	t.Parallel()
	s := newSite(t, "Go x/crypto/acme")
	answers := newSolver(s)
	ctx := t.Context()
	c := &acme.Client{Key: ecKey(t), HTTPClient: s.browser(), DirectoryURL: s.directory(open)}
	_, err := c.Register(ctx, &acme.Account{Contact: []string{"mailto:me@example.com"}}, acme.AcceptTOS)
	s.check(err)

	for _, kind := range []struct {
		name string
		key  crypto.Signer
	}{{"EC", ecKey(t)}, {"RSA", rsaKey(t)}} {
		for _, challenge := range []string{"http-01", "dns-01", "tls-alpn-01"} {
			name := challenge + "." + map[string]string{"EC": "ec", "RSA": "rsa"}[kind.name] + ".xcrypto.test"
			order, err := c.AuthorizeOrder(ctx, acme.DomainIDs(name))
			s.check(err)
			s.fulfil(c, answers, order.AuthzURLs[0], challenge)
			_, err = c.WaitOrder(ctx, order.URI)
			s.check(err)
			csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, kind.key)
			s.check(err)
			der, _, err := c.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
			s.check(err)
			first := s.chain(pemChain(der), kind.name, name)
			order, err = c.AuthorizeOrder(ctx, acme.DomainIDs(name)) // ready at once
			s.check(err)
			der, certURL, err := c.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
			s.check(err)
			leaf := s.chain(pemChain(der), kind.name, name)
			s.renewed(first, leaf)
			_, err = c.ListCertAlternates(ctx, certURL)
			s.check(err)
			byKey := crypto.Signer(nil)
			if kind.name == "EC" {
				byKey = kind.key
			}
			s.check(c.RevokeCert(ctx, byKey, der[0], acme.CRLReasonSuperseded))
			s.revoked(leaf)
		}
	}

	authz, err := c.Authorize(ctx, "before.xcrypto.test")
	s.check(err)
	s.fulfil(c, answers, authz.URI, "http-01")
	s.check(c.RevokeAuthorization(ctx, authz.URI))
	s.check(c.AccountKeyRollover(ctx, rsaKey(t)))
	s.check(c.DeactivateReg(ctx))
	s.xcryptoBindings()
}

// xcryptoBindings has accounts of both kinds vouched for, and refused.
func (s *site) xcryptoBindings() {
	s.Helper()
	register := func(key crypto.Signer, id, secret string) error {
		account := &acme.Account{}
		if id != "" {
			mac, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(secret, "="))
			s.check(err)
			account.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: id, Key: mac}
		}
		c := &acme.Client{Key: key, HTTPClient: s.browser(), DirectoryURL: s.directory(bound)}
		_, err := c.Register(s.Context(), account, acme.AcceptTOS)
		return err
	}
	var id, secret string
	for _, key := range []crypto.Signer{ecKey(s.T), rsaKey(s.T)} {
		id, secret = s.eab()
		s.check(register(key, id, secret))
	}
	s.refusesBindings(id, secret, "", func(id, key string) (string, error) {
		return said(register(ecKey(s.T), id, key))
	})
}

// fulfil answers a challenge of an authorization and waits until the server has seen it.
func (s *site) fulfil(c *acme.Client, answers *solver, url, kind string) {
	s.Helper()
	ctx := s.Context()
	authz, err := c.GetAuthorization(ctx, url)
	s.check(err)
	for _, one := range authz.Challenges {
		if one.Type != kind {
			continue
		}
		switch kind {
		case "http-01":
			text, err := c.HTTP01ChallengeResponse(one.Token)
			s.check(err)
			answers.mu.Lock()
			answers.files[c.HTTP01ChallengePath(one.Token)] = text
			answers.mu.Unlock()
		case "dns-01":
			text, err := c.DNS01ChallengeRecord(one.Token)
			s.check(err)
			s.check(s.dns.set("_acme-challenge."+authz.Identifier.Value, text))
		case "tls-alpn-01":
			cert, err := c.TLSALPN01ChallengeCert(one.Token, authz.Identifier.Value)
			s.check(err)
			answers.mu.Lock()
			answers.certs[authz.Identifier.Value] = &cert
			answers.mu.Unlock()
		}
		_, err = c.Accept(ctx, one)
		s.check(err)
		_, err = c.WaitAuthorization(ctx, url)
		s.check(err)
		return
	}
	s.Fatalf("%s is not offered for %s", kind, authz.Identifier.Value)
}

func pemChain(ders [][]byte) []byte {
	var all []byte
	for _, der := range ders {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return all
}
