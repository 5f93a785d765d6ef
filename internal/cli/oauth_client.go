package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/strict"
)

// oauthClient is a client of an identity provider (RFC 6749, Section 2) and what it asks for.
type oauthClient struct {
	id, secret   string
	scopes       []string
	params       []string // added to the login's address, as key=value
	prompt, hint string
	provider     provisioner.Discovery // its issuer is "" if only addresses were given
	calls        *fetch.Client
	env          *Env
}

// oauthTokens is what a login is good for (RFC 6749, Section 5.1).
type oauthTokens struct {
	AccessToken  string      `json:"access_token" help:"token for resources of the identity provider"`
	IDToken      string      `json:"id_token" help:"token that says who logged in, a signed JWT"`
	RefreshToken string      `json:"refresh_token" help:"token for new tokens"`
	ExpiresIn    json.Number `json:"expires_in" help:"seconds until the access token expires"`
	TokenType    string      `json:"token_type" help:"how the access token is used"`
	Scope        string      `json:"scope,omitempty" help:"what was granted, if it differs from what was asked for"`
}

// oauthError is a refusal of an identity provider (RFC 6749, Section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string {
	if e.Description == "" {
		return "the identity provider refuses: " + printable(e.Code)
	}
	return fmt.Sprintf("the identity provider refuses: %s (%s)", printable(e.Description), printable(e.Code))
}

// discover fills in the addresses of the identity provider.
func (c *oauthClient) discover(ctx context.Context, issuer provisioner.Issuer) error {
	found, err := issuer.Discover(ctx, c.calls)
	if err != nil {
		return err
	}
	c.provider = *found
	return nil
}

// scope is what is asked for, in one string.
func (c *oauthClient) scope() string {
	if len(c.scopes) == 0 {
		return "openid email"
	}
	return strings.Join(c.scopes, " ")
}

// addParams adds the parameters that somebody configured. They come first, so that none of
// them replaces what protects the login.
func (c *oauthClient) addParams(q url.Values) error {
	for _, param := range c.params {
		name, value, found := strings.Cut(param, "=")
		if !found || name == "" {
			return fmt.Errorf("the parameter %q of the login is not of the form key=value", param)
		}
		q.Set(name, value)
	}
	return nil
}

// redeem exchanges something for tokens.
func (c *oauthClient) redeem(ctx context.Context, form url.Values) (*oauthTokens, error) {
	tokens := new(oauthTokens)
	if err := c.post(ctx, "token_endpoint", c.provider.Token, form, tokens); err != nil {
		return nil, err
	}
	if tokens.AccessToken == "" && tokens.IDToken == "" {
		return nil, errors.New("the identity provider's answer holds no token")
	}
	if tokens.ExpiresIn == "" {
		tokens.ExpiresIn = "0"
	}
	return tokens, nil
}

// post sends a form to an address of the identity provider, called name in its description,
// and reads the answer, which may be JSON or a form itself.
func (c *oauthClient) post(ctx context.Context, name, address string, form url.Values, answer any) error {
	if address == "" {
		return fmt.Errorf("the identity provider says nothing of its %s, which this login needs", name)
	}
	if err := provisioner.CheckEndpoint(address); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	a, err := c.calls.Do(ctx, &fetch.Request{Method: http.MethodPost, URL: address, Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}})
	if err != nil {
		return fmt.Errorf("ask the identity provider: %w", err)
	}
	refused := new(oauthError)
	if strict.Decode(a.Body, refused) == nil && refused.Code != "" {
		return refused // some say so with status 200
	}
	if a.Status != http.StatusOK && a.Status != http.StatusCreated {
		return fmt.Errorf("the identity provider answers with status %d at its %s", a.Status, name)
	}
	if err := strict.Decode(a.Body, answer); err != nil {
		return fmt.Errorf("read the answer of the identity provider: %w", err)
	}
	return nil
}

// check holds an ID token against what this login asked for (OpenID Connect Core 1.0, Section
// 3.1.3.7). It came from the identity provider itself over TLS, so its signature is left to
// the CA, which is the one to be convinced.
func (c *oauthClient) check(tokens *oauthTokens, nonce string) error {
	if tokens.IDToken == "" || c.provider.Issuer == "" {
		return nil
	}
	t, err := provisioner.ParseToken(tokens.IDToken, c.env.Now())
	if err != nil {
		return fmt.Errorf("the identity provider's answer: %w", err)
	}
	switch {
	case t.Issuer != c.provider.Issuer:
		err = fmt.Errorf("it was issued by %q, not by %q", t.Issuer, c.provider.Issuer)
	case !slices.Contains(t.Audience, c.id):
		err = fmt.Errorf("it is made out to %q, not to this client", []string(t.Audience))
	case t.AuthorizedParty != "" && t.AuthorizedParty != c.id:
		err = fmt.Errorf("it was made for the client %q", t.AuthorizedParty)
	case nonce != "" && t.Nonce != nonce:
		err = errors.New("it is of another login (its nonce differs)")
	default:
		err = t.CheckTimes()
	}
	if err != nil {
		return fmt.Errorf("the ID token that came is not accepted: %w", err)
	}
	return nil
}
