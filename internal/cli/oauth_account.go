package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

var errNoSuchToken = errors.New("the identity provider gave no such token; ask for it with --scope")

// oauthAccount is a file of credentials as clouds hand them out: of a service account, with
// its key, or of a client that people install.
type oauthAccount struct {
	Type      string           `json:"type"`
	Email     string           `json:"client_email"`
	Key       string           `json:"private_key"`
	KeyID     string           `json:"private_key_id"`
	Token     string           `json:"token_uri"`
	Installed *installedClient `json:"installed"`
}

type installedClient struct {
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	Authorization string `json:"auth_uri"`
	Token         string `json:"token_uri"`
}

func (e *Env) readAccount(file string) (*oauthAccount, error) {
	data, err := e.readFile(file)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	a := new(oauthAccount)
	if err := strict.Decode(data, a); err != nil {
		return nil, fmt.Errorf("read the account in %s: %w", file, err)
	}
	if !a.isService() && a.Installed == nil {
		return nil, fmt.Errorf("%s holds neither a service account nor an installed client", file)
	}
	return a, nil
}

func (a *oauthAccount) isService() bool { return a.Type == "service_account" }

func (a *oauthAccount) installed() *installedClient { return a.Installed }

// serviceTime is how long a service account's assertion is good.
const serviceTime = time.Hour

// login signs in with the account's key (RFC 7523). With self nobody is asked: the signed
// token is the access token of the one API that the scope names.
func (a *oauthAccount) login(ctx context.Context, c *oauthClient, self bool) (*oauthTokens, error) {
	key, err := keys.ParsePrivate([]byte(a.Key), "the account's private_key", keys.NoPassword)
	if err != nil {
		return nil, err
	}
	now := c.env.Now()
	claims := map[string]any{"iss": a.Email, "aud": a.Token, "iat": now.Unix(), "exp": now.Add(serviceTime).Unix()}
	if self {
		if len(c.scopes) == 0 {
			return nil, errRequires("jwt", "scope")
		}
		claims["sub"], claims["aud"] = a.Email, strings.Join(c.scopes, " ")
	} else {
		claims["scope"] = c.scope()
	}
	assertion, err := keys.SignJWT(key, map[string]any{"kid": a.KeyID}, claims)
	if err != nil {
		return nil, err
	}
	if self {
		return &oauthTokens{AccessToken: assertion, TokenType: "Bearer", ExpiresIn: "3600"}, nil
	}
	c.provider.Token = a.Token
	return c.redeem(ctx, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
}
