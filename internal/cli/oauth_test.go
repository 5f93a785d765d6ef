package cli_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/cli"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testidp"
)

func callback(t *testing.T, idp *testidp.Provider) (*cli.Callback, url.Values, string) {
	t.Helper()
	env := newWorld(t).env()
	env.Now = time.Now
	c, err := cli.NewCallback(env, testidp.Client, testidp.Secret, provisioner.Discovery{Issuer: idp.URL,
		Authorization: idp.URL + "/authorize", Token: idp.URL + "/token", IssuerInResponse: true})
	if err != nil {
		t.Fatal(err)
	}
	q, address, err := c.Address()
	if err != nil {
		t.Fatal(err)
	}
	return c, q, address
}

// answer goes to the identity provider and gives the address that it sends the browser to.
func answer(t *testing.T, address string) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatalf("status %d: %v", res.StatusCode, err)
	}
	return to
}

func bring(c *cli.Callback, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// SEC-22: state, nonce and verifier are drawn anew for each login and have the forms that
// identity providers of all ages take.
func TestSEC22_LoginAddress(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	_, a, _ := callback(t, idp)
	_, b, _ := callback(t, idp)
	for name, form := range map[string]string{"state": `^[A-Za-z0-9]{32}$`, "nonce": `^[0-9a-f]{64}$`, "code_challenge": `^[A-Za-z0-9_-]{43}$`} {
		if !regexp.MustCompile(form).MatchString(a.Get(name)) || a.Get(name) == b.Get(name) {
			t.Errorf("%s: %q, then %q", name, a.Get(name), b.Get(name))
		}
	}
	if a.Get("code_challenge_method") != "S256" || a.Get("response_type") != "code" || a.Get("scope") != "openid email" {
		t.Errorf("%v", a)
	}
}

// SEC-22: an answer is taken once; what is no answer, or one to another login, changes nothing.
func TestSEC22_LoginCallback(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	c, q, address := callback(t, idp)
	to := answer(t, address)
	bend := func(name, value string) string {
		v := to.Query()
		if v.Set(name, value); value == "" {
			v.Del(name)
		}
		return "/?" + v.Encode()
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"nothing":           bring(c, "GET", "/"),
		"no state":          bring(c, "GET", bend("state", "")),
		"another state":     bring(c, "GET", bend("state", strings.ToLower(q.Get("state")))),
		"a longer state":    bring(c, "GET", bend("state", q.Get("state")+"x")),
		"no code":           bring(c, "GET", bend("code", "")),
		"a stranger's no":   bring(c, "GET", "/?error=access_denied&state=x"),
		"another place":     bring(c, "GET", "/callback?"+to.RawQuery),
		"another method":    bring(c, "POST", "/?"+to.RawQuery),
		"a look in advance": bring(c, "OPTIONS", "/?"+to.RawQuery),
	} {
		if w.Code == http.StatusOK && name != "a look in advance" {
			t.Errorf("%s: status %d", name, w.Code)
		}
		if _, _, ended := c.Outcome(); ended {
			t.Fatalf("%s ended the login", name)
		}
	}
	w := bring(c, "GET", "/?"+to.RawQuery)
	token, err, ended := c.Outcome()
	if w.Code != http.StatusOK || token == "" || err != nil || !ended {
		t.Fatalf("status %d, %v", w.Code, err)
	}
	if h := w.Header(); !strings.HasPrefix(h.Get("Content-Type"), "text/html") || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
	before := idp.Asked("/token")
	if w := bring(c, "GET", "/?"+to.RawQuery); w.Code != http.StatusGone || idp.Asked("/token") != before {
		t.Errorf("the answer again: status %d", w.Code)
	}
	if _, _, again := c.Outcome(); again {
		t.Error("the answer again had an outcome")
	}
}

// SEC-22: what the identity provider says for itself must fit, or the login ends in an error
// whose page shows no word of it as it came.
func TestSEC22_LoginAnswers(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*testidp.Provider, url.Values){
		"another issuer":   func(_ *testidp.Provider, v url.Values) { v.Set("iss", "https://evil.example") },
		"no issuer":        func(_ *testidp.Provider, v url.Values) { v.Del("iss") },
		"another code":     func(_ *testidp.Provider, v url.Values) { v.Set("code", "x") },
		"an error":         func(_ *testidp.Provider, v url.Values) { v.Set("error", "<b>denied</b>") },
		"another nonce":    func(p *testidp.Provider, _ url.Values) { p.BendToken(set("nonce", "x")) },
		"no nonce":         func(p *testidp.Provider, _ url.Values) { p.BendToken(set("nonce", "")) },
		"another client":   func(p *testidp.Provider, _ url.Values) { p.BendToken(set("aud", "other")) },
		"for another one":  func(p *testidp.Provider, _ url.Values) { p.BendToken(set("azp", "other")) },
		"a token's issuer": func(p *testidp.Provider, _ url.Values) { p.BendToken(set("iss", "https://evil.example")) },
		"an old token":     func(p *testidp.Provider, _ url.Values) { p.BendToken(set("exp", 1)) },
		"no answer": func(p *testidp.Provider, _ url.Values) {
			p.Bend(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
		},
		"a flood": func(p *testidp.Provider, _ url.Values) {
			p.Bend(func(w http.ResponseWriter, _ *http.Request) bool {
				_, _ = w.Write([]byte(`{"access_token":"` + strings.Repeat("x", 10<<20) + `"}`))
				return true
			})
		},
		"no token": func(p *testidp.Provider, _ url.Values) {
			p.Bend(func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte(`{}`)); return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp := testidp.New(t)
			c, _, address := callback(t, idp)
			v := answer(t, address).Query()
			bend(idp, v)
			w := bring(c, "GET", "/?"+v.Encode())
			if token, err, ended := c.Outcome(); err == nil || !ended || token != "" {
				t.Errorf("%q %v", token, err)
			}
			if body := w.Body.String(); !strings.Contains(body, "The login failed") || strings.Contains(body, "<b>") {
				t.Errorf("the page: %s", body)
			}
		})
	}
}

func set(name string, value any) func(map[string]any) {
	return func(c map[string]any) { c[name] = value }
}

// A person is asked for what an OIDC provisioner cannot be without.
func TestOIDCProvisionerAsks(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	w := newWorld(t)
	file := w.file("ca.json", `{"authority": {"provisioners": []}}`)
	w.answers = testidp.Client + "\n" + idp.URL + "\n"
	if code := w.run(t.Context(), "ca", "provisioner", "add", "sso", "--type", "oidc", "--ca-config", file, "--json"); code != 0 {
		t.Fatalf("exit %d: %s", code, w.stderr.String())
	}
	if got := w.stdout.String(); !strings.Contains(got, `"clientID": "`+testidp.Client) || !strings.Contains(got, `"configurationEndpoint": "`+idp.URL) {
		t.Errorf("%s", got)
	}
}
