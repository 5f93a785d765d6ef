package provisioner

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/slackhq/nebula/cert"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// Nebula proves a right by a token signed with the key of a certificate of a Nebula overlay
// network. The names come from that certificate and from nowhere else.
type Nebula struct {
	Roots    []byte `json:"roots" help:"CA certificates of the Nebula network: base64 of PEM"`
	ExactIPs bool   `json:"exactIPs,omitempty" help:"a certificate covers its own addresses alone, not every address in its networks"`

	name      string
	p         *Provisioner
	pool      *cert.CAPool
	expired   []string // names of roots that count no more
	audiences *Audiences
}

func decodeNebula(data []byte) (Kind, error) {
	n := new(Nebula)
	if err := json.Unmarshal(data, n); err != nil {
		return nil, err
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return nil, err
	}
	n.name = named.Name
	return n, nil
}

func openNebula(p *Provisioner, env *Env) error {
	n := p.kind.(*Nebula)
	roots, err := ParseNebulaRoots(n.Roots)
	if err != nil {
		return fmt.Errorf("member roots: %w", err)
	}
	n.pool, n.expired = cert.NewCAPool(), nil
	for _, r := range roots {
		if err := n.pool.AddCA(r); errors.Is(err, cert.ErrExpired) {
			n.expired = append(n.expired, r.Name())
		} else if err != nil {
			return fmt.Errorf("member roots: %w", err)
		}
	}
	if len(n.expired) == len(roots) {
		return fault.New(fault.Invalid, "member roots: every certificate there has expired; put today's there")
	}
	n.p, n.audiences = p, env.Audiences
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name}
	}
	return nil
}

// ParseNebulaRoots reads PEM in which every block is the self-signed certificate of a
// Nebula CA, of either version. Whether one has expired is not looked at.
func ParseNebulaRoots(bundle []byte) ([]cert.Certificate, error) {
	var roots []cert.Certificate
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		n := len(roots) + 1
		c, err := readNebulaPEM(block)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "certificate %d is none of Nebula", n)
		}
		if !c.IsCA() || !c.CheckSignature(c.PublicKey()) {
			return nil, fault.New(fault.Invalid, "certificate %d, of %q, is not that of a Nebula CA which signed itself", n, c.Name())
		}
		roots = append(roots, c)
	}
	if len(roots) == 0 {
		return nil, fault.New(fault.Invalid, "there is no certificate; put the PEM of the Nebula CA there, in base64")
	}
	return roots, nil
}

// ReadNebulaCertificate reads the first certificate in PEM.
func ReadNebulaCertificate(data []byte) (cert.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fault.New(fault.Invalid, "there is no PEM of a Nebula certificate")
	}
	c, err := readNebulaPEM(block)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "it is no Nebula certificate")
	}
	return c, nil
}

// readNebulaPEM: the library's own reader tells the versions apart.
func readNebulaPEM(block *pem.Block) (cert.Certificate, error) {
	c, _, err := cert.UnmarshalCertificateFromPEM(pem.EncodeToMemory(block))
	return c, err
}

// maxNebula bounds a certificate in a token; real ones have a few hundred octets.
const maxNebula = 16 << 10

// parseNebula reads a certificate without PEM, which does not say its version. What one
// version cannot read may be of the other; nothing else depends on the order.
func parseNebula(raw []byte) (cert.Certificate, error) {
	if len(raw) == 0 || len(raw) > maxNebula {
		return nil, fmt.Errorf("%d octets are no Nebula certificate", len(raw))
	}
	c, err := readNebulaPEM(&pem.Block{Type: cert.CertificateBanner, Bytes: raw})
	if err != nil {
		c, err = readNebulaPEM(&pem.Block{Type: cert.CertificateV2Banner, Bytes: raw})
	}
	return c, err
}

// TokenID is the fragment of a token's audience that selects this provisioner.
func (n *Nebula) TokenID() string { return "nebula/" + n.name }

// Warnings tells how far a certificate reaches, and of roots that are of no use.
func (n *Nebula) Warnings() []string {
	var all []string
	for _, name := range n.expired {
		all = append(all, fmt.Sprintf("its root %q has expired and counts no more", name))
	}
	if !n.ExactIPs {
		all = append(all, "a Nebula certificate covers every IP address in its networks, those of other hosts too; exactIPs narrows it to its own")
	}
	return all
}

// OwnMembers are the members in use that older programs drop.
func (n *Nebula) OwnMembers() []string {
	if n.ExactIPs {
		return []string{"exactIPs"}
	}
	return nil
}

// Verify checks the certificate in the header first, by the network's own CA, then that its
// key signed the token. The token is made by the holder, so each name in it is held against
// the certificate, and the finished certificate once more (issue.Bounds).
func (n *Nebula) Verify(_ context.Context, act Act, t *Token) (*issue.Grant, error) {
	c, err := n.certificate(t)
	if err != nil {
		return nil, err
	}
	if err := verifyByNebula(t, c); err != nil {
		return nil, err
	}
	if err := t.checkClaims(n.name, act, n.audiences, n.TokenID()); err != nil {
		return nil, err
	}
	g := &issue.Grant{Profile: n.p.profile, Subject: t.Subject, Once: t.once(n.p.ID), Claims: t.Claims(),
		NotBefore: c.NotBefore().UTC(), NotAfter: c.NotAfter().UTC(), Holder: c.Name(), Bounds: n.bounds(c),
		Proof: issue.Proof{Credential: viewNebula(c)}}
	switch act {
	case SignX509, SignIdentity:
		return g, n.grantX509(g, act, c, t)
	case SignSSH:
		return g, n.grantSSH(g, c, t)
	}
	if g.Holder == "" { // revocation, which is by name
		return nil, fault.New(fault.Unproven, "the Nebula certificate has no name, so nobody can tell what was issued to it")
	}
	return g, nil
}

// certificate is the one in the token's header, if a root of the network vouches for it now.
func (n *Nebula) certificate(t *Token) (cert.Certificate, error) {
	raw, err := base64.StdEncoding.DecodeString(t.Nebula)
	if err != nil || len(raw) == 0 {
		return nil, fault.New(fault.Unproven, "the token carries no Nebula certificate (nebula header)")
	}
	c, err := parseNebula(raw)
	if err != nil {
		return nil, fault.Wrap(errors.New(err.Error()), fault.Unproven, "the Nebula certificate in the token cannot be read")
	}
	if c.IsCA() {
		return nil, fault.New(fault.Unproven, "the Nebula certificate in the token is that of a CA, which proves nothing here")
	}
	// No list of the library is kept by fingerprint: that covers the signature, of which
	// P-256 has two for the same content.
	if _, err := n.pool.VerifyCertificate(t.At, c); err != nil {
		return nil, fault.Wrap(errors.New(err.Error()), fault.Unproven, "no valid root of the provisioner %q vouches for the Nebula certificate in the token, or it is not valid now", n.name)
	}
	return c, nil
}

// verifyByNebula checks the token's signature by the key of a certificate.
func verifyByNebula(t *Token, c cert.Certificate) error {
	if c.Curve() == cert.Curve_CURVE25519 {
		return t.VerifyBy(x25519Verifier(c.PublicKey()), []jose.SignatureAlgorithm{keys.XEdDSA})
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), c.PublicKey())
	if err != nil {
		return fault.Wrap(errors.New(err.Error()), fault.Unproven, "the key of the Nebula certificate in the token cannot be used")
	}
	return t.VerifyBy(key, []jose.SignatureAlgorithm{jose.ES256})
}

// x25519Verifier is a public key whose algorithm the library of tokens does not know.
type x25519Verifier []byte

// VerifyPayload checks a signature; Token.VerifyBy held the algorithm against the key.
func (k x25519Verifier) VerifyPayload(payload, signature []byte, _ jose.SignatureAlgorithm) error {
	return keys.VerifyXEdDSA(k, payload, signature)
}

// bounds are what a certificate covers: its name, and the addresses in its networks or its
// own ones alone. Unsafe networks are routes to others and cover nothing.
func (n *Nebula) bounds(c cert.Certificate) *issue.Bounds {
	b := &issue.Bounds{Name: c.Name(), Networks: c.Networks()}
	if n.ExactIPs {
		b.Networks = nil
		for _, network := range c.Networks() {
			b.Networks = append(b.Networks, netip.PrefixFrom(network.Addr(), network.Addr().BitLen()))
		}
	}
	return b
}

// ownNames are what a token without names stands for: the certificate's name and addresses.
func ownNames(c cert.Certificate) []string {
	var names []string
	if c.Name() != "" {
		names = append(names, c.Name())
	}
	for _, network := range c.Networks() {
		names = append(names, network.Addr().Unmap().String())
	}
	return names
}

func (n *Nebula) grantX509(g *issue.Grant, act Act, c cert.Certificate, t *Token) error {
	if act == SignX509 && t.Step.wantsSSH() {
		return fault.New(fault.Unproven, "the token is for an SSH certificate, so it is not accepted for an X.509 one")
	}
	names := t.SANs
	if len(names) == 0 {
		names = ownNames(c)
	}
	for _, name := range append([]string{t.Subject}, names...) {
		if err := g.Bounds.Admit("name", name); err != nil {
			return err
		}
	}
	g.Names, g.CommonNames = issue.NamesOf(names), []string{t.Subject}
	if act == SignIdentity { // whose binding is to the SSH key
		return nil
	}
	var err error
	g.Bind, err = t.binding()
	return err
}

// grantSSH grants a host certificate. What the token says of it may be less than the
// certificate covers, or nothing.
func (n *Nebula) grantSSH(g *issue.Grant, c cert.Certificate, t *Token) error {
	right, err := t.sshRightFor("host", ownNames(c))
	if err != nil {
		return err
	}
	if right.Type != "host" {
		return fault.New(fault.Denied, "a Nebula certificate is that of a host, so it buys no SSH user certificates")
	}
	for _, name := range append([]string{t.Subject, right.KeyID}, right.Principals...) {
		if err := g.Bounds.Admit("name", name); err != nil {
			return err
		}
	}
	g.SSH = right
	return nil
}

// NebulaView is a Nebula certificate as templates see it, .AuthorizationCrt.
type NebulaView struct {
	Version                  int
	Name                     string
	Networks, UnsafeNetworks []netip.Prefix
	Groups                   []string
	IsCA                     bool
	NotBefore, NotAfter      time.Time
	Issuer                   string // fingerprint of the CA, hex
	PublicKey                []byte
	Curve                    string
	Details                  NebulaDetails
}

// NebulaDetails are the same facts by their older names.
type NebulaDetails struct {
	Name                string
	Ips, Subnets        []netip.Prefix
	Groups              []string
	NotBefore, NotAfter time.Time
	PublicKey           []byte
	IsCA                bool
	Issuer              string
}

func viewNebula(c cert.Certificate) *NebulaView {
	v := &NebulaView{Version: int(c.Version()), Name: c.Name(), Networks: c.Networks(), UnsafeNetworks: c.UnsafeNetworks(), Groups: c.Groups(),
		IsCA: c.IsCA(), NotBefore: c.NotBefore(), NotAfter: c.NotAfter(), Issuer: c.Issuer(), PublicKey: c.PublicKey(), Curve: c.Curve().String()}
	v.Details = NebulaDetails{Name: v.Name, Ips: v.Networks, Subnets: v.UnsafeNetworks, Groups: v.Groups, NotBefore: v.NotBefore, NotAfter: v.NotAfter,
		PublicKey: v.PublicKey, IsCA: v.IsCA, Issuer: v.Issuer}
	return v
}
