package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/server"
)

// templateLint is what there is to say about templates.
type templateLint struct {
	Good      bool           `json:"good" help:"every template can be used"`
	Templates []lintTemplate `json:"templates" help:"the templates that were looked at"`
}

type lintTemplate struct {
	Template string                   `json:"template" help:"file, or provisioner and kind of certificates"`
	Findings []server.TemplateFinding `json:"findings" help:"what its author should know"`
}

func (r *templateLint) Text() string {
	var b strings.Builder
	for _, t := range r.Templates {
		if len(t.Findings) == 0 {
			fmt.Fprintf(&b, "%s: nothing to say\n", printable(t.Template))
		}
		for _, f := range t.Findings {
			fmt.Fprintf(&b, "%s: %s: %s\n", printable(t.Template), f.Level, printable(f.Text))
		}
	}
	return b.String()
}

type templateLintFlags struct {
	config, provisioner string
	ssh, strict         bool
}

func caTemplateLint() *command {
	f := new(templateLintFlags)
	return &command{
		short: "look for mistakes in certificate templates",
		long: `Compiles templates and says what is wrong, with line and column: what does not parse, values that can end the
			quotes around them, the caller's own words where names come from. Each is run with made-up data as well.

			Without a file it looks at all templates of the CA's configuration.`,
		args: []arg{rest("file", "template to look at")},
		examples: []example{
			{"Look at a template", "signet ca template lint leaf.tpl"},
			{"Look at all templates of a CA, warnings being mistakes", "signet ca template lint --config ca.json --strict"},
		},
		exits: []exitNote{{exitFailure, "a template cannot be used, or there is a warning with --strict"}},
		flags: func(fs *flags) {
			fs.String(&f.config, "config", "file", "configuration `file` of the CA; config/ca.json of the home directory without it").Alias("ca-config").NoEnv()
			fs.String(&f.provisioner, "provisioner", "name", "look at the templates of this provisioner alone").NoEnv()
			fs.Bool(&f.ssh, "ssh", "the files are templates of SSH certificates")
			fs.Bool(&f.strict, "strict", "warnings are mistakes")
		},
		result: &templateLint{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			r := &templateLint{Good: true, Templates: []lintTemplate{}}
			if len(args) == 0 {
				if err := f.configured(env, r); err != nil {
					return nil, err
				}
			} else if f.config != "" || f.provisioner != "" {
				return nil, usagef("files and --config or --provisioner exclude each other")
			}
			for _, file := range args {
				r.add(file, server.LintTemplateFile(file, f.ssh, issue.TemplateOptions{}))
			}
			for _, t := range r.Templates {
				bad := func(found server.TemplateFinding) bool {
					return found.Level == "error" || f.strict && found.Level == "warning"
				}
				r.Good = r.Good && !slices.ContainsFunc(t.Findings, bad)
			}
			if !r.Good {
				return r, exitWith(exitFailure, nil)
			}
			return r, nil
		},
	}
}

func (r *templateLint) add(name string, found []server.TemplateFinding) {
	r.Templates = append(r.Templates, lintTemplate{name, append([]server.TemplateFinding{}, found...)})
}

func (f *templateLintFlags) configured(env *Env, r *templateLint) error {
	file := f.config
	if file == "" {
		file = env.Home.CAConfig()
	}
	all, notes, err := server.LintTemplates(server.Options{ConfigFile: file, Home: env.Home.Path()}, f.provisioner)
	if err != nil {
		return err
	}
	for _, n := range notes {
		env.Note("%s", printable(n))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r.add(name, all[name])
	}
	return nil
}
