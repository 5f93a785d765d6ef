package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/idna"

	"github.com/signet-ca/signet/internal/keys"
)

// issuer is who gives the certificate that the flags ask for: an ACME server, or, with a nil
// server, a CA that wants a token.
func (f *signFlags) issuer(ctx context.Context, env *Env) (*authority, *acmeServer, error) {
	if f.acme.directory != "" {
		server, err := f.acme.acmeByURL(env, &f.ca)
		return nil, server, err
	}
	source, err := f.authority(ctx, env)
	if err != nil || f.token != "" || source.local != nil {
		return source, nil, err
	}
	p, err := f.byACME(env, source, f.acme.wanted(env))
	if err != nil || p == nil {
		return source, nil, err
	}
	server, err := f.acme.acmeOfCA(env, &f.ca, source.client.URL(), p.Name)
	return source, server, err
}

// suits refuses flags that mean something to a token alone.
func (s *acmeServer) suits() error {
	for _, name := range []string{"set", "set-file", "x5c-cert", "k8ssa-token-path"} {
		if s.env.Given(name) {
			return usagef("flag --%s does not go with ACME", name)
		}
	}
	return nil
}

// acmeOrder is what the flags say about an order.
func (f *signFlags) acmeOrder(s *acmeServer) (acmeOrder, error) {
	now := s.env.Now()
	o := acmeOrder{notBefore: f.notBefore.At(now)}
	from := o.notBefore
	if from.IsZero() {
		from = now
	}
	o.notAfter = f.notAfter.At(from)
	return o, s.suits()
}

// fromACME gets a certificate for a key and names.
func (f *certificateFlags) fromACME(ctx context.Context, s *acmeServer, key crypto.Signer, names []string) ([]*x509.Certificate, error) {
	o, err := f.acmeOrder(s)
	if err != nil {
		return nil, err
	}
	return s.certificate(ctx, key, names, o)
}

// certificate gets a certificate for a new request of this key and these names.
func (s *acmeServer) certificate(ctx context.Context, key crypto.Signer, names []string, o acmeOrder) ([]*x509.Certificate, error) {
	var err error
	if o.names, err = acmeIdentifiers(names); err != nil {
		return nil, err
	}
	var values []string
	for _, n := range o.names {
		values = append(values, n.Value)
	}
	if o.csr, err = newRequest(key, acmeCommonName(o.names[0]), values); err != nil {
		return nil, err
	}
	return s.obtain(ctx, &o)
}

// maxCommonName is the bound of RFC 5280, Appendix A.1.
const maxCommonName = 64

// acmeCommonName is the common name of a request: the first name, unless it cannot be one.
func acmeCommonName(first acme.Identifier) string {
	if first.Type != "dns" || len(first.Value) > maxCommonName {
		return ""
	}
	return first.Value
}

// acmeIdentifiers are names in the form in which ACME speaks of them: lower-case ASCII, and
// addresses as RFC 5952 writes them.
func acmeIdentifiers(names []string) ([]acme.Identifier, error) {
	var all []acme.Identifier
	for _, name := range names {
		id, err := acmeIdentifier(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no name to get a certificate for")
	}
	return all, nil
}

func acmeIdentifier(name string) (acme.Identifier, error) {
	if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" {
		return acme.Identifier{Type: "ip", Value: ip.Unmap().String()}, nil
	}
	bare, wildcard := strings.CutPrefix(strings.TrimSuffix(name, "."), "*.")
	ascii, err := idna.Lookup.ToASCII(bare)
	if err != nil || ascii == "" {
		return acme.Identifier{}, usagef("ACME proves DNS names and IP addresses only, and %q is neither", name)
	}
	ascii = strings.ToLower(ascii)
	if wildcard {
		ascii = "*." + ascii
	}
	return acme.Identifier{Type: "dns", Value: ascii}, nil
}

// signed gets a certificate for a request that exists already.
func (s *acmeServer) signed(ctx context.Context, csr *x509.CertificateRequest, o acmeOrder) ([]*x509.Certificate, error) {
	_, names, err := namesOfRequest(csr)
	if err != nil {
		return nil, err
	}
	if o.names, err = acmeIdentifiers(names); err != nil {
		return nil, err
	}
	o.csr = csr
	return s.obtain(ctx, &o)
}

// revoke revokes a certificate: by its key, or, with a nil one, by the account that got it.
func (s *acmeServer) revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer, reason int) error {
	ctx, cancel := context.WithTimeout(ctx, acmeTime)
	defer cancel()
	if key == nil {
		account, fresh, err := s.accountKey()
		if err != nil {
			return err
		}
		if fresh {
			return errors.New("this home has no account at that ACME server: give --key, the certificate's own")
		}
		if s.account, err = s.client.GetAccount(ctx, acme.Account{PrivateKey: account}); err != nil {
			return s.refusal(err)
		}
	}
	if err := s.client.RevokeCertificate(ctx, s.account, leaf, key, reason); err != nil {
		return s.refusal(err)
	}
	return nil
}

// sameNames are the names of a certificate, to ask for again.
func sameNames(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if cn := leaf.Subject.CommonName; slices.Contains(names, cn) {
		names = append([]string{cn}, names...) // first, so that it stays the common name
	}
	return names
}

// renewal gets the successor of a certificate, with the same key and names.
func (s *acmeServer) renewal(ctx context.Context, p *pair) ([]*x509.Certificate, error) {
	if !keys.SamePublicKey(p.chain[0].PublicKey, p.key.Public()) {
		return nil, errors.New("the key does not belong to the certificate")
	}
	return s.certificate(ctx, p.key, sameNames(p.chain[0]), acmeOrder{replaces: p.chain[0]})
}
