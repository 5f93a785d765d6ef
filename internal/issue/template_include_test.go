package issue_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

func inline(text string) *issue.TemplateConfig { return &issue.TemplateConfig{Template: text} }

func TestIncludes(t *testing.T) {
	t.Parallel()
	named := map[string]*issue.TemplateConfig{
		"name":   inline(`{{ template "word" .word }}`),
		"word":   inline(`{{ toJson . }}`),
		"ca":     inline(`{"isCA": true}`),
		"quoted": inline("{{/* */}}\n\"{{ .Insecure.User.x }}\""),
		"one":    inline(`{{ template "two" . }}`), "two": inline(`{{ template "one" . }}`),
		"self": inline(`{{ if .go }}{{ template "self" . }}{{ end }}`),
		"bad":  inline(`{{ nosuch }}`), "helper": inline(`{{ define "again" }}{{ end }}`),
	}
	place := issue.TemplatePlace{Name: "t", Named: named}
	draft := func(text string) (string, error) {
		open, err := inline(text).OpenX509(place)
		if err != nil {
			return "", err
		}
		cert, err := open().Draft(map[string]any{"word": `a"b`})
		if err != nil {
			return "", err
		}
		return cert.Subject.CommonName, nil
	}
	if got, err := draft(`{"subject": {{ template "name" . }}}`); got != `a"b` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := draft(`{{ define "name" }}"own"{{ end }}{"subject": {{ template "name" . }}}`); got != "own" || err != nil {
		t.Errorf("its own definition does not win: %q, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"subject": {{ template "one" . }}}`:                                  "in a circle: one → two → one",
		`{"subject": {{ template "self" . }}}`:                                 "in a circle: self → self",
		`{"subject": {{ template "bad" . }}}`:                                  `bad:1: function "nosuch" not defined`,
		`{{ define "again" }}x{{ end }}{"subject": {{ template "helper" . }}}`: `defines "again" once more`,
	} {
		if _, err := draft(text); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	open, err := inline(`{"basicConstraints": {{ template "ca" . }}, "subject": {{ template "quoted" . }}}`).OpenX509(place)
	if err != nil {
		t.Fatal(err)
	}
	if tmpl := open(); !tmpl.AllowsCA() || len(tmpl.Untrusted()) != 1 || len(tmpl.Lint()) != 1 || !strings.Contains(tmpl.Lint()[0], "template quoted, line 2, column") {
		t.Errorf("what is included is not looked at: %v, %v, %v", tmpl.AllowsCA(), tmpl.Untrusted(), tmpl.Lint())
	}
}

// SEC-11: what includes do is paid from the one meter of the run.
func TestIncludesAreBounded(t *testing.T) {
	t.Parallel()
	place := issue.TemplatePlace{Name: "t", Named: map[string]*issue.TemplateConfig{"many": inline(`{{ range until 60000 }}{{ range until 60000 }}{{ end }}{{ end }}`)}}
	open, err := inline(`{"subject": "{{ template "many" . }}"}`).OpenX509(place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open().Draft(nil); !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
}

// A pin covers all of the text.
func TestIncludesOfPinned(t *testing.T) {
	t.Parallel()
	sum := func(text string) string { s := sha256.Sum256([]byte(text)); return hex.EncodeToString(s[:]) }
	text, part := `{"subject": {{ template "part" . }}}`, `{{ toJson "x" }}`
	pinned := inline(text)
	pinned.TemplateSHA256 = sum(text)
	for pin, want := range map[string]string{"": "pin that, too", sum(part): "", sum("other"): "somebody changed it"} {
		included := inline(part)
		included.TemplateSHA256 = pin
		_, err := pinned.OpenX509(issue.TemplatePlace{Name: "t", Named: map[string]*issue.TemplateConfig{"part": included}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("pin %q: %v", pin, err)
		}
	}
}
