package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// loginTime bounds how long a person may take to log in.
const loginTime = 2 * time.Minute

var errLoginTime = fmt.Errorf("nobody logged in within %s", loginTime)

// loopback is where the browser comes back to (RFC 8252, Section 7.3).
type loopback struct {
	listen   string // host:port; "" is a free port of 127.0.0.1
	redirect string // address that the identity provider knows; "" is that of the listener
	after    string // where the browser goes in the end; "" is a page of ours
}

// login is one login by a browser. What protects it is used once.
type login struct {
	*oauthClient
	back     loopback
	uri      string // where the browser is sent back to
	path     string
	state    string
	nonce    string
	verifier string

	once   sync.Once // the first callback with the right state is the only one
	result chan loginResult
}

type loginResult struct {
	tokens *oauthTokens
	err    error
}

// newLogin draws the secrets of a login.
func (c *oauthClient) newLogin(uri string) *login {
	return &login{oauthClient: c, uri: uri, path: "/", state: letters(32), nonce: keys.RandomHex(32), verifier: letters(64),
		result: make(chan loginResult, 1)}
}

// letters draws letters and digits, at least five bits each.
func letters(n int) string {
	var s string
	for len(s) < n {
		s += rand.Text()
	}
	return s[:n]
}

// address is where the browser begins (RFC 6749, Section 4.1.1, with RFC 7636).
func (l *login) address() (string, error) {
	if err := provisioner.CheckEndpoint(l.provider.Authorization); err != nil {
		return "", fmt.Errorf("authorization_endpoint: %w", err)
	}
	u, err := url.Parse(l.provider.Authorization)
	if err != nil {
		return "", err
	}
	q := u.Query()
	if err := l.addParams(q); err != nil {
		return "", err
	}
	challenge := sha256.Sum256([]byte(l.verifier))
	for name, value := range map[string]string{
		"client_id": l.id, "redirect_uri": l.uri, "response_type": "code", "scope": l.scope(), "state": l.state, "nonce": l.nonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	for name, value := range map[string]string{"prompt": l.prompt, "login_hint": l.hint} {
		if value != "" {
			q.Set(name, value)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// byBrowser logs in with a browser on this machine.
func (c *oauthClient) byBrowser(ctx context.Context, back loopback, open browser) (*oauthTokens, error) {
	listener, err := back.open(ctx)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	l := c.newLogin("http://" + listener.Addr().String())
	if host, _, err := net.SplitHostPort(back.listen); err == nil && host != "" {
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		l.uri = "http://" + net.JoinHostPort(host, port)
	}
	if l.back = back; back.redirect != "" {
		u, err := url.Parse(back.redirect)
		if err != nil || u.Host == "" {
			return nil, errValue("listen-url", back.redirect, "an address such as http://127.0.0.1:10000/callback")
		}
		if l.uri = back.redirect; u.Path != "" {
			l.path = u.Path
		}
	}
	address, err := l.address()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loginTime, errLoginTime)
	defer cancel()
	server := &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	go server.Serve(listener)
	open.show(ctx, c.env, address)
	select {
	case r := <-l.result:
		// The browser gets its page before this program ends.
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer stop()
		_ = server.Shutdown(last)
		return r.tokens, r.err
	case <-ctx.Done():
		_ = server.Close()
		return nil, fmt.Errorf("log in: %w", context.Cause(ctx))
	}
}

// open binds the address.
func (b *loopback) open(ctx context.Context) (net.Listener, error) {
	host, port := "", "0"
	if b.listen != "" {
		var err error
		if host, port, err = net.SplitHostPort(b.listen); err != nil {
			return nil, errValue("listen", b.listen, "host:port or :port")
		}
	}
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("wait for the browser: %w", err)
	}
	return listener, nil
}

// ServeHTTP waits for the browser. Whoever does not know the state is sent away and changes
// nothing: any page can make a browser come here.
func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	code, refusal := q.Get("code"), q.Get("error")
	switch {
	case r.URL.Path != l.path:
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusOK)
	case r.Method != http.MethodGet:
		http.Error(w, "only GET is expected here", http.StatusMethodNotAllowed)
	case q.Get("state") == "" || code == "" && refusal == "":
		l.page(w, http.StatusBadRequest, "This is no answer of an identity provider.")
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(l.state)) != 1:
		l.page(w, http.StatusBadRequest, "This is the answer to another login.")
	default:
		first := false
		l.once.Do(func() { first = true })
		if !first {
			l.page(w, http.StatusGone, "This login is over.")
			return
		}
		tokens, err := l.finish(r.Context(), q)
		switch {
		case err != nil:
			l.page(w, http.StatusOK, "The login failed: "+err.Error()+".")
		case l.back.after != "":
			http.Redirect(w, r, l.back.after, http.StatusFound)
		default:
			l.page(w, http.StatusOK, "You are logged in. You may close this window.")
		}
		l.result <- loginResult{tokens, err}
	}
}

// finish takes the answer that the browser brings: of the right identity provider (RFC 9207),
// a code, which buys tokens.
func (l *login) finish(ctx context.Context, q url.Values) (*oauthTokens, error) {
	if issuer := l.provider.Issuer; issuer != "" && (q.Has("iss") || l.provider.IssuerInResponse) && q.Get("iss") != issuer {
		return nil, fmt.Errorf("the answer is of the identity provider %q, not of %q", printable(q.Get("iss")), issuer)
	}
	if refusal := q.Get("error"); refusal != "" {
		return nil, &oauthError{Code: refusal, Description: q.Get("error_description")}
	}
	tokens, err := l.redeem(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {l.uri},
		"client_id": {l.id}, "client_secret": {l.secret}, "code_verifier": {l.verifier}})
	if err != nil {
		return nil, err
	}
	return tokens, l.check(tokens, l.nonce)
}

var loginPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Program}}</title>
<body style="font-family: sans-serif; margin: 4em auto; max-width: 40em"><h1>{{.Program}}</h1><p>{{.Text}}</p></body></html>
`))
})

func (l *login) page(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = loginPage().Execute(w, struct{ Program, Text string }{l.env.Name, text})
}

// byCode logs in with a browser anywhere: the person copies a code from there.
func (c *oauthClient) byCode(ctx context.Context) (*oauthTokens, error) {
	l := c.newLogin("urn:ietf:wg:oauth:2.0:oob")
	address, err := l.address()
	if err != nil {
		return nil, err
	}
	c.env.Note("Open this address in a browser and log in:\n\n%s\n", address)
	code, err := c.env.askLine(ctx, question{label: "Code that is shown there"})
	if err != nil {
		return nil, err
	}
	if code == "" {
		return nil, errors.New("there is no code to log in with")
	}
	tokens, err := l.redeem(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {l.uri},
		"client_id": {l.id}, "client_secret": {l.secret}, "code_verifier": {l.verifier}})
	if err != nil {
		return nil, err
	}
	return tokens, l.check(tokens, l.nonce)
}
