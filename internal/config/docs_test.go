package config_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/provisioner"
)

// The examples of the guide to templates, rules and webhooks are understood to the last
// member.
func TestExamplesOfTheGuideLoad(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "how-to", "shape-certificates.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```json\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if !strings.Contains(text, `"options"`) {
			continue // members of the whole file; TestExamplesFitTheSchema judges them
		}
		var example struct{ Options json.RawMessage }
		if err := json.Unmarshal([]byte(text), &example); err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		p := `"provisioners": [{"type": "JWK", "name": "a", "options": ` + string(example.Options) + `}]`
		_, report, err := config.Options{Strict: true}.Parse("ca.json", []byte(authority(p)))
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
		} else if len(report.Warnings) > 0 {
			t.Errorf("%v in\n%s", report.Warnings, text)
		}
	}
}

// fitting is the published schema, ready to judge configurations.
func fitting(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "docs", "reference", "ca.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("ca.schema.json", text); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("ca.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// judged holds a configuration, with comments and trailing commas, against the schema.
func judged(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	plain, err := hujson.Standardize([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(v)
}

// whole makes a configuration of an example: of options, of a provisioner, of members at the
// top, or of all of it. It is "" for JSON that is no configuration.
func whole(t *testing.T, schema *jsonschema.Schema, text string) string {
	t.Helper()
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, `"`) {
		text = "{" + strings.TrimSuffix(text, ",") + "}"
	}
	plain, err := hujson.Standardize([]byte(text))
	if err != nil {
		return ""
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(plain, &members) != nil {
		return ""
	}
	has := func(name string) bool { return members[name] != nil }
	switch {
	case has("options") && !has("type"):
		return authority(`"provisioners": [{"type": "JWK", "name": "a", "options": ` + string(members["options"]) + `}]`)
	case has("type") && has("name"):
		return authority(`"provisioners": [` + text + `]`)
	case has("authority") && has("root"):
		return text
	}
	for name := range members {
		if schema.Properties[name] == nil {
			return ""
		}
		for _, usual := range []string{"root", "crt", "key", "address", "authority"} {
			if name == usual {
				return ""
			}
		}
	}
	body := strings.TrimSpace(string(plain))
	return with(strings.TrimSuffix(strings.TrimPrefix(body, "{"), "}"))
}

// Every example of the documentation, every configuration that comes along with the program
// or that an old installation wrote, fits the published schema.
func TestExamplesFitTheSchema(t *testing.T) {
	t.Parallel()
	schema := fitting(t)
	judgedOnes := 0
	for _, root := range []string{"../../docs", "../../README.md", "../../packaging", "testdata"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var examples []string
			switch filepath.Ext(path) {
			case ".md":
				for _, block := range strings.Split(string(text), "```json\n")[1:] {
					example, _, _ := strings.Cut(block, "```")
					examples = append(examples, example)
				}
			case ".json":
				examples = []string{string(text)}
			}
			for _, example := range examples {
				config := whole(t, schema, example)
				if config == "" {
					continue
				}
				judgedOnes++
				if err := judged(t, schema, config); err != nil {
					t.Errorf("%s: %v in\n%s", path, err, example)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if judgedOnes < 15 {
		t.Errorf("only %d examples were judged", judgedOnes)
	}
}

// What the server takes the schema takes, and it refuses what the server refuses for its shape.
func TestSchemaAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	schema := fitting(t)
	options := func(members string) string {
		return authority(`"provisioners": [{"type": "JWK", "name": "a", ` + members + `}]`)
	}
	for text, fits := range map[string]bool{
		smallest: true,
		authority(`"claims": {"maxTLSCertDuration": "24h", "disableRenewal": false}`):                  true,
		authority(`"claims": {"maxTLSCertDuration": "one day"}`):                                       false,
		authority(`"policy": {"x509": {"allow": {"dns": ["*.example"]}, "allowWildcardNames": true}}`): true,
		authority(`"policy": {"x509": {"allow": {"dns": "*.example"}}}`):                               false,
		authority(`"policy": {"x509": {"permit": {}}}`):                                                false,
		options(`"claims": {"enableSSHCA": true}`):                                                     true,
		options(`"options": {"x509": {"lint": "warn", "strictCSR": true}}`):                            true,
		options(`"options": {"x509": {"lint": "loud"}}`):                                               false,
		options(`"options": {"x509": {"strictCSR": "yes"}}`):                                           false,
		options(`"options": {"x509": {"templates": "{}"}}`):                                            false,
		options(`"options": {"webhooks": [{"name": "w", "url": "https://h/", "kind": "ENRICHING"}]}`):  true,
		options(`"options": {"webhooks": {}}`):                                                         false,
		with(`"signet": {"watch": true}`):                                                              true,
		with(`"signet": {"watches": true}`):                                                            false,
		with(`"adress": ":1"`):                                                                         false,
	} {
		if err := judged(t, schema, text); fits != (err == nil) {
			t.Errorf("fits %v, but %v:\n%s", fits, err, text)
		}
		_, _, err := config.Options{Strict: true}.Parse("ca.json", []byte(text))
		if strings.Contains(text, "provisioners") && err != nil && !strings.Contains(err.Error(), "not known") && fits {
			t.Errorf("the server refuses what fits: %v:\n%s", err, text)
		} else if !strings.Contains(text, "provisioners") && fits != (err == nil) {
			t.Errorf("the schema says %v, the server %v:\n%s", fits, err, text)
		}
	}
}

// What the documents of old installations show is read to the last member.
func TestDocumentsAreRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "documents.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, report, err := config.Options{}.Parse("ca.json", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Authority.Provisioners) != len(provisioner.Types()) {
		t.Errorf("%d provisioners of %d types", len(c.Authority.Provisioners), len(provisioner.Types()))
	}
	for _, w := range report.Warnings {
		if strings.Contains(w.Error(), "not known") {
			t.Error(w)
		}
	}
}
