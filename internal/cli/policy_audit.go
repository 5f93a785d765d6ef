package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/server"
)

// auditResult is what there is to fear of a configuration.
type auditResult struct {
	Risks []provisioner.Risk `json:"risks" help:"places where callers may get more than their proof says, worst first"`
}

func (r *auditResult) Text() string {
	var b strings.Builder
	for _, risk := range r.Risks {
		where := "CA"
		if risk.Provisioner != "" {
			where = fmt.Sprintf("provisioner %q", risk.Provisioner)
		}
		if risk.Template != "" {
			where += ", " + risk.Template
		}
		like := ""
		if risk.Like != "" {
			like = ", like " + risk.Like
		}
		fmt.Fprintf(&b, "%-6s  %s: %s (%s%s)\n", risk.Level, printable(where), printable(risk.Text), risk.ID, like)
		if risk.Advice != "" {
			fmt.Fprintf(&b, "        %s\n", printable(risk.Advice))
		}
	}
	if len(r.Risks) == 0 {
		return "no risks found\n"
	}
	return b.String()
}

type auditFlags struct{ config, failOn string }

func policyAudit() *command {
	f := &auditFlags{failOn: "high"}
	return &command{
		short: "look for ways to get more from a CA than was proven",
		long: `Reads the configuration of a CA and looks for provisioners and templates that let a caller choose names, become
			a CA, get certificates for any purpose, or put their own words (.Insecure) into a certificate; for allow rules that
			bound them; and for files that others may change. Templates are run with words that nothing else contains, to see
			where these come out. No key is opened, no server asked and nothing issued.

			Each risk says which of the known weaknesses of certificate services (ESC1 to ESC16) it is like.`,
		examples: []example{
			{"Look at the CA of the home directory", "signet policy audit"},
			{"Refuse a configuration with risks before it goes out", "signet policy audit --config ca.json --fail-on medium"},
		},
		exits: []exitNote{{exitFailure, "there is a risk of the level of --fail-on or above"}},
		flags: func(fs *flags) {
			fs.String(&f.config, "config", "file", "configuration `file` of the CA; config/ca.json of the home directory without it").Alias("ca-config").NoEnv()
			fs.Enum(&f.failOn, "fail-on", []string{"high", "medium", "low", "none"}, "exit with 1 if there is a risk of this level or above").NoEnv()
		},
		result: &auditResult{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			file := f.config
			if file == "" {
				file = env.Home.CAConfig()
			}
			risks, notes, err := server.Audit(server.Options{ConfigFile: file, Home: env.Home.Path()})
			if err != nil {
				return nil, err
			}
			for _, n := range notes {
				env.Note("%s", printable(n))
			}
			r := &auditResult{Risks: append([]provisioner.Risk{}, risks...)}
			if slices.ContainsFunc(risks, func(risk provisioner.Risk) bool { return f.counts(risk.Level) }) {
				return r, exitWith(exitFailure, nil)
			}
			return r, nil
		},
	}
}

// counts reports whether a level is that of --fail-on or above.
func (f *auditFlags) counts(level string) bool {
	order := []string{provisioner.RiskHigh, provisioner.RiskMedium, provisioner.RiskLow}
	limit := slices.Index(order, f.failOn) // -1, none, is above all
	return slices.Index(order, level) <= limit
}
