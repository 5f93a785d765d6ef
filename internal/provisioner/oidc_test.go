package provisioner_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
	"github.com/signet-ca/signet/internal/testidp"
)

// oidc is the JSON object of an OIDC provisioner of an identity provider.
func oidc(t testing.TB, idp *testidp.Provider, more map[string]any) string {
	t.Helper()
	object := map[string]any{"type": "OIDC", "name": "sso", "clientID": testidp.Client, "clientSecret": testidp.Secret,
		"configurationEndpoint": idp.URL, "claims": map[string]any{"enableSSHCA": true}}
	for name, value := range more {
		object[name] = value
	}
	return jsonText(t, object)
}

// byHand is an ID token put together from the standard.
func byHand(t testing.TB, idp *testidp.Provider, bend ...testca.Bend) string {
	t.Helper()
	id, key := idp.Key()
	now := time.Now()
	token := &testca.Token{Key: key, Header: map[string]any{"alg": "ES256", "kid": id, "typ": "JWT"}, Claims: map[string]any{
		"iss": idp.URL, "sub": "ann-1", "aud": testidp.Client, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"email": "Joe.Q+x@Corp.Example", "email_verified": true, "nonce": "n-1"}}
	return token.With(bend...).Compact(t)
}

func verify(t testing.TB, p *provisioner.Provisioner, act provisioner.Act, raw string) (*issue.Grant, error) {
	t.Helper()
	token, err := provisioner.ParseToken(raw, time.Now())
	if err != nil {
		return nil, err
	}
	return p.Verify(t.Context(), act, token)
}

// A token made by hand grants what it says: address and subject in X.509, account names in SSH.
func TestOIDCGrants(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	p := open(t, oidc(t, idp, nil))
	token, err := provisioner.ParseToken(byHand(t, idp), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if chosen, err := list(t, oidc(t, idp, nil)).ByToken(token); err != nil || chosen.Name != "sso" {
		t.Fatalf("the token does not find its provisioner: %v", err)
	}
	g, err := p.Verify(t.Context(), provisioner.SignX509, token)
	if err != nil {
		t.Fatal(err)
	}
	want := issue.NamesOf([]string{"Joe.Q+x@Corp.Example", idp.URL + "#ann-1"})
	if diff := cmp.Diff(want, g.Names); diff != "" || g.Subject != "ann-1" || !g.Fixed || g.FreeNames || g.Once.Key == "" || g.Claims["email"] != "Joe.Q+x@Corp.Example" {
		t.Errorf("%+v\n%s", g, diff)
	}
	if e := g.Profile.Extension; e == nil || e.CredentialID != testidp.Client || e.Type != 2 {
		t.Errorf("extension %+v", e)
	}
	g, err = p.Verify(t.Context(), provisioner.SignSSH, token)
	if err != nil {
		t.Fatal(err)
	}
	right := &issue.SSHRight{Type: "user", KeyID: "Joe.Q+x@Corp.Example", Principals: []string{"joeq_x", "Joe.Q+x", "Joe.Q+x@Corp.Example"}, Fixed: true}
	if diff := cmp.Diff(right, g.SSH); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A login is known by its nonce, however its token looks.
	again, err := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.Claim("jti", "x")))
	other, err2 := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.Claim("nonce", "n-2")))
	if err != nil || err2 != nil || again.Once.Key != g.Once.Key || other.Once.Key == g.Once.Key {
		t.Error("the nonce does not tell logins apart", err, err2)
	}
}

// Every claim and every part of a token bent, one at a time (SEC-43 for its signature).
func TestSEC43_OIDCBends(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	id, key := idp.Key()
	other := testca.P256(t)
	strict := map[string]any{"tenantID": "t-1", "domains": []string{"corp.example"}, "groups": []string{"staff"}}
	p := open(t, oidc(t, idp, strict))
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	fits := testca.Claim("groups", []string{"staff"})
	for _, c := range []struct {
		name string
		bend testca.Bend
		good bool
	}{
		{"nothing", fits, true},
		{"azp is the client", testca.Claim("azp", testidp.Client), true},
		{"several audiences", testca.Audience([]string{"other", testidp.Client}), true},
		{"tid is the tenant", testca.Claim("tid", "t-1"), true},
		{"verified, in a string", testca.Claim("email_verified", "true"), true},
		{"nothing said of verified", testca.NoClaim("email_verified"), true},
		{"one group, in a string", testca.Claim("groups", "staff"), true},
		{"no nonce", testca.NoClaim("nonce"), true},
		{"no iat", testca.NoClaim("iat"), true},
		{"expired within the leeway", testca.Claim("exp", in(-30*time.Second)), true},
		{"a domain in capitals", testca.Claim("email", "a@CORP.example"), true},

		{"another key", testca.SignedBy(other, "ES256"), false},
		{"no signature", testca.Head("alg", "none"), false},
		{"the public key as a secret", testca.SignedBy([]byte(testca.PublicJWK(&key.PublicKey)["x"].(string)), "HS256"), false},
		{"the client's secret as a key", testca.SignedBy([]byte(testidp.Secret), "HS256"), false},
		{"another algorithm of the kind", testca.SignedBy(testca.RSA(t, 2048), "RS256"), false},
		{"a key that is not listed", testca.Head("kid", "nobody"), false},
		{"no kid", testca.NoHead("kid"), false},
		{"a key of its own", func(k *testca.Token) {
			k.Key, k.Header["jwk"], k.Header["kid"] = other, testca.PublicJWK(&other.PublicKey), "mine"
		}, false},
		{"a key elsewhere", func(k *testca.Token) { k.Key, k.Header["jku"] = other, "https://evil.example/keys" }, false},
		{"another issuer", testca.Claim("iss", "https://evil.example"), false},
		{"the issuer with a slash", testca.Claim("iss", idp.URL+"/"), false},
		{"no issuer", testca.NoClaim("iss"), false},
		{"another audience", testca.Audience("other"), false},
		{"no audience", testca.NoClaim("aud"), false},
		{"another client", testca.Claim("azp", "other"), false},
		{"another tenant", testca.Claim("tid", "t-2"), false},
		{"expired", testca.Claim("exp", in(-90*time.Second)), false},
		{"no exp", testca.NoClaim("exp"), false},
		{"not yet good", testca.Claim("nbf", in(2*time.Minute)), false},
		{"from the future", testca.Claim("iat", in(2*time.Minute)), false},
		{"no subject", testca.NoClaim("sub"), false},
		{"an empty subject", testca.Claim("sub", ""), false},
		{"another domain", testca.Claim("email", "joe@evil.example"), false},
		{"a domain below", testca.Claim("email", "joe@a.corp.example"), false},
		{"a domain before the last @", testca.Claim("email", "joe@corp.example@evil.example"), false},
		{"no address", testca.NoClaim("email"), false},
		{"no domain", testca.Claim("email", "joe"), false},
		{"an unverified address", testca.Claim("email_verified", false), false},
		{"an unverified address, in a string", testca.Claim("email_verified", "false"), false},
		{"an address of doubtful truth", testca.Claim("email_verified", 1), false},
		{"other groups", testca.Claim("groups", []string{"guests"}), false},
		{"no groups", testca.NoClaim("groups"), false},
		{"a binding nobody knows", testca.Claim("cnf", map[string]any{"osc": "x"}), false},
	} {
		raw := byHand(t, idp, fits, c.bend)
		g, err := verify(t, p, provisioner.SignX509, raw)
		if (err == nil) != c.good || err != nil && g != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && !fault.Is(err, fault.Unproven) && !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v is a fault of kind %s", c.name, err, fault.KindOf(err))
		}
		if _, err := verify(t, p, provisioner.SignSSH, raw); (err == nil) != c.good {
			t.Errorf("%s, in SSH: %v", c.name, err)
		}
	}
	if n := idp.Asked("/keys"); n > 2 {
		t.Errorf("tokens made the CA ask for keys %d times (key %s)", n, id)
	}
}

// Provisioners Section 2.2: who is an admin, and what that is good for.
func TestOIDCAdmins(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	groups := func(g ...string) testca.Bend { return testca.Claim("groups", g) }
	for _, c := range []struct {
		name   string
		config map[string]any
		bend   testca.Bend
		admin  bool
	}{
		{"nobody", nil, groups("staff"), false},
		{"by address", map[string]any{"admins": []string{"Joe.Q+x@corp.example"}}, groups(), true},
		{"the name in other letters", map[string]any{"admins": []string{"joe.q+x@corp.example"}}, groups(), false},
		{"by group", map[string]any{"admins": []string{"root-team"}}, groups("root-team"), true},
		{"a group called like an admin", map[string]any{"admins": []string{"boss@corp.example"}}, groups("boss@corp.example"), false},
		{"an address called like a group", map[string]any{"admins": []string{"team"}}, testca.Claim("email", "team"), false},
		{"groupAdmins", map[string]any{"groupAdmins": []string{"a@b"}}, groups("a@b"), true},
		{"by rule", map[string]any{"rules": []any{map[string]any{"when": map[string]any{"realm.roles": "ca-*"}, "roles": []string{"admin"}}}},
			testca.Claim("realm", map[string]any{"roles": []string{"x", "ca-admins"}}), true},
		{"by a rule that does not fit", map[string]any{"rules": []any{map[string]any{"when": map[string]any{"realm.roles": "ca-*", "x": "y"}, "roles": []string{"admin"}}}},
			testca.Claim("realm", map[string]any{"roles": []string{"ca-admins"}}), false},
		{"outside the domains", map[string]any{"admins": []string{"root-team"}, "domains": []string{"other.example"}}, groups("root-team"), true},
	} {
		p := open(t, oidc(t, idp, c.config))
		raw := byHand(t, idp, c.bend)
		g, err := verify(t, p, provisioner.SignX509, raw)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s, err := verify(t, p, provisioner.SignSSH, raw)
		if err != nil || g.FreeNames != c.admin || g.Fixed == c.admin || s.SSH.Free != c.admin || s.SSH.Fixed != true {
			t.Errorf("%s: %+v %+v %v", c.name, g, s, err)
		}
		for _, act := range []provisioner.Act{provisioner.RevokeX509, provisioner.RevokeSSH} {
			if g, err := verify(t, p, act, raw); (err == nil) != c.admin || err == nil && g.Subject != "Joe.Q+x@Corp.Example" {
				t.Errorf("%s, %s: %v", c.name, act, err)
			}
		}
	}
	p := open(t, oidc(t, idp, map[string]any{"rules": []any{map[string]any{"when": map[string]any{"groups": "helpdesk"}, "roles": []string{"revoke"}}}}))
	if _, err := verify(t, p, provisioner.RevokeX509, byHand(t, idp, groups("helpdesk"))); err != nil {
		t.Errorf("the helpdesk: %v", err)
	}
	if g, err := verify(t, p, provisioner.SignX509, byHand(t, idp, groups("helpdesk"))); err != nil || g.FreeNames {
		t.Errorf("the helpdesk is no admin: %v", err)
	}
}

// Provisioners Section 2.2: principals, of which there is always one, and none is reserved.
func TestOIDCPrincipals(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	rule := func(r map[string]any) map[string]any { return map[string]any{"rules": []any{r}} }
	for _, c := range []struct {
		name   string
		config map[string]any
		bend   testca.Bend
		want   []string // nil: refused
	}{
		{"plain", nil, testca.Claim("email", "joe@x"), []string{"joe", "joe@x"}},
		{"the last @ counts", nil, testca.Claim("email", `"a@b"@x`), []string{"_a_b_", `"a@b"`, `"a@b"@x`}},
		{"no address", nil, testca.NoClaim("email"), []string{"ann-1"}},
		{"an odd subject", nil, func(k *testca.Token) { delete(k.Claims, "email"); k.Claims["sub"] = "auth0|Ä.b" }, []string{"auth0__b"}},
		{"nothing left", nil, func(k *testca.Token) { delete(k.Claims, "email"); k.Claims["sub"] = "..." }, nil},
		{"root", nil, testca.Claim("email", "root@corp.example"), nil},
		{"Root", nil, testca.Claim("email", "R.oot@corp.example"), nil},
		{"root by option", map[string]any{"reservedPrincipals": []string{"admin"}}, testca.Claim("email", "root@x"), []string{"root", "root@x"}},
		{"another reserved one", map[string]any{"reservedPrincipals": []string{"admin"}}, testca.Claim("email", "admin@x"), nil},
		{"a rule", rule(map[string]any{"when": map[string]any{"groups": []string{"dba", "x"}}, "principals": []string{"postgres", "root"}}),
			func(k *testca.Token) { k.Claims["email"], k.Claims["groups"] = "joe@x", []string{"dba"} }, []string{"joe", "joe@x", "postgres", "root"}},
		{"claims", rule(map[string]any{"principals": []string{"team-{groups}", "{name}"}}),
			func(k *testca.Token) {
				k.Claims["email"], k.Claims["groups"], k.Claims["name"] = "joe@x", []string{"a", "b,root", "c d", "*"}, "e"
			}, []string{"joe", "joe@x", "team-a", "e"}},
		{"a claim that says root", rule(map[string]any{"principals": []string{"{name}"}}), testca.Claim("name", "root"), nil},
	} {
		g, err := verify(t, open(t, oidc(t, idp, c.config)), provisioner.SignSSH, byHand(t, idp, c.bend))
		if (err == nil) != (c.want != nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			if diff := cmp.Diff(c.want, g.SSH.Principals); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
	}
}

// SEC-12: what a claim says cannot change what kind of name comes out, or whose.
func TestSEC12_OIDCNamesFromClaims(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	for _, c := range []struct{ pattern, value, want string }{
		{"{v}.users.corp.example", "joe", "joe.users.corp.example"},
		{"{v}.users.corp.example", "*", ""},
		{"{v}.users.corp.example", "a.b", ""},
		{"{v}.users.corp.example", "evil.example/", ""},
		{"{v}.users.corp.example", "joe@evil", ""},
		{"{v}.users.corp.example", "", ""},
		{"spiffe://corp.example/ci/{v}", "corp/app", "spiffe://corp.example/ci/corp/app"},
		{"spiffe://corp.example/ci/{v}", "a b?c#d", "spiffe://corp.example/ci/a%20b%3Fc%23d"},
		{"spiffe://corp.example/ci/{v}", "../root", ""},
		{"spiffe://corp.example/ci/{v}", "a//b", ""},
		{"spiffe://corp.example/{v}/job", "a/b", "spiffe://corp.example/a%2Fb/job"},
		{"spiffe://{v}/job", "evil.example", ""},
		{"spiffe:{v}", "//evil.example/x", ""},
		{"urn:job:{v}", "7", "urn:job:7"},
		{"{v}@jobs.example", "seven", "seven@jobs.example"},
		{"{v}@jobs.example", "a@evil.example,b", ""},
		{"ci@{v}.example", "a.evil", ""},
		{"{v}", "host.corp.example", "host.corp.example"},
		{"{v}", "joe@corp.example", "joe@corp.example"},
		{"{v}", "10.0.0.1", ""},
		{"{v}", "*.corp.example", ""},
		{"{v}", "https://evil.example", ""},
		{"{missing}.example", "x", ""},
		{"fixed.example", "x", "fixed.example"},
	} {
		p := open(t, oidc(t, idp, map[string]any{"rules": []any{map[string]any{"sans": []string{c.pattern}}}}))
		g, err := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.NoClaim("email"), testca.Claim("v", c.value)))
		if err != nil {
			t.Errorf("%s of %q: %v", c.pattern, c.value, err)
			continue
		}
		var got []string
		for _, name := range g.Names.Strings() {
			if name != idp.URL+"#ann-1" {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s of %q: %q, want %q", c.pattern, c.value, got, c.want)
		}
	}
}

// Tokens of jobs count by their bound claims alone: no address, no account by itself.
func TestOIDCWorkloads(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	p := open(t, oidc(t, idp, map[string]any{"workload": true, "clientID": "https://ca.example",
		"boundClaims": map[string]any{"repository": []string{"corp/app", "corp/web"}, "ref": "refs/tags/v*", "ref_protected": true},
		"rules": []any{
			map[string]any{"when": map[string]any{"environment": "production"}, "principals": []string{"deploy"}, "sans": []string{"spiffe://corp.example/ci/{repository}"}},
		}}))
	if p.Disabled() != nil {
		t.Fatal(p.Disabled())
	}
	job := func(bend ...testca.Bend) string {
		id, key := idp.Key()
		now := time.Now()
		return (&testca.Token{Key: key, Header: map[string]any{"alg": "ES256", "kid": id}, Claims: map[string]any{
			"iss": idp.URL, "aud": "https://ca.example", "sub": "repo:corp/app:environment:production", "jti": "j-1", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
			"repository": "corp/app", "repository_owner": "corp", "ref": "refs/tags/v1.2", "ref_protected": "true", "environment": "production", "email": "root@corp.example",
		}}).With(bend...).Compact(t)
	}
	g, err := verify(t, p, provisioner.SignX509, job())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.Names.Strings(), " "); got != idp.URL+"#repo:corp/app:environment:production spiffe://corp.example/ci/corp/app" {
		t.Errorf("names %s", got)
	}
	s, err := verify(t, p, provisioner.SignSSH, job())
	if err != nil || strings.Join(s.SSH.Principals, " ") != "deploy" || s.SSH.KeyID != "repo:corp/app:environment:production" {
		t.Errorf("%+v %v", s, err)
	}
	if again, err := verify(t, p, provisioner.SignX509, job(testca.Claim("nonce", "x"))); err != nil || again.Once.Key != g.Once.Key {
		t.Error("a job's token is known by its ID", err)
	}
	for name, bend := range map[string]testca.Bend{
		"another repository":  testca.Claim("repository", "corp/apps"),
		"a fork":              testca.Claim("repository", "evil/corp/app"),
		"a branch":            testca.Claim("ref", "refs/heads/v1"),
		"no ref":              testca.NoClaim("ref"),
		"a list with another": testca.Claim("ref", []string{"refs/heads/v1"}),
		"not protected":       testca.Claim("ref_protected", false),
		"another audience":    testca.Audience("https://other.example"),
	} {
		if _, err := verify(t, p, provisioner.SignX509, job(bend)); !fault.Is(err, fault.Unproven) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify(t, p, provisioner.SignSSH, job(testca.Claim("environment", "test"))); !fault.Is(err, fault.Unproven) {
		t.Errorf("no rule, and yet a principal: %v", err)
	}
}

// What cannot work disables the provisioner at load, without asking anybody.
func TestOIDCConfiguration(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]map[string]any{
		"no client":                   {"clientID": ""},
		"a client that is our own":    {"clientID": "https://ca.example/1.0/sign"},
		"no endpoint":                 {"configurationEndpoint": ""},
		"an endpoint that is none":    {"configurationEndpoint": "idp"},
		"an endpoint without TLS":     {"configurationEndpoint": "http://idp.example"},
		"an endpoint of another kind": {"configurationEndpoint": "file:///etc/passwd"},
		"an endpoint with a password": {"configurationEndpoint": "https://a:b@idp.example"},
		"a listener without port":     {"listenAddress": "127.0.0.1"},
		"a parameter without value":   {"authParams": []string{"prompt"}},
		"jobs without bounds":         {"workload": true},
		"a secret nowhere":            {"clientSecret": "file:"},
		"a role nobody knows":         {"rules": []any{map[string]any{"roles": []string{"king"}}}},
		"a rule for nothing":          {"rules": []any{map[string]any{"when": map[string]any{"a": "b"}}}},
		"two claims in a name":        {"rules": []any{map[string]any{"sans": []string{"{a}.{b}"}}}},
		"half a brace":                {"rules": []any{map[string]any{"principals": []string{"{a"}}}},
	} {
		object := map[string]any{"type": "oidc", "name": "p", "clientID": "c", "clientSecret": "", "configurationEndpoint": "https://idp.example"}
		for k, v := range more {
			object[k] = v
		}
		if p := open(t, jsonText(t, object)); !fault.Is(p.Disabled(), fault.Invalid) {
			t.Errorf("%s: %v", name, p.Disabled())
		}
	}
	// The documents' own example.
	p := open(t, `{"type":"OIDC","name":"Google","clientID":"1087160488420-8qt7bavg3qesdhs6it824mhnfgcfe8il.apps.googleusercontent.com","clientSecret":"udTrOT3gzrO7W9fDPgZQLfYJ","configurationEndpoint":"https://accounts.google.com/.well-known/openid-configuration","admins":["you@smallstep.com"],"domains":["smallstep.com"],"listenAddress":":10000","claims":{"maxTLSCertDuration":"8h","defaultTLSCertDuration":"2h","disableRenewal":true}}`)
	if p.Disabled() != nil || len(p.Warnings()) != 0 || !p.Profile().RenewalDisabled {
		t.Error(p.Disabled(), p.Warnings())
	}
	public, err := p.Public()
	if err != nil || !strings.Contains(string(public), `"clientSecret":"udTrOT3gzrO7W9fDPgZQLfYJ"`) {
		t.Errorf("%s %v", public, err)
	}
	p = open(t, `{"type":"OIDC","name":"g","clientID":"c","configurationEndpoint":"https://accounts.google.com","rules":[{"roles":["admin"]}]}`)
	public, err = p.Public()
	if err != nil || !strings.Contains(string(public), `"clientSecret":""`) || strings.Contains(string(public), "rules") || len(p.Warnings()) != 1 {
		t.Errorf("%s %v %v", public, err, p.Warnings())
	}
}

// An identity provider that is away disables nothing, and works as soon as it is back; tokens
// wait for it no longer than they must.
func TestOIDCProviderComesBack(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	idp.Bend(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	p := open(t, oidc(t, idp, nil))
	if p.Disabled() != nil {
		t.Fatal(p.Disabled())
	}
	token := byHand(t, idp)
	for range 5 {
		if _, err := verify(t, p, provisioner.SignX509, token); !fault.Is(err, fault.Unavailable) {
			t.Fatalf("without an identity provider: %v", err)
		}
	}
	if n := idp.Asked("/.well-known/openid-configuration"); n > 2 {
		t.Errorf("asked %d times in a row", n)
	}
	idp.Bend(nil)
	await(t, func() bool { _, err := verify(t, p, provisioner.SignX509, token); return err == nil })

	// New keys are found; made-up key IDs do not make us look again and again.
	idp.Rotate(t)
	provisioner.KeysOf(p).Age(2 * time.Minute)
	if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp)); err != nil {
		t.Errorf("after rotation: %v", err)
	}
	before := idp.Asked("/keys")
	for i := range 20 {
		if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.Head("kid", fmt.Sprint("made-up-", i)))); !fault.Is(err, fault.Unproven) {
			t.Fatal(err)
		}
	}
	if idp.Asked("/keys") != before {
		t.Errorf("made-up keys made us ask %d times", idp.Asked("/keys")-before)
	}
	// What is known stays good while the identity provider is away.
	idp.Bend(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp)); err != nil {
		t.Errorf("with known keys: %v", err)
	}
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came")
		}
	}
}

// Identity providers that lie, flood or fall silent (SEC-21).
func TestSEC21_OIDCProviderMisbehaves(t *testing.T) {
	t.Parallel()
	flood := func(path string) func(*testidp.Provider) {
		return func(idp *testidp.Provider) {
			idp.Bend(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path {
					return false
				}
				_, _ = fmt.Fprintf(w, `{"keys":[],"issuer":%q,"x":%q}`, idp.URL, strings.Repeat("x", 10<<20))
				return true
			})
		}
	}
	answer := func(path, body string) func(*testidp.Provider) {
		return func(idp *testidp.Provider) {
			idp.Bend(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == path {
					_, _ = w.Write([]byte(body))
				}
				return r.URL.Path == path
			})
		}
	}
	describe := func(name string, value any) func(*testidp.Provider) {
		return func(idp *testidp.Provider) { idp.Describe(func(d map[string]any) { d[name] = value }) }
	}
	const keys, description = "/keys", "/.well-known/openid-configuration"
	for name, bend := range map[string]func(*testidp.Provider){
		"10 MB of keys":              flood(keys),
		"10 MB of description":       flood(description),
		"no key":                     answer(keys, `{"keys":[]}`),
		"an error instead of keys":   answer(keys, `{"error":"x"}`),
		"keys that are no JSON":      answer(keys, `<html>`),
		"a symmetric key":            answer(keys, `{"keys":[{"kty":"oct","k":"AAAA","kid":"key-1"}]}`),
		"a weak key":                 answer(keys, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"key-1"}]}`),
		"no description":             answer(description, `[]`),
		"another issuer":             describe("issuer", "https://other.example"),
		"no issuer":                  describe("issuer", ""),
		"an issuer for many tenants": describe("issuer", "https://login.example/{tenantid}/v2.0"),
		"keys without TLS":           describe("jwks_uri", "http://idp.example/keys"),
		"no keys":                    describe("jwks_uri", ""),
		"keys in a file":             describe("jwks_uri", "file:///etc/passwd"),
		"description moved to metadata": func(idp *testidp.Provider) {
			idp.Bend(func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
				return true
			})
		},
		"keys moved on and on": func(idp *testidp.Provider) {
			idp.Bend(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == keys {
					http.Redirect(w, r, keys, http.StatusFound)
				}
				return r.URL.Path == keys
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp := testidp.New(t)
			bend(idp)
			p := open(t, oidc(t, idp, nil))
			if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp)); !fault.Is(err, fault.Unavailable) || strings.Contains(fault.Of(err).Message, "127.0.0.1") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a tenant", func(t *testing.T) {
		t.Parallel()
		idp := testidp.New(t)
		idp.Describe(func(d map[string]any) { d["issuer"] = "https://login.example/{tenantid}/v2.0" })
		p := open(t, oidc(t, idp, map[string]any{"tenantID": "t-1"}))
		if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.Claim("iss", "https://login.example/t-1/v2.0"))); err != nil {
			t.Error(err)
		}
		if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.Claim("iss", "https://login.example/t-2/v2.0"))); !fault.Is(err, fault.Unproven) {
			t.Error(err)
		}
	})
	t.Run("an issuer of another name", func(t *testing.T) {
		t.Parallel()
		idp := testidp.New(t)
		idp.Describe(func(d map[string]any) { d["issuer"] = "https://sso.example" })
		p := open(t, oidc(t, idp, map[string]any{"issuer": "https://sso.example"}))
		if _, err := verify(t, p, provisioner.SignX509, byHand(t, idp, testca.Claim("iss", "https://sso.example"))); err != nil {
			t.Error(err)
		}
	})
}

// A silent identity provider holds up no more than those who need it, and one look serves all.
func TestOIDCOneLookForAll(t *testing.T) {
	t.Parallel()
	idp := testidp.New(t)
	release := make(chan struct{})
	idp.Bend(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return false
	})
	p := open(t, oidc(t, idp, nil))
	token := byHand(t, idp)
	done := make(chan error, 10)
	for range cap(done) {
		go func() {
			_, err := verify(t, p, provisioner.SignX509, token)
			done <- err
		}()
	}
	await(t, func() bool { return idp.Asked("/.well-known/openid-configuration") > 0 })
	close(release)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := idp.Asked("/keys"); n != 1 {
		t.Errorf("asked %d times for all", n)
	}
}

// FuzzOIDCClaims feeds claims that nobody thought of to a provisioner that uses them all.
func FuzzOIDCClaims(f *testing.F) {
	idp := testidp.New(f)
	p := open(f, oidc(f, idp, map[string]any{"admins": []string{"a@b", "g"}, "domains": []string{"b"}, "groups": []string{"g"},
		"boundClaims": map[string]any{"a.b": "*x*"}, "rules": []any{map[string]any{"when": map[string]any{"c": "1*"}, "principals": []string{"{d}"}, "sans": []string{"{e}", "urn:x:{e}"}}}}))
	for _, s := range []string{`"email":"a@b","groups":["g"],"a":{"b":"x"}`, `"groups":"g","a.b":["x",1,null],"c":1e1,"e":"a@b"`, `"email_verified":"TRUE","a":[[]]`, `"cnf":{},"email":"@"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, more string) {
		id, key := idp.Key()
		raw := (&testca.Token{Key: key, Header: map[string]any{"alg": "ES256", "kid": id},
			ClaimsText: fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"s","exp":%d,%s}`, idp.URL, testidp.Client, time.Now().Add(time.Hour).Unix(), more)}).Compact(t)
		for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.SignSSH, provisioner.RevokeX509} {
			g, err := verify(t, p, act, raw)
			if err != nil && fault.KindOf(err) == fault.Internal {
				t.Errorf("%s: %v", more, err)
			}
			if err == nil && act == provisioner.SignSSH && !g.SSH.Free && len(g.SSH.Principals) == 0 {
				t.Errorf("%s: no principal", more)
			}
		}
	})
}

// The configurations in the documentation open.
func TestOIDCDocumentedConfigurations(t *testing.T) {
	t.Parallel()
	n := 0
	for _, page := range []string{"prove-by-login.md", "prove-by-ci-token.md"} {
		text, err := os.ReadFile("../../docs/how-to/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if p := open(t, block[1]); p.Disabled() != nil {
				t.Errorf("%s: %v", page, p.Disabled())
			}
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d configurations", n)
	}
}
