package provisioner_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// bent is one thing about a token that differs from a good one.
type bent struct {
	name  string
	token string
	good  bool
}

// tryAll verifies tokens, each against the same provisioner.
func tryAll(t *testing.T, object string, all []bent) {
	t.Helper()
	p := open(t, object)
	if err := p.Disabled(); err != nil {
		t.Fatal(err)
	}
	l, err := provisioner.NewList([]*provisioner.Provisioner{p}, env().Audiences)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		var g *issue.Grant
		token, err := provisioner.ParseToken(b.token, time.Now())
		if err == nil {
			_, err = l.ByToken(token)
		}
		if err == nil {
			g, err = p.Verify(t.Context(), provisioner.SignX509, token)
		}
		switch {
		case b.good && (err != nil || g.Once.Key == ""):
			t.Errorf("%s: %v %+v", b.name, err, g)
		case !b.good && !fault.Is(err, fault.Unproven):
			t.Errorf("%s: %v", b.name, err)
		case err != nil && strings.Contains(err.Error(), "internal error"):
			t.Errorf("%s: no reason: %v", b.name, err)
		}
	}
}

// ages are the bends of times that every kind refuses.
func ages(make func(...testca.Bend) string) []bent {
	now := time.Now()
	return []bent{
		{"expired", make(testca.Claim("exp", now.Add(-2*time.Minute).Unix())), false},
		{"expired within a minute", make(testca.Claim("exp", now.Add(-30*time.Second).Unix())), true},
		{"no expiry", make(testca.NoClaim("exp")), false},
		{"expiry null", make(testca.Claim("exp", nil)), false},
		{"expiry text", make(testca.Claim("exp", "2099-01-01")), false},
		{"not yet good", make(testca.Claim("nbf", now.Add(2*time.Minute).Unix())), false},
		{"made in the future", make(testca.Claim("iat", now.Add(2*time.Minute).Unix())), false},
		{"other issuer", make(testca.Claim("iss", "https://evil.example")), false},
		{"no issuer", make(testca.NoClaim("iss")), false},
		{"no algorithm", make(testca.Head("alg", "none")), false},
		{"no audience", make(testca.NoClaim("aud")), false},
		{"audience null", make(testca.Claim("aud", nil)), false},
		{"critical header", make(testca.Head("crit", []string{"x"})), false},
	}
}

// SEC-14, SEC-43: identity documents of AWS, each field of token and document bent.
func TestSEC14_AmazonTokensBent(t *testing.T) {
	t.Parallel()
	cloud, other := testca.NewCloud(t), testca.NewCloud(t)
	const at = "/1.0/sign#aws/AWS%20IID"
	make := func(bend ...testca.Bend) string { return cloud.AmazonToken(at, "web", bend...) }
	document := func(change func(d map[string]any)) string {
		d := testca.Document()
		change(d)
		text := []byte(jsonText(t, d))
		return cloud.AmazonTokenOf(text, cloud.SignDocument(text), at)
	}
	set := func(member string, value any) string { return document(func(d map[string]any) { d[member] = value }) }
	text := []byte(jsonText(t, testca.Document()))
	signature := cloud.SignDocument(text)
	flipped := slices.Clone(signature)
	flipped[7] ^= 1
	raw := func(doc string) string {
		return cloud.AmazonTokenOf([]byte(doc), cloud.SignDocument([]byte(doc)), at)
	}
	all := append(ages(make), []bent{
		{"as it should be", make(), true},
		{"no subject", make(testca.NoClaim("sub")), true},
		{"no jti", make(testca.NoClaim("jti")), true},
		{"signed with HS512", make(testca.Head("alg", "HS512")), true},
		{"account not listed", set("accountId", "000000000000"), false},
		{"account a number", set("accountId", 123456789042), false},
		{"started long ago", set("pendingTime", time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339)), false},
		{"no start", set("pendingTime", nil), false},
		{"start that is no time", set("pendingTime", "yesterday"), false},
		{"region of a stranger", set("region", "evil.example"), false},
		{"instance with a separator", set("instanceId", "i-1.x"), false},
		{"address with a zone", set("privateIp", "fe80::1%eth0"), false},
		{"address that is none", set("privateIp", "10.0.0"), false},
		{"document of another root", cloud.AmazonTokenOf(text, other.SignDocument(text), at), false},
		{"document changed by a byte", cloud.AmazonTokenOf([]byte(strings.Replace(string(text), "t2.micro", "t2.nicro", 1)), signature, at), false},
		{"document with white space", cloud.AmazonTokenOf(append(text, ' '), signature, at), false},
		{"signature with a bit flipped", cloud.AmazonTokenOf(text, flipped, at), false},
		{"signature cut off", cloud.AmazonTokenOf(text, signature[:64], at), false},
		{"no signature", cloud.AmazonTokenOf(text, nil, at), false},
		{"document that is a list", raw("[]"), false},
		{"document empty", raw(""), false},
		{"document with an account twice", raw(strings.Replace(string(text), `"accountId"`, `"accountId":"123456789042","accountId"`, 1)), false},
		{"document with another spelling", raw(strings.Replace(string(text), `"accountId"`, `"AccountID"`, 1)), false},
		{"token of another secret", make(testca.SignedBy([]byte("0123456789abcdef0123456789abcdef"), "HS256")), false},
		{"token signed by a key", make(testca.SignedBy(testca.P256(t), "ES256")), false},
		{"token signed by an RSA key", make(testca.SignedBy(testca.RSA(t, 2048), "RS256")), false},
		{"no document", make(testca.NoClaim("amazon")), false},
		{"document as text", make(testca.Claim("amazon", "x")), false},
		{"document null", make(testca.Claim("amazon", nil)), false},
		{"made out to revoke", cloud.AmazonToken("/1.0/revoke#aws/AWS%20IID", "web"), false},
		{"made out to another provisioner", cloud.AmazonToken("/1.0/sign#aws/else", "web"), false},
		{"made out to nobody in particular", cloud.AmazonToken("/1.0/sign", "web"), false},
		{"made out to another CA", make(testca.Audience("https://evil.example/1.0/sign#aws/AWS%20IID")), false},
		{"made out by http", make(testca.Audience("http://localhost/1.0/sign#aws/AWS%20IID")), false},
	}...)
	for _, member := range []string{"accountId", "instanceId", "privateIp", "region"} {
		all = append(all, bent{"no " + member, document(func(d map[string]any) { delete(d, member) }), false},
			bent{"empty " + member, set(member, ""), false})
	}
	tryAll(t, cloud.AWS("AWS IID", map[string]any{"accounts": []string{"1", "123456789042"}, "instanceAge": "1h"}), all)
}

// SEC-14, SEC-43: identity tokens of Google, each claim bent.
func TestSEC14_GoogleTokensBent(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	const at = "/1.0/sign#gcp/Google"
	make := func(bend ...testca.Bend) string { return cloud.GoogleToken(at, bend...) }
	machine := func(member string, value any) string {
		m := testca.Machine()
		if m[member] = value; value == nil {
			delete(m, member)
		}
		return make(testca.Claim("google", map[string]any{"compute_engine": m}))
	}
	email := func(address string, verified any) string {
		return make(testca.Claim("sub", "other"), testca.Claim("email", address), testca.Claim("email_verified", verified))
	}
	all := append(ages(make), []bent{
		{"as it should be", make(), true},
		{"service account by e-mail address", email("ops@identity.iam.gserviceaccount.com", true), true},
		{"address that is not verified", email("ops@identity.iam.gserviceaccount.com", false), false},
		{"verified as text", email("ops@identity.iam.gserviceaccount.com", "true"), false},
		{"verified by another spelling", make(testca.Claim("sub", "other"), testca.Claim("email", "ops@identity.iam.gserviceaccount.com"), testca.NoClaim("email_verified"), testca.Claim("Email_Verified", true)), false},
		{"other service account", email("x@identity.iam.gserviceaccount.com", true), false},
		{"no subject", make(testca.NoClaim("sub")), false},
		{"issuer without https", make(testca.Claim("iss", "accounts.google.com")), false},
		{"other key", make(testca.SignedBy(testca.P256(t), "ES256")), false},
		{"other key ID", make(testca.Head("kid", "else")), false},
		{"no key ID", make(testca.NoHead("kid")), false},
		{"a secret that is the public key", make(testca.SignedBy([]byte(testca.Thumbprint(&cloud.Key.PublicKey)), "HS256")), false},
		{"other project", machine("project_id", "else"), false},
		{"no project", machine("project_id", nil), false},
		{"project with a separator", machine("project_id", "identity..internal"), false},
		{"no instance ID", machine("instance_id", nil), false},
		{"instance ID a number", machine("instance_id", 7), false},
		{"instance ID with a separator", machine("instance_id", "1.2"), false},
		{"no name", machine("instance_name", nil), false},
		{"name with a dot", machine("instance_name", "a.evil"), false},
		{"no zone", machine("zone", nil), false},
		{"made long ago", machine("instance_creation_timestamp", time.Now().Add(-2*time.Hour).Unix()), false},
		{"never made", machine("instance_creation_timestamp", nil), false},
		{"format standard, without machine", make(testca.NoClaim("google")), false},
		{"machine as text", make(testca.Claim("google", "x")), false},
		{"made out to renew", cloud.GoogleToken("/1.0/renew#gcp/Google"), false},
		{"made out to another provisioner", cloud.GoogleToken("/1.0/sign#gcp/else"), false},
		{"made out to nobody in particular", cloud.GoogleToken("/1.0/sign"), false},
		{"made out to another CA", make(testca.Audience("https://evil.example/1.0/sign#gcp/Google")), false},
	}...)
	tryAll(t, cloud.GCP("Google", map[string]any{"serviceAccounts": []string{"1234567890", "ops@identity.iam.gserviceaccount.com"},
		"projectIDs": []string{"identity", "accounting"}, "instanceAge": "1h"}), all)
}

// SEC-14, SEC-43: managed identity tokens of Azure, each claim bent.
func TestSEC14_AzureTokensBent(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	make := cloud.AzureToken
	id := func(id any) string { return make(testca.Claim("xms_mirid", id)) }
	all := append(ages(make), []bent{
		{"as it should be", make(), true},
		{"one of several audiences", make(testca.Audience([]string{"https://management.azure.com/", "x"})), true},
		{"other audience", make(testca.Audience("https://management.azure.com")), false},
		{"our address as audience", make(testca.Audience("https://localhost/1.0/sign")), false},
		{"other tenant", make(testca.Claim("tid", "else")), false},
		{"no tenant", make(testca.NoClaim("tid")), false},
		{"issuer of another tenant", make(testca.Claim("iss", "https://sts.windows.net/else/")), false},
		{"other key", make(testca.SignedBy(testca.P256(t), "ES256")), false},
		{"other key ID", make(testca.Head("kid", "else")), false},
		{"other object", make(testca.Claim("oid", "else")), false},
		{"no object", make(testca.NoClaim("oid")), false},
		{"object as list", make(testca.Claim("oid", []string{"object-1"})), false},
		{"other case", id(strings.ToLower(testca.MachineA)), true},
		{"identity that machines share", id("/subscriptions/sub-1/resourcegroups/accounting/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared"), true},
		{"set of machines", id("/subscriptions/sub-1/resourceGroups/identity/providers/Microsoft.Compute/virtualMachineScaleSets/set"), true},
		{"other subscription", id(strings.Replace(testca.MachineA, "sub-1", "sub-2", 1)), false},
		{"other group", id(strings.Replace(testca.MachineA, "/identity/", "/else/", 1)), false},
		{"other resource", id("/subscriptions/sub-1/resourceGroups/identity/providers/Microsoft.Web/sites/vm-1"), false},
		{"more behind it", id(testca.MachineA + "/extensions/x"), false},
		{"more before it", id("/x" + testca.MachineA), false},
		{"a line behind it", id(testca.MachineA + "\n"), false},
		{"empty name", id(strings.TrimSuffix(testca.MachineA, "vm-1")), false},
		{"no machine", make(testca.NoClaim("xms_mirid")), false},
		{"machine as list", id([]string{testca.MachineA}), false},
		{"by another spelling", make(testca.NoClaim("xms_mirid"), testca.Claim("XMS_MIRID", testca.MachineA)), false},
	}...)
	tryAll(t, cloud.Azure("Azure", map[string]any{"resourceGroups": []string{"Identity", "accounting"}, "subscriptionIDs": []string{"SUB-1"}, "objectIDs": []string{"object-1"}}), all)
}

// One identity that several machines share admits each of them once, where the token says
// which machine it is.
func TestAzureSharedIdentity(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	p := open(t, cloud.Azure("Azure", nil))
	keys := map[string]bool{}
	for _, machine := range []string{"vm-1", "vm-2"} {
		token := parsed(t, cloud.AzureToken(
			testca.Claim("xms_mirid", "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared"),
			testca.Claim("xms_az_rid", "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/"+machine)))
		g, err := p.Verify(t.Context(), provisioner.SignX509, token)
		if err != nil || g.Subject != machine {
			t.Fatalf("%s: %+v %v", machine, g, err)
		}
		keys[g.Once.Key] = true
	}
	if len(keys) != 2 {
		t.Error("the second machine is taken for the first")
	}
}

// What the configuration must not say, or must.
func TestCloudConfigurations(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	noCert := filepath.Join(t.TempDir(), "none.pem")
	if err := os.WriteFile(noCert, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		object, complaint string // "" for none
	}{
		{cloud.AWS("p", nil), ""},
		{cloud.AWS("p", map[string]any{"imdsVersions": []string{"v1"}, "instanceAge": "0s"}), ""},
		{cloud.AWS("p", map[string]any{"imdsVersions": []string{"v3"}}), "v1 and v2"},
		{cloud.AWS("p", map[string]any{"instanceAge": "-1s"}), "below zero"},
		{cloud.AWS("p", map[string]any{"iidRoots": "absent.pem"}), "iidRoots"},
		{cloud.AWS("p", map[string]any{"iidRoots": noCert}), "no certificate"},
		{`{"type":"AWS","name":"p"}`, ""},
		{cloud.GCP("p", nil), ""},
		{`{"type":"GCP","name":"p"}`, ""},
		{cloud.GCP("p", map[string]any{"instanceAge": "-1s"}), "below zero"},
		{cloud.GCP("p", map[string]any{"organizationID": "1", "projectIDs": []string{"a"}}), "exclude"},
		{cloud.GCP("p", map[string]any{"jwksURL": "http://keys.example"}), "https"},
		{cloud.Azure("p", nil), ""},
		{`{"type":"Azure","name":"p","tenantID":"t"}`, ""},
		{`{"type":"Azure","name":"p","tenantId":"t","environment":"azurechinacloud"}`, ""},
		{`{"type":"Azure","name":"p"}`, "tenantID"},
		{`{"type":"Azure","name":"p","tenantId":"t/../x"}`, "tenant"},
		{`{"type":"Azure","name":"p","tenantId":"t","environment":"Mars"}`, "AzurePublicCloud"},
		{`{"type":"AWS","name":""}`, "name"},
	} {
		err := open(t, c.object).Disabled()
		if (err == nil) != (c.complaint == "") || err != nil && !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%s: %v", c.object, err)
		}
	}
}

// What strangers see: the members that old clients expect, and no files of the CA.
func TestCloudsInPublic(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	for _, c := range []struct{ object, want string }{
		{cloud.AWS("p", nil), `{"name":"p","type":"AWS","accounts":null,"imdsVersions":["v2","v1"],"instanceAge":"0s"}`},
		{cloud.AWS("p", map[string]any{"imdsVersions": []string{"v1"}, "instanceAge": "1h", "accounts": []string{"1"}}), `{"accounts":["1"],"imdsVersions":["v1"],"instanceAge":"1h","name":"p","type":"AWS"}`},
		{`{"type":"GCP","name":"p","credentials":"/etc/key.json","organizationID":"1"}`, `{"type":"GCP","name":"p","organizationID":"1","instanceAge":"0s"}`},
		{`{"type":"azure","name":"p","tenantId":"t"}`, `{"type":"azure","name":"p","tenantId":"t","resourceGroups":null,"subscriptionIDs":null,"objectIDs":null}`},
	} {
		got, err := decoded(t, c.object).Public()
		if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.object, err, diff)
		}
	}
	own := open(t, cloud.Azure("p", map[string]any{"environment": "AzureChinaCloud"})).OwnMembers()
	if diff := cmp.Diff([]string{"configurationEndpoint", "environment"}, own); diff != "" {
		t.Error(diff)
	}
}

// wantAt asks a fake metadata service.
func wantAt(cloud *testca.Cloud, subject string) provisioner.Want {
	return provisioner.Want{Subject: subject, Audience: "https://ca.example/1.0/sign", At: time.Now(), Metadata: cloud.URL}
}

// What Prove gets from a metadata service, Verify accepts, whatever the name of the
// provisioner; the other way is in the tables of bends, by hand-built tokens.
func TestCloudProofs(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	for _, name := range []string{"aws", "AWS IID Provisioner", "ä#?/é"} {
		for kind, object := range map[string]string{"AWS": cloud.AWS(name, map[string]any{"claims": map[string]any{"enableSSHCA": true}}),
			"GCP": cloud.GCP(name, map[string]any{"claims": map[string]any{"enableSSHCA": true}}), "Azure": cloud.Azure(name, map[string]any{"claims": map[string]any{"enableSSHCA": true}})} {
			p := open(t, object)
			prover := p.Kind().(provisioner.Prover)
			for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.SignSSH} {
				want := wantAt(cloud, "web")
				want.Audience = provisioner.Address("https://ca.example:9000", act)
				raw, err := prover.Prove(t.Context(), act, want)
				if err != nil {
					t.Fatalf("%s %q: %v", kind, name, err)
				}
				token := parsed(t, raw)
				token.SSHType = "host"
				if g, err := p.Verify(t.Context(), act, token); err != nil || g.Once.Key == "" {
					t.Errorf("%s %q: %s: %v", kind, name, act, err)
				}
			}
			for _, act := range []provisioner.Act{0, provisioner.RevokeX509, provisioner.RenewX509, provisioner.RevokeSSH, provisioner.RekeySSH} {
				if _, err := prover.Prove(t.Context(), act, wantAt(cloud, "web")); !fault.Is(err, fault.Invalid) {
					t.Errorf("%s: %s: %v", kind, act, err)
				}
			}
		}
	}
}

// A metadata service may be switched off in one version, hang, fail or lie: each is a clear
// error, and soon.
func TestMetadataServicesGoneWrong(t *testing.T) {
	t.Parallel()
	provers := func(cloud *testca.Cloud) map[string]provisioner.Prover {
		all := map[string]provisioner.Prover{}
		for _, object := range []string{cloud.AWS("AWS", nil), cloud.GCP("Google Cloud", nil), cloud.Azure("Azure", nil)} {
			p := open(t, object)
			all[p.Name] = p.Kind().(provisioner.Prover)
		}
		return all
	}
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		words  string
	}{
		"hangs":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "does not answer"},
		"fails":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500"},
		"is off":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "switched off"},
		"has none": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "has the machine an identity"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}, "status 302"},
		"lies":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }, ""},
		"is empty": {func(http.ResponseWriter, *http.Request) {}, ""},
		"babbles":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := testca.NewCloud(t)
			cloud.Answer(func(w http.ResponseWriter, r *http.Request) bool { tc.answer(w, r); return true })
			for kind, prover := range provers(cloud) {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				if name != "hangs" {
					ctx = t.Context()
				}
				_, err := prover.Prove(ctx, provisioner.SignX509, wantAt(cloud, "web"))
				cancel()
				if err == nil || !strings.Contains(err.Error(), tc.words) || !strings.Contains(err.Error(), kind) {
					t.Errorf("%s: %v", kind, err)
				}
			}
		})
	}
	closed := testca.NewCloud(t)
	all := provers(closed)
	closed.Close()
	for kind, prover := range all {
		if _, err := prover.Prove(t.Context(), provisioner.SignX509, wantAt(closed, "web")); err == nil || !strings.Contains(err.Error(), "only on a machine of that cloud") {
			t.Errorf("%s: %v", kind, err)
		}
		want := wantAt(closed, "web")
		want.Metadata = "metadata"
		if _, err := prover.Prove(t.Context(), provisioner.SignX509, want); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// The versions of AWS's service are tried in the configured order.
func TestMetadataVersions(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	var asked []string
	cloud.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		version := "v1"
		if r.Method == http.MethodPut {
			version = "v2"
			w.WriteHeader(http.StatusForbidden) // the second version is off
		} else {
			r.Header.Set("X-aws-ec2-metadata-token", "session==") // the first needs none
		}
		asked = append(asked, version)
		return version == "v2"
	})
	for versions, want := range map[string][]string{`null`: {"v2", "v1", "v1"}, `["v1","v2"]`: {"v1", "v1"}, `["v1"]`: {"v1", "v1"}, `["v2"]`: {"v2"}} {
		asked = nil
		p := open(t, cloud.AWS("p", map[string]any{"imdsVersions": json.RawMessage(versions)}))
		_, err := p.Kind().(provisioner.Prover).Prove(t.Context(), provisioner.SignX509, wantAt(cloud, "web"))
		if diff := cmp.Diff(want, asked); diff != "" || (err == nil) != (versions != `["v2"]`) {
			t.Errorf("%s: %s %v", versions, diff, err)
		}
	}
}

// Azure's tokens are for the audience that the provisioner wants, else for what the cloud of
// the machine has.
func TestAzureAudiences(t *testing.T) {
	t.Parallel()
	cloud := testca.NewCloud(t)
	environment := "AzurePublicCloud"
	cloud.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/azEnvironment") {
			_, _ = w.Write([]byte(environment))
			return true
		}
		return false
	})
	for _, c := range []struct{ environment, audience, want string }{
		{"AzurePublicCloud", "", "https://management.azure.com/"},
		{"AzureUSGovernmentCloud", "", "https://management.usgovcloudapi.net/"},
		{"AzureChinaCloud", "", "https://management.chinacloudapi.cn/"},
		{"AzureStack", "", ""},
		{"AzureStack", "api://signet", "api://signet"},
	} {
		environment = c.environment
		more := map[string]any{"audience": c.audience}
		if c.want != "" && c.audience == "" {
			more["environment"] = c.environment
		}
		p := open(t, cloud.Azure("p", more))
		raw, err := p.Kind().(provisioner.Prover).Prove(t.Context(), provisioner.SignX509, wantAt(cloud, ""))
		if c.want == "" {
			if !fault.Is(err, fault.Unsupported) {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		token := parsed(t, raw)
		if !cmp.Equal([]string(token.Audience), []string{c.want}) {
			t.Errorf("%v: %q", c, token.Audience)
		}
		if _, err := p.Verify(t.Context(), provisioner.SignX509, token); err != nil {
			t.Error(err)
		}
	}
}

func FuzzInstanceDocument(f *testing.F) {
	f.Add([]byte(jsonText(f, testca.Document())))
	f.Add([]byte(`{"accountId":"1","instanceId":"i-1","region":"r","privateIp":"::ffff:1.2.3.4"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := provisioner.ParseInstanceDocument(data)
		if err != nil {
			return
		}
		for _, fact := range []string{d.AccountID, d.InstanceID, d.Region} {
			if fact == "" || strings.ContainsAny(fact, ".#/ \n\x00,*") {
				t.Errorf("%q", fact)
			}
		}
	})
}

func FuzzAzureResource(f *testing.F) {
	f.Add(testca.MachineA)
	f.Add("/subscriptions/s/resourcegroups/g/providers/microsoft.managedidentity/userassignedidentities/i")
	f.Fuzz(func(t *testing.T, id string) {
		subscription, group, name, _, ok := provisioner.ParseResource(id)
		if ok && (subscription == "" || group == "" || name == "" || strings.Contains(subscription+group+name, "/")) {
			t.Errorf("%q %q %q", subscription, group, name)
		}
	})
}
