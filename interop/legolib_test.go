package interop_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/go-acme/lego/v4/certcrypto"
	"github.com/go-acme/lego/v4/certificate"
	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/challenge/http01"
	"github.com/go-acme/lego/v4/challenge/tlsalpn01"
	"github.com/go-acme/lego/v4/lego"
	legolog "github.com/go-acme/lego/v4/log"
	"github.com/go-acme/lego/v4/registration"
)

// The library would tell the whole process's standard error what it does.
func init() { legolog.Logger = log.New(io.Discard, "", 0) }

// legoUser is an account of lego's library.
type legoUser struct {
	key     crypto.Signer
	account *registration.Resource
}

func (u *legoUser) GetEmail() string                        { return "me@example.com" }
func (u *legoUser) GetRegistration() *registration.Resource { return u.account }
func (u *legoUser) GetPrivateKey() crypto.PrivateKey        { return u.key }

// legoNames puts up what lego's library wants in DNS.
type legoNames struct{ *nameServer }

func (n legoNames) Present(domain, _, proof string) error {
	found := dns01.GetChallengeInfo(domain, proof)
	return n.set(strings.TrimSuffix(found.EffectiveFQDN, "."), found.Value)
}

func (n legoNames) CleanUp(domain, _, proof string) error {
	return n.clear(strings.TrimSuffix(dns01.GetChallengeInfo(domain, proof).EffectiveFQDN, "."))
}

// legoLibrary is a client of lego's library that proves in one way.
func (s *site) legoLibrary(user *legoUser, provisioner, way string) *lego.Client {
	s.Helper()
	config := lego.NewConfig(user)
	config.CADirURL, config.HTTPClient, config.Certificate.KeyType = s.directory(provisioner), s.browser(), certcrypto.EC256
	client, err := lego.NewClient(config)
	s.check(err)
	switch challenge.Type(way) {
	case challenge.HTTP01:
		err = client.Challenge.SetHTTP01Provider(http01.NewProviderServer("127.0.0.1", s.httpPort))
	case challenge.TLSALPN01:
		err = client.Challenge.SetTLSALPN01Provider(tlsalpn01.NewProviderServer("127.0.0.1", s.tlsPort))
	case challenge.DNS01:
		err = client.Challenge.SetDNS01Provider(legoNames{s.dns}, dns01.AddRecursiveNameservers([]string{s.dns.address}),
			dns01.WrapPreCheck(func(_, _, _ string, _ dns01.PreCheckFunc) (bool, error) { return true, nil }))
	}
	s.check(err)
	return client
}

// lego as a library is newer than that of Debian: it knows renewal information, profiles
// and addresses.
func TestLegoLibrary(t *testing.T) {
	t.Parallel()
	s := newSite(t, "Go lego")
	user := &legoUser{key: ecKey(t)}
	var err error
	user.account, err = s.legoLibrary(user, open, "").Registration.Register(registration.RegisterOptions{TermsOfServiceAgreed: true})
	s.check(err)
	get := func(way string, ask certificate.ObtainRequest) (*certificate.Resource, *x509.Certificate) {
		s.Helper()
		ask.Bundle = true
		found, err := s.legoLibrary(user, open, way).Certificate.Obtain(ask)
		s.check(err)
		block, _ := pem.Decode(found.Certificate)
		leaf, err := x509.ParseCertificate(block.Bytes)
		s.check(err)
		return found, leaf
	}

	names := []string{"one.golego.test"}
	found, one := get("http-01", certificate.ObtainRequest{Domains: names, PrivateKey: rsaKey(t)})
	s.chain(found.Certificate, "RSA", names...)
	library := s.legoLibrary(user, open, "http-01")
	info, err := library.Certificate.GetRenewalInfo(certificate.RenewalInfoRequest{Cert: one})
	s.check(err)
	if info.RetryAfter == 0 || info.ShouldRenewAt(time.Now(), time.Minute) != nil {
		t.Errorf("a new certificate should not be renewed: %+v", info)
	}
	id, err := certificate.MakeARICertID(one)
	s.check(err)
	found, again := get("http-01", certificate.ObtainRequest{Domains: names, ReplacesCertID: id})
	s.renewed(one, again)
	// It understands alreadyReplaced, and asks again for one that replaces nothing.
	get("http-01", certificate.ObtainRequest{Domains: names, ReplacesCertID: id})
	s.check(library.Certificate.Revoke(found.Certificate))
	s.revoked(again)
	if info, err = library.Certificate.GetRenewalInfo(certificate.RenewalInfoRequest{Cert: again}); err != nil || info.ShouldRenewAt(time.Now(), time.Minute) == nil {
		t.Errorf("a revoked certificate should be renewed at once: %+v %v", info, err)
	}

	found, short := get("tls-alpn-01", certificate.ObtainRequest{Domains: []string{"short.golego.test"}, Profile: "short"})
	s.chain(found.Certificate, "EC", "short.golego.test")
	if lasts := short.NotAfter.Sub(short.NotBefore).Round(time.Minute); lasts != 3*time.Hour {
		t.Errorf("the profile's certificate lasts %s", lasts)
	}
	if _, err = library.Certificate.Obtain(certificate.ObtainRequest{Domains: names, Profile: "long"}); err == nil || !strings.Contains(err.Error(), "invalidProfile") {
		t.Errorf("a profile that does not exist: %v", err)
	}
	found, _ = get("tls-alpn-01", certificate.ObtainRequest{Domains: []string{"127.0.0.1"}})
	s.chain(found.Certificate, "EC", "127.0.0.1")
	found, wild := get("dns-01", certificate.ObtainRequest{Domains: []string{"*.wild.golego.test"}})
	s.chain(found.Certificate, "EC", "*.wild.golego.test")
	s.check(library.Certificate.Revoke(found.Certificate))
	s.revoked(wild)
	found, _ = get("http-01", certificate.ObtainRequest{Domains: []string{"other.golego.test"}, PreferredChain: s.otherRoot.Subject.CommonName})
	s.alternate(s.file("other.crt", string(found.Certificate)))
	for _, way := range []string{"dns-01", "tls-alpn-01"} { // renewals and revocations by each
		name := way + ".again.golego.test"
		_, first := get(way, certificate.ObtainRequest{Domains: []string{name}})
		found, second := get(way, certificate.ObtainRequest{Domains: []string{name}, PrivateKey: rsaKey(t)})
		s.chain(found.Certificate, "RSA", name)
		s.renewed(first, second)
		s.check(library.Certificate.Revoke(found.Certificate))
		s.revoked(second)
	}
	s.check(library.Registration.DeleteRegistration())
	s.legoBindings()
}

// legoBindings has accounts of both kinds vouched for, and refused.
func (s *site) legoBindings() {
	s.Helper()
	var id, secret string
	for _, key := range []crypto.Signer{ecKey(s.T), rsaKey(s.T)} {
		id, secret = s.eab()
		user := &legoUser{key: key}
		_, err := s.legoLibrary(user, bound, "").Registration.RegisterWithExternalAccountBinding(registration.RegisterEABOptions{TermsOfServiceAgreed: true, Kid: id, HmacEncoded: secret})
		s.check(err)
	}
	s.refusesBindings(id, secret, "", func(id, key string) (string, error) {
		registrar := s.legoLibrary(&legoUser{key: ecKey(s.T)}, bound, "").Registration
		if id == "" {
			_, err := registrar.Register(registration.RegisterOptions{TermsOfServiceAgreed: true})
			return said(err)
		}
		_, err := registrar.RegisterWithExternalAccountBinding(registration.RegisterEABOptions{TermsOfServiceAgreed: true, Kid: id, HmacEncoded: key})
		return said(err)
	})
}

// said is what a library says of a failure.
func said(err error) (string, error) {
	if err == nil {
		return "", nil
	}
	return err.Error(), err
}
