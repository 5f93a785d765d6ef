package cli

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/provisioner"
)

// oauthFlags are the flags of oauth.
type oauthFlags struct {
	provider, email                 string
	console                         bool
	consoleFlow                     string
	clientID, clientSecret, account string
	authorization, device, token    string
	header, oidc, bare, jwt         bool
	scopes, params                  []string
	prompt, browser                 string
	back                            loopback
}

// consoleFlows are the ways to log in without a browser on this machine.
var consoleFlows = []string{"device", "oob"}

// github is what an identity provider without a description says in its documentation.
var github = provisioner.Discovery{Authorization: "https://github.com/login/oauth/authorize",
	Token: "https://github.com/login/oauth/access_token", Device: "https://github.com/login/device/code"}

func oauthCommand() *command {
	f := &oauthFlags{provider: "google"}
	return &command{
		short: "log in at an identity provider and get its tokens",
		long: `Logs in at an identity provider (OAuth 2, OpenID Connect) and prints the tokens it gives: with a browser on this
			machine, which comes back to a listener on 127.0.0.1; with --console on another device; or with the key of a service
			account.

			The login is protected by PKCE, state and nonce, and the identity provider's own name in its answer where it sends
			one. Its addresses must be https, but for those on this machine.

			This program is not registered at any identity provider: --client-id names the client that you have there.`,
		examples: []example{
			{"Log in at an identity provider of your own and print the ID token", "signet oauth --oidc --bare --provider https://sso.example.com --client-id signet --client-secret ''"},
			{"Log in on another device", "signet oauth --console --provider https://sso.example.com --client-id signet"},
			{"Call an API", `curl -H "$(signet oauth --header --account service.json --scope https://www.googleapis.com/auth/cloud-platform)" https://api.example.com`},
			{"An identity provider without a description", "signet oauth --client-id signet --authorization-endpoint https://sso.example.com/authorize --token-endpoint https://sso.example.com/token"},
		},
		flags:  f.register,
		result: &oauthTokens{},
		run:    func(ctx context.Context, env *Env, _ []string) (any, error) { return f.run(ctx, env) },
	}
}

func (f *oauthFlags) register(fs *flags) {
	fs.String(&f.provider, "provider", "google|github|url", "identity provider: the address of the issuer, or of its description").Alias("idp")
	fs.String(&f.email, "email", "address", "who logs in").Alias("e")
	fs.Bool(&f.console, "console", "log in on another device instead of a browser here").Alias("c")
	fs.Enum(&f.consoleFlow, "console-flow", consoleFlows, "how: enter a code there, or copy one from there").Preset("device")
	fs.String(&f.clientID, "client-id", "id", "client that is registered at the identity provider")
	fs.String(&f.clientSecret, "client-secret", "secret", "secret of that client")
	fs.String(&f.account, "account", "file", "JSON of a service account, whose key logs in, or of an installed client")
	fs.String(&f.authorization, "authorization-endpoint", "url", "where browsers log in, if the identity provider describes nothing")
	fs.String(&f.device, "device-authorization-endpoint", "url", "where devices log in, if the identity provider describes nothing")
	fs.String(&f.token, "token-endpoint", "url", "where tokens are fetched, if the identity provider describes nothing")
	fs.Bool(&f.header, "header", "print a header for HTTP requests with the access token, with --oidc the ID token")
	fs.Bool(&f.oidc, "oidc", "with --bare or --header, print the ID token instead of the access token")
	fs.Bool(&f.bare, "bare", "print one token alone")
	fs.Strings(&f.scopes, "scope", "scope", "what to ask for; openid and email without it")
	fs.Strings(&f.params, "auth-param", "key=value", "parameter to add to the address of the login")
	fs.String(&f.prompt, "prompt", "none|login|consent|select_account", "what the identity provider asks the person")
	fs.Bool(&f.jwt, "jwt", "with a service account, print a token that it signs itself, for the one --scope")
	fs.String(&f.back.listen, "listen", "host:port", "where the browser comes back to; without it a free port of 127.0.0.1")
	fs.String(&f.back.redirect, "listen-url", "url", "address that the identity provider knows for that, if it is another")
	fs.String(&f.back.after, "redirect-url", "url", "where the browser goes after the login")
	fs.String(&f.browser, "browser", "program", "browser to open").Hidden()
	fs.Requires("authorization-endpoint", "token-endpoint")
	fs.Requires("device-authorization-endpoint", "token-endpoint")
	fs.Requires("jwt", "account")
	fs.Exclusive("bare", "header")
}

func (f *oauthFlags) run(ctx context.Context, env *Env) (any, error) {
	c := &oauthClient{id: f.clientID, secret: f.clientSecret, scopes: f.scopes, params: f.params, prompt: f.prompt, hint: f.email,
		env: env, calls: fetch.New(fetch.Options{})}
	account := new(oauthAccount)
	if f.account != "" {
		var err error
		if account, err = env.readAccount(f.account); err != nil {
			return nil, err
		}
	}
	tokens, err := f.login(ctx, c, account)
	if err != nil {
		return nil, err
	}
	if !f.bare && !f.header {
		return tokens, nil
	}
	one := tokens.AccessToken
	if f.oidc {
		one = tokens.IDToken
	}
	if one == "" {
		return nil, errNoSuchToken
	}
	if f.header {
		one = "Authorization: Bearer " + one
	}
	return one, nil
}

// login logs in as the flags say.
func (f *oauthFlags) login(ctx context.Context, c *oauthClient, account *oauthAccount) (*oauthTokens, error) {
	if account.isService() {
		return account.login(ctx, c, f.jwt)
	}
	if i := account.installed(); i != nil && c.id == "" {
		c.id, c.secret = i.ClientID, i.ClientSecret
	}
	if c.id == "" {
		return nil, errRequired("client-id")
	}
	if err := f.find(ctx, c, account); err != nil {
		return nil, err
	}
	switch {
	case f.console && f.consoleFlow == "oob":
		return c.byCode(ctx)
	case f.console:
		return c.byDevice(ctx)
	}
	return c.byBrowser(ctx, f.back, browser(f.browser))
}

// find finds out where the identity provider is.
func (f *oauthFlags) find(ctx context.Context, c *oauthClient, account *oauthAccount) error {
	i := account.installed()
	switch {
	case f.token != "":
		c.provider = provisioner.Discovery{Authorization: f.authorization, Device: f.device, Token: f.token}
		return nil
	case i != nil && i.Token != "":
		c.provider = provisioner.Discovery{Authorization: i.Authorization, Token: i.Token}
		return nil
	case strings.EqualFold(f.provider, "github"):
		c.provider = github
		return nil
	case strings.EqualFold(f.provider, "google"):
		f.provider = "https://accounts.google.com"
	}
	address, err := provisioner.DiscoveryURL(f.provider)
	if err != nil {
		return err
	}
	return c.discover(ctx, provisioner.Issuer{Endpoint: address})
}

// Text is the JSON that the identity provider gave, in a fixed order.
func (t *oauthTokens) Text() string {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return "" // strings and a number that was read always encode
	}
	return string(text)
}
