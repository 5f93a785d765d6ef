package provisioner

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// legacyKubernetes is the issuer of service account tokens that name no cluster.
const legacyKubernetes = "kubernetes/serviceaccount"

// K8sSA proves a right by the token of a Kubernetes service account. Those of old clusters
// never expire and say little; those that a cluster projects into pods name their issuer and
// their audience, and can be limited to it.
type K8sSA struct {
	PublicKeys      []byte   `json:"publicKeys" help:"keys that sign the tokens: base64 of PEM, one or more; not needed with jwksURL or apiServer"`
	Issuer          string   `json:"issuer,omitempty" help:"issuer of the tokens (iss), the cluster's; without it tokens of the old form are accepted"`
	Audiences       []string `json:"audiences,omitempty" help:"whom tokens may be made out to; needed with issuer"`
	Namespaces      []string `json:"namespaces,omitempty" help:"namespaces whose service accounts are accepted; empty: all"`
	ServiceAccounts []string `json:"serviceAccounts,omitempty" help:"service accounts that are accepted, as name or namespace/name; empty: all"`
	RequireExp      bool     `json:"requireExp,omitempty" help:"refuse tokens that never expire; always so with issuer"`

	JWKSURL   string      `json:"jwksURL,omitempty" help:"where the cluster publishes the keys that sign the tokens, https"`
	APIServer string      `json:"apiServer,omitempty" help:"URL of the cluster's API server, which is asked about each token (TokenReview); empty: it is not asked"`
	APIRoots  []byte      `json:"apiRoots,omitempty" help:"root certificates of jwksURL and apiServer besides the machine's: base64 of PEM"`
	APIToken  keys.Secret `json:"apiToken,omitempty" help:"token that may create TokenReviews: file:PATH, env:NAME or itself"`

	p         *Provisioner
	keys      []crypto.PublicKey
	published *keySet   // keys at jwksURL; nil: none
	reviewer  *reviewer // nil: nobody is asked
}

func decodeK8sSA(data []byte) (Kind, error) {
	k := new(K8sSA)
	return k, json.Unmarshal(data, k)
}

func openK8sSA(p *Provisioner, env *Env) error {
	k := p.kind.(*K8sSA)
	if k.PublicKeys == nil && k.JWKSURL == "" && k.APIServer == "" {
		return fault.New(fault.Invalid, "the member publicKeys is missing; put the PEM of the cluster's service account keys there, in base64, or use jwksURL or apiServer")
	}
	if k.Issuer != "" && len(k.Audiences) == 0 {
		return fault.New(fault.Invalid, "the member audiences is missing; with an issuer it says whom tokens must be made out to")
	}
	var err error
	if k.keys, err = ParsePublicKeys(k.PublicKeys); err != nil {
		return err
	}
	if err := k.openCluster(env); err != nil {
		return err
	}
	k.p = p
	if p.profile.X509.Template == nil || !p.profile.X509.Custom {
		t := issue.DefaultX509Template(issue.TemplateAdminLeaf)
		p.profile.X509.Template = func() *issue.X509Template { return t }
	}
	if p.profile.SSH.Template == nil || !p.profile.SSH.Custom {
		t := issue.DefaultSSHTemplate(issue.TemplateSSHRequest)
		p.profile.SSH.Template = func() *issue.SSHTemplate { return t }
	}
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name}
	}
	return nil
}

// openCluster prepares what is asked of the cluster itself. Nothing is asked yet.
func (k *K8sSA) openCluster(env *Env) error {
	roots := slices.Clone(env.Roots)
	if len(k.APIRoots) > 0 {
		more, err := ParseRoots(k.APIRoots)
		if err != nil {
			return fmt.Errorf("member apiRoots: %w", err)
		}
		roots = append(roots, more...)
	}
	var err error
	if k.reviewer, err = k.newReviewer(roots); err != nil {
		return err
	}
	k.published = nil
	if k.JWKSURL == "" {
		return nil
	}
	k.published, err = newKeySet(k.JWKSURL, "", &Env{Roots: roots, Warn: env.Warn})
	return err
}

// ParsePublicKeys reads PEM of public keys, each fit to verify tokens.
func ParsePublicKeys(bundle []byte) ([]crypto.PublicKey, error) {
	var all []crypto.PublicKey
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		n := len(all) + 1
		pub, err := keys.ParsePublic(pem.EncodeToMemory(block))
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "public key %d cannot be read", n)
		}
		if len(keys.SignatureAlgorithms(pub)) == 0 {
			return nil, fault.New(fault.Invalid, "public key %d is of a kind or size that verifies no token", n)
		}
		all = append(all, pub)
	}
}

// TokenID is the cluster's issuer; those without one share a name, so there can be one only.
func (k *K8sSA) TokenID() string { return "k8ssa/" + cmp.Or(k.Issuer, "k8sSA-default") }

// Warnings tells of tokens that are good for everything.
func (k *K8sSA) Warnings() []string {
	if k.Issuer != "" || len(k.Audiences)+len(k.Namespaces)+len(k.ServiceAccounts) > 0 || k.RequireExp {
		return nil
	}
	return []string{"it accepts tokens of every service account, also those that never expire; issuer, audiences, namespaces and serviceAccounts limit it"}
}

// CallerNames: no claim of a service account says which names are its own.
func (k *K8sSA) CallerNames() (string, bool) {
	return "service accounts get certificates for any names", false
}

// OwnMembers are the members in use that older programs drop.
func (k *K8sSA) OwnMembers() []string {
	return inUse(map[string]bool{
		"issuer": k.Issuer != "", "audiences": len(k.Audiences) > 0, "namespaces": len(k.Namespaces) > 0, "serviceAccounts": len(k.ServiceAccounts) > 0,
		"requireExp": k.RequireExp, "jwksURL": k.JWKSURL != "", "apiServer": k.APIServer != "", "apiRoots": len(k.APIRoots) > 0, "apiToken": k.APIToken != "",
	})
}

// SpellsSecret reports whether the token for the API server stands in the configuration.
func (k *K8sSA) SpellsSecret() bool { return k.APIToken.Spelled() }

// account is the service account a token is of, whichever form it has.
type account struct {
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Account   struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
	} `json:"kubernetes.io"`
	Namespace string `json:"kubernetes.io/serviceaccount/namespace"`
	Name      string `json:"kubernetes.io/serviceaccount/service-account.name"`
}

// Verify checks a token: signature, issuer, times, audience, service account. What it grants
// are the names of the request, and again and again: the cluster hands the same token out
// until it replaces it.
func (k *K8sSA) Verify(ctx context.Context, act Act, t *Token) (*issue.Grant, error) {
	if err := k.signed(ctx, t); err != nil {
		return nil, err
	}
	if want := cmp.Or(k.Issuer, legacyKubernetes); t.Issuer != want {
		return nil, fault.New(fault.Unproven, "the token was issued by %q, not by %q", t.Issuer, want)
	}
	if t.Expiry == nil && (k.Issuer != "" || k.RequireExp) {
		return nil, fault.New(fault.Unproven, "the token has no expiry (exp), so it is not accepted")
	}
	if err := t.CheckTimes(); err != nil {
		return nil, err
	}
	if t.Subject == "" {
		return nil, fault.New(fault.Unproven, "the token has no subject (sub)")
	}
	if len(k.Audiences) > 0 && !slices.ContainsFunc(t.Audience, func(aud string) bool { return slices.Contains(k.Audiences, aud) }) {
		return nil, fault.New(fault.Unproven, "the token is made out to %q, not to %q", []string(t.Audience), k.Audiences)
	}
	namespace, name, err := k.account(t)
	if err != nil {
		return nil, err
	}
	if k.reviewer != nil { // last, so that no token goes there which is refused here anyway
		if err := k.reviewer.review(ctx, t, "system:serviceaccount:"+namespace+":"+name); err != nil {
			return nil, err
		}
	}
	g := &issue.Grant{Profile: k.p.profile, Subject: cmp.Or(name, t.Subject), Claims: t.Claims()}
	switch act {
	case SignX509, SignIdentity:
		g.FreeNames = true
	case SignSSH:
		g.SSH = &issue.SSHRight{Free: true, Type: "host", KeyID: g.Subject, Principals: []string{g.Subject}}
	}
	return g, nil
}

// signed: any of the keys will do, as clusters replace theirs. Without keys it is the API
// server that looks at the signature.
func (k *K8sSA) signed(ctx context.Context, t *Token) error {
	if len(k.keys) == 0 && k.published == nil && k.reviewer != nil {
		return nil
	}
	err := error(fault.New(fault.Unproven, "the provisioner %q has no key that could verify the token", k.p.Name))
	for _, pub := range k.keys {
		if err = t.VerifyBy(pub, keys.SignatureAlgorithms(pub)); err == nil {
			return nil
		}
	}
	if k.published != nil {
		_, err = k.published.verify(ctx, t)
	}
	return err
}

// account is the service account, if the configuration accepts it.
func (k *K8sSA) account(t *Token) (namespace, name string, err error) {
	var a account
	if err := json.Unmarshal(t.payload, &a); err != nil {
		return "", "", fault.Wrap(err, fault.Unproven, "the token does not say of which service account it is")
	}
	// The form follows the issuer: a token must not choose which of two claims counts.
	namespace, name = a.Namespace, a.Name
	if k.Issuer != "" {
		namespace, name = a.Kubernetes.Namespace, a.Kubernetes.Account.Name
	}
	if len(k.Namespaces) > 0 && !slices.Contains(k.Namespaces, namespace) {
		return "", "", fault.New(fault.Unproven, "service accounts of the namespace %q are not accepted", namespace)
	}
	if len(k.ServiceAccounts) > 0 && !slices.ContainsFunc(k.ServiceAccounts, func(want string) bool {
		if strings.Contains(want, "/") {
			return want == namespace+"/"+name
		}
		return want == name
	}) {
		return "", "", fault.New(fault.Unproven, "the service account %q is not accepted", namespace+"/"+name)
	}
	return namespace, name, nil
}
