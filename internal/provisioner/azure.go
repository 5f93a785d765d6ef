package provisioner

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/strict"
)

// azureCloud is one of Microsoft's separate clouds: who signs in there, and the resource
// that tokens are for if nobody says otherwise.
type azureCloud struct{ name, login, audience string }

// azureClouds are all of them, by the names that their metadata services say. The first is
// what is meant where nothing is said.
var azureClouds = []azureCloud{
	{"AzurePublicCloud", "https://login.microsoftonline.com", "https://management.azure.com/"},
	{"AzureUSGovernmentCloud", "https://login.microsoftonline.us", "https://management.usgovcloudapi.net/"},
	{"AzureChinaCloud", "https://login.partner.microsoftonline.cn", "https://management.chinacloudapi.cn/"},
	{"AzureGermanCloud", "https://login.microsoftonline.de", "https://management.microsoftazure.de/"},
}

// azureCloudOf finds a cloud by its name; nil if there is none.
func azureCloudOf(name string) *azureCloud {
	i := slices.IndexFunc(azureClouds, func(c azureCloud) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return nil
	}
	return &azureClouds[i]
}

// Azure proves a right by the token of a machine's managed identity in Microsoft's cloud.
type Azure struct {
	TenantID        string   `json:"tenantID" help:"ID of the tenant (directory) whose machines are accepted"`
	ResourceGroups  []string `json:"resourceGroups" help:"resource groups whose machines are accepted; empty: all"`
	SubscriptionIDs []string `json:"subscriptionIDs" help:"subscriptions whose machines are accepted; empty: all"`
	ObjectIDs       []string `json:"objectIDs" help:"object IDs of the managed identities that are accepted; empty: all"`
	Audience        string   `json:"audience,omitempty" help:"resource that tokens must be for; one of your own spares sending the CA tokens that could manage resources" default:"https://management.azure.com/"`
	CloudRules
	Environment           string `json:"environment,omitempty" help:"which of Microsoft's clouds" enum:"AzurePublicCloud,AzureUSGovernmentCloud,AzureChinaCloud,AzureGermanCloud" default:"AzurePublicCloud"`
	ConfigurationEndpoint string `json:"configurationEndpoint,omitempty" help:"discovery document of the tenant, instead of that at Microsoft"`

	keys *keySet
}

func decodeAzure(data []byte) (Kind, error) {
	a := new(Azure)
	return a, json.Unmarshal(data, a)
}

// cloud is the configured one.
func (a *Azure) cloud() *azureCloud { return azureCloudOf(cmp.Or(a.Environment, azureClouds[0].name)) }

var azureTenant = strict.Pattern(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

func openAzure(p *Provisioner, env *Env) error {
	a := p.kind.(*Azure)
	cloud := a.cloud()
	switch {
	case a.TenantID == "":
		return fault.New(fault.Invalid, "the member tenantID is missing; put the ID of your tenant (directory) there")
	case !azureTenant().MatchString(a.TenantID):
		return fault.New(fault.Invalid, "the member tenantID is %q, which is no ID of a tenant", a.TenantID)
	case cloud == nil:
		return fault.New(fault.Invalid, "the member environment is %q; there are %s", a.Environment, azureNames())
	}
	discovery := cmp.Or(a.ConfigurationEndpoint, cloud.login+"/"+a.TenantID+"/.well-known/openid-configuration")
	var err error
	if a.keys, err = newKeySet("", discovery, env); err != nil {
		return err
	}
	a.CloudRules.open(p)
	return nil
}

func azureNames() string {
	var names []string
	for _, c := range azureClouds {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// OwnMembers are those that an older program would drop.
func (a *Azure) OwnMembers() []string {
	return inUse(map[string]bool{"environment": a.Environment != "", "configurationEndpoint": a.ConfigurationEndpoint != ""})
}

// TokenID is the tenant, which every token of its machines names.
func (a *Azure) TokenID() string { return a.TenantID }

// Warnings tells of names that machines choose.
func (a *Azure) Warnings() []string { return a.warnings() }

// resource is a resource in Microsoft's cloud, taken apart.
type resource struct{ id, subscription, group, kind, name string }

var azureResource = strict.Pattern(`(?i)^/subscriptions/([^/\pC\pZ]+)/resourcegroups/([^/\pC\pZ]+)/providers/(microsoft\.compute/virtualmachines|microsoft\.compute/virtualmachinescalesets|microsoft\.managedidentity/userassignedidentities)/([^/\pC\pZ]+)(?:/virtualmachines/[^/\pC\pZ]+)?$`)

// ParseResource takes the ID of a machine, of a set of machines or of an identity apart.
// Microsoft spells them in different cases, so what is compared is lower case.
func ParseResource(id string) (subscription, group, name string, machine, ok bool) {
	r := parseResource(id)
	if r == nil {
		return "", "", "", false, false
	}
	return r.subscription, r.group, r.name, r.machine(), true
}

func parseResource(id string) *resource {
	m := azureResource().FindStringSubmatch(id)
	if m == nil || len(id) > 1024 {
		return nil
	}
	r := &resource{id: strings.ToLower(id), subscription: m[1], group: m[2], kind: strings.ToLower(m[3]), name: m[4]}
	if strings.Count(r.id, "/") > 8 && !strings.HasSuffix(r.kind, "scalesets") {
		return nil // only members of a set have a second name
	}
	return r
}

func (r *resource) machine() bool { return strings.HasPrefix(r.kind, "microsoft.compute/") }

// Verify checks audience, tenant, times, signature, issuer, and whose identity it is. What
// costs no question to Microsoft comes first, so that strangers cannot make us ask at will.
func (a *Azure) Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error) {
	if want := cmp.Or(a.Audience, a.cloud().audience); !slices.Contains(t.Audience, want) {
		return nil, fault.New(fault.Unproven, "the token is made out to %q, not to %q", []string(t.Audience), want)
	}
	if t.TenantID != a.TenantID {
		return nil, fault.New(fault.Unproven, "the token is of the tenant %q, which is not accepted", t.TenantID)
	}
	if err := t.CheckTimes(); err != nil {
		return nil, err
	}
	found, err := a.keys.verify(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.Issuer != found.issuer {
		return nil, fault.New(fault.Unproven, "the token was issued by %q, not by %q", t.Issuer, found.issuer)
	}
	var said struct {
		Identity string `json:"xms_mirid"`
		Machine  string `json:"xms_az_rid"`
		Object   string `json:"oid"`
	}
	if err := strict.Decode(t.payload, &said); err != nil {
		return nil, badToken(err, "its claims xms_mirid, xms_az_rid and oid are of wrong types")
	}
	r := parseResource(said.Identity)
	if r == nil {
		return nil, missingFact("the token", "machine or identity (xms_mirid)")
	}
	if err := a.admit(r, said.Object); err != nil {
		return nil, err
	}
	// An identity that several machines share does not say which one it is.
	if m := parseResource(said.Machine); !r.machine() && m != nil && m.machine() {
		r = m
	}
	m := &instance{id: said.Object, host: r.name, dns: []string{r.name}, commonNames: []string{r.name}}
	g := &issue.Grant{Subject: r.name}
	if !a.DisableTrustOnFirstUse {
		g.Once = a.firstUse("azure/"+a.p.ID, r.id)
	}
	if a.p.profile.Extension != nil {
		g.Extension = &issue.Extension{Type: a.p.Number(), Name: a.p.Name, CredentialID: a.TenantID}
	}
	return a.grant(act, t, m, g)
}

// admit applies the filters. Resource groups have no case.
func (a *Azure) admit(r *resource, object string) error {
	switch {
	case !listed(a.ResourceGroups, r.group, strings.EqualFold):
		return fault.New(fault.Unproven, "machines of the resource group %q are not accepted", r.group)
	case !listed(a.SubscriptionIDs, r.subscription, strings.EqualFold):
		return fault.New(fault.Unproven, "machines of the subscription %q are not accepted", r.subscription)
	case !listed(a.ObjectIDs, object, strings.EqualFold):
		return fault.New(fault.Unproven, "the managed identity %q is not accepted", object)
	}
	return nil
}
