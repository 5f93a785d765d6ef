package issue_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden is the file data of a golden case: what the template gets.
type golden struct {
	Default   string          `json:"default"` // name of a default template instead of the file template
	Subject   string          `json:"subject"`
	Names     []string        `json:"names"`
	Token     map[string]any  `json:"token"`
	User      json.RawMessage `json:"user"`
	Constants json.RawMessage `json:"constants"`
	Webhooks  map[string]any  `json:"webhooks"`
	Key       string          `json:"key"` // rsa, ec or ed25519
	Request   struct {
		CN    string   `json:"cn"`
		OU    string   `json:"ou"`
		Email string   `json:"email"` // emailAddress attribute
		Names []string `json:"names"`
		CA    bool     `json:"ca"`
		Usage bool     `json:"usage"` // asks for keyUsage and extKeyUsage
	} `json:"request"`
}

// testKeys are made once: the kind of a key decides, never its value.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, d, err3 := ed25519.GenerateKey(rand.Reader)
	if err1 != nil || err2 != nil || err3 != nil {
		panic("no keys")
	}
	return map[string]crypto.Signer{"rsa": r, "ec": e, "": e, "ed25519": d}
})

func (g *golden) request(t *testing.T) *x509.CertificateRequest {
	t.Helper()
	asked := issue.NamesOf(g.Request.Names)
	r := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: g.Request.CN},
		DNSNames: asked.DNS, IPAddresses: asked.IPs, EmailAddresses: asked.Emails, URIs: asked.URIs,
	}
	if g.Request.OU != "" {
		r.Subject.OrganizationalUnit = []string{g.Request.OU}
	}
	if g.Request.Email != "" {
		r.Subject.ExtraNames = append(r.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: g.Request.Email})
	}
	if g.Request.CA {
		r.ExtraExtensions = append(r.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}})
	}
	if g.Request.Usage {
		r.ExtraExtensions = append(r.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{3, 2, 7, 0x80}},
			pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}})
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, testKeys()[g.Key])
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// printed is the golden text of a certificate: everything that does not change from run to
// run.
func printed(c *x509.Certificate) string {
	var b strings.Builder
	line := func(name string, value any) {
		if s := fmt.Sprint(value); s != "" && s != "[]" {
			fmt.Fprintf(&b, "%s: %s\n", name, s)
		}
	}
	line("subject", c.Subject)
	line("raw subject", fmt.Sprintf("%x", c.RawSubject))
	if !c.NotAfter.Equal(noEnd) {
		line("not after", c.NotAfter.UTC().Format(time.RFC3339))
	}
	line("dns", c.DNSNames)
	line("ip", c.IPAddresses)
	line("email", c.EmailAddresses)
	line("uri", c.URIs)
	for _, ext := range c.Extensions {
		switch id := ext.Id.String(); id {
		case "2.5.29.35": // of the throw-away issuer
		default:
			critical := ""
			if ext.Critical {
				critical = " critical"
			}
			line("extension "+id+critical, fmt.Sprintf("%x", ext.Value))
		}
	}
	return b.String()
}

func TestTemplateGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/template/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var text string
			var g golden
			var want *txtar.File
			for i := range archive.Files {
				switch f := &archive.Files[i]; f.Name {
				case "template":
					text = string(f.Data)
				case "data":
					if err := json.Unmarshal(f.Data, &g); err != nil {
						t.Fatal(err)
					}
				case "want":
					want = f
				}
			}
			got := runGolden(t, text, &g)
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func runGolden(t *testing.T, text string, g *golden) string {
	t.Helper()
	vars, err := (&issue.X509Data{
		Subject: pkix.Name{CommonName: g.Subject}, Names: issue.NamesOf(g.Names), Token: g.Token,
		Constants: g.Constants, User: g.User, Custom: g.Default == "", Webhooks: g.Webhooks,
		Request: g.request(t), Now: time.Unix(1.9e9, 0).UTC(),
		Variables: map[string]any{"Provisioner": map[string]any{"Name": "jane", "Type": "JWK"}},
	}).Map()
	if err != nil {
		t.Fatal(err)
	}
	tmpl := issue.DefaultX509Template(g.Default)
	if g.Default == "" {
		tmpl = compile(t, text)
	}
	cert, err := sealed(t, tmpl, vars)
	if err != nil {
		kind, words := fault.KindOf(err), err.Error()
		if f := fault.Of(err); f != nil {
			words = f.Message
		}
		return fmt.Sprintf("%s: %s\n", kind, words)
	}
	return printed(cert)
}

func listed[E any](list []E) string { return fmt.Sprint(list) }

// FuzzTemplateData: whatever a requester says, a template that encodes its values puts it
// where it belongs, and one that does not never makes a CA.
func FuzzTemplateData(f *testing.F) {
	for _, seed := range []string{"x", `"`, `\`, "\n", "\x00", "{{ .x }}", `x","basicConstraints":{"isCA":true},"a":"`, "\u2028", "\xff", "é", `","keyUsage":["certSign"],"b":"`, `","extensions":[{"id":"2.5.29.19","value":"MAMBAf8="}],"b":"`, noValueText} {
		f.Add(seed)
	}
	encoded := compile(f, `{"subject":{{ toJson .Insecure.User.cn }},"emailAddresses":"a@b"}`)
	pasted := compile(f, `{"subject":"{{ .Insecure.User.cn }}","emailAddresses":"a@b"}`)
	escaped, err := issue.TemplateOptions{AutoEscape: true}.CompileX509("escaped", `{"subject":"{{ .Insecure.User.cn }}","emailAddresses":"a@b"}`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		data := func() map[string]any {
			return map[string]any{"Insecure": map[string]any{"User": map[string]any{"cn": value}}}
		}
		want := strings.ToValidUTF8(value, "\ufffd")
		for _, tmpl := range []*issue.X509Template{encoded, escaped} {
			cert, err := tmpl.Draft(data())
			if err != nil {
				if strings.Contains(value, noValueText) || len(value) > 1000 {
					continue
				}
				t.Fatalf("%s, %q: %v", tmpl.Name(), value, err)
			}
			// One broken sequence may be replaced by one character or by several.
			squeeze := func(s string) string { return strings.ReplaceAll(s, "\ufffd", "") }
			if squeeze(cert.Subject.CommonName) != squeeze(want) || len(cert.EmailAddresses) != 1 || len(cert.ExtraExtensions) != 0 {
				t.Fatalf("%s, %q: %+v", tmpl.Name(), value, cert)
			}
		}
		if cert, err := pasted.Draft(data()); err == nil {
			if _, err := issue.Settle(cert, nil, false); err == nil && (cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign != 0) {
				t.Fatalf("%q makes a CA: %+v", value, cert)
			}
		}
	})
}

const noValueText = "<no value>"

// FuzzCertificateJSON: no output of a template makes the decoder panic, and a certificate
// that it accepts says the same when it is read back.
func FuzzCertificateJSON(f *testing.F) {
	files, err := filepath.Glob("testdata/template/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if part.Name == "template" {
				f.Add(string(part.Data))
			}
		}
	}
	f.Add(`{"sans":[{"type":"auto","value":"a"},{"type":"1.2.3","value":"raw:BQA="},{"type":"dn","value":"{}"}]}`)
	opts := issue.TemplateOptions{AllowSerial: true}
	// The word isCA in the text lets CA certificates through, to be read back.
	tmpl, err := opts.CompileX509("json", `{{/* isCA */}}{{ .json }}`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		draft, err := tmpl.Draft(map[string]any{"json": text})
		if err != nil {
			return
		}
		cns, err := issue.Settle(draft, nil, true)
		if err != nil {
			return
		}
		names, err := issue.PolicyNames(draft, cns)
		if err != nil {
			return
		}
		cert, err := resealed(t, draft)
		if err != nil {
			return // what crypto/x509 refuses to write or read is no certificate
		}
		n := names[len(names)-1]
		if got, want := listed(cert.DNSNames)+listed(ipTexts(cert.IPAddresses))+listed(cert.EmailAddresses)+listed(uriTexts(cert.URIs)), listed(n.DNS)+listed(ipTexts(n.IPs))+listed(n.Emails)+listed(n.URIs); got != want {
			t.Errorf("rules see %s, relying parties %s", want, got)
		}
		if cert.Subject.CommonName != n.CommonName {
			t.Errorf("rules see the common name %q, relying parties %q", n.CommonName, cert.Subject.CommonName)
		}
	})
}

func resealed(t *testing.T, draft *x509.Certificate) (*x509.Certificate, error) {
	t.Helper()
	key := testKeys()["ec"]
	again := *draft
	again.SignatureAlgorithm = 0
	again.NotBefore, again.NotAfter = time.Unix(1e9, 0), time.Unix(2e9, 0)
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "issuer"}, SubjectKeyId: []byte("issuer")}
	der, err := x509.CreateCertificate(rand.Reader, &again, issuer, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func ipTexts(list []net.IP) []string {
	out := make([]string, len(list))
	for i, ip := range list {
		out[i] = ip.String()
	}
	return out
}

func uriTexts(list []*url.URL) []string {
	out := make([]string, len(list))
	for i, u := range list {
		out[i] = u.String()
	}
	return out
}

// FuzzTemplateText: no text makes compiling or running panic or last, whatever it does.
func FuzzTemplateText(f *testing.F) {
	for _, seed := range []string{`{}`, `{{ .x }}`, `{{ range 9 }}{{ end }}`, `{{ define "a" }}{{ end }}{{ template "a" }}`, `{{ $d := dict }}{{ $_ := set $d "a" $d }}`,
		`{{ printf "%[1]*d" 5 }}`, `{{ (index .list 0).x }}`, `{{ break }}`, `{{ with .x }}{{ else }}{{ end }}`, `{{ block "a" . }}{{ end }}`, "{{ `", `{{/* */}}`, `{{ .Insecure.CR.PublicKey.N.Lsh 5 }}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := issue.TemplateOptions{Literal: true}.CompileX509("fuzz", text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("a fault of kind %v: %v", fault.KindOf(err), err)
			}
			return
		}
		tmpl.Lint()
		_, err = tmpl.Draft(map[string]any{"x": "y", "list": []any{map[string]any{"x": 1.0}}})
		if err != nil && fault.Of(err) == nil {
			t.Errorf("an error without words: %v", err)
		}
	})
}

func BenchmarkDefaultLeaf(b *testing.B) {
	request := &x509.CertificateRequest{PublicKey: testKeys()["ec"].Public(), RawSubject: []byte{0x30, 0}}
	data := &issue.X509Data{Subject: pkix.Name{CommonName: "a.example"}, Names: issue.NamesOf([]string{"a.example"}),
		Token: map[string]any{"sub": "a.example"}, Request: request}
	leaf := issue.DefaultX509Template(issue.TemplateLeaf)
	b.ReportAllocs()
	for b.Loop() {
		vars, err := data.Map()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := leaf.Draft(vars); err != nil {
			b.Fatal(err)
		}
	}
}
