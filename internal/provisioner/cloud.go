package provisioner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// CloudRules are what the provisioners of all clouds have in common: a machine proves which
// one it is, and is trusted about its names unless told otherwise.
type CloudRules struct {
	DisableCustomSANs      bool `json:"disableCustomSANs" help:"certify only the names that the cloud vouches for, not those that the machine asks for"`
	DisableTrustOnFirstUse bool `json:"disableTrustOnFirstUse" help:"a machine may get certificates again and again, not just one"`

	p     *Provisioner
	users *issue.Profile // of SSH user certificates, whose principals are not the machine's to choose
}

// open prepares the default certificates of machines. A template of the operator's stays.
func (c *CloudRules) open(p *Provisioner) {
	c.p = p
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name}
	}
	users := *p.profile
	if p.profile.X509.Template == nil || !p.profile.X509.Custom {
		t := issue.DefaultX509Template(issue.TemplateCloudLeaf)
		p.profile.X509.Template = func() *issue.X509Template { return t }
	}
	if p.profile.SSH.Template == nil || !p.profile.SSH.Custom {
		t := issue.DefaultSSHTemplate(issue.TemplateSSHCloud)
		p.profile.SSH.Template = func() *issue.SSHTemplate { return t }
	}
	c.users = &users
}

// instance is a machine whose identity was verified.
type instance struct {
	id          string   // keyed by it, a machine is trusted on its first use
	host        string   // key ID of its SSH host certificates
	dns         []string // names the cloud vouches for
	ips         []string
	commonNames []string // common names a request may have where only vouched-for names count; nil: any
	fixedCN     bool     // the common names count in any case
}

// grant gives a machine what its act is good for. Which kind of act that can be, the table
// of kinds has decided.
func (c *CloudRules) grant(act Act, t *Token, m *instance, g *issue.Grant) (*issue.Grant, error) {
	g.Profile, g.Claims, g.Principal = c.p.profile, t.Claims(), m.id
	vouched := append(append([]string{}, m.dns...), m.ips...)
	switch act {
	case SignX509, SignIdentity:
		g.CommonNames = m.commonNames
		if c.DisableCustomSANs {
			g.Names, g.FewerDNS = issue.NamesOf(m.ips), true
			g.Names.DNS = m.dns
		} else {
			g.FreeNames, g.FixedCN = true, m.fixedCN
		}
	case SignSSH:
		g.SSH = &issue.SSHRight{Type: "host", KeyID: m.host, Principals: vouched, FreeNames: !c.DisableCustomSANs}
	default:
		return nil, fault.New(fault.Unproven, "the identity of a machine may not %s", act)
	}
	return g, nil
}

// firstUse is the one use of a machine: its identity, not any token, is what is spent, and
// for ever. The form is that of older programs, so that what they spent stays spent.
func (c *CloudRules) firstUse(tokenID, instance string) issue.Once {
	sum := sha256.Sum256([]byte(tokenID + "." + instance))
	return issue.Once{Key: hex.EncodeToString(sum[:])}
}

// warnings tell of machines that name themselves, if no rule of the operator's limits them.
func (c *CloudRules) warnings() []string {
	if c.DisableCustomSANs || c.p == nil {
		return nil
	}
	var all []string
	if c.p.profile.SSHPolicy == nil && !c.p.profile.SSH.Custom && c.p.claims.EnableSSHCA {
		all = append(all, "a machine chooses the principals of its SSH host certificate freely; disableCustomSANs or rules in options.ssh.host.allow limit them")
	}
	return all
}

// CallerNames: what a cloud vouches for is one thing, what its machines ask for another.
func (c *CloudRules) CallerNames() (string, bool) {
	if c.DisableCustomSANs {
		return "", false
	}
	return "a machine chooses the names in its certificate freely; disableCustomSANs limits them to its own", false
}

// onceByContent identifies a token without an ID of its own by what was signed.
func (t *Token) onceByContent(provisioner string) issue.Once {
	nameless := *t
	nameless.ID = ""
	return nameless.once(provisioner)
}

// checkCloudClaims holds what every cloud's token says against what is expected.
func (t *Token) checkCloudClaims(issuer string) error {
	if t.Issuer != issuer {
		return fault.New(fault.Unproven, "the token was issued by %q, not by %q", t.Issuer, issuer)
	}
	return t.CheckTimes()
}

// plainWord keeps facts that become part of names or of keys free of anything that could
// end one of them.
func plainWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	})
}

// missingFact refuses a proof that leaves open what it must say.
func missingFact(what, member string) error {
	return fault.New(fault.Unproven, "%s does not say its %s, or not in a form that is known", what, member)
}

// listed reports whether a configured list has an entry; an empty list has all.
func listed(list []string, entry string, same func(a, b string) bool) bool {
	for _, one := range list {
		if same(one, entry) {
			return true
		}
	}
	return len(list) == 0
}

func equal(a, b string) bool { return a == b }

// cloudName reads the name of a provisioner, which is part of what selects it.
func cloudName(data []byte) (string, error) {
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return "", fmt.Errorf("read the name: %w", err)
	}
	return named.Name, nil
}
