package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/provisioner"
)

var update = flag.Bool("update", false, "rewrite the generated files")

// TestReferencePages holds the printed pages against the program. -update rewrites them.
func TestReferencePages(t *testing.T) {
	t.Parallel()
	schema, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"ca.schema.json": schema, "configuration.md": []byte(config.Manual()),
		"authorization.md": []byte(provisioner.Authorization())} {
		path := filepath.Join("..", "..", "docs", "reference", name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program prints (%v); run go test ./internal/config -run TestReferencePages -update", path, err)
		}
	}
}

func TestEveryMemberIsExplained(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(config.Manual()) {
		if strings.HasPrefix(line, "| `") && strings.HasSuffix(strings.TrimSpace(line), "|  |") {
			t.Errorf("no word about %s", line)
		}
	}
}

func TestSchemaIsJSON(t *testing.T) {
	t.Parallel()
	schema, err := config.Schema()
	if err != nil || !json.Valid(schema) {
		t.Fatalf("no JSON: %v", err)
	}
	for _, want := range []string{`"encryptedKey"`, `"maxTLSCertDuration"`, `"^[Jj][Ww][Kk]$"`, `"additionalProperties": false`} {
		if !bytes.Contains(schema, []byte(want)) {
			t.Errorf("the schema lacks %s", want)
		}
	}
}
