package provisioner

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/strict"
)

// Who signs the identity tokens of Google's machines, and where the keys are.
const (
	googleIssuer = "https://accounts.google.com"
	googleKeys   = "https://www.googleapis.com/oauth2/v3/certs"
)

// GCP proves a right by the identity token of a machine in Google's cloud.
type GCP struct {
	ServiceAccounts []string `json:"serviceAccounts" help:"service accounts whose machines are accepted, by unique ID or e-mail address; empty: all"`
	ProjectIDs      []string `json:"projectIDs" help:"projects whose machines are accepted; empty: all"`
	OrganizationID  string   `json:"organizationID,omitempty" help:"organization whose projects are accepted, instead of projectIDs"`
	CloudRules
	DisableSSHCAUser   *bool    `json:"disableSSHCAUser,omitempty" help:"no SSH user certificates for the service account of a machine" default:"true"`
	DisableSSHCAHost   *bool    `json:"disableSSHCAHost,omitempty" help:"no SSH host certificates" default:"false"`
	InstanceAge        Duration `json:"instanceAge,omitempty" help:"oldest a machine may be, counted from its making; 0s: any age"`
	Credentials        string   `json:"credentials,omitempty" help:"file with the key of a service account, JSON, by which Google is asked about organizationID; without it what GOOGLE_APPLICATION_CREDENTIALS names, else the identity of the CA's own machine"`
	ResourceManagerURL string   `json:"resourceManagerURL,omitempty" help:"where the Resource Manager is asked about organizationID, instead of at Google"`
	JWKSURL            string   `json:"jwksURL,omitempty" help:"where the keys are published that sign the tokens, instead of at Google"`

	name         string
	keys         *keySet
	organization *organization // nil: any
	audiences    *Audiences
}

func decodeGCP(data []byte) (Kind, error) {
	g := new(GCP)
	err := json.Unmarshal(data, g)
	if err == nil {
		g.name, err = cloudName(data)
	}
	return g, err
}

func openGCP(p *Provisioner, env *Env) error {
	g := p.kind.(*GCP)
	switch {
	case g.InstanceAge < 0:
		return fault.New(fault.Invalid, "the member instanceAge is %s; it must not be below zero", time.Duration(g.InstanceAge))
	case g.OrganizationID != "" && len(g.ProjectIDs) > 0:
		return fault.New(fault.Invalid, "the members organizationID and projectIDs exclude each other")
	}
	address := g.JWKSURL
	if address == "" {
		address = googleKeys
	}
	var err error
	if g.keys, err = newKeySet(address, "", env); err != nil {
		return err
	}
	if g.OrganizationID != "" {
		if g.organization, err = g.openOrganization(env); err != nil {
			return err
		}
	}
	g.audiences = env.Audiences
	g.CloudRules.open(p)
	return nil
}

// OwnMembers are those that an older program would drop.
func (g *GCP) OwnMembers() []string {
	return inUse(map[string]bool{"credentials": g.Credentials != "", "resourceManagerURL": g.ResourceManagerURL != "", "jwksURL": g.JWKSURL != ""})
}

// TokenID is the fragment of a token's audience that selects this provisioner.
func (g *GCP) TokenID() string { return "gcp/" + g.name }

// Warnings tells of machines of strangers, and of names that machines choose.
func (g *GCP) Warnings() []string {
	all := g.warnings()
	if len(g.ProjectIDs) == 0 && len(g.ServiceAccounts) == 0 && g.OrganizationID == "" {
		all = append(all, "it accepts the machines of every Google Cloud project in the world; projectIDs or serviceAccounts limit it to yours")
	}
	return all
}

// googleMachine is what a token in the format "full" says of its machine.
type googleMachine struct {
	ID      string `json:"instance_id"`
	Name    string `json:"instance_name"`
	Created int64  `json:"instance_creation_timestamp"`
	Project string `json:"project_id"`
	Zone    string `json:"zone"`
}

// Verify checks issuer, times, audience, signature, service account, project and age. What
// costs no question to Google comes first, so that strangers cannot make us ask at will.
func (g *GCP) Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error) {
	if err := t.checkCloudClaims(googleIssuer); err != nil {
		return nil, err
	}
	if !g.audiences.Accepts(act, t.Audience, g.TokenID()) {
		return nil, fault.New(fault.Unproven, "the token is made out to %q, which is no address of this CA to %s", []string(t.Audience), act)
	}
	if _, err := g.keys.verify(ctx, t); err != nil {
		return nil, err
	}
	if t.Subject == "" {
		return nil, fault.New(fault.Unproven, "the token has no subject (sub)")
	}
	email, err := g.admitAccount(t)
	if err != nil {
		return nil, err
	}
	m, err := g.machine(t)
	if err != nil {
		return nil, err
	}
	if g.organization != nil {
		if err := g.organization.check(ctx, m.Project, t.At); err != nil {
			return nil, err
		}
	}
	grant := &issue.Grant{Subject: m.Name, Once: g.firstUse(g.TokenID(), m.ID)}
	if g.DisableTrustOnFirstUse {
		grant.Once = t.onceByContent(g.p.ID)
	}
	if g.p.profile.Extension != nil {
		grant.Extension = &issue.Extension{Type: g.p.Number(), Name: g.name, CredentialID: t.Subject, Pairs: []string{"InstanceID", m.ID, "InstanceName", m.Name}}
	}
	if act == SignSSH {
		return g.grantSSH(t, m, email, grant)
	}
	return g.grant(act, t, m.instance(), grant)
}

// admitAccount accepts a service account by its ID, or by its e-mail address, which must be
// a verified one. It gives that address, "" if it is not verified.
func (g *GCP) admitAccount(t *Token) (email string, err error) {
	var said struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := strict.Decode(t.payload, &said); err != nil {
		return "", badToken(err, "its claims email and email_verified are of wrong types")
	}
	if said.Verified {
		email = said.Email
	}
	if !listed(g.ServiceAccounts, t.Subject, equal) && (email == "" || !listed(g.ServiceAccounts, email, equal)) {
		return "", fault.New(fault.Unproven, "the service account %q is not accepted", t.Subject)
	}
	return email, nil
}

// machine is the verified machine in a token.
func (g *GCP) machine(t *Token) (*googleMachine, error) {
	var said struct {
		Google struct {
			Machine googleMachine `json:"compute_engine"`
		} `json:"google"`
	}
	if err := strict.Decode(t.payload, &said); err != nil {
		return nil, badToken(err, "its claim google is of a wrong form")
	}
	m := &said.Google.Machine
	const what = "the token"
	switch {
	case !plainWord(m.ID):
		return nil, missingFact(what, "google.compute_engine.instance_id")
	case !plainWord(m.Name):
		return nil, missingFact(what, "google.compute_engine.instance_name")
	case !googleProject(m.Project):
		return nil, missingFact(what, "google.compute_engine.project_id")
	case !plainWord(m.Zone):
		return nil, missingFact(what, "google.compute_engine.zone")
	}
	if !listed(g.ProjectIDs, m.Project, equal) {
		return nil, fault.New(fault.Unproven, "machines of the project %q are not accepted", m.Project)
	}
	if made := time.Unix(m.Created, 0); g.InstanceAge > 0 && t.At.Sub(made) > time.Duration(g.InstanceAge) {
		return nil, fault.New(fault.Unproven, "the machine was made at %s; it must not be older than %s", stamp(made), time.Duration(g.InstanceAge))
	}
	return m, nil
}

// googleProject: old projects of a domain are called example.com:project.
func googleProject(id string) bool {
	for part := range strings.SplitSeq(strings.ReplaceAll(id, ":", "."), ".") {
		if !plainWord(part) {
			return false
		}
	}
	return true
}

func (m *googleMachine) instance() *instance {
	d1, d2 := m.Name+".c."+m.Project+".internal", m.Name+"."+m.Zone+".c."+m.Project+".internal"
	return &instance{id: m.ID, host: m.Name, dns: []string{d1, d2}, commonNames: []string{m.Name, m.ID, d1, d2}}
}

// grantSSH: the request says whether it is for the machine or for its service account. What
// it does not say is not guessed.
func (g *GCP) grantSSH(t *Token, m *googleMachine, email string, grant *issue.Grant) (*issue.Grant, error) {
	off := func(set *bool, preset bool) bool {
		if set == nil {
			return preset
		}
		return *set
	}
	switch {
	case t.SSHType == "host" && !off(g.DisableSSHCAHost, false):
		grant, err := g.grant(SignSSH, t, m.instance(), grant)
		if err == nil {
			grant.Principal = m.Name
		}
		return grant, err
	case t.SSHType == "user" && !off(g.DisableSSHCAUser, true):
		if email == "" {
			return nil, fault.New(fault.Unproven, "the token has no verified e-mail address of its service account, which is needed for a user certificate")
		}
		grant.Profile, grant.Claims, grant.Principal = g.users, t.Claims(), email
		grant.SSH = &issue.SSHRight{Type: "user", KeyID: email, Principals: []string{"sa_" + t.Subject, email}}
		return grant, nil
	case t.SSHType == "":
		return nil, fault.New(fault.Unproven, "the request does not say whether it asks for a host or a user certificate (certType)")
	}
	return nil, fault.New(fault.Unproven, "the provisioner %q signs no SSH certificates of the type %q", g.name, t.SSHType)
}
