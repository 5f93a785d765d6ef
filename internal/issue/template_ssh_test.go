package issue_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// sshPrinted is the golden text of an SSH certificate.
func sshPrinted(c *ssh.Certificate) string {
	return fmt.Sprintf("%d %q %q options=%v extensions=%v after=%d before=%d serial=%d nonce=%x reserved=%x",
		c.CertType, c.KeyId, c.ValidPrincipals, c.CriticalOptions, c.Extensions, c.ValidAfter, c.ValidBefore, c.Serial, c.Nonce, c.Reserved)
}

const (
	permits  = "extensions=map[permit-X11-forwarding: permit-agent-forwarding: permit-port-forwarding: permit-pty: permit-user-rc:]"
	theRest  = " after=0 before=0 serial=0 nonce= reserved="
	noOption = " options=map[] "
)

func TestSSHTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ proves, text, data, want string }{
		{"default for users", "ssh", `{"Right":{"Type":"user","KeyID":"ann@x","Principals":["ann","ann@x"]}}`, `1 "ann@x" ["ann" "ann@x"]` + noOption + permits + theRest},
		{"default for hosts", "ssh", `{"Right":{"Type":"host","KeyID":"h","Principals":["h.x"]}}`, `2 "h" ["h.x"]` + noOption + `extensions=map[]` + theRest},
		{"default with constants", "ssh", `{"Right":{"Type":"user","KeyID":"k","Principals":["a"]},"Constants":{"Extensions":{"permit-pty":""},"CriticalOptions":{"force-command":"ls"},"KeyID":"z"}}`, `1 "z" ["a"] options=map[force-command:ls] extensions=map[permit-pty:]` + theRest},
		{"admin", "ssh-admin", `{"Right":{"Type":"user","KeyID":"k","Principals":["a"]},"Ask":{"Type":"user","KeyID":"other","Principals":["root"]}}`, `1 "other" ["root"]` + noOption + permits + theRest},
		{"admin for a host", "ssh-admin", `{"Right":{"Type":"user","KeyID":"k"},"Ask":{"Type":"host","KeyID":"h","Principals":["h.x"]}}`, `2 "h" ["h.x"]` + noOption + `extensions=map[]` + theRest},
		{"admin without type", "ssh-admin", `{"Right":{},"Ask":{"KeyID":"h","Principals":["h.x"]}}`, "invalid request: the certificate template refused the request: the request names no certificate type"},
		{"admin without key ID", "ssh-admin", `{"Right":{},"Ask":{"Type":"host","Principals":["h.x"]}}`, "invalid request: the certificate template refused the request: the request names no key ID"},
		{"admin without principals", "ssh-admin", `{"Right":{},"Ask":{"Type":"host","KeyID":"h"}}`, "invalid request: the certificate template refused the request: the request names no principals"},
		{"cloud, names of the request", "ssh-cloud", `{"Right":{"Type":"host","KeyID":"i-1","Principals":["10.0.0.1"]},"Ask":{"Principals":["h.x"]}}`, `2 "i-1" ["h.x"]` + noOption + `extensions=map[]` + theRest},
		{"cloud, names of the instance", "ssh-cloud", `{"Right":{"Type":"host","KeyID":"i-1","Principals":["10.0.0.1"]},"Ask":{}}`, `2 "i-1" ["10.0.0.1"]` + noOption + `extensions=map[]` + theRest},
		{"request", "ssh-request", `{"Right":{"Type":"host","KeyID":"i"},"Ask":{"Type":"user","KeyID":"u","Principals":["u"]}}`, `1 "u" ["u"]` + noOption + permits + theRest},

		{"login extension", `{"type":"user","keyId":{{ toJson .KeyID }},"principals":{{ toJson .Principals }},"extensions":{{ set .Extensions "login@github.com" .Token.user | toJson }}}`, `{"Right":{"Type":"user","KeyID":"k","Principals":["a"]},"Token":{"user":"octo"}}`, `1 "k" ["a"]` + noOption + `extensions=map[login@github.com:octo ` + permits[len("extensions=map["):] + theRest},
		{"source address", `{"type":"user","keyId":"k","criticalOptions":{"source-address":{{ toJson .Webhooks.net.cidr }}}}`, `{"Right":{},"Webhooks":{"net":{"cidr":"10.0.0.0/8"}}}`, `1 "k" [] options=map[source-address:10.0.0.0/8] extensions=map[]` + theRest},
		{"bastion", `{"type":"USER","keyId":"k","extensions":{"permit-port-forwarding":""}}`, `{"Right":{}}`, `1 "k" []` + noOption + `extensions=map[permit-port-forwarding:]` + theRest},
		{"groups as principals", `{"type":"user","keyId":"k","principals":{{ toJson (concat .Principals .Token.groups) }}}`, `{"Right":{"Principals":["a"]},"Token":{"groups":["g","h"]}}`, `1 "k" ["a" "g" "h"]` + noOption + `extensions=map[]` + theRest},
		{"every member", `{"type":"host","keyId":"k","principals":["p"],"validAfter":"2030-01-01T00:00:00Z","validBefore":"2030-01-02T00:00:00Z","serial":18446744073709551615,"nonce":"AQI=","reserved":"Aw=="}`, `{"Right":{}}`, `2 "k" ["p"]` + noOption + `extensions=map[] after=1893456000 before=1893542400 serial=18446744073709551615 nonce=0102 reserved=03`},
		{"user data", `{"type":"user","keyId":{{ toJson .Insecure.User.id }}}`, `{"Right":{},"User":{"id":"x\",\"extensions\":{}"},"Custom":true}`, `1 "x\",\"extensions\":{}" []` + noOption + `extensions=map[]` + theRest},
		{"fail", `{{ fail "no" }}`, `{"Right":{}}`, "invalid request: the certificate template refused the request: no"},
		{"no value", `{"type":"user","keyId":"{{ .Token.nope }}"}`, `{"Right":{}}`, "not allowed: the certificate template uses a value for the key ID or principals that the request does not give"},
		{"no type", `{"keyId":"k"}`, `{"Right":{}}`, unusable},
		{"unknown type", `{"type":"robot"}`, `{"Right":{}}`, unusable},
		{"principals as a text", `{"type":"user","principals":"a"}`, `{"Right":{}}`, unusable},
		{"extension that is no text", `{"type":"user","extensions":{"a":1}}`, `{"Right":{}}`, unusable},
		{"negative serial", `{"type":"user","serial":-1}`, `{"Right":{}}`, unusable},
		{"before 1970", `{"type":"user","validAfter":"1960-01-01T00:00:00Z"}`, `{"Right":{}}`, unusable},
		{"endless", `{{ range 999999999 }}{{ end }}`, `{"Right":{}}`, unusable},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			tmpl := issue.DefaultSSHTemplate(c.text)
			if tmpl == nil {
				var err error
				if tmpl, err = issue.CompileSSHTemplate("test", c.text); err != nil {
					t.Fatal(err)
				}
			}
			var d issue.SSHData
			if err := json.Unmarshal([]byte(c.data), &d); err != nil {
				t.Fatal(err)
			}
			vars, err := d.Map()
			if err != nil {
				t.Fatal(err)
			}
			cert, err := tmpl.Draft(vars)
			got := ""
			if err != nil {
				got = fmt.Sprintf("%s: %s", fault.KindOf(err), fault.Of(err).Message)
			} else {
				got = sshPrinted(cert)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const unusable = "internal error: the certificate template could not be applied; the log of the CA says why"

func TestSSHTemplatesHaveNoASN1(t *testing.T) {
	t.Parallel()
	if _, err := issue.CompileSSHTemplate("test", `{{ asn1Null }}`); err == nil || !strings.Contains(err.Error(), "line 1, column 4") {
		t.Errorf("got %v", err)
	}
}

func TestDefaultSSHTemplatesCompile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{issue.TemplateSSH, issue.TemplateSSHAdmin, issue.TemplateSSHCloud, issue.TemplateSSHRequest} {
		tmpl := issue.DefaultSSHTemplate(name)
		if tmpl == nil || tmpl.Name() != name || len(tmpl.Hash()) != 64 || len(tmpl.Lint()) > 0 || issue.DefaultSSHText(name) == "" {
			t.Errorf("the default template %s is not whole", name)
		}
	}
}

func TestSSHWarnings(t *testing.T) {
	t.Parallel()
	warnings := issue.SSHWarnings(&ssh.Certificate{Permissions: ssh.Permissions{
		CriticalOptions: map[string]string{"source-address": "", "own@example": "", "sorce-address": ""},
		Extensions:      map[string]string{"force-command": "ls", "permit-pty": ""},
	}})
	if len(warnings) != 2 || !strings.Contains(warnings[0], "force-command") || !strings.Contains(warnings[1], "sorce-address") {
		t.Errorf("%q", warnings)
	}
}

// FuzzSSHCertificateJSON: no output of a template makes the decoder panic.
func FuzzSSHCertificateJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"type":"user","keyId":"k","principals":["a"],"extensions":{"a":"b"}}`, `{"type":null}`, `{"serial":1e3}`, `[]`, `{"nonce":"x"}`, `{"type":"host","validAfter":"2030-01-01T00:00:00Z"}`, "\x00", `{"type":"user"`} {
		f.Add(seed)
	}
	tmpl, err := issue.CompileSSHTemplate("json", `{{ .json }}`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cert, err := tmpl.Draft(map[string]any{"json": text})
		if err != nil {
			if fault.Of(err) == nil {
				t.Errorf("an error without words: %v", err)
			}
			return
		}
		if cert.CertType != ssh.UserCert && cert.CertType != ssh.HostCert {
			t.Errorf("type %d", cert.CertType)
		}
		issue.SSHWarnings(cert)
	})
}

func TestTemplateConfig(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for name, text := range map[string]string{"good.tpl": `{"subject":"file"}`, "bad.tpl": `{{ nope }}`} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ proves, config, want string }{
		{"nothing", `{}`, "no template"},
		{"data alone", `{"templateData":{"a":1}}`, "no template"},
		{"inline", `{"template":"{\"subject\":\"inline\"}"}`, "inline"},
		{"inline before file", `{"template":"{\"subject\":\"inline\"}","templateFile":"bad.tpl"}`, "inline"},
		{"file below home", `{"templateFile":"good.tpl"}`, "file"},
		{"absolute file", `{"templateFile":"` + filepath.Join(home, "good.tpl") + `"}`, "file"},
		{"missing key", `{"template":"{\"subject\":{{ toJson .nope }}}","missingKey":"error"}`, "refused"},
		{"serial number", `{"template":"{\"subject\":\"inline\",\"serialNumber\":1}","allowSerial":true}`, "inline"},
		{"broken file", `{"templateFile":"bad.tpl"}`, "broken"},
		{"missing file", `{"templateFile":"none.tpl"}`, "broken"},
		{"broken text", `{"template":"{{"}`, "broken"},
		{"data that is no object", `{"templateData":[1]}`, "broken"},
		{"unknown missingKey", `{"missingKey":"maybe"}`, "broken"},
	} {
		t.Run(c.proves, func(t *testing.T) {
			t.Parallel()
			var config issue.TemplateConfig
			if err := json.Unmarshal([]byte(c.config), &config); err != nil {
				t.Fatal(err)
			}
			current, err := config.OpenX509(issue.TemplatePlace{Name: "jane", Home: home})
			got := "no template"
			switch {
			case err != nil:
				got = "broken"
			case current != nil:
				cert, err := current().Draft(map[string]any{})
				if got = "refused"; err == nil {
					got = cert.Subject.CommonName
				}
			}
			if got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
		})
	}
	path := filepath.Join(home, "ssh.tpl")
	if err := os.WriteFile(path, []byte(`{"type":"host","keyId":"k"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	current, err := (&issue.TemplateConfig{TemplateFile: "ssh.tpl"}).OpenSSH(issue.TemplatePlace{Name: "jane", Home: home})
	if err != nil {
		t.Fatal(err)
	}
	if cert, err := current().Draft(nil); err != nil || cert.KeyId != "k" {
		t.Errorf("%v, %v", cert, err)
	}
}
