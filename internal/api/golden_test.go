package api_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// issuers are the two kinds of issuing keys, without a limit of path length.
func issuers(t *testing.T) map[string]func(*testca.Setup) {
	t.Helper()
	free := func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = -1, false }
	long := provisioner.Duration(9 * 365 * 24 * time.Hour)
	base := func(s *testca.Setup) {
		s.Root, s.Middle, s.Claims = free, free, &provisioner.Claims{MaxTLSDuration: &long}
	}
	return map[string]func(*testca.Setup){
		"ec":  base,
		"rsa": func(s *testca.Setup) { base(s); s.MiddleKey = testca.RSA(t, 2048) },
	}
}

// The vectors of the JSON of certificates through the door, below an EC and an RSA key.
func TestVectorsThroughSign(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../issue/testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	csr := testca.CSR(t, testca.P256(t), "")
	for name, issuer := range issuers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testca.New(t, issuer)
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "#") {
					continue
				}
				column := strings.Split(strings.TrimSpace(line), "\t")
				c.Reload(x509Options(`{"subject":"x",` + column[1] + `{{/* isCA */}}}`))
				leaf := c.Sign(csr, c.Token("x")).Chain()[0]
				got := "none"
				for _, ext := range leaf.Extensions {
					if ext.Id.String() == column[2] {
						got = fmt.Sprintf("%s%x", map[bool]string{true: "critical "}[ext.Critical], ext.Value)
					}
				}
				if got != column[3] {
					t.Errorf("%s:\n got %s\nwant %s", column[0], got, column[3])
				}
				if err := leaf.CheckSignatureFrom(c.Intermediate); err != nil {
					t.Errorf("%s: %v", column[0], err)
				}
			}
		})
	}
}

// goldenCase is the data of a golden file of templates.
type goldenCase struct {
	Default   string          `json:"default"`
	Subject   string          `json:"subject"`
	Names     []string        `json:"names"`
	Token     map[string]any  `json:"token"`
	User      json.RawMessage `json:"user"`
	Constants json.RawMessage `json:"constants"`
	Webhooks  map[string]any  `json:"webhooks"`
	Key       string          `json:"key"`
	Request   struct {
		CN    string   `json:"cn"`
		OU    string   `json:"ou"`
		Names []string `json:"names"`
		Usage bool     `json:"usage"`
	} `json:"request"`
}

// The golden templates through the door: what the rooms below promise arrives at the caller,
// webhooks asked and tokens spent, below an EC and an RSA key.
func TestGoldenTemplatesThroughSign(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../issue/testdata/template/*.txtar")
	if err != nil || len(files) < 54 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	// Those that speak of one provisioner or one issuing key.
	alone := []string{"provisioner-and-now", "signature-algorithm", "signature-algorithm-for-another-key"}
	tried := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		part := map[string]string{}
		for _, f := range archive.Files {
			part[f.Name] = string(f.Data)
		}
		var g goldenCase
		if err := json.Unmarshal([]byte(part["data"]), &g); err != nil {
			t.Fatal(err)
		}
		if g.Default != "" || slices.Contains(alone, name) {
			continue
		}
		tried++
		for kind, issuer := range issuers(t) {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				runThroughSign(t, &g, part["template"], part["want"], issuer)
			})
		}
	}
	if tried < 35 {
		t.Errorf("only %d were tried", tried)
	}
}

func runThroughSign(t *testing.T, g *goldenCase, template, want string, issuer func(*testca.Setup)) {
	t.Helper()
	c := testca.New(t, issuer)
	options := map[string]any{"x509": map[string]any{"template": template, "templateData": g.Constants}}
	if len(g.Webhooks) > 0 {
		h := newHookServer(t, c, func(path string, _ map[string]any) (int, string) {
			return 200, `{"allow":true,"data":` + jsonOf(t, g.Webhooks[strings.TrimPrefix(path, "/")]) + `}`
		})
		var hooks []any
		for name := range g.Webhooks {
			hooks = append(hooks, h.hook(name, "/"+name, nil))
		}
		options["webhooks"] = hooks
	}
	c.Reload(func(s *testca.Setup) { s.Member = map[string]any{"options": options} })
	subject := g.Subject
	if s, ok := g.Token["sub"].(string); ok {
		subject = s
	} else if subject == "" {
		subject = "x"
		if g.Request.CN != "" {
			subject = g.Request.CN
		}
	}
	names := append(slices.Clone(g.Names), g.Request.Names...)
	if g.Subject != "" {
		names = g.Names
	}
	bend := []testca.Bend{}
	if len(names) > 0 {
		bend = append(bend, testca.SANs(names...))
	}
	for claim, value := range g.Token {
		bend = append(bend, testca.Claim(claim, value))
	}
	keys := map[string]crypto.Signer{"": testca.P256(t), "ec": testca.P256(t), "rsa": testca.RSA(t, 2048), "ed25519": testca.Ed25519(t)}
	usage := func(r *x509.CertificateRequest) {
		if g.Request.Usage {
			r.ExtraExtensions = append(r.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 7, 0x80}},
				pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}})
		}
		if g.Request.OU != "" {
			r.Subject.OrganizationalUnit = []string{g.Request.OU}
		}
		r.Subject.CommonName = g.Request.CN
		asked := issue.NamesOf(g.Request.Names)
		r.DNSNames, r.IPAddresses, r.EmailAddresses, r.URIs = asked.DNS, asked.IPs, asked.Emails, asked.URIs
	}
	body := map[string]any{"csr": testca.BentCSR(t, keys[g.Key], usage), "ott": c.Token(subject, bend...)}
	if g.User != nil {
		body["templateData"] = g.User
	}
	a := c.Post("/1.0/sign", body)
	kind, words, _ := strings.Cut(strings.TrimSpace(want), ": ")
	if status := map[string]int{"not allowed": 403, "invalid request": 400, "internal error": 500}[kind]; status != 0 {
		a.Want(status)
		if !strings.Contains(a.Message(), words) {
			t.Errorf("message %q, want %q", a.Message(), words)
		}
		if n := len(certificates(t, c)); n != 0 {
			t.Errorf("%d certificates on record", n)
		}
		return
	}
	got := linesOf(a.Chain()[0])
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "raw subject") || strings.HasPrefix(line, "extension") {
			made := line == "extension 2.5.29.14: 04077375626a656374" // "subject" stands for one made from the key
			if !made && !slices.Contains(got, line) {
				t.Errorf("no %q in\n%s", line, strings.Join(got, "\n"))
			}
		}
	}
	for _, line := range got {
		own := strings.HasPrefix(line, "extension 2.5.29.14") || strings.HasPrefix(line, "extension 1.3.6.1.4.1.37476.9000.64.1")
		if !own && !strings.Contains(want, line) {
			t.Errorf("%q is more than\n%s", line, want)
		}
	}
}

// linesOf writes subject and extensions as golden files do.
func linesOf(c *x509.Certificate) []string {
	all := []string{fmt.Sprintf("raw subject: %x", c.RawSubject)}
	for _, ext := range c.Extensions {
		if id := ext.Id.String(); id != "2.5.29.35" {
			all = append(all, fmt.Sprintf("extension %s%s: %x", id, map[bool]string{true: " critical"}[ext.Critical], ext.Value))
		}
	}
	return all
}

// The template that the documents of old installations show for X5C: a client certificate is
// exchanged for an SSH user certificate with the name in both forms.
func TestX5CTemplateOfTheDocuments(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) { s.SSH = true })
	pki := c.PKI()
	text := `{
  "type": {{ toJson .Type }},
  "keyId": {{ toJson .AuthorizationCrt.Subject.CommonName }},
  "principals": [
    {{ replace "@example.com" "" .AuthorizationCrt.Subject.CommonName | toJson }},
    {{ toJson .AuthorizationCrt.Subject.CommonName }}
  ],
  "extensions": {{ toJson .Extensions }},
  "criticalOptions": {{ toJson .CriticalOptions }}
}`
	for form, template := range map[string]string{"text": text, "base64": base64.StdEncoding.EncodeToString([]byte(text))} {
		c.Reload(func(s *testca.Setup) {
			s.More = []string{testca.X5C("x5c", map[string]any{"claims": map[string]any{"enableSSHCA": true},
				"options": map[string]any{"ssh": map[string]any{"template": template}}}, pki.Root)}
		})
		token := c.X5CToken(pki.Issue("alice@example.com", nil), "/1.0/ssh/sign#x5c/x5c", "alice@example.com", testca.Claim("step", map[string]any{"ssh": map[string]any{"certType": "user"}}))
		a := c.Post("/1.0/ssh/sign", map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": token})
		cert := a.SSHCertificate("crt")
		if diff := cmp.Diff([]string{"alice", "alice@example.com"}, cert.ValidPrincipals); diff != "" {
			t.Errorf("%s: %s", form, diff)
		}
		if cert.KeyId != "alice@example.com" || cert.CertType != ssh.UserCert || len(cert.Extensions) != 5 || len(cert.CriticalOptions) != 0 {
			t.Errorf("%s: %+v", form, cert)
		}
	}
}

// templates.md, Section 2.2: an X5C template sees the proving certificate and its chain.
func TestX5CTemplateSeesTheChain(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	pki := c.PKI()
	template := `{"subject":{"commonName":{{ toJson .Subject.CommonName }},"organizationalUnit":[{{ toJson .AuthorizationCrt.Subject.CommonName }},{{ toJson (index .AuthorizationCrt.DNSNames 0) }},
		{{ toJson (index .AuthorizationChain 1).Subject.CommonName }},{{ .AuthorizationCrt.NotAfter | formatTime | toJson }}]},"sans":{{ toJson .SANs }}}`
	c.Reload(func(s *testca.Setup) {
		s.More = []string{testca.X5C("x5c", map[string]any{"options": map[string]any{"x509": map[string]any{"template": template}}}, pki.Root)}
	})
	device := pki.Issue("device-7", nil)
	leaf := c.Sign(testca.CSR(t, testca.P256(t), "web"), c.X5CToken(device, "/1.0/sign#x5c/x5c", "web")).Chain()[0]
	want := []string{"device-7", device.Leaf().DNSNames[0], "Other Intermediate CA", device.Leaf().NotAfter.UTC().Format(time.RFC3339)}
	got := slices.Clone(leaf.Subject.OrganizationalUnit)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Error(diff)
	}
}
