package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// options are those of the JWK provisioner.
func options(text string) func(*testca.Setup) {
	return func(s *testca.Setup) { s.Member = map[string]any{"options": json.RawMessage(text)} }
}

// x509Options puts one template into the provisioner.
func x509Options(template string, more ...string) func(*testca.Setup) {
	quoted, _ := json.Marshal(template)
	return options(`{"x509":{"template":` + string(quoted) + strings.Join(append([]string{""}, more...), ",") + `}}`)
}

// The example of a JWK provisioner in the documents of old installations: both templates in
// files below the home directory, edited while the CA runs.
func TestTemplateFilesBelowHome(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := filepath.Join(home, "templates", "certs", "x509", "default.tpl")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"subject":{"commonName":{{ toJson .Subject.CommonName }},"organization":"First"},"sans":{{ toJson .SANs }}}`)
	ca := testca.New(t, func(s *testca.Setup) { s.Home = home },
		options(`{"x509":{"templateFile":"templates/certs/x509/default.tpl"}}`))
	organization := func() string {
		t.Helper()
		return strings.Join(ca.Issue("a.example").Leaf().Subject.Organization, "+")
	}
	for _, step := range []struct{ text, want string }{
		{"", "First"},
		{`{"subject":{"commonName":"x","organization":"Second"},"sans":{{ toJson .SANs }}}`, "Second"},
		{`{"subject":{{ .Broken `, "Second"},
		{`{"subject":{"commonName":"x","organization":"Third one"},"sans":{{ toJson .SANs }}}`, "Third one"},
	} {
		if step.text != "" {
			write(step.text)
		}
		if got := organization(); got != step.want {
			t.Errorf("after %q: organization %q, want %q", step.text, got, step.want)
		}
	}
}

func TestTemplateVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, template, more, user, want string }{
		{"the subject", `{{ .Subject.CommonName }}`, "", "", "a.example"},
		{"a name", `{{ (index .SANs 1).Value }}`, "", "", "10.0.0.1"},
		{"a claim", `{{ .Token.iss }}`, "", "", testca.Provisioner},
		{"the provisioner", `{{ .Provisioner.Name }} {{ .Provisioner.Type }}`, "", "", testca.Provisioner + " JWK"},
		{"the client", `{{ .Client.IP }}`, "", "", "127.0.0.1"},
		{"the requester's data", `{{ .Insecure.User.team }}`, "", `{"team":"blue"}`, "blue"},
		{"the request", `{{ .Insecure.CR.KeyType }}`, "", "", "EC"},
		{"a constant", `{{ .region }}`, `"templateData":{"region":"north"}`, "", "north"},
		{"a constant over the subject", `{{ .Subject }}`, `"templateData":{"Subject":"mine"}`, "", "mine"},
		{"data that is no object", `[{{ range $k, $v := .Insecure.User }}{{ $k }}{{ end }}]`, "", `[1]`, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			more := []string{}
			if c.more != "" {
				more = append(more, c.more)
			}
			ca := testca.New(t, x509Options(`{"subject":{"organization":`+"{{ toJson (print `x`) }}"+`,"commonName":"a.example","organizationalUnit":"`+c.template+`"},"sans":{{ toJson .SANs }}}`, more...))
			body := map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token("a.example", testca.SANs("a.example", "10.0.0.1"))}
			if c.user != "" {
				body["templateData"] = json.RawMessage(c.user)
			}
			leaf := ca.Post("/1.0/sign", body).Chain()[0]
			if diff := cmp.Diff([]string{c.want}, leaf.Subject.OrganizationalUnit); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Without a template of the operator's the requester's data reaches nothing, and templateData
// that replaces what the default leaf prints does.
func TestDefaultLeafAndTemplateData(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, options(`{"x509":{"templateData":{"Subject":{"commonName":"fixed","organization":"Ops"}}}}`))
	leaf := ca.Post("/1.0/sign", map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token("a.example"),
		"templateData": map[string]any{"Subject": "evil"}}).Chain()[0]
	if got := leaf.Subject.String(); got != "CN=fixed,O=Ops" {
		t.Errorf("subject %s", got)
	}
	if diff := cmp.Diff([]string{"a.example"}, leaf.DNSNames); diff != "" {
		t.Error(diff)
	}
}

// The audit entry of a certificate says by which text it was made.
func TestAuditNamesTheTemplate(t *testing.T) {
	t.Parallel()
	x509Text := `{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }}}`
	sshText := `{"type":{{ toJson .Type }},"keyId":{{ toJson .KeyID }},"principals":{{ toJson .Principals }}}`
	c := testca.New(t)
	c.Reload(options(`{"x509":{"template":`+jsonOf(t, x509Text)+`},"ssh":{"template":`+jsonOf(t, sshText)+`}}`), sshOffice(t))
	c.Issue("a.example")
	sshCertificate(t, sshSign(t, c, map[string]any{"certType": "user", "principals": []string{"ann"}}, nil))
	want := map[string]string{"x509.sign": x509Text, "ssh.sign": sshText}
	err := c.Store.View(t.Context(), func(tx *store.Tx) error {
		for a, err := range tx.Audits(time.Time{}, time.Time{}) {
			if err != nil {
				return err
			}
			sum := sha256.Sum256([]byte(want[a.Act]))
			if want[a.Act] == "" || a.Detail != "template sha256:"+hex.EncodeToString(sum[:]) {
				t.Errorf("%s: %q", a.Act, a.Detail)
			}
			delete(want, a.Act)
		}
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%v, without entries: %v", err, want)
	}
}
