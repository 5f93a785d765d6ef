package api_test

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/testca"
)

// options.x509.constraints bound what certificates may be, whatever template, request and
// renewal say.
func TestConstraintsOfAProvisioner(t *testing.T) {
	t.Parallel()
	callers := `{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }},"extKeyUsage":{{ toJson (default (list) .Insecure.User.eku) }}}`
	for _, c := range []struct {
		name, constraints, template string
		key                         func(testing.TB) crypto.Signer
		names, eku                  []string
		says                        string // "": it is issued
	}{
		{"names, as many as allowed", `"maxSANs":2`, "", nil, []string{"a.example", "10.0.0.1"}, nil, ""},
		{"a name too many", `"maxSANs":2`, "", nil, []string{"a.example", "b.example", "10.0.0.1"}, nil, "maxSANs"},
		{"no wildcard", `"forbidWildcards":true`, "", nil, []string{"a.example"}, nil, ""},
		{"a wildcard", `"forbidWildcards":true`, "", nil, []string{"*.example"}, nil, "forbidWildcards"},
		{"purposes of the default", `"allowedEKU":["serverAuth","client_auth"]`, "", nil, []string{"a.example"}, nil, ""},
		{"a purpose too many", `"allowedEKU":["serverAuth"]`, "", nil, []string{"a.example"}, nil, "allowedEKU"},
		{"a purpose by its number", `"allowedEKU":["1.3.6.1.5.5.7.3.3"]`, callers, nil, []string{"a.example"}, []string{"codeSigning"}, ""},
		{"a caller's purpose", `"allowedEKU":["codeSigning"]`, callers, nil, []string{"a.example"}, []string{"codeSigning", "any"}, "allowedEKU"},
		{"no purpose", `"allowedEKU":["codeSigning"]`, callers, nil, []string{"a.example"}, nil, "any purpose"},
		{"a key of the right kind", `"keyTypes":["RSA-2048","EC-P-256"]`, "", nil, []string{"a.example"}, nil, ""},
		{"a larger key", `"keyTypes":["RSA-2048"]`, "", func(t testing.TB) crypto.Signer { return testca.RSA(t, 3072) }, []string{"a.example"}, nil, ""},
		{"a smaller key", `"keyTypes":["RSA-3072"]`, "", func(t testing.TB) crypto.Signer { return testca.RSA(t, 2048) }, []string{"a.example"}, nil, "keyTypes"},
		{"a key of another kind", `"keyTypes":["RSA","Ed25519"]`, "", nil, []string{"a.example"}, nil, "keyTypes"},
		{"another curve", `"keyTypes":["EC-P-384"]`, "", nil, []string{"a.example"}, nil, "keyTypes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			members := `"constraints":{` + c.constraints + `}`
			if c.template != "" {
				members += `,"template":` + jsonOf(t, c.template)
			}
			ca := testca.New(t, options(`{"x509":{`+members+`}}`))
			key := crypto.Signer(testca.P256(t))
			if c.key != nil {
				key = c.key(t)
			}
			a := ca.Post("/1.0/sign", map[string]any{"csr": testca.CSR(t, key, ""), "ott": ca.Token("x", testca.SANs(c.names...)), "templateData": map[string]any{"eku": c.eku}})
			if c.says == "" {
				a.Want(201)
				return
			}
			if m := a.Want(403).Message(); !strings.Contains(m, c.says) {
				t.Errorf("message %q does not say %s", m, c.says)
			}
			if n := len(certificates(t, ca)); n != 0 {
				t.Errorf("%d certificates on record", n)
			}
		})
	}
}

// maxValidity lowers what the claims allow; renewals meet the bounds of the day.
func TestConstraintsBindValidityAndRenewals(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, options(`{"x509":{"constraints":{"maxValidity":"2h"}}}`))
	holder := ca.Issue("a.example")
	if got := holder.Leaf().NotAfter.Sub(holder.Leaf().NotBefore); got > 2*time.Hour+time.Minute {
		t.Errorf("it is good for %s", got)
	}
	ca.Post("/1.0/sign", map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token("a.example"), "notAfter": "3h"}).Want(403)
	ca.Do(testca.Call{Method: "POST", Path: "/1.0/renew", As: holder}).Want(201)
	ca.Reload(options(`{"x509":{"constraints":{"keyTypes":["RSA"]}}}`))
	ca.Do(testca.Call{Method: "POST", Path: "/1.0/renew", As: holder}).Want(403)
	for _, bad := range []string{`"maxSANs":-1`, `"allowedEKU":["fly"]`, `"keyTypes":["DSA"]`, `"keyTypes":["EC-P-257"]`, `"keyTypes":["RSA-x"]`, `"maxValidity":"1m"`} {
		broken := testca.New(t, options(`{"x509":{"constraints":{`+bad+`}}}`))
		broken.Sign(testca.CSR(t, testca.P256(t), ""), broken.Token("a.example")).Want(401)
		if log := broken.Log.String(); !strings.Contains(log, "constraints") {
			t.Errorf("%s: log %s", bad, log)
		}
	}
}
