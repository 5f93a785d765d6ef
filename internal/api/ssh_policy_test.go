package api_test

import (
	"encoding/json"
	"testing"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/testca"
)

// Provisioners Section 7.2: rules for principals, of a provisioner and of the whole CA, judge
// the certificate before it is signed; with rules for one type alone the other is refused.
func TestSSHPolicies(t *testing.T) {
	t.Parallel()
	rules := func(ssh map[string]any) map[string]any {
		return map[string]any{"claims": map[string]any{"enableSSHCA": true}, "options": map[string]any{"ssh": ssh}}
	}
	list := func(kind string, names ...string) map[string]any { return map[string]any{kind: names} }
	users := map[string]any{"allow": map[string]any{"principal": []string{"ann", "web"}, "email": []string{"@corp.example"}}, "deny": list("principal", "root")}
	hosts := map[string]any{"allow": map[string]any{"dns": []string{"*.corp.example"}, "ip": []string{"10.1.0.0/16"}}, "deny": list("dns", "vault.corp.example")}
	for _, tc := range []struct {
		name       string
		ssh        map[string]any
		kind       string
		principals []string
		want       int
	}{
		{"no rules", nil, "user", []string{"root"}, 201},
		{"allowed", map[string]any{"user": users}, "user", []string{"ann"}, 201},
		{"allowed in capitals", map[string]any{"user": users}, "user", []string{"ANN"}, 201},
		{"an address", map[string]any{"user": users}, "user", []string{"ann", "ann@corp.example"}, 201},
		{"an address elsewhere", map[string]any{"user": users}, "user", []string{"ann", "ann@evil.example"}, 403},
		{"another", map[string]any{"user": users}, "user", []string{"joe"}, 403},
		{"one of two", map[string]any{"user": users}, "user", []string{"ann", "joe"}, 403},
		{"denied", map[string]any{"user": map[string]any{"deny": list("principal", "root")}}, "user", []string{"root"}, 403},
		{"denied in capitals", map[string]any{"user": map[string]any{"deny": list("principal", "root")}}, "user", []string{"Root"}, 403},
		{"not denied", map[string]any{"user": map[string]any{"deny": list("principal", "root")}}, "user", []string{"ann"}, 201},
		{"a host where only users have rules", map[string]any{"user": users}, "host", []string{"a.corp.example"}, 403},
		{"a user where only hosts have rules", map[string]any{"host": hosts}, "user", []string{"ann"}, 403},
		{"a host", map[string]any{"host": hosts}, "host", []string{"a.corp.example"}, 201},
		{"an address of a host", map[string]any{"host": hosts}, "host", []string{"a.corp.example", "10.1.2.3"}, 201},
		{"an address of a host elsewhere", map[string]any{"host": hosts}, "host", []string{"10.2.0.1"}, 403},
		{"a denied host", map[string]any{"host": hosts}, "host", []string{"vault.corp.example"}, 403},
		{"a host deeper down", map[string]any{"host": hosts}, "host", []string{"a.b.corp.example"}, 403},
		{"a host that stands for many", map[string]any{"host": hosts}, "host", []string{"*.corp.example"}, 403},
	} {
		for _, level := range []string{"provisioner", "authority"} {
			c := testca.New(t, func(s *testca.Setup) {
				s.SSH = true
				if tc.ssh == nil {
					return
				}
				if level == "provisioner" {
					s.Member = rules(tc.ssh)
					return
				}
				config := new(policy.SSHConfig)
				decodeInto(t, tc.ssh, config)
				s.Authority = func(a *issue.Authority) {
					var err error
					if a.SSHPolicy, err = policy.NewSSH(config); err != nil {
						t.Fatal(err)
					}
				}
			})
			claim := map[string]any{"certType": tc.kind, "principals": tc.principals}
			a := c.Post("/ssh/sign", map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": c.SSHToken("x", claim)})
			if a.Status != tc.want {
				t.Errorf("%s, by the %s: %d %s", tc.name, level, a.Status, a.Body)
			}
		}
	}
}

// Rules that came later hold for renewals, too.
func TestSSHPoliciesOnRenewal(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) { s.SSH = true })
	h := c.IssueSSH("host", "a.corp.example")
	renew := func() *testca.Answer { return c.Post("/ssh/renew", map[string]any{"ott": c.SSHPOPToken(h, "renew")}) }
	rekey := func() *testca.Answer {
		return c.Post("/ssh/rekey", map[string]any{"ott": c.SSHPOPToken(h, "rekey"), "publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t)))})
	}
	renew().Want(201)
	config := new(policy.SSHConfig)
	decodeInto(t, map[string]any{"host": map[string]any{"deny": map[string]any{"dns": []string{"a.corp.example"}}}}, config)
	c.Reload(func(s *testca.Setup) {
		s.SSH = true
		s.Authority = func(a *issue.Authority) {
			var err error
			if a.SSHPolicy, err = policy.NewSSH(config); err != nil {
				t.Fatal(err)
			}
		}
	})
	renew().Want(403)
	rekey().Want(403)
	// Those of the provisioner that issued it, as well.
	c.Reload(func(s *testca.Setup) {
		s.SSH = true
		s.Member = map[string]any{"claims": map[string]any{"enableSSHCA": true}, "options": map[string]any{"ssh": map[string]any{"host": map[string]any{"allow": map[string]any{"dns": []string{"*.else.example"}}}}}}
	})
	renew().Want(403)
	rekey().Want(403)
	c.Reload(func(s *testca.Setup) { s.SSH = true })
	renew().Want(201)
}

// decodeInto reads a value as a configuration.
func decodeInto(t *testing.T, value, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(jsonOf(t, value)), into); err != nil {
		t.Fatal(err)
	}
}
