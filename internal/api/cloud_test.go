package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// withClouds is a CA with a provisioner for each cloud and what else is given.
func withClouds(t *testing.T, cloud *testca.Cloud, more map[string]any, bend ...func(*testca.Setup)) *testca.CA {
	t.Helper()
	members := map[string]any{"claims": map[string]any{"enableSSHCA": true}}
	maps.Copy(members, more)
	return testca.New(t, append([]func(*testca.Setup){func(s *testca.Setup) {
		s.SSH, s.Durable = true, true
		s.More = []string{cloud.AWS("aws iid", members), cloud.GCP("Google", members), cloud.Azure("Azure", members)}
	}}, bend...)...)
}

const (
	signAWS = "/1.0/sign#aws/aws%20iid"
	signGCP = "/1.0/sign#gcp/Google"
)

// Hand-built tokens of all three clouds buy a certificate for the names that the machine
// asks for, and one only; the extension says which machine it was.
func TestClouds(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	c := withClouds(t, cloud, nil)
	for _, tc := range []struct {
		name      string
		token     func() string
		cn        string // that the proof covers
		extension issue.Extension
	}{
		{"AWS", func() string { return cloud.AmazonToken(signAWS, "web") }, "web", issue.Extension{Type: 4, Name: "aws iid", CredentialID: "123456789042", Pairs: []string{"InstanceID", "i-1234567890abcdef0"}}},
		{"GCP", func() string { return cloud.GoogleToken(signGCP, testca.Claim("nonce", "a")) }, "anything", issue.Extension{Type: 3, Name: "Google", CredentialID: "1234567890", Pairs: []string{"InstanceID", "152986662232938449", "InstanceName", "example"}}},
		{"Azure", func() string { return cloud.AzureToken(testca.Claim("uti", "b")) }, "anything", issue.Extension{Type: 5, Name: "Azure", CredentialID: testca.Tenant}},
	} {
		csr := testca.CSR(t, testca.P256(t), tc.cn, "a.internal", "10.0.0.7")
		token := tc.token()
		leaf := c.Sign(csr, token).Chain()[0]
		if leaf.Subject.CommonName != tc.cn || !cmp.Equal(leaf.DNSNames, []string{"a.internal"}) || len(leaf.IPAddresses) != 1 || leaf.IsCA {
			t.Errorf("%s: %s %v %v", tc.name, leaf.Subject, leaf.DNSNames, leaf.IPAddresses)
		}
		if diff := cmp.Diff(&tc.extension, issue.ProvisionerOf(leaf)); diff != "" {
			t.Errorf("%s: extension %s", tc.name, diff)
		}
		if a := c.Sign(csr, token); a.Status != 401 || !strings.Contains(a.Message(), "already been used") {
			t.Errorf("%s again: %d %s", tc.name, a.Status, a.Message())
		}
		c.Sign(csr, tc.token()).Want(401)
	}
	if w := c.Office.State().Provisioners.ByName("aws iid").Warnings(); len(w) != 3 {
		t.Errorf("warnings %q", w)
	}
}

// A machine spends its one certificate in the commit that records it: a request that is
// refused, however late, spends nothing, and of many at once exactly one gets it. Which
// machine it is follows from what the cloud signed, never from the bytes of a token (SEC-08).
func TestSEC08_FirstUseOfMachines(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	c := withClouds(t, cloud, map[string]any{"options": map[string]any{"x509": map[string]any{"deny": map[string]any{"dns": []string{"bad.internal"}}}}})
	good, bad := testca.CSR(t, testca.P256(t), "", "good.internal"), testca.CSR(t, testca.P256(t), "", "bad.internal")
	n := 0
	tokens := map[string]func() string{
		"AWS": func() string {
			n++
			return cloud.AmazonToken(signAWS, fmt.Sprint("name", n), testca.Claim("jti", fmt.Sprint(n)))
		},
		"GCP": func() string { n++; return cloud.GoogleToken(signGCP, testca.Claim("jti", fmt.Sprint(n))) },
		"Azure": func() string {
			n++
			spelt := testca.MachineA
			if n%2 == 0 {
				spelt = strings.ToUpper(spelt) // Microsoft writes one machine in several ways
			}
			return cloud.AzureToken(testca.Claim("xms_mirid", spelt), testca.Claim("uti", n))
		},
	}
	for name, token := range tokens {
		forged := token()
		c.Sign(good, forged[:len(forged)-8]+"AAAAAAAA").Want(401)
		c.Sign(bad, token()).Want(403)
		c.Post("/sign", map[string]any{"csr": good, "ott": token(), "notAfter": "1000h"}).Want(403)
		var all sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		for range 8 {
			mu.Lock()
			one := token()
			mu.Unlock()
			all.Go(func() {
				a := c.Sign(good, one)
				mu.Lock()
				defer mu.Unlock()
				statuses[a.Status]++
			})
		}
		all.Wait()
		if diff := cmp.Diff(map[int]int{201: 1, 401: 7}, statuses); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		body := map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": strings.Replace(token(), "/sign", "/sign", 1), "certType": "host", "principals": []string{"a"}}
		c.Post("/ssh/sign", body).Want(401) // the same one use
	}
}

// Without trust on first use a machine comes again: an AWS or GCP token counts once, an
// Azure one, which the cloud hands out for a day, any number of times.
func TestCloudsWithoutFirstUse(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	c := withClouds(t, cloud, map[string]any{"disableTrustOnFirstUse": true})
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	for name, tc := range map[string]struct {
		token func(n int) string
		again int
	}{
		"AWS":   {func(n int) string { return cloud.AmazonToken(signAWS, "web", testca.Claim("x", n)) }, 401},
		"GCP":   {func(n int) string { return cloud.GoogleToken(signGCP, testca.Claim("x", n)) }, 401},
		"Azure": {func(n int) string { return cloud.AzureToken(testca.Claim("x", n)) }, 201},
	} {
		token := tc.token(1)
		c.Sign(csr, token).Want(201)
		if a := c.Sign(csr, token); a.Status != tc.again {
			t.Errorf("%s again: %d", name, a.Status)
		}
		c.Sign(csr, tc.token(2)).Want(201)
	}
}

// With disableCustomSANs only what the cloud vouches for is certified, and put in unasked.
func TestCloudsVouchedNames(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	c := withClouds(t, cloud, map[string]any{"disableCustomSANs": true, "disableTrustOnFirstUse": true})
	type ask struct {
		cn     string
		names  []string
		status int
	}
	serial := 0
	for name, tc := range map[string]struct {
		token func(cn string) string
		dns   []string
		ips   int
		asks  []ask
	}{
		"AWS": {func(cn string) string { return cloud.AmazonToken(signAWS, cn, testca.Claim("x", serial)) },
			[]string{"ip-10-158-112-84.us-west-2.compute.internal"}, 1, []ask{
				{"i-1234567890abcdef0", nil, 201}, {"10.158.112.84", []string{"10.158.112.84", "ip-10-158-112-84.us-west-2.compute.internal"}, 201},
				{"web", nil, 401}, {"i-1234567890abcdef0", []string{"web"}, 403}, {"i-1234567890abcdef0", []string{"10.0.0.1"}, 403},
				{"i-1234567890abcdef0", []string{"a@b"}, 403}, {"i-1234567890abcdef0", []string{"spiffe://a/b"}, 403},
			}},
		"GCP": {func(string) string { return cloud.GoogleToken(signGCP, testca.Claim("x", serial)) },
			[]string{"example.c.identity.internal", "example.us-west1-a.c.identity.internal"}, 0, []ask{
				{"example", nil, 201}, {"152986662232938449", nil, 201}, {"example.c.identity.internal", []string{"example.c.identity.internal"}, 201},
				{"web", nil, 403}, {"", []string{"web"}, 403}, {"", []string{"10.0.0.1"}, 403}, {"example", []string{"a@b"}, 403}, {"example", []string{"spiffe://a/b"}, 403},
			}},
		"Azure": {func(string) string { return cloud.AzureToken() },
			[]string{"vm-1"}, 0, []ask{{"vm-1", nil, 201}, {"vm-1", []string{"vm-1"}, 201}, {"", nil, 201},
				{"web", nil, 403}, {"vm-1", []string{"web"}, 403}, {"vm-1", []string{"10.0.0.1"}, 403}, {"vm-1", []string{"a@b"}, 403}, {"vm-1", []string{"spiffe://a/b"}, 403}}},
	} {
		for _, a := range tc.asks {
			serial++
			answer := c.Sign(testca.CSR(t, testca.P256(t), a.cn, a.names...), tc.token(a.cn))
			if answer.Status != a.status {
				t.Errorf("%s %v: %d %s", name, a, answer.Status, answer.Message())
			}
			if answer.Status != 201 {
				continue
			}
			leaf := answer.Chain()[0]
			if leaf.Subject.CommonName != a.cn || !cmp.Equal(leaf.DNSNames, tc.dns) || len(leaf.IPAddresses) != tc.ips || len(leaf.EmailAddresses)+len(leaf.URIs) > 0 {
				t.Errorf("%s %v: %s %v %v", name, a, leaf.Subject, leaf.DNSNames, leaf.IPAddresses)
			}
		}
	}
	if w := c.Office.State().Provisioners.ByName("Google").Warnings(); len(w) != 1 || strings.Contains(w[0], "freely") {
		t.Errorf("warnings %q", w)
	}
	cloud.Say("region", "us-east-1")
	leaf := c.Sign(testca.CSR(t, testca.P256(t), "", "ip-10-158-112-84.ec2.internal"), cloud.AmazonToken(signAWS, "i-1234567890abcdef0")).Chain()[0]
	if want := []string{"ip-10-158-112-84.us-east-1.compute.internal", "ip-10-158-112-84.ec2.internal"}; !cmp.Equal(leaf.DNSNames, want) {
		t.Error(leaf.DNSNames)
	}
}

// SEC-06: a machine chooses its names, with a warning; with a rule the default template
// cannot put in any outside it, common name included.
func TestSEC06_CloudNamesUnderPolicy(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	free := withClouds(t, cloud, nil)
	c := withClouds(t, cloud, map[string]any{"disableTrustOnFirstUse": true, "options": map[string]any{
		"x509": map[string]any{"allow": map[string]any{"dns": []string{"*.apps.internal"}}},
		"ssh":  map[string]any{"host": map[string]any{"allow": map[string]any{"dns": []string{"*.apps.internal"}}}}}})
	for _, name := range []string{"aws iid", "Google", "Azure"} {
		p := free.Office.State().Provisioners.ByName(name)
		if text := strings.Join(p.Warnings(), "\n"); !strings.Contains(text, "names in its certificate freely") || !strings.Contains(text, "principals") {
			t.Errorf("%s: %s", p.Name, text)
		}
	}
	serial := 0
	for name, token := range cloudTokens(cloud, &serial) {
		if w := strings.Join(c.Office.State().Provisioners.ByName(name).Warnings(), "\n"); strings.Contains(w, "freely") {
			t.Errorf("%s: %s", name, w)
		}
		for _, names := range [][]string{{"evil.example"}, {"a.apps.internal", "evil.example"}, {"10.0.0.1"}, {"a@apps.internal"}, {"spiffe://apps.internal/a"}, {"a.apps.internal", "*.apps.internal"}, {"evil.example", "a.apps.internal"}} {
			a := c.Sign(testca.CSR(t, testca.P256(t), names[0], names...), token(names[0], "/1.0/sign"))
			if a.Status != 403 {
				t.Errorf("%s %v: %d", name, names, a.Status)
			}
		}
		c.Sign(testca.CSR(t, testca.P256(t), "evil", "a.apps.internal"), token("evil", "/1.0/sign")).Want(403)
		c.Sign(testca.CSR(t, testca.P256(t), "a.apps.internal", "a.apps.internal"), token("a.apps.internal", "/1.0/sign")).Want(201)
		c.Post("/ssh/sign", hostAsk(t, token("x", "/1.0/ssh/sign"), "evil.example")).Want(403)
		c.Post("/ssh/sign", hostAsk(t, token("x", "/1.0/ssh/sign"), "a.apps.internal")).Want(201)
	}
}

// cloudTokens makes tokens by provisioner: each call another one.
func cloudTokens(cloud *testca.Cloud, serial *int) map[string]func(subject, path string) string {
	return map[string]func(subject, path string) string{
		"aws iid": func(subject, path string) string {
			*serial++
			return cloud.AmazonToken(path+"#aws/aws%20iid", subject, testca.Claim("x", *serial))
		},
		"Google": func(_, path string) string {
			*serial++
			return cloud.GoogleToken(path+"#gcp/Google", testca.Claim("x", *serial))
		},
		"Azure": func(string, string) string { *serial++; return cloud.AzureToken(testca.Claim("x", *serial)) },
	}
}

func hostAsk(t *testing.T, token string, principals ...string) map[string]any {
	t.Helper()
	return map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": token, "certType": "host", "principals": principals}
}

// SSH: hosts alone, principals as asked or as vouched for, the key ID that of the machine. A
// service account of Google gets user certificates where that is switched on.
func TestCloudsSSH(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	serial := 0
	tokens := cloudTokens(cloud, &serial)
	free := withClouds(t, cloud, map[string]any{"disableTrustOnFirstUse": true})
	vouched := withClouds(t, cloud, map[string]any{"disableTrustOnFirstUse": true, "disableCustomSANs": true, "disableSSHCAUser": false})
	for name, tc := range map[string]struct {
		keyID      string
		principals []string
		user       int
	}{
		"aws iid": {"i-1234567890abcdef0", []string{"ip-10-158-112-84.us-west-2.compute.internal", "10.158.112.84"}, 403},
		"Google":  {"example", []string{"example.c.identity.internal", "example.us-west1-a.c.identity.internal"}, 401},
		"Azure":   {"vm-1", []string{"vm-1"}, 403},
	} {
		token := func() string { return tokens[name]("", "/1.0/ssh/sign") }
		if name == "aws iid" {
			token = func() string { return tokens[name]("i-1234567890abcdef0", "/1.0/ssh/sign") }
		}
		cert := free.Post("/ssh/sign", hostAsk(t, token(), "web", "db")).SSHCertificate("crt")
		if cert.KeyId != tc.keyID || !cmp.Equal(cert.ValidPrincipals, []string{"web", "db"}) || len(cert.Extensions) > 0 {
			t.Errorf("%s: %+v", name, cert)
		}
		free.Post("/ssh/sign", hostAsk(t, token())).Want(400)
		user := hostAsk(t, token(), "root")
		user["certType"] = "user"
		if a := free.Post("/ssh/sign", user); a.Status != tc.user {
			t.Errorf("%s: user certificate: %d", name, a.Status)
		}
		cert = vouched.Post("/ssh/sign", hostAsk(t, token())).SSHCertificate("crt")
		if cert.KeyId != tc.keyID || !cmp.Equal(cert.ValidPrincipals, tc.principals) {
			t.Errorf("%s: %+v", name, cert)
		}
		cert = vouched.Post("/ssh/sign", hostAsk(t, token(), tc.principals[0])).SSHCertificate("crt")
		if !cmp.Equal(cert.ValidPrincipals, tc.principals[:1]) {
			t.Errorf("%s: %v", name, cert.ValidPrincipals)
		}
		vouched.Post("/ssh/sign", hostAsk(t, token(), "web")).Want(403)
	}
	ask := hostAsk(t, tokens["Google"]("", "/1.0/ssh/sign"))
	ask["certType"] = "user"
	cert := vouched.Post("/ssh/sign", ask).SSHCertificate("crt")
	email := "1234567890-compute@developer.gserviceaccount.com"
	if cert.KeyId != email || !cmp.Equal(cert.ValidPrincipals, []string{"sa_1234567890", email}) || len(cert.Extensions) != 5 {
		t.Errorf("%+v", cert)
	}
	ask["ott"], ask["principals"] = tokens["Google"]("", "/1.0/ssh/sign"), []string{"root"}
	vouched.Post("/ssh/sign", ask).Want(403)
	ask["ott"], ask["principals"], ask["certType"] = tokens["Google"]("", "/1.0/ssh/sign"), nil, ""
	vouched.Post("/ssh/sign", ask).Want(401)
	off := withClouds(t, cloud, map[string]any{"disableSSHCAHost": true})
	off.Post("/ssh/sign", hostAsk(t, tokens["Google"]("", "/1.0/ssh/sign"), "web")).Want(401)
}

// Renewal works as for everybody; a machine can't revoke.
func TestCloudsRenewAndRevoke(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	c := withClouds(t, cloud, nil)
	holder := c.IssueFor(testca.P256(t), cloud.AmazonToken(signAWS, "web"))
	renewed := c.Do(testca.Call{Method: "POST", Path: "/renew", As: holder})
	if renewed.Status != http.StatusCreated {
		t.Errorf("renew: %d", renewed.Status)
	}
	for _, token := range []string{cloud.AmazonToken("/1.0/revoke#aws/aws%20iid", serialOf(holder)), cloud.GoogleToken("/1.0/revoke#gcp/Google"), cloud.AzureToken()} {
		c.Post("/revoke", revocation(serialOf(holder), token)).Want(401)
	}
}

// Two servers on one database: what one has spent the other refuses.
func TestCloudsOnTwoServers(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	one := withClouds(t, cloud, nil)
	two := one.Sibling()
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	one.Sign(csr, cloud.AmazonToken(signAWS, "web")).Want(201)
	two.Sign(csr, cloud.AmazonToken(signAWS, "web", testca.Claim("x", 1))).Want(401)
	two.Sign(csr, cloud.AzureToken()).Want(201)
	one.Sign(csr, cloud.AzureToken()).Want(401)
}

// Webhooks are told which machine it is.
func TestCloudsBehindWebhooks(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	c := withClouds(t, cloud, nil)
	h := newHookServer(t, c, allow)
	members := map[string]any{"claims": map[string]any{"enableSSHCA": true}, "disableTrustOnFirstUse": true,
		"options": map[string]any{"webhooks": []any{h.hook("hook", "/", nil)}}}
	c.Reload(func(s *testca.Setup) {
		s.More = []string{cloud.AWS("aws iid", members), cloud.GCP("Google", members), cloud.Azure("Azure", members)}
	})
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	c.Sign(csr, cloud.AmazonToken(signAWS, "web")).Want(201)
	c.Sign(csr, cloud.GoogleToken(signGCP)).Want(201)
	c.Sign(csr, cloud.AzureToken()).Want(201)
	c.Post("/ssh/sign", hostAsk(t, cloud.GoogleToken("/1.0/ssh/sign#gcp/Google"), "web")).Want(201)
	var told []any
	for _, call := range h.seen() {
		told = append(told, call.body["authorizationPrincipal"])
	}
	if diff := cmp.Diff([]any{"i-1234567890abcdef0", "152986662232938449", "object-1", "example"}, told); diff != "" {
		t.Error(diff)
	}
}
