package cli

import (
	"net/http"
	"net/url"

	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/provisioner"
)

// Callback is what waits for a browser that comes back from a login, for tests.
type Callback struct{ l *login }

// NewCallback is a login with a client of this identity provider.
func NewCallback(env *Env, id, secret string, p provisioner.Discovery) (*Callback, error) {
	c := &oauthClient{id: id, secret: secret, provider: p, calls: fetch.New(fetch.Options{}), env: env}
	return &Callback{c.newLogin("http://127.0.0.1:1")}, nil
}

// Address is where the browser begins.
func (c *Callback) Address() (url.Values, string, error) {
	address, err := c.l.address()
	if err != nil {
		return nil, "", err
	}
	u, err := url.Parse(address)
	return u.Query(), address, err
}

// ServeHTTP takes what the browser brings.
func (c *Callback) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.l.ServeHTTP(w, r) }

// Outcome is how the login ended; false if it did not yet.
func (c *Callback) Outcome() (idToken string, err error, ended bool) {
	select {
	case r := <-c.l.result:
		if r.err != nil {
			return "", r.err, true
		}
		return r.tokens.IDToken, nil, true
	default:
		return "", nil, false
	}
}
