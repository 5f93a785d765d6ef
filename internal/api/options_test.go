package api_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/testca"
)

// templated is a JWK provisioner with a template.
func templated(name, template string) string {
	return testca.JWKProvisioner(name, &sharedKey.PublicKey, map[string]any{"options": map[string]any{"x509": map[string]any{"template": template}}})
}

// byShared makes a token of a provisioner with the shared key.
func byShared(c *testca.CA, issuer, subject string, bend ...testca.Bend) string {
	return c.Token(subject, append([]testca.Bend{testca.Claim("iss", issuer), testca.Head("kid", testca.Thumbprint(&sharedKey.PublicKey)), testca.SignedBy(sharedKey, "ES256")}, bend...)...)
}

// http-api Section 12, item 12, and what a template may not change.
func TestTemplatesOfProvisioners(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) {
		s.More = []string{
			templated("fails", `{{ fail "come back tomorrow" }}`),
			templated("broken", `{"subject":`),
			templated("unclosed", `{"subject": {{ .Subject `),
			templated("user", `{"subject": {"commonName": {{ toJson .Insecure.User.cn }}}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"]}`),
			templated("names", `{"subject": {{ toJson .Subject }}, "dnsNames": ["*.*.evil", "a,b"]}`),
			templated("hidden", `{"subject": {{ toJson .Subject }}, "sans": [{"type":"permanentIdentifier","value":"x"},{"type":"dns","value":"evil.example.org"}]}`),
			templated("long", `{"subject": {{ toJson .Subject }}, "sans": {{ toJson .SANs }}, "notAfter": "2099-01-01T00:00:00Z"}`),
			`{"type":"JWK","name":"policy","key":` + jsonOf(t, testca.PublicJWK(&sharedKey.PublicKey)) + `,"options":{"x509":{"allow":{"dns":["*.example.com"],"cn":["a.example.com"]},"template":"{\"subject\": {{ toJson .Subject }}, \"sans\": [{\"type\":\"permanentIdentifier\",\"value\":\"x\"},{\"type\":\"dns\",\"value\":\"evil.example.org\"}]}"}}}`,
		}
	})
	csr := testca.CSR(t, testca.P256(t), "")
	for _, k := range []struct {
		name   string
		data   any
		status int
		words  string
	}{
		{"fails", nil, 400, "come back tomorrow"},
		{"broken", nil, 500, ""},
		{"unclosed", nil, 401, "disabled"},
		{"user", map[string]any{"cn": "from the client"}, 201, ""},
		{"names", nil, 403, ""},
		{"hidden", nil, 201, ""},
		{"long", nil, 403, ""},
		{"policy", nil, 403, ""}, // a raw extension does not hide the name from the rules
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			token := byShared(c, k.name, "a.example.com")
			a := c.Post("/sign", map[string]any{"csr": csr, "ott": token, "templateData": k.data}).Want(k.status)
			if !strings.Contains(a.Message(), k.words) {
				t.Errorf("%q does not say %q", a.Message(), k.words)
			}
			if k.name == "user" {
				if cn := a.Chain()[0].Subject.CommonName; cn != "from the client" {
					t.Errorf("common name %q", cn)
				}
			}
		})
	}
	// Data of the client reaches no certificate without a template that asks for it.
	a := c.Post("/sign", map[string]any{"csr": csr, "ott": c.Token("web"), "templateData": map[string]any{"cn": "evil"}})
	if cn := a.Chain()[0].Subject.CommonName; cn != "web" {
		t.Errorf("common name %q", cn)
	}
}

// Each finished act is told to whoever counts, once.
func TestEvents(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []ca.Event
	c := testca.New(t, func(s *testca.Setup) {
		s.Observe = func(e ca.Event) {
			mu.Lock()
			defer mu.Unlock()
			if len(e.Act) > 5 && e.Act[:5] == "x509_" {
				seen = append(seen, e)
			}
		}
	})
	h := c.Issue("web")
	csr := testca.CSR(t, testca.P256(t), "")
	c.Sign(testca.CSR(t, testca.P256(t), "else"), c.Token("web")).Want(403)
	c.Sign(csr, c.Token("web", testca.SignedBy(sharedKey, "ES256"))).Want(401)
	renew(c, h).Want(201)
	rekey(c, h, csr).Want(201)
	c.Post("/revoke", revocation(serialOf(h), c.RevokeToken(serialOf(h)))).Want(200)
	renew(c, h).Want(401)
	type event struct {
		act, provisioner string
		success          bool
	}
	var got []event
	mu.Lock()
	for _, e := range seen {
		if e.Act != "x509_rejected" && e.Act != "x509_webhook_enriched" && e.Act != "x509_webhook_authorized" {
			got = append(got, event{e.Act, e.Provisioner, e.Success})
		}
	}
	mu.Unlock()
	want := []event{
		{"x509_signed", testca.Provisioner, true}, {"x509_signed", testca.Provisioner, false},
		{"x509_renewed", testca.Provisioner, true}, {"x509_rekeyed", testca.Provisioner, true},
		{"x509_revoked", testca.Provisioner, true}, {"x509_renewed", "", false},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
