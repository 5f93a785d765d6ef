package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slackhq/nebula/cert"
	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
	"github.com/signet-ca/signet/internal/testidp"
)

// The private key that the documents show beside the JWK provisioner.
const documentedKey = "rsjCCM_2FQ-uk7nywBEQHl84oaPo4mTpYDgXAu63igE"

// The configurations that the documents show, loaded from a file, with a certificate got from
// each by a token built by hand.
func TestProvisionersOfTheDocuments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "documents.json"))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for name, content := range map[string]string{"x509": issue.DefaultX509Text(issue.TemplateLeaf), "ssh": issue.DefaultSSHText(issue.TemplateSSH)} {
		dir := filepath.Join(home, "templates", "certs", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "default.tpl"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cloud, idp := testca.NewCloud(t), testidp.New(t)
	c := testca.New(t, func(s *testca.Setup) { s.SSH, s.Durable, s.Home = true, true, home })
	mesh, pki, kubeKey := testca.NewNebula(t, cert.Version1, c25519), c.PKI(), testca.RSA(t, 2048)
	kubeDER, err := x509.MarshalPKIXPublicKey(&kubeKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	plain, err := hujson.Standardize([]byte(strings.NewReplacer("@idp", idp.URL, "@x5c", bundle("CERTIFICATE", pki.Root.Raw),
		"@nebula", base64.StdEncoding.EncodeToString(mesh.PEM()), "@k8ssa", bundle("PUBLIC KEY", kubeDER), "@aws", cloud.RootsFile, "@cloud", cloud.URL).Replace(string(text))))
	if err != nil {
		t.Fatal(err)
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(plain, &objects); err != nil {
		t.Fatal(err)
	}
	c.Reload(func(s *testca.Setup) {
		s.SSH, s.Home, s.Provisioners = false, home, []string{}
		for _, o := range objects {
			s.Provisioners = append(s.Provisioners, string(o))
		}
	})
	tokens := documentedTokens(t, c, cloud, idp, mesh, pki)
	tokens["my-kube-provisioner"] = legacyToken(t, kubeKey)
	for _, p := range c.Office.State().Provisioners.All() {
		if slices.Contains(provisioner.Unserved(), p.Type) {
			t.Logf("%s: not served yet", p.Name)
			continue
		}
		// Without an SSH half of the CA there is nothing to possess.
		if err := p.Disabled(); err != nil && p.Type != "SSHPOP" {
			t.Errorf("%s: %v", p.Name, err)
		}
		token := tokens[p.Name]
		if token == "" && !slices.Contains([]string{"ACME", "SCEP", "SSHPOP"}, p.Type) {
			t.Errorf("%s: nobody tries it", p.Name)
		}
		if token == "" {
			continue
		}
		subject := "web.internal"
		if p.Type == "Nebula" {
			subject = "host3.example.com"
		}
		leaf := c.Sign(testca.CSR(t, testca.P256(t), subject), token).Chain()[0]
		if want := p.Profile().TLS.Default; leaf.NotAfter.Sub(leaf.NotBefore) != want+time.Minute && p.Type != "Nebula" {
			t.Errorf("%s: valid for %s, not %s", p.Name, leaf.NotAfter.Sub(leaf.NotBefore), want)
		}
	}
}

// documentedTokens are good tokens by the name of their provisioner.
func documentedTokens(t *testing.T, c *testca.CA, cloud *testca.Cloud, idp *testidp.Provider, more ...any) map[string]string {
	t.Helper()
	mesh, pki := more[0].(*testca.Nebula), more[1].(*testca.PKI)
	d, err := base64.RawURLEncoding.DecodeString(documentedKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	machine := testca.Machine()
	machine["project_id"] = "project-id"
	return map[string]string{
		"you@smallstep.com":   c.Token("web.internal", testca.SignedBy(key, "ES256"), testca.Head("kid", testca.Thumbprint(&key.PublicKey)), testca.Claim("iss", "you@smallstep.com")),
		"Google":              idp.Token(t, map[string]any{"aud": "1087160488420-8qt7bavg3qesdhs6it824mhnfgcfe8il.apps.googleusercontent.com", "azp": "1087160488420-8qt7bavg3qesdhs6it824mhnfgcfe8il.apps.googleusercontent.com", "email": "you@smallstep.com"}),
		"x5c":                 c.X5CToken(pki.Issue("device", nil), "/1.0/sign#x5c/x5c", "web.internal"),
		"nebula":              c.NebulaToken(mesh.Issue("host3.example.com", "192.168.100.3/24"), "/1.0/sign#nebula/nebula", "host3.example.com"),
		"Amazon Web Services": cloud.AmazonToken("/1.0/sign#aws/Amazon%20Web%20Services", "web.internal"),
		"Google Cloud":        cloud.GoogleToken("/1.0/sign#gcp/Google%20Cloud", testca.Claim("google", map[string]any{"compute_engine": machine})),
		"Microsoft Azure": cloud.AzureToken(testca.Claim("tid", "b17c217c-84db-43f0-babd-e06a71083cda"),
			testca.Claim("xms_mirid", strings.Replace(testca.MachineA, "/identity/", "/backend/", 1))),
	}
}
