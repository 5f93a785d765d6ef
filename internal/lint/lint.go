// Package lint looks at a certificate with the eyes of zlint: where does it break a standard?
package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // registers the community's rules
	_ "github.com/zmap/zlint/v3/lints/rfc"       // registers the rules of the RFCs
)

// Levels of findings, mild first.
const (
	Notice = "notice"
	Warn   = "warn"
	Error  = "error" // the certificate breaks a MUST
	Fatal  = "fatal" // the certificate cannot be judged
)

// Finding is one broken rule.
type Finding struct {
	Rule  string `json:"rule" help:"zlint's name of the rule"`
	Level string `json:"level" help:"notice, warn, error or fatal"`
	Text  string `json:"text" help:"what the rule says"`
	Cite  string `json:"cite,omitempty" help:"where it is written"`
}

// Bad reports whether the rule is a MUST.
func (f *Finding) Bad() bool { return f.Level == Error || f.Level == Fatal }

func (f *Finding) String() string { return fmt.Sprintf("%s: %s (%s)", f.Rule, f.Text, f.Cite) }

// sources are who wrote the rules that count. Other rooms may register more rules, which are
// not for private CAs.
var sources = []zlint.LintSource{zlint.RFC3279, zlint.RFC5280, zlint.RFC5480, zlint.RFC5891, zlint.RFC8813, zlint.Community}

// Certificate lists the rules that a certificate breaks, less those whose name is in ignore:
// worst first. Rules of the public web's browsers are not among them: those are for public
// CAs. The signature is not looked at.
func Certificate(der []byte, ignore []string) ([]Finding, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for linting: %w", err)
	}
	var found []Finding
	registry := zlint.GlobalRegistry()
	for _, rule := range registry.CertificateLints().Lints() {
		if !slices.Contains(sources, rule.Source) || slices.Contains(ignore, rule.Name) {
			continue
		}
		result := rule.Execute(cert, registry.GetConfiguration())
		level, broken := map[zlint.LintStatus]string{zlint.Notice: Notice, zlint.Warn: Warn, zlint.Error: Error, zlint.Fatal: Fatal}[result.Status]
		if broken {
			found = append(found, Finding{Rule: rule.Name, Level: level, Text: rule.Description, Cite: rule.Citation})
		}
	}
	slices.SortFunc(found, func(a, b Finding) int {
		if a.Bad() != b.Bad() {
			if a.Bad() {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Rule, b.Rule)
	})
	return found, nil
}

// Known reports whether there is a rule of this name.
func Known(rule string) bool { return zlint.GlobalRegistry().ByName(rule) != nil }
