package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/config"
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
