package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/strict"
)

// loginFlags say how a person logs in where a provisioner needs that.
type loginFlags struct{ console bool }

func (f *loginFlags) register(fs *flags) { registerConsole(fs, &f.console) }

// oidcID is the client ID of an OIDC provisioner.
func oidcID(p *provisioner.Provisioner) string {
	if o, ok := p.Kind().(*provisioner.OIDC); ok {
		return o.ClientID
	}
	return ""
}

// proveOIDC logs somebody in; the ID token is the proof. Of a job it is the token that its
// build service gives it.
func proveOIDC(ctx context.Context, p *proof) (string, error) {
	roots, err := p.flags.ca.certificates(p.env)
	if err != nil {
		return "", err
	}
	hint := p.want.Subject
	if !strings.Contains(hint, "@") {
		hint = "" // a host that an admin wants certified, say
	}
	return p.env.idToken(ctx, p.provisioner, howToLogin{console: p.flags.loginFlags.console, hint: hint, roots: roots})
}

// howToLogin is what a login may need besides its provisioner.
type howToLogin struct {
	console bool                // on another device
	hint    string              // who logs in, as far as is known
	roots   []*x509.Certificate // of the CA: they may vouch for the identity provider as well
}

// idToken gets the ID token that an OIDC provisioner takes for a proof.
func (e *Env) idToken(ctx context.Context, p *provisioner.Provisioner, how howToLogin) (string, error) {
	o, ok := p.Kind().(*provisioner.OIDC)
	if !ok {
		return "", fmt.Errorf("provisioner %q is of type %s, where nobody logs in", p.Name, p.Type)
	}
	calls := fetch.New(fetch.Options{Roots: how.roots})
	if o.Workload {
		return e.jobToken(ctx, o, calls)
	}
	secret, err := o.Secret()
	if err != nil {
		return "", err
	}
	c := &oauthClient{id: o.ClientID, secret: secret, scopes: o.Scopes, params: o.AuthParams, hint: how.hint, env: e, calls: calls}
	address, err := provisioner.DiscoveryURL(o.ConfigurationEndpoint)
	if err != nil {
		return "", err
	}
	if err := c.discover(ctx, provisioner.Issuer{Endpoint: address, Name: o.Issuer, Tenant: o.TenantID}); err != nil {
		return "", fmt.Errorf("log in for provisioner %q: %w", p.Name, err)
	}
	tokens, err := c.loginFor(ctx, o, how.console)
	if err != nil {
		return "", fmt.Errorf("log in for provisioner %q: %w", p.Name, err)
	}
	if tokens.IDToken == "" {
		return "", fmt.Errorf("the identity provider gave no ID token; the scopes of provisioner %q must include openid", p.Name)
	}
	return tokens.IDToken, nil
}

func (c *oauthClient) loginFor(ctx context.Context, o *provisioner.OIDC, console bool) (*oauthTokens, error) {
	if console {
		return c.byDevice(ctx)
	}
	back := loopback{listen: o.ListenAddress}
	if listen, _ := c.env.variable("LISTEN"); listen != "" {
		back.listen = listen
	}
	return c.byBrowser(ctx, back, "")
}

// jobToken is the token that says which job this is: the one in SIGNET_ID_TOKEN, where build
// services such as GitLab put theirs, or the one that GitHub gives its jobs for the asking.
func (e *Env) jobToken(ctx context.Context, o *provisioner.OIDC, calls *fetch.Client) (string, error) {
	if token, name := e.variable("ID_TOKEN"); token != "" {
		if _, err := provisioner.ParseToken(token, e.Now()); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return strings.TrimSpace(token), nil
	}
	address, right := e.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), e.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	if address == "" || right == "" {
		return "", errors.New("there is no token of a job here: put it into SIGNET_ID_TOKEN, or give the job the right to ask for one (on GitHub: permissions: id-token: write)")
	}
	u, err := url.Parse(address)
	if err == nil {
		err = provisioner.CheckEndpoint(address)
	}
	if err != nil {
		return "", fmt.Errorf("ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}
	q := u.Query()
	q.Set("audience", o.ClientID)
	u.RawQuery = q.Encode()
	a, err := calls.Do(ctx, &fetch.Request{URL: u.String(), Header: http.Header{"Authorization": {"Bearer " + right}, "Accept": {"application/json"}}})
	if err != nil {
		return "", fmt.Errorf("ask for the token of this job: %w", err)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if a.Status != http.StatusOK {
		return "", fmt.Errorf("ask for the token of this job: the build service answers with status %d", a.Status)
	}
	if err := strict.Decode(a.Body, &answer); err != nil || answer.Value == "" {
		return "", errors.New("ask for the token of this job: the build service's answer holds none")
	}
	return answer.Value, nil
}

// certificates are the CA's roots, as far as they are known here.
func (c *caFlags) certificates(env *Env) ([]*x509.Certificate, error) {
	certs, err := keys.ReadCertificates(c.rootFile(env))
	if errors.Is(err, fs.ErrNotExist) && c.root == "" {
		return nil, nil
	}
	return certs, err
}

// namesOfLogin are the common name and the names of a request by whoever logged in: under
// their own address what the CA gives them anyway, else what an admin asks for.
func namesOfLogin(t *provisioner.Token, subject string, given []string) (commonName string, names []string) {
	switch {
	case len(given) > 0:
		return subject, given
	case t.Email != "" && strings.EqualFold(t.Email, subject):
		names = []string{t.Email}
		if strings.Contains(t.Issuer, "://") {
			names = append(names, t.Issuer+"#"+t.Subject)
		}
		return t.Subject, names
	}
	return subject, []string{subject}
}
