// Package provisioner checks proofs of a right and makes them: one file per kind.
//
// A [Provisioner] is one struct with one set of JSON tags: configuration, API object and
// stored record. What strangers see is its Public form, without secrets.
package provisioner

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/webhook"
)

// Kind is one way to prove a right: a JWK, an OIDC login, a cloud identity.
//
// It may have further methods, by which the operator is told what to think of; the warnings
// at the start and of `config validate`, and `policy audit`, are made of them:
//
//	Warnings() []string          // what is unusual about this configuration, a sentence each
//	CallerNames() (string, bool) // why callers choose their names, "" if their proof bounds them; true if
//	                             // the token names them, false if the request does, as with custom SANs
//	Risks() []Risk               // what else an audit should say; Provisioner is filled in
//
// What a template sees comes from the Grant: Subject and Names are .Subject and .SANs, Claims
// are .Token, Proof.Chain gives .AuthorizationCrt and .AuthorizationChain, SSH gives .Type,
// .KeyID and .Principals. A kind whose default is not the plain leaf sets the profile's
// X509.Template or SSH.Template in its open, unless Custom says that the operator has one.
type Kind interface {
	// TokenID is what a token must carry to select this provisioner; it is unique within
	// a CA, which lets the list find a token's provisioner without asking each.
	TokenID() string
	// Verify checks a token's proof for an act and says what it grants. Nothing is spent.
	Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error)
}

// Provisioner is one configured way to prove a right.
type Provisioner struct {
	ID             string   `json:"id,omitempty" help:"record ID; given by the CA when it keeps the provisioners itself"`
	Type           string   `json:"type" help:"kind of the provisioner"`
	Name           string   `json:"name" help:"unique name"`
	Claims         *Claims  `json:"claims,omitempty" help:"lifetimes and switches that differ from the authority's"`
	Options        *Options `json:"options,omitempty" help:"templates, name rules and webhooks"`
	AllowRevokeAny bool     `json:"allowRevokeAny,omitempty" help:"tokens of this provisioner revoke any certificate, not only its own"`

	row      *row            // of the type; nil for a type this build does not know
	kind     Kind            // decoded members of the type; nil for a type this build does not know
	raw      json.RawMessage // the object as it was configured
	disabled error           // why it cannot be used; nil once opened
	opened   bool
	profile  *issue.Profile
	claims   Resolved
	webhooks []*webhook.Hook
}

// plain has the members of a Provisioner without its methods.
type plain Provisioner

// UnmarshalJSON reads the common members and those of the type. A type this build does not
// know is kept as it stands, so that newer files load; opening it says so.
func (p *Provisioner) UnmarshalJSON(data []byte) error {
	var common plain
	if err := json.Unmarshal(data, &common); err != nil {
		return fmt.Errorf("read provisioner: %w", err)
	}
	*p = Provisioner(common)
	p.raw = bytes.Clone(data)
	p.row = rowOf(p.Type)
	if p.row == nil || p.row.decode == nil {
		return nil
	}
	kind, err := p.row.decode(data)
	if err != nil {
		return fmt.Errorf("read %s provisioner %q: %w", p.row.name, p.Name, err)
	}
	p.kind = kind
	return nil
}

// MarshalJSON writes the object as it was configured.
func (p *Provisioner) MarshalJSON() ([]byte, error) {
	if p.raw != nil {
		return p.raw, nil
	}
	common, err := json.Marshal((*plain)(p))
	if err != nil || p.kind == nil {
		return common, err
	}
	own, err := json.Marshal(p.kind)
	if err != nil {
		return nil, err
	}
	return mergeObjects(common, own), nil
}

// mergeObjects joins two JSON objects with distinct members, type and name first.
func mergeObjects(a, b []byte) []byte {
	if len(b) <= 2 {
		return a
	}
	out := append([]byte{}, a[:len(a)-1]...)
	out = append(out, ',')
	return append(out, b[1:]...)
}

// Open makes the provisioner ready for requests. An error disables it: it keeps its name and
// its place in the list, and every token that selects it is refused.
func (p *Provisioner) Open(env *Env) error {
	err := p.open(env)
	p.opened, p.disabled = true, err
	return err
}

func (p *Provisioner) open(env *Env) error {
	if p.Name == "" {
		return fault.New(fault.Invalid, "a provisioner of type %s has no name", p.Type)
	}
	row := p.row
	switch {
	case row == nil:
		return fault.New(fault.Unsupported, "provisioner %q: the type %q is not known; known are %s", p.Name, p.Type, strings.Join(Types(), ", "))
	case row.decode == nil:
		return fault.New(fault.Unsupported, "provisioner %q: this version does not serve the type %s yet", p.Name, row.name)
	}
	claims, err := p.Claims.Over(env.Claims)
	if err != nil {
		return fmt.Errorf("claims of provisioner %q: %w", p.Name, err)
	}
	p.claims = claims
	p.profile = profileOf(env, claims)
	if err := p.openOptions(env); err != nil {
		return fmt.Errorf("provisioner %q: %w", p.Name, err)
	}
	if err := row.open(p, env); err != nil {
		return fmt.Errorf("provisioner %q: %w", p.Name, err)
	}
	if p.ID == "" {
		p.ID = p.kind.TokenID()
	}
	return nil
}

// Env is what provisioners need to know of their CA.
type Env struct {
	Authority *issue.Authority
	Claims    Resolved   // the authority's claims
	Audiences *Audiences // what tokens may be addressed to

	Templates          issue.NamedTemplates // for templateRef
	Home               string               // directory below which template files are
	AllowGetHostByName bool                 // templates may look up names
	Webhooks           *webhook.Env         // what webhooks need; nil only where there are none
	Warn               func(error)          // told of template files and keys of others that cannot be used; nil tells nobody

	SSHUserKeys, SSHHostKeys []ssh.PublicKey // CA keys whose certificates prove possession

	// Roots are this CA's own. Revoked refuses a chain with a certificate in it that this CA
	// issued and has revoked; nil where nobody keeps records.
	Roots   []*x509.Certificate
	Revoked func(ctx context.Context, chain []*x509.Certificate) error
}

func profileOf(env *Env, c Resolved) *issue.Profile {
	return &issue.Profile{
		Authority:        env.Authority,
		TLS:              issue.Lifetimes(c.TLS),
		UserSSH:          issue.Lifetimes(c.UserSSH),
		HostSSH:          issue.Lifetimes(c.HostSSH),
		RenewalDisabled:  c.DisableRenewal,
		RenewAfterExpiry: c.AllowRenewalAfterExpiry,
	}
}

// Warm fetches what the kind must know of others, before somebody waits for it. A failure is
// told by the environment's Warn; the next proof tries again.
func (p *Provisioner) Warm(ctx context.Context) {
	if k, ok := p.kind.(interface{ Warm(context.Context) }); ok && p.Disabled() == nil {
		k.Warm(ctx)
	}
}

// Trouble says in words for everybody what keeps an opened provisioner from working at the
// moment; "" if nothing is known to.
func (p *Provisioner) Trouble() string {
	if k, ok := p.kind.(interface{ Trouble() string }); ok && p.Disabled() == nil {
		return k.Trouble()
	}
	return ""
}

// Disabled says why the provisioner cannot be used; nil if it can.
func (p *Provisioner) Disabled() error {
	if !p.opened {
		return errors.New("not opened")
	}
	return p.disabled
}

// Refusal is how a disabled provisioner answers whoever needs it; nil if it is not
// disabled. Why it is disabled concerns the operator alone, and the reason must not decide
// the answer, as a fault inside would.
func (p *Provisioner) Refusal() error {
	err := p.Disabled()
	if err == nil {
		return nil
	}
	return fault.Wrap(errors.New(err.Error()), fault.Unproven, "provisioner %q is disabled; the operator finds the reason in the server's log", p.Name)
}

// Profile is what this provisioner's configuration says about its certificates.
func (p *Provisioner) Profile() *issue.Profile { return p.profile }

// Kind is what the type brings; nil if the type is not known.
func (p *Provisioner) Kind() Kind { return p.kind }

// TokenID is what a token must carry to select this provisioner.
func (p *Provisioner) TokenID() string {
	if p.kind != nil {
		return p.kind.TokenID()
	}
	return strings.ToLower(p.Type) + "/" + p.Name
}

// Number is the type's number in the provisioner extension; 0 if the type is not known.
func (p *Provisioner) Number() int {
	if p.row == nil {
		return 0
	}
	return p.row.number
}

// NamesSerial reports whether the subject of a revoke token is the serial number to revoke.
func (p *Provisioner) NamesSerial() bool { return p.row == nil || !p.row.noSerial }

// Verify checks a token for an act. What no row permits is refused before anything else is
// looked at, so that a type without a token flow cannot be talked into one.
func (p *Provisioner) Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error) {
	row := p.row
	if row != nil && row.protocol {
		return nil, fault.New(fault.Invalid, "provisioner %q is of type %s, which takes no tokens", p.Name, row.name)
	}
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	if row == nil || !row.permits(act) {
		return nil, fault.New(fault.Unproven, "a provisioner of type %s may not %s", p.Type, act)
	}
	if act == SignSSH && row.hostsOnly && t.SSHType != "" && t.SSHType != "host" {
		return nil, fault.New(fault.Denied, "a provisioner of type %s signs SSH certificates of hosts alone, not of type %q", p.Type, t.SSHType)
	}
	if act == SignSSH && !p.claims.EnableSSHCA {
		return nil, fault.New(fault.Unproven, "provisioner %q does not sign SSH certificates (its claim enableSSHCA is off)", p.Name)
	}
	if t.Expiry == nil && !row.noExpiry {
		return nil, fault.New(fault.Unproven, "the token has no expiry (exp), so it is not accepted")
	}
	g, err := p.kind.Verify(ctx, act, t)
	if err != nil {
		return nil, err
	}
	if g == nil || g.Profile == nil {
		return nil, fault.New(fault.Unproven, "the token grants nothing")
	}
	g.Provisioner = p.ID
	return g, nil
}
