package server_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/testca"
)

const auditJWK = `"type":"JWK","name":"ops","key":{"use":"sig","kty":"EC","kid":"a","crv":"P-256","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`

// auditOf looks at a configuration with one provisioner, whose members are given.
func auditOf(t *testing.T, members, authority, top string) []provisioner.Risk {
	t.Helper()
	home := t.TempDir()
	text := `{"root":"root.crt","crt":"int.crt","key":"int.key","address":":0","dnsNames":["localhost"]` + top + `,
		"authority":{"provisioners":[{` + members + `}]` + authority + `}}`
	file := filepath.Join(home, "ca.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	risks, notes, err := server.Audit(server.Options{ConfigFile: file, Home: home})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		if strings.Contains(n, "disabled") {
			t.Fatal(n)
		}
	}
	return risks
}

func x509Audit(template string, more ...string) string {
	quoted, _ := json.Marshal(template)
	return auditJWK + `,"options":{"x509":{"template":` + string(quoted) + strings.Join(append([]string{""}, more...), ",") + `}}`
}

// SEC-29: each known weakness of certificate services has its like in a configuration, and
// the audit names it.
func TestSEC29_EachWeaknessIsFound(t *testing.T) {
	t.Parallel()
	const usages = `,"keyUsage":["digitalSignature"],"extKeyUsage":["clientAuth"]}`
	const sans = `{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }}`
	k8s := `"type":"K8sSA","name":"ops","publicKeys":"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFTUtCQ1ROSWNLVVNEaWkxMXlTczM1MjZpRFo4QQppVG83VHU2S1BBcXY3RDdnUzJYcEpGYlppSXRTczNtOSs5VWU2R252SHcvR1cyWlphVnRzemdnWEl3PT0KLS0tLS1FTkQgUFVCTElDIEtFWS0tLS0tCg=="`
	for _, c := range []struct {
		like, id, level              string
		proves                       string
		provisioner, authority, more string
	}{
		{"ESC1", "caller-names", "high", "names of the request", x509Audit(`{"subject":{{ toJson .Subject }},"dnsNames":{{ toJson .Insecure.CR.DNSNames }}` + usages), "", ""},
		{"ESC1", "caller-names", "high", "the common name of the request", x509Audit(`{"subject":{{ toJson .Insecure.CR.Subject }},"sans":{{ toJson .SANs }}` + usages), "", ""},
		{"ESC1", "caller-names", "high", "a kind whose proofs bind no names (Certifried)", k8s, "", ""},
		{"ESC1", "caller-names", "high", "machines with custom SANs (Certifried)", `"type":"Azure","name":"ops","tenantId":"b17c217c-84db-43f0-babd-e06a71083cda"`, "", ""},
		{"ESC1", "admin-names", "medium", "admins of an identity provider", `"type":"OIDC","name":"ops","clientID":"c","configurationEndpoint":"https://accounts.example/.well-known/openid-configuration","admins":["a@example.com"]`, "", ""},
		{"ESC1", "caller-names", "high", "X5C: whoever holds a certificate", `"type":"X5C","name":"ops","roots":` + auditRoot(t), "", ""},
		{"ESC1", "ca", "medium", "CA certificates", x509Audit(sans + `,"basicConstraints":{"isCA":true},"keyUsage":["certSign"],"extKeyUsage":["clientAuth"]}`), "", ""},
		{"ESC1", "caller-ca", "high", "a CA by the request", x509Audit(`{{/* isCA */}}{{ toJson .Insecure.CR }}`), "", ""},
		{"ESC2", "any-purpose", "medium", "no purposes", x509Audit(sans + `}`), "", ""},
		{"ESC2", "any-purpose", "medium", "any purpose", x509Audit(sans + `,"extKeyUsage":["any"]}`), "", ""},
		{"ESC3", "agent", "high", "request agents", x509Audit(sans + `,"unknownExtKeyUsage":"1.3.6.1.4.1.311.20.2.1"}`), "", ""},
		{"ESC6", "caller-names", "high", "names of the requester's data", x509Audit(`{"subject":{{ toJson .Subject }},"dnsNames":{{ toJson .Insecure.User.names }}` + usages), "", ""},
		{"ESC7", "revokes-any", "medium", "rights over everybody's certificates", auditJWK + `,"allowRevokeAny":true`, "", ""},
		{"ESC8", "plain-http", "low", "a listener without TLS (ESC11)", auditJWK, "", `,"insecureAddress":":80"`},
		{"ESC8", "unsigned-webhook", "medium", "a webhook that cannot tell who asks", auditJWK + `,"options":{"webhooks":[{"name":"w","url":"https://h/","kind":"AUTHORIZING","allowUnsigned":true}]}`, "", ""},
		{"ESC9", "no-origin", "low", "no extension of the provisioner", auditJWK + `,"claims":{"disableSmallstepExtensions":true}`, "", ""},
		{"ESC10", "weak-mapping", "medium", "a user principal name alone (ESC14)", x509Audit(`{"subject":{{ toJson .Subject }},"sans":[{"type":"userPrincipalName","value":{{ toJson .Token.sub }}}]` + usages), "", ""},
		{"ESC15", "caller-purposes", "high", "purposes of the request", x509Audit(`{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }},"extKeyUsage":{{ toJson .Insecure.CR.ExtKeyUsage }},"unknownExtKeyUsage":{{ toJson .Insecure.CR.UnknownExtKeyUsage }}}`), "", ""},
		{"ESC15", "caller-purposes", "high", "policies of the requester's data (ESC13)", x509Audit(sans + `,"policyIdentifiers":{{ toJson .Insecure.User.policy }}` + usages), "", ""},
		{"ESC15", "caller-extensions", "medium", "extensions of the request (application policies)", x509Audit(sans + `,"extensions":{{ toJson .Insecure.CR.Extensions }}` + usages), "", ""},
		{"ESC16", "no-origin", "medium", "no extension in the whole CA", auditJWK, `,"claims":{"disableSmallstepExtensions":true}`, ""},
		{"ESC16", "renews-unknown", "medium", "renewal of anything", auditJWK, `,"renewUnrecorded":"always"`, ""},
		{"", "injection", "high", "values that close their quotes", x509Audit(`{"subject":{"commonName":"{{ .Token.sub }}"},"sans":{{ toJson .SANs }}` + usages), "", ""},
		{"", "uses-insecure", "low", "words beside the names", x509Audit(`{"subject":{"commonName":{{ toJson .Subject.CommonName }},"organizationalUnit":{{ toJson .Insecure.User.unit }}},"sans":{{ toJson .SANs }}` + usages), "", ""},
		{"ESC6", "uses-insecure", "medium", "a template that cannot be tried", x509Audit(`{{ fail .Insecure.User.x }}`), "", ""},
		{"ESC1", "caller-names", "high", "SSH principals of the request", auditJWK + `,"claims":{"enableSSHCA":true},"options":{"ssh":{"template":"{\"type\":{{ toJson .Type }},\"keyId\":{{ toJson .KeyID }},\"principals\":{{ toJson .Insecure.CR.Principals }}}"}}`, "", ""},
	} {
		t.Run(c.like+" "+c.proves, func(t *testing.T) {
			t.Parallel()
			risks := auditOf(t, c.provisioner, c.authority, c.more)
			if !slices.ContainsFunc(risks, func(r provisioner.Risk) bool {
				return r.ID == c.id && r.Level == c.level && r.Like == c.like && r.Text != ""
			}) {
				t.Errorf("no %s risk %s like %q in %+v", c.level, c.id, c.like, risks)
			}
		})
	}
}

// What is as it should be gives no risk, and rules make a high one a low one.
func TestSEC29_BoundsCount(t *testing.T) {
	t.Parallel()
	good := `{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }},"keyUsage":["digitalSignature"],"extKeyUsage":["serverAuth"]}`
	free := `{"subject":{{ toJson .Insecure.CR.Subject }},"dnsNames":{{ toJson .Insecure.CR.DNSNames }},"keyUsage":["digitalSignature"],"extKeyUsage":["serverAuth"]}`
	for proves, c := range map[string]struct{ provisioner, authority, want string }{
		"default":                      {auditJWK, "", "[]"},
		"a template from the proof":    {x509Audit(good), "", "[]"},
		"rules of the provisioner":     {x509Audit(free, `"allow":{"dns":["*.example"]}`), "", "[bounded-names low]"},
		"rules of the CA":              {x509Audit(free), `,"policy":{"x509":{"allow":{"dns":["*.example"]}}}`, "[bounded-names low]"},
		"machines without custom SANs": {`"type":"Azure","name":"ops","tenantId":"b17c217c-84db-43f0-babd-e06a71083cda","disableCustomSANs":true`, "", "[]"},
		"deny rules bound nothing":     {x509Audit(free, `"deny":{"dns":["*.example"]}`), "", "[caller-names high]"},
		"the key of the request":       {x509Audit(strings.Replace(good, `["digitalSignature"]`, `{{ if eq .Insecure.CR.KeyType "RSA" }}["keyEncipherment"]{{ else }}["digitalSignature"]{{ end }}`, 1)), "", "[]"},
		"a check of the data's word":   {x509Audit(`{{ if not .Insecure.User.env }}{{ fail "no" }}{{ end }}` + good), "", "[]"},
	} {
		t.Run(proves, func(t *testing.T) {
			t.Parallel()
			got := []string{}
			for _, r := range auditOf(t, c.provisioner, c.authority, "") {
				got = append(got, r.ID+" "+r.Level)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// ESC4, ESC5 and ESC12: files that others may write or read.
func TestSEC29_FilesOfOthers(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("leaf.tpl", `{"subject":{{ toJson .Subject }},"sans":{{ toJson .SANs }},"extKeyUsage":["serverAuth"]}`, 0o664)
	root, key := write("root.crt", "x", 0o646), write("int.key", "x", 0o640)
	text := `{"root":` + quote(root) + `,"crt":"int.crt","key":` + quote(key) + `,"address":":0","dnsNames":["localhost"],
		"authority":{"provisioners":[{` + auditJWK + `,"options":{"x509":{"templateFile":"leaf.tpl"}}}]}}`
	file := write("ca.json", text, 0o620)
	risks, _, err := server.Audit(server.Options{ConfigFile: file, Home: home})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range risks {
		got = append(got, r.Like+" "+r.ID+" "+r.Level)
	}
	slices.Sort(got)
	if want := "[ESC12 readable-key high ESC4 writable-file high ESC5 writable-file high ESC5 writable-file high]"; fmt.Sprint(got) != want {
		t.Errorf("got %v\nwant %s", got, want)
	}
}

func quote(s string) string { q, _ := json.Marshal(s); return string(q) }

// auditRoot is the root of a foreign CA as a member of the configuration.
func auditRoot(t *testing.T) string {
	t.Helper()
	return quote(base64PEM(testca.New(t).Root))
}

func base64PEM(c *x509.Certificate) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
