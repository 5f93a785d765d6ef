package config_test

import (
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/config"
)

// Templates of SSH certificates stand beside the files of clients, in any order.
func TestNamedSSHTemplates(t *testing.T) {
	t.Parallel()
	const file = `{"name": "a.tpl", "type": "file", "template": "a.tpl", "path": "a"}`
	c, report, err := config.Options{Strict: true}.Parse("ca.json", []byte(with(
		`"templates": {"ssh": {"ops": {"template": "{}", /* of staff */ "templateData": {"a": 1}}, "USER": [`+file+`], "dev": {"templateFile": "x"}, "host": null,}}`)))
	if err != nil || len(report.Warnings) > 0 {
		t.Fatal(err, report)
	}
	all := c.NamedTemplates().SSH
	if len(all) != 2 || all["ops"] == nil || all["ops"].Template != "{}" || string(all["ops"].TemplateData) != `{"a":1}` || all["dev"].TemplateFile != "x" {
		t.Errorf("%+v", all)
	}
	if user := c.Templates.SSH.User; len(user) != 1 || user[0].Name != "a.tpl" {
		t.Errorf("files of users: %+v", user)
	}
}

func TestNamedSSHTemplateMistakes(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"ops": {"template": 7}`:      "templates.ssh.ops.template: a string is expected here, not a number",
		`"user": {"template": "{}"}`:  "templates.ssh.user: a list is expected here, not an object",
		`"usr": []`:                   "templates.ssh.usr is not known here and has no effect; did you mean user?",
		`"ops": {"templateFiles": 1}`: "did you mean templateFile?",
		`"ops": "{}"`:                 "templates.ssh.ops is not known here",
	} {
		_, _, err := config.Options{Strict: true}.Parse("ca.json", []byte(with(`"templates": {"ssh": {`+members+`}}`)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", members, err, want)
		}
	}
}

// Who names a template of certificates has not done away with the built-in files of clients.
func TestFilesOfClients(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]bool{
		`"templates": {}`:                                    false,
		`"templates": {"ssh": {}}`:                           true, // no file at all, as ever
		`"templates": {"ssh": {"ops": {}}}`:                  false,
		`"templates": {"ssh": {"ops": {}, "user": []}}`:      true,
		`"templates": {"ssh": {"host": [], "ops": {}}}`:      true,
		`"templates": {"x509": {"web": {"template": "{}"}}}`: false,
	} {
		c, _, err := config.Parse("ca.json", []byte(with(members)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Templates.SSH.ForClients(); got != want {
			t.Errorf("%s: %v", members, got)
		}
	}
}

// Names that differ by case are one, as all members are: the last one counts, with a warning.
func TestNamedTwice(t *testing.T) {
	t.Parallel()
	c, report, err := config.Parse("ca.json", []byte(with(
		`"templates": {"ssh": {"ops": {"template": "{}"}, "OPS": {"template": "{ }"}, "user[0]": {"templateFile": "x"}, "user": [{"name": "a", "type": "directory", "path": "a"}], "": {}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	all := c.NamedTemplates().SSH
	if len(all) != 3 || all["ops"].Template != "{ }" || all["user[0]"].TemplateFile != "x" || len(report.Warnings) != 1 {
		t.Errorf("%+v, warnings %v", all, report.Warnings)
	}
}
