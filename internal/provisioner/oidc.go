package provisioner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// OIDC proves a right by an ID token of an identity provider (OpenID Connect Core 1.0): that
// of a person who logged in, or that of a job that a build service vouches for.
type OIDC struct {
	ClientID              string      `json:"clientID" help:"client the tokens are made for (aud), as registered at the identity provider"`
	ClientSecret          keys.Secret `json:"clientSecret" help:"secret of that client, which clients get to see, as for all native applications (RFC 8252); may be empty"`
	ConfigurationEndpoint string      `json:"configurationEndpoint" help:"address of the identity provider or of its description (.well-known/openid-configuration)"`
	TenantID              string      `json:"tenantID,omitempty" help:"replaces {tenantid} in the issuer of the description"`
	Issuer                string      `json:"issuer,omitempty" help:"issuer of the tokens, where it differs from the address of the description"`
	Admins                []string    `json:"admins,omitempty" help:"who may have any names, host certificates and revocations: e-mail addresses, or names of groups"`
	GroupAdmins           []string    `json:"groupAdmins,omitempty" help:"groups whose members are admins"`
	Domains               []string    `json:"domains,omitempty" help:"domains of e-mail addresses that are accepted; empty: all"`
	Groups                []string    `json:"groups,omitempty" help:"groups of which a token must name at least one; empty: none is needed"`
	ListenAddress         string      `json:"listenAddress,omitempty" help:"where the browser returns to after the login, host:port or :port; a free port of 127.0.0.1 without it"`
	Scopes                []string    `json:"scopes,omitempty" help:"what clients ask the identity provider for; openid and email if empty"`
	AuthParams            []string    `json:"authParams,omitempty" help:"parameters that clients add to the address of the login, as key=value"`

	AllowUnverifiedEmail bool     `json:"allowUnverifiedEmail,omitempty" help:"accept e-mail addresses that the identity provider calls unverified"`
	ReservedPrincipals   []string `json:"reservedPrincipals,omitempty" help:"SSH principals that no e-mail address or claim turns into; root if the member is absent"`

	Workload    bool                   `json:"workload,omitempty" help:"tokens are those of jobs, not of people: nobody logs in, e-mail addresses do not count, boundClaims are needed"`
	BoundClaims map[string]ClaimValues `json:"boundClaims,omitempty" help:"claims that each token must have: name of the claim, and a value or a list of accepted values, in which * stands for anything"`
	Rules       []ClaimRule            `json:"rules,omitempty" help:"what claims turn into: principals, names and roles"`

	name  string
	p     *Provisioner
	keys  *keySet
	admin *issue.Profile // of admins, who may have what they ask for
}

// ClaimRule gives something to tokens with certain claims.
type ClaimRule struct {
	When       map[string]ClaimValues `json:"when,omitempty" help:"claims a token must have, all of them, as in boundClaims; empty: every token"`
	Principals []string               `json:"principals,omitempty" help:"SSH principals; {claim} stands for the value of a claim, or for each of its values"`
	SANs       []string               `json:"sans,omitempty" help:"names of X.509 certificates, with {claim} as well"`
	Roles      []string               `json:"roles,omitempty" help:"admin: as in admins; revoke: may revoke what this provisioner issued"`
}

func decodeOIDC(data []byte) (Kind, error) {
	o := new(OIDC)
	var named struct {
		Name string `json:"name"`
	}
	err := errors.Join(json.Unmarshal(data, o), json.Unmarshal(data, &named))
	o.name = named.Name
	return o, err
}

func openOIDC(p *Provisioner, env *Env) error {
	o := p.kind.(*OIDC)
	endpoint, err := o.check(env)
	if err != nil {
		return err
	}
	o.p = p
	if o.keys, err = newKeySet("", endpoint, env); err != nil {
		return err
	}
	if env.Warn != nil {
		o.keys.warn = func(err error) { env.Warn(fmt.Errorf("provisioner %q: %w", p.Name, err)) }
	}
	issuer := Issuer{Endpoint: endpoint, Name: o.Issuer, Tenant: o.TenantID}
	o.keys.settle = issuer.settle
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name, CredentialID: o.ClientID}
	}
	admin := *p.profile
	if !admin.X509.Custom {
		t := issue.DefaultX509Template(issue.TemplateAdminLeaf)
		admin.X509.Template = func() *issue.X509Template { return t }
	}
	if !admin.SSH.Custom {
		t := issue.DefaultSSHTemplate(issue.TemplateSSHRequest)
		admin.SSH.Template = func() *issue.SSHTemplate { return t }
	}
	o.admin = &admin
	return nil
}

// check says what is wrong with the configuration; no server is asked.
func (o *OIDC) check(env *Env) (endpoint string, err error) {
	switch {
	case o.ClientID == "":
		return "", fault.New(fault.Invalid, "the member clientID is missing; put the ID of the client there that is registered at the identity provider")
	case env.Audiences.Known([]string{o.ClientID}, ""):
		return "", fault.New(fault.Invalid, "the clientID %q is an address of this CA to which other tokens are made out; use another one", o.ClientID)
	case o.ConfigurationEndpoint == "":
		return "", fault.New(fault.Invalid, "the member configurationEndpoint is missing; put the address of the identity provider there")
	case o.Workload && len(o.BoundClaims) == 0:
		return "", fault.New(fault.Invalid, "the member boundClaims is missing; without it every job of everybody who uses that identity provider would be accepted")
	}
	if err := o.ClientSecret.Check(); err != nil {
		return "", fault.Wrap(err, fault.Invalid, "clientSecret: %v", err)
	}
	if o.ListenAddress != "" {
		if _, _, err := net.SplitHostPort(o.ListenAddress); err != nil {
			return "", fault.New(fault.Invalid, "listenAddress %q is neither host:port nor :port", o.ListenAddress)
		}
	}
	for _, param := range o.AuthParams {
		if name, _, found := strings.Cut(param, "="); !found || name == "" {
			return "", fault.New(fault.Invalid, "authParams: %q is not of the form key=value", param)
		}
	}
	for i, rule := range o.Rules {
		if err := rule.check(); err != nil {
			return "", fmt.Errorf("rules[%d]: %w", i, err)
		}
	}
	return DiscoveryURL(o.ConfigurationEndpoint)
}

// TokenID is the client that tokens are made for.
func (o *OIDC) TokenID() string { return cmp.Or(o.ClientID, "oidc/"+o.name) }

// OwnMembers lists the members in use that only this product knows.
func (o *OIDC) OwnMembers() []string {
	return inUse(map[string]bool{
		"issuer": o.Issuer != "", "groupAdmins": o.GroupAdmins != nil, "allowUnverifiedEmail": o.AllowUnverifiedEmail,
		"reservedPrincipals": o.ReservedPrincipals != nil, "workload": o.Workload, "boundClaims": o.BoundClaims != nil, "rules": o.Rules != nil,
	})
}

// Warnings tells of identity providers whose tokens everybody can have.
func (o *OIDC) Warnings() []string {
	u, err := url.Parse(o.ConfigurationEndpoint)
	if err == nil && u.Hostname() == "accounts.google.com" && len(o.Domains)+len(o.Groups)+len(o.BoundClaims) == 0 {
		return []string{"everybody can have an account at its identity provider, and so a certificate for that account's e-mail address; domains, groups or boundClaims limit it"}
	}
	return nil
}

// Risks tells of people who choose their names because they are admins here.
func (o *OIDC) Risks() []Risk {
	if len(o.Admins) == 0 || o.p.profile.X509.Custom || o.p.bounded() {
		return nil
	}
	return []Risk{{ID: "admin-names", Level: RiskMedium, Like: "ESC1", Template: "x509", Text: "its admins get certificates for any names",
		Advice: "put allow rules into options.x509.allow, and keep the accounts of admins as safe as the CA's own"}}
}

// Warm fetches the keys before somebody waits for them.
func (o *OIDC) Warm(ctx context.Context) { _, _ = o.keys.get(ctx, "") }

// Trouble tells of an identity provider that did not answer when it was last asked.
func (o *OIDC) Trouble() string {
	if o.keys.failing() {
		return "its identity provider cannot be asked for its keys; the log says why"
	}
	return ""
}

// Verify checks a token: signature, issuer, audience, times, who it is of. What it grants are
// the names of that person or job; to an admin, those of the request.
func (o *OIDC) Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error) {
	if err := o.signed(ctx, t); err != nil {
		return nil, err
	}
	who, err := o.identify(t)
	if err != nil {
		return nil, err
	}
	g := &issue.Grant{Profile: o.p.profile, Subject: t.Subject, Once: o.once(t), Claims: who.claims}
	if g.Bind, err = t.binding(); err != nil {
		return nil, err
	}
	if who.admin {
		g.Profile = o.admin
	}
	switch act {
	case SignX509, SignIdentity:
		if act == SignIdentity {
			g.Bind = issue.Binding{} // which is to the SSH key
		}
		g.FreeNames = who.admin && !g.Profile.X509.Custom
		g.Fixed = !g.FreeNames
		g.Names = who.names()
	case SignSSH:
		g.SSH, err = o.sshRight(who, g.Bind)
	case RevokeX509, RevokeSSH:
		if !who.admin && !who.revoker {
			return nil, fault.New(fault.Unproven, "only admins of the provisioner %q may revoke certificates", o.p.Name)
		}
		if who.email != "" {
			g.Subject = who.email // who revoked, for the records
		}
	}
	return g, err
}

// signed checks what every token of the client must have (OpenID Connect Core 1.0, Section
// 3.1.3.7).
func (o *OIDC) signed(ctx context.Context, t *Token) error {
	by, err := o.keys.verify(ctx, t)
	if err != nil {
		return err
	}
	if t.Issuer != by.issuer {
		return fault.New(fault.Unproven, "the token was issued by %q, not by the identity provider %q", t.Issuer, by.issuer)
	}
	if !slices.Contains(t.Audience, o.ClientID) {
		return fault.New(fault.Unproven, "the token is made out to %q, not to %q", []string(t.Audience), o.ClientID)
	}
	if err := t.CheckTimes(); err != nil {
		return err
	}
	if t.AuthorizedParty != "" && t.AuthorizedParty != o.ClientID {
		return fault.New(fault.Unproven, "the token was made for the client %q (azp), not for %q", t.AuthorizedParty, o.ClientID)
	}
	if t.Subject == "" {
		return fault.New(fault.Unproven, "the token has no subject (sub)")
	}
	if o.TenantID != "" && t.TenantID != "" && t.TenantID != o.TenantID {
		return fault.New(fault.Unproven, "the token is of the tenant %q, not of %q", t.TenantID, o.TenantID)
	}
	return nil
}

// once: a login is known by its nonce, of which an identity provider may make several tokens;
// a job by the token's ID.
func (o *OIDC) once(t *Token) issue.Once {
	if o.Workload || t.Nonce == "" {
		return t.once(o.p.ID)
	}
	login := *t
	login.ID = "nonce " + t.Nonce
	return login.once(o.p.ID)
}

// sshRight: admins say what they want; others get what their e-mail address and the rules
// turn into, whatever they ask for.
func (o *OIDC) sshRight(who *identity, bind issue.Binding) (*issue.SSHRight, error) {
	if bind.ClientSHA256 != nil {
		return nil, fault.New(fault.Denied, "the token is bound to a TLS client certificate (cnf x5t#S256), which SSH certificates do not know")
	}
	r := &issue.SSHRight{Type: "user", KeyID: who.subject, Fixed: true,
		KeySHA256: bind.RequestSHA256, Key: bind.Key, KeyThumbprint: bind.KeyThumbprint}
	if who.email != "" {
		r.KeyID = who.email
	}
	if who.admin && !o.admin.SSH.Custom {
		r.Free = true
	}
	derived := who.derivedPrincipals()
	if !who.admin {
		for _, name := range derived {
			if slices.ContainsFunc(o.reserved(), func(r string) bool { return strings.EqualFold(r, name) }) {
				return nil, fault.New(fault.Unproven, "the token would be good for the principal %q, which is reserved; a rule of the provisioner %q may grant it by name", name, o.p.Name)
			}
		}
	}
	for _, name := range slices.Concat(derived, who.principals) {
		if !slices.Contains(r.Principals, name) {
			r.Principals = append(r.Principals, name)
		}
	}
	if len(r.Principals) == 0 && !r.Free {
		return nil, fault.New(fault.Unproven, "nothing in the token is good for an SSH principal")
	}
	return r, nil
}

func (o *OIDC) reserved() []string {
	if o.ReservedPrincipals == nil {
		return []string{"root"}
	}
	return o.ReservedPrincipals
}

// Secret is the client's secret, which every client of the CA may know.
func (o *OIDC) Secret() (string, error) {
	secret, err := o.ClientSecret.Reveal()
	return string(secret), err
}
