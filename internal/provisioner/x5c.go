package provisioner

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// X5C proves a right by a token signed with the key of a certificate, of another PKI as a
// rule, that leads to one of its roots. The certificate comes along in the header x5c.
type X5C struct {
	Roots []byte `json:"roots" help:"root certificates that tokens must lead to: base64 of PEM"`

	name      string
	p         *Provisioner
	anchors   []*x509.Certificate
	own       bool // one of them is this CA's
	audiences *Audiences
	revoked   func(context.Context, []*x509.Certificate) error
}

func decodeX5C(data []byte) (Kind, error) {
	x := new(X5C)
	if err := json.Unmarshal(data, x); err != nil {
		return nil, err
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return nil, err
	}
	x.name = named.Name
	return x, nil
}

func openX5C(p *Provisioner, env *Env) error {
	x := p.kind.(*X5C)
	var err error
	if x.anchors, err = ParseRoots(x.Roots); err != nil {
		return fmt.Errorf("member roots: %w", err)
	}
	x.p, x.audiences, x.revoked = p, env.Audiences, env.Revoked
	ours := slices.Clone(env.Roots)
	if env.Authority != nil {
		ours = append(ours, env.Authority.Chain...)
	}
	for _, c := range ours {
		x.own = x.own || slices.ContainsFunc(x.anchors, func(a *x509.Certificate) bool { return keys.SamePublicKey(a.PublicKey, c.PublicKey) })
	}
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name}
	}
	return nil
}

// ParseRoots reads the roots of a provisioner: PEM in which every block is a CA certificate
// that may sign certificates. An anchor that is none would let its holder vouch for anything
// that libraries forget to check, so it is refused here.
func ParseRoots(bundle []byte) ([]*x509.Certificate, error) {
	roots, err := readAnchors(bundle, func(n int, c *x509.Certificate) error {
		// Without the key usage extension a CA may sign everything (RFC 5280, Section 4.2.1.3).
		if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fault.New(fault.Invalid, "certificate %d, of %q, is not that of a CA that may sign certificates", n, c.Subject)
		}
		return nil
	})
	if err == nil && len(roots) == 0 {
		return nil, fault.New(fault.Invalid, "there is no certificate; put the PEM of the root there, in base64")
	}
	return roots, err
}

// readAnchors reads PEM in which every block is a certificate, and has each looked at; n is
// its place, counted from 1. Without any block there are none.
func readAnchors(bundle []byte, check func(n int, c *x509.Certificate) error) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		n := len(all) + 1
		if block.Type != "CERTIFICATE" {
			return nil, fault.New(fault.Invalid, "block %d is a %s, not a certificate", n, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "certificate %d cannot be read", n)
		}
		if err := check(n, c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}

// TokenID is the fragment of a token's audience that selects this provisioner.
func (x *X5C) TokenID() string { return "x5c/" + x.name }

// Warnings tells of a root that makes provisioners of everybody.
func (x *X5C) Warnings() []string {
	if !x.own {
		return nil
	}
	return []string{"one of its roots is this CA's own, so whoever has a certificate of this CA may get one for any name"}
}

// CallerNames: the names of the proving certificate do not limit those of the token.
func (x *X5C) CallerNames() (string, bool) {
	if x.own {
		return "whoever has a certificate of this CA may get one for any name", true
	}
	return "whoever has a certificate below its roots may get one for any name", true
}

// Verify checks the certificate in the header first, then that its key signed the token. The
// names are free: those of the certificate do not limit those of the token. The certificate
// asked for lives within the one that proves.
func (x *X5C) Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error) {
	chain, err := x.chain(t)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	if err := t.VerifyBy(leaf.PublicKey, keys.SignatureAlgorithms(leaf.PublicKey)); err != nil {
		return nil, err
	}
	if err := t.checkClaims(x.name, act, x.audiences, x.TokenID()); err != nil {
		return nil, err
	}
	if x.revoked != nil {
		if err := x.revoked(ctx, chain); err != nil {
			return nil, err
		}
	}
	g := &issue.Grant{Profile: x.p.profile, Subject: t.Subject, Once: t.once(x.p.ID), Claims: t.Claims(),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Proof: issue.Proof{X509: leaf, Chain: chain}}
	switch act {
	case SignX509:
		if t.Step.wantsSSH() {
			return nil, fault.New(fault.Unproven, "the token is for an SSH certificate, so it is not accepted for an X.509 one")
		}
		err = t.grantX509(g)
		g.CommonNames = []string{t.Subject}
	case SignIdentity:
		t.grantIdentity(g)
		g.CommonNames = []string{t.Subject}
	case SignSSH:
		g.SSH, err = t.sshRight()
	}
	return g, err
}

// chain is the way from the certificate in the header to a root, the leaf first. x5cInsecure
// is the header of renew tokens, which prove something else.
func (x *X5C) chain(t *Token) ([]*x509.Certificate, error) {
	sent, err := certificatesOf(t.X5C, "x5c")
	if err != nil {
		return nil, err
	}
	leaf := sent[0]
	if leaf.IsCA {
		return nil, fault.New(fault.Unproven, "the certificate in the token is that of a CA, which proves nothing here")
	}
	ways, err := waysTo(sent, x.anchors, nil, t.At)
	if err != nil {
		return nil, fault.Wrap(errors.New(err.Error()), fault.Unproven, "the certificate in the token leads to no root of the provisioner %q, or is not for client authentication", x.name)
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, fault.New(fault.Unproven, "the certificate in the token may not be used for signatures")
	}
	return ways[0], nil
}

// waysTo are the ways from the first of the certificates to a root, over the others, at a
// moment and for TLS clients.
func waysTo(sent, roots, more []*x509.Certificate, at time.Time) ([][]*x509.Certificate, error) {
	anchors, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range roots {
		anchors.AddCert(c)
	}
	for _, c := range slices.Concat(sent[1:], more) {
		between.AddCert(c)
	}
	return sent[0].Verify(x509.VerifyOptions{Roots: anchors, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// fragment is how the ID of a provisioner stands in the audience of a token.
func fragment(id string) string {
	u := url.URL{Fragment: id}
	return "#" + u.EscapedFragment()
}
