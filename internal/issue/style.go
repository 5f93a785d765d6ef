package issue

import (
	"crypto/x509"
	"encoding/json"
	"time"

	"golang.org/x/crypto/ssh"
)

// X509Style is what a configuration makes of X.509 certificates beyond the default leaf,
// which is its zero value.
type X509Style struct {
	Template  func() *X509Template // the template of the moment; nil: the default leaf, without any template
	Custom    bool                 // the template is the operator's own: it sees the requester's data and answers for what it copies
	Constants json.RawMessage      // templateData of the configuration

	StrictRequest   bool // nothing that a request asks for is left out silently
	SeparateSubject bool // each value of a subject gets a relative distinguished name of its own
}

// SSHStyle is X509Style for SSH.
type SSHStyle struct {
	Template  func() *SSHTemplate // the template of the moment; nil: the default certificate, without any template
	Custom    bool                // the template is the operator's own
	Constants json.RawMessage     // templateData of the configuration
}

// Data comes along with an ask, for templates alone.
type Data struct {
	User      json.RawMessage // templateData of the request
	Webhooks  map[string]any  // what enriching webhooks said, by their names
	ClientIP  string          // of the request; "" if nobody knows
	RequestID string
}

// Origin names the provisioner of a profile.
type Origin struct{ Name, Type string }

// variables are those that all templates see besides the proof's own.
func (d *Data) variables(g *Grant) map[string]any {
	all := map[string]any{
		"Provisioner": map[string]any{"ID": g.Provisioner, "Name": g.Profile.Origin.Name, "Type": g.Profile.Origin.Type},
		"Client":      map[string]any{"IP": d.ClientIP, "RequestID": d.RequestID},
	}
	if g.Proof.Credential != nil {
		all["AuthorizationCrt"] = g.Proof.Credential
	}
	return all
}

// chainBehind is the certificate chain behind a proof, its leaf first.
func (g *Grant) chainBehind() []*x509.Certificate {
	if g.Proof.Chain != nil || g.Proof.X509 == nil {
		return g.Proof.Chain
	}
	return []*x509.Certificate{g.Proof.X509}
}

// X509Variables are what a template of this grant sees, for it and for the addresses of
// webhooks.
func X509Variables(g *Grant, ask *X509Ask, now time.Time) (map[string]any, error) {
	return x509Variables(g, ask, now, false)
}

func x509Variables(g *Grant, ask *X509Ask, now time.Time, sharedKey bool) (map[string]any, error) {
	style := &g.Profile.X509
	data := X509Data{SharedKey: sharedKey,
		Subject: g.subjectName(), Names: g.Names, Token: g.Claims, Chain: g.chainBehind(), Variables: ask.Data.variables(g),
		Constants: style.Constants, User: ask.Data.User, Custom: style.Custom, Webhooks: ask.Data.Webhooks, Request: ask.Request, Now: now,
	}
	return data.Map()
}

// SSHVariables is X509Variables for SSH.
func SSHVariables(g *Grant, ask *SSHAsk, now time.Time) (map[string]any, error) {
	style := &g.Profile.SSH
	data := SSHData{
		Right: g.SSH, Ask: ask, Token: g.Claims, Variables: ask.Data.variables(g),
		Constants: style.Constants, User: ask.Data.User, Custom: style.Custom, Webhooks: ask.Data.Webhooks, Now: now,
	}
	vars, err := data.Map()
	if chain := g.chainBehind(); err == nil && chain != nil {
		vars["AuthorizationCrt"], vars["AuthorizationChain"] = chain[0], chain
	}
	return vars, err
}

// draftX509 makes the certificate as the template wants it: without key, extension and
// defaults, its validity a wish.
func draftX509(t *X509Template, g *Grant, ask *X509Ask, now time.Time) (*x509.Certificate, *certificateJSON, error) {
	if t.known != nil && len(g.Profile.X509.Constants) == 0 {
		return t.finish(t.known(g, ask))
	}
	vars, err := x509Variables(g, ask, now, !t.engine.names("PublicKey"))
	if err != nil {
		return nil, nil, err
	}
	return t.draft(vars)
}

func draftSSH(t *SSHTemplate, g *Grant, ask *SSHAsk, now time.Time) (*ssh.Certificate, error) {
	if t.known != nil && len(g.Profile.SSH.Constants) == 0 {
		c, err := t.known(g, ask)
		if err != nil {
			return nil, err
		}
		return t.finish(c)
	}
	vars, err := SSHVariables(g, ask, now)
	if err != nil {
		return nil, err
	}
	return t.Draft(vars)
}
