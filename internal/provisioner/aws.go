package provisioner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/strict"
)

// awsIssuer is who tokens of EC2 instances say they are by.
const awsIssuer = "ec2.amazonaws.com"

// AWS proves a right by the identity document of an EC2 instance, which Amazon signs. The
// token around it is made by the machine itself and signed with nothing but the document's
// signature: whoever can read the document can make it.
type AWS struct {
	Accounts []string `json:"accounts" help:"account numbers whose instances are accepted; empty: all"`
	CloudRules
	IMDSVersions []string `json:"imdsVersions,omitempty" help:"versions of the metadata service that clients try, in this order" default:"v2, v1"`
	InstanceAge  Duration `json:"instanceAge,omitempty" help:"oldest an instance may be, counted from its start; 0s: any age"`
	IIDRoots     string   `json:"iidRoots,omitempty" help:"file with the certificates whose keys sign identity documents of any region, PEM; empty: those of Amazon that are built in, each for its own regions"`

	name      string
	anchors   []iidRoot
	audiences *Audiences
}

func decodeAWS(data []byte) (Kind, error) {
	a := new(AWS)
	err := json.Unmarshal(data, a)
	if err == nil {
		a.name, err = cloudName(data)
	}
	return a, err
}

func openAWS(p *Provisioner, env *Env) error {
	a := p.kind.(*AWS)
	if a.InstanceAge < 0 {
		return fault.New(fault.Invalid, "the member instanceAge is %s; it must not be below zero", time.Duration(a.InstanceAge))
	}
	for _, v := range a.IMDSVersions {
		if v != "v1" && v != "v2" {
			return fault.New(fault.Invalid, "the member imdsVersions names %q; there are v1 and v2", v)
		}
	}
	var err error
	if a.anchors, err = a.openRoots(env.Home); err != nil {
		return fmt.Errorf("member iidRoots: %w", err)
	}
	a.audiences = env.Audiences
	a.CloudRules.open(p)
	return nil
}

// TokenID is the fragment of a token's audience that selects this provisioner.
func (a *AWS) TokenID() string { return "aws/" + a.name }

// Warnings tells of documents of strangers, of names that machines choose, and of certificates
// to be replaced.
func (a *AWS) Warnings() []string {
	all := a.warnings()
	if len(a.Accounts) == 0 {
		all = append(all, "it accepts the instances of every AWS account in the world; accounts limits it to yours")
	}
	return append(all, a.dueRoots(time.Now())...)
}

// amazonClaim is the document, exactly as Amazon signed it, and its signature.
type amazonClaim struct {
	Document  []byte `json:"document"`
	Signature []byte `json:"signature"`
}

// InstanceDocument is what an identity document says of its instance, as far as we look.
type InstanceDocument struct {
	AccountID   string    `json:"accountId"`
	InstanceID  string    `json:"instanceId"`
	PrivateIP   string    `json:"privateIp"`
	Region      string    `json:"region"`
	PendingTime time.Time `json:"pendingTime"` // when the instance was started
}

// ParseInstanceDocument reads an identity document whose signature was checked. Facts that
// become names or keys must have their usual form.
func ParseInstanceDocument(data []byte) (*InstanceDocument, error) {
	d := new(InstanceDocument)
	if err := strict.Decode(data, d); err != nil {
		return nil, badToken(err, "the identity document in it is no proper JSON object")
	}
	const what = "the identity document in the token"
	ip, err := netip.ParseAddr(d.PrivateIP)
	switch {
	case !plainWord(d.AccountID):
		return nil, missingFact(what, "accountId")
	case !plainWord(d.InstanceID):
		return nil, missingFact(what, "instanceId")
	case !plainWord(d.Region):
		return nil, missingFact(what, "region")
	case err != nil || ip.Zone() != "":
		return nil, missingFact(what, "privateIp")
	}
	d.PrivateIP = ip.Unmap().String()
	return d, nil
}

// hosts are the names Amazon's own name servers give to the instance.
func (d *InstanceDocument) hosts() []string {
	if strings.Contains(d.PrivateIP, ":") {
		return nil // only IPv4 addresses have such names
	}
	ip := "ip-" + strings.ReplaceAll(d.PrivateIP, ".", "-")
	names := []string{ip + "." + d.Region + ".compute.internal"}
	if d.Region == "us-east-1" {
		names = append(names, ip+".ec2.internal")
	}
	return names
}

// Verify checks the token's own signature, whose key is the document's signature, then that
// Amazon signed the document. Only then it looks at what either says.
func (a *AWS) Verify(_ context.Context, act Act, t *Token) (*issue.Grant, error) {
	d, err := a.document(t)
	if err != nil {
		return nil, err
	}
	if err := t.checkCloudClaims(awsIssuer); err != nil {
		return nil, err
	}
	if !a.audiences.Accepts(act, t.Audience, a.TokenID()) {
		return nil, fault.New(fault.Unproven, "the token is made out to %q, which is no address of this CA to %s", []string(t.Audience), act)
	}
	m := &instance{id: d.InstanceID, host: d.InstanceID, dns: d.hosts(), ips: []string{d.PrivateIP}, fixedCN: true}
	if t.Subject != "" {
		m.commonNames = []string{t.Subject}
	}
	if a.DisableCustomSANs && !slices.Contains(slices.Concat(m.dns, m.ips, []string{m.id}), t.Subject) {
		return nil, fault.New(fault.Unproven, "the token is for %q, which is no name of its instance", t.Subject)
	}
	if !listed(a.Accounts, d.AccountID, equal) {
		return nil, fault.New(fault.Unproven, "instances of the account %s are not accepted", d.AccountID)
	}
	if age := t.At.Sub(d.PendingTime); a.InstanceAge > 0 && age > time.Duration(a.InstanceAge) {
		return nil, fault.New(fault.Unproven, "the instance was started at %s; it must not be older than %s", stamp(d.PendingTime), time.Duration(a.InstanceAge))
	}
	g := &issue.Grant{Subject: t.Subject, Once: a.firstUse(a.TokenID(), d.InstanceID)}
	if a.DisableTrustOnFirstUse {
		g.Once = t.onceByContent(a.p.ID)
	}
	if g.Subject == "" {
		g.Subject = d.InstanceID
	}
	if a.p.profile.Extension != nil {
		g.Extension = &issue.Extension{Type: a.p.Number(), Name: a.name, CredentialID: d.AccountID, Pairs: []string{"InstanceID", d.InstanceID}}
	}
	return a.grant(act, t, m, g)
}

// document is the verified identity document in a token.
func (a *AWS) document(t *Token) (*InstanceDocument, error) {
	var said amazonClaim
	if err := strict.Decode(t.Amazon, &said); t.Amazon == nil || err != nil || len(said.Document) == 0 || len(said.Signature) < 1024/8 {
		return nil, fault.New(fault.Unproven, "the token carries no identity document with its signature (claim amazon)")
	}
	if err := t.VerifyBy(said.Signature, secretAlgorithms); err != nil {
		return nil, err
	}
	return a.signed(said)
}

// secretAlgorithms sign tokens with a secret, which only identity documents of AWS have.
var secretAlgorithms = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}
