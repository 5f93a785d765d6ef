package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/server"
)

// policyResult is what the rules say about names, one line for each rule level and name.
type policyResult struct {
	Allowed  bool             `json:"allowed" help:"every level allows every name"`
	Opinions []server.Opinion `json:"opinions" help:"what each level says about each name"`
}

func (r *policyResult) Text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, o := range r.Opinions {
		verdict := "denied"
		if o.Allowed {
			verdict = "allowed"
		}
		name := o.Name
		if name == "" {
			name = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s", verdict, o.Level, o.Kind, printable(name), printable(o.Reason))
		if o.Rule != "" {
			fmt.Fprintf(w, " (rule %s)", printable(o.Rule))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	return b.String()
}

type policyFlags struct {
	config, provisioner, token, csr, cn, ssh string
}

func (f *policyFlags) register(fs *flags) {
	fs.String(&f.config, "config", "file", "configuration `file` of the CA; config/ca.json of the home directory without it").Alias("ca-config").NoEnv()
	fs.String(&f.provisioner, "provisioner", "name", "judge by the rules of this provisioner as well").NoEnv()
	fs.String(&f.token, "token", "file", "judge what the token in `file` would get; its provisioner is taken").NoEnv()
	fs.String(&f.csr, "csr", "file", "judge the names of a certificate request").NoEnv()
	fs.String(&f.cn, "cn", "name", "common name to judge beside the names").NoEnv()
	fs.Enum(&f.ssh, "ssh", []string{"user", "host"}, "judge the names as principals of an SSH certificate of this type").NoEnv()
	fs.Incompatible("token", "provisioner", "cn")
	fs.Incompatible("csr", "cn", "ssh")
}

func caPolicyTest() *command {
	f := new(policyFlags)
	return &command{
		short: "say which rule allows or denies names",
		long: `Reads the configuration of a CA and says what its rules make of names: those of the provisioner, those of the
			authority, and the name constraints of the issuing certificate. No key is opened, no server asked and nothing issued.

			With a token its provisioner's template is run, and the names of the certificate that would come out are judged;
			a token that is no longer good is judged by the names in it.`,
		args: []arg{rest("name", "names to judge: DNS names, IP addresses, e-mail addresses, URIs, or principals with --ssh")},
		examples: []example{
			{"See whether a name would be certified", "signet ca policy test db.corp.example 10.0.0.7 --config ca.json"},
			{"See what a provisioner's rules add", "signet ca policy test root --ssh user --provisioner ops"},
			{"See what a token and a request would get", "signet ca policy test --token token.jwt --csr site.csr"},
		},
		exits:  []exitNote{{exitFailure, "a name is denied"}},
		flags:  f.register,
		result: &policyResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			q, err := f.question(env, args)
			if err != nil {
				return nil, err
			}
			file := f.config
			if file == "" {
				file = env.Home.CAConfig()
			}
			opinions, notes, err := server.Judge(ctx, server.Options{ConfigFile: file, Home: env.Home.Path()}, q)
			if err != nil {
				return nil, err
			}
			for _, n := range notes {
				env.Note("%s", printable(n))
			}
			r := &policyResult{Allowed: true, Opinions: opinions}
			for _, o := range opinions {
				r.Allowed = r.Allowed && o.Allowed
			}
			if !r.Allowed {
				return r, exitWith(exitFailure, errors.New("the rules do not allow this"))
			}
			return r, nil
		},
	}
}

func (f *policyFlags) question(env *Env, args []string) (*server.Question, error) {
	if len(args) == 0 && f.token == "" && f.csr == "" && f.cn == "" {
		return nil, usagef("give names, --token, --csr or --cn")
	}
	if len(args) > 0 && (f.token != "" || f.csr != "") {
		return nil, usagef("names and --token or --csr exclude each other")
	}
	q := &server.Question{Provisioner: f.provisioner, CommonName: f.cn, SSH: f.ssh}
	if f.ssh != "" {
		q.Principals = args
	} else {
		q.Names = issue.NamesOf(args)
	}
	if f.token != "" {
		text, err := env.readFile(f.token)
		if err != nil {
			return nil, err
		}
		q.Token = strings.TrimSpace(string(text))
	}
	if f.csr != "" {
		data, err := env.readFile(f.csr)
		if err != nil {
			return nil, err
		}
		if q.Request, err = keys.ParseCSR(data); err != nil {
			return nil, err
		}
	}
	return q, nil
}
