package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// LintTemplates looks at every template of a configuration, or of one provisioner.
func LintTemplates(o Options, only string) (map[string][]TemplateFinding, []string, error) {
	cfg, _, err := config.Options{Home: o.Home}.Read(o.ConfigFile)
	if err != nil {
		return nil, nil, err
	}
	j := &judge{}
	if err := j.open(cfg, o); err != nil {
		return nil, nil, err
	}
	all := map[string][]TemplateFinding{}
	for _, p := range cfg.Authority.Provisioners {
		if only != "" && p.Name != only {
			continue
		}
		if why := p.Disabled(); why != nil {
			all[p.Name] = []TemplateFinding{{"error", wording(why)}}
			continue
		}
		if p.Profile().X509.Custom {
			t := p.Profile().X509.Template()
			all[t.Name()] = lintX509(t, p.Profile().X509.Constants)
		}
		if p.Profile().SSH.Custom {
			t := p.Profile().SSH.Template()
			all[t.Name()] = lintSSH(t, p.Profile().SSH.Constants)
		}
	}
	if only != "" && j.list.ByName(only) == nil {
		return nil, nil, fault.New(fault.Missing, "there is no provisioner %q", only)
	}
	return all, j.notes, nil
}

// TemplateFinding is something that an author of a template should know.
type TemplateFinding struct {
	Level string `json:"level" help:"error: it cannot be used; warning: it can be misused; note: worth knowing"`
	Text  string `json:"text" help:"what is found, with line and column where there is one"`
}

// LintTemplateFile looks at a template in a file.
func LintTemplateFile(path string, forSSH bool, opts issue.TemplateOptions) []TemplateFinding {
	place, err := filepath.Abs(path)
	if err != nil {
		return []TemplateFinding{{"error", err.Error()}}
	}
	if forSSH {
		f, err := issue.OpenSSHTemplateFile(place, opts, nil)
		if err != nil {
			return []TemplateFinding{{"error", wording(err)}}
		}
		return lintSSH(f.Current(), nil)
	}
	f, err := issue.OpenX509TemplateFile(place, opts, nil)
	if err != nil {
		return []TemplateFinding{{"error", wording(err)}}
	}
	return lintX509(f.Current(), nil)
}

// wording is an error for its operator, who may read all of it.
func wording(err error) string {
	if f := fault.Of(err); f != nil && errors.Unwrap(f) != nil {
		if te, ok := errors.AsType[*issue.TemplateError](err); ok {
			return te.Error()
		}
	}
	return err.Error()
}

type findings []TemplateFinding

func (f *findings) say(level, format string, args ...any) {
	*f = append(*f, TemplateFinding{level, fmt.Sprintf(format, args...)})
}

// common says what texts of both kinds show.
func (f *findings) common(warnings, uses []string) {
	for _, text := range warnings {
		f.say("warning", "%s", text)
	}
	if len(uses) > 0 {
		f.say("note", "it uses %s, which the caller chooses", uses)
	}
}

// tried tells of the run with made-up data. A refusal by fail is what a template is for.
func (f *findings) tried(found *issue.Probe, err error) {
	switch {
	case fault.Is(err, fault.Invalid):
		f.say("note", "it refuses made-up data (%v), so no more can be said about it here", err)
	case err != nil:
		f.say("warning", "it gives no certificate with made-up data: %s", wording(err))
	case found.Names():
		f.say("warning", "the caller's own words become names of the certificate; allow rules bound them")
	case found.Purposes, found.Extensions:
		f.say("warning", "the caller's own words decide about purposes or extensions")
	}
}

func lintX509(t *issue.X509Template, constants json.RawMessage) []TemplateFinding {
	f := findings{}
	f.common(t.Lint(), t.Untrusted())
	if t.AllowsCA() {
		f.say("note", "its text contains isCA, so CA certificates may come from it")
	}
	f.tried(t.Probe(constants))
	return f
}

func lintSSH(t *issue.SSHTemplate, constants json.RawMessage) []TemplateFinding {
	f := findings{}
	f.common(t.Lint(), t.Untrusted())
	found, err := t.Probe("user", constants)
	if err != nil {
		if host, hostErr := t.Probe("host", constants); hostErr == nil {
			found, err = host, nil
		}
	}
	f.tried(found, err)
	return f
}
