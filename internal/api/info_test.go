package api_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// http-api Section 12, items 1 and 2, and Section 2.1.
func TestReadOnlyEndpoints(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	var federated *x509.Certificate
	c := testca.New(t, func(s *testca.Setup) {
		s.State = func(s *ca.State) {
			if federated != nil {
				s.Federated = []*x509.Certificate{federated}
			}
		}
	})
	federated = c.Certify(testca.Template("Friendly Root CA", 2, nil), nil, key.Public(), key)
	c.Reload()
	sum := func(x *x509.Certificate) string { s := sha256.Sum256(x.Raw); return hex.EncodeToString(s[:]) }
	dashed := func(s string) string {
		var parts []string
		for i := 0; i < len(s); i += 2 {
			parts = append(parts, s[i:i+2])
		}
		return strings.Join(parts, "-")
	}
	for _, k := range []struct {
		method, path string
		status       int
		contentType  string
		want         string // somewhere in the body
	}{
		{"GET", "/version", 200, "application/json", `{"version":"0.0.0-test"}`},
		{"GET", "/health", 200, "application/json", `{"status":"ok"}`},
		{"GET", "/ready", 200, "application/json", `"ready":true`},
		{"GET", "/roots", 201, "application/json", `{"crts":["-----BEGIN CERTIFICATE-----\n`},
		{"GET", "/intermediates", 201, "application/json", `{"crts":["-----BEGIN CERTIFICATE-----\n`},
		{"GET", "/federation", 201, "application/json", `{"crts":["-----BEGIN CERTIFICATE-----\n`},
		{"GET", "/roots.pem", 200, "application/x-pem-file", certificatePEM(c.Root)},
		{"GET", "/intermediates.pem", 200, "application/x-pem-file", certificatePEM(c.Intermediate)},
		{"GET", "/root/" + sum(c.Root), 200, "application/json", `{"ca":"-----BEGIN CERTIFICATE-----\n`},
		{"GET", "/root/" + strings.ToUpper(sum(c.Root)), 200, "application/json", `{"ca":`},
		{"GET", "/root/" + dashed(sum(c.Root)), 200, "application/json", `{"ca":`},
		{"GET", "/root/" + sum(federated), 200, "application/json", `{"ca":`},
		{"GET", "/root/" + sum(c.Intermediate), 404, "application/json", `"status":404`},
		{"GET", "/root/" + strings.Repeat("0", 64), 404, "application/json", `"status":404`},
		{"GET", "/root/abc", 404, "application/json", `"status":404`},
		{"GET", "/root/", 404, "application/json", `"status":404`},
		{"GET", "/nothere", 404, "application/json", `"status":404`},
		{"GET", "/health/", 404, "application/json", `"status":404`},
		{"POST", "/health", 405, "application/json", `"status":405`},
		{"GET", "/sign", 405, "application/json", `"status":405`},
		{"DELETE", "/provisioners", 405, "application/json", `"status":405`},
		{"HEAD", "/health", 200, "application/json", ""},
		{"HEAD", "/roots", 201, "application/json", ""},
	} {
		for _, prefix := range []string{"", "/1.0"} {
			a := c.Do(testca.Call{Method: k.method, Path: prefix + k.path})
			if a.Status != k.status || a.Header.Get("Content-Type") != k.contentType || !strings.Contains(string(a.Body), k.want) {
				t.Errorf("%s %s%s: %d %s %.80s %v", k.method, prefix, k.path, a.Status, a.Header.Get("Content-Type"), a.Body, a.Err)
			}
		}
	}
	if a := c.Post("/health", ""); a.Header.Get("Allow") != "GET" {
		t.Errorf("Allow: %q", a.Header.Get("Allow"))
	}
	c.Get("/2.0/health").Want(404)
	var lists [2]struct{ Crts []string }
	for i := range lists { // stable, own roots first
		c.Get("/federation").JSON(&lists[i])
	}
	if diff := cmp.Diff([]string{certificatePEM(c.Root), certificatePEM(federated)}, lists[0].Crts); diff != "" || len(lists[1].Crts) != 2 || lists[1].Crts[0] != lists[0].Crts[0] {
		t.Errorf("federation: %s", diff)
	}
}

// http-api Section 2.3: the members old clients read, and those of RFC 9457.
func TestErrorsOnTheWire(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	for _, a := range []*testca.Answer{c.Post("/sign", "{}"), c.Sign(testca.CSR(t, testca.P256(t), ""), "abc"), c.Get("/nothere"), c.Post("/health", ""), c.Get("/crl")} {
		var body map[string]any
		a.JSON(&body)
		if body["status"] != float64(a.Status) || body["message"] == "" || body["detail"] != body["message"] || body["title"] == "" || body["type"] != "about:blank" {
			t.Errorf("%d: %s", a.Status, a.Body)
		}
	}
}

// http-api Section 12, item 4.
func TestListingOfProvisioners(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	c := testca.New(t, func(s *testca.Setup) {
		for i := range 24 {
			s.More = append(s.More, testca.JWKProvisioner(fmt.Sprintf("p%02d", i), &key.PublicKey, nil))
		}
	})
	type page struct {
		Provisioners []struct{ Type, Name string }
		NextCursor   *string
	}
	get := func(query string) page {
		var p page
		c.Get("/provisioners" + query).Want(200).JSON(&p)
		if p.NextCursor == nil {
			t.Fatalf("%s: no nextCursor", query)
		}
		return p
	}
	one := get("?limit=1")
	if len(one.Provisioners) != 1 || one.Provisioners[0].Name != testca.Provisioner || *one.NextCursor == "" {
		t.Fatalf("%+v", one)
	}
	if two := get("?limit=100&cursor=" + *one.NextCursor); two.Provisioners[0].Name != "p00" || len(two.Provisioners) != 24 || *two.NextCursor != "" {
		t.Errorf("the second page: %d items from %s", len(two.Provisioners), two.Provisioners[0].Name)
	}
	for query, want := range map[string]int{"": 20, "?limit=-1": 20, "?limit=0": 20, "?limit=101": 25, "?limit=": 20, "?cursor=nobody": 20} {
		if p := get(query); len(p.Provisioners) != want {
			t.Errorf("%q: %d items, want %d", query, len(p.Provisioners), want)
		}
	}
	c.Get("/provisioners?limit=x").Want(400)
	c.Get("/provisioners?limit=1.5").Want(400)
	c.Get("/provisioners?limit=99999999999999999999").Want(400)
}

func TestEncryptedKeys(t *testing.T) {
	t.Parallel()
	plain := testca.P256(t)
	c := testca.New(t, func(s *testca.Setup) {
		s.More = []string{testca.JWKProvisioner("none", &plain.PublicKey, map[string]any{"encryptedKey": ""})}
	})
	var body map[string]string
	c.Get("/provisioners/" + c.KeyID + "/encrypted-key").Want(200).JSON(&body)
	if diff := cmp.Diff(map[string]string{"key": testca.EncryptedKey}, body); diff != "" {
		t.Error(diff)
	}
	c.Get("/provisioners/" + testca.Thumbprint(&plain.PublicKey) + "/encrypted-key").Want(404)
	c.Get("/provisioners/nobody/encrypted-key").Want(404)
	c.Get("/provisioners/%2e%2e%2fsecret/encrypted-key").Want(404)
}

// SEC-01: no endpoint takes a token in the name of a provisioner whose type has no such
// right. What is allowed is listed; everything else is refused.
func TestSEC01_TokensOfEveryTypeAtEveryEndpoint(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) {
		for _, kind := range append(provisioner.Types(), "FUTURE") {
			if kind != "JWK" {
				s.More = append(s.More, `{"type":"`+kind+`","name":"`+strings.ToLower(kind)+`","clientID":"client","tenantID":"tenant","roots":"AA==","publicKeys":"AA=="}`)
			}
		}
	})
	h := c.Issue("web")
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	for _, kind := range append(provisioner.Types(), "FUTURE") {
		low := strings.ToLower(kind)
		for name, bend := range map[string][]testca.Bend{
			"by fragment":       {testca.Audience([]string{"https://localhost/1.0/sign#" + low + "/" + low, "https://localhost/1.0/revoke#" + low + "/" + low})},
			"by issuer":         {testca.Claim("iss", low), testca.Audience([]string{"https://localhost/1.0/sign", "https://localhost/1.0/revoke"})},
			"by client":         {testca.Claim("azp", "client"), testca.Audience("client")},
			"by tenant":         {testca.Claim("tid", "tenant"), testca.Audience("tenant")},
			"by Kubernetes":     {testca.Claim("iss", "kubernetes/serviceaccount"), testca.NoClaim("aud"), testca.NoClaim("exp")},
			"by its ID":         {testca.Audience(low + "/" + low)},
			"by the name of us": {testca.Claim("iss", low), testca.Head("kid", "")},
		} {
			token := c.Token(serialOf(h), bend...)
			for what, a := range map[string]*testca.Answer{
				"sign": c.Sign(csr, token), "revoke": c.Post("/revoke", revocation(serialOf(h), token)), "renew": renewBy(c, token),
				"ssh/sign":   c.Post("/ssh/sign", map[string]any{"ott": token, "publicKey": "AAAA"}),
				"ssh/renew":  c.Post("/ssh/renew", map[string]any{"ott": token}),
				"ssh/revoke": c.Post("/ssh/revoke", revocation("1", token)),
			} {
				if a.Status < 400 || a.Status == 500 {
					t.Errorf("%s, %s at %s: %d %s", kind, name, what, a.Status, a.Body)
				}
			}
		}
	}
	if n := len(certificates(t, c)); n != 1 {
		t.Errorf("%d certificates on record", n)
	}
	if isRevoked(t, c, h.Leaf().SerialNumber) != nil {
		t.Error("revoked")
	}
	c.Do(testca.Call{Method: http.MethodPost, Path: "/renew", As: h}).Want(201)
}

// SEC-07: closed, the list of provisioners, their encrypted keys and the hosts are for nobody
// without a certificate of this CA; hosts for nobody at all.
func TestSEC07_ClosedLists(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) { s.SSH = true })
	h := c.Issue("member")
	c.IssueSSH("host", "box.example.com")
	key := "/provisioners/" + c.KeyID + "/encrypted-key"
	c.Get("/provisioners").Want(200)
	c.Get("/ssh/hosts").Want(200)
	c.Reload(func(s *testca.Setup) {
		s.SSH = true
		s.State = func(s *ca.State) { s.Hidden, s.SSH.HideHosts = true, true }
	})
	for _, path := range []string{"/provisioners", "/1.0/provisioners", "/provisioners?limit=1", key, "/1.0" + key, "/ssh/hosts", "/ssh/get-hosts", "/1.0/ssh/hosts"} {
		if a := c.Get(path); a.Status != 404 || strings.Contains(string(a.Body), testca.Provisioner) || strings.Contains(string(a.Body), "box.example.com") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	c.Do(testca.Call{Method: "GET", Path: "/provisioners", As: h}).Want(200)
	c.Do(testca.Call{Method: "GET", Path: "/ssh/hosts", As: h}).Want(404)
	// Tokens made elsewhere work as before.
	c.Sign(testca.CSR(t, testca.P256(t), "web"), c.Token("web")).Want(201)
}
