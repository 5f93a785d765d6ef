package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/inspect"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/lint"
	"github.com/signet-ca/signet/internal/server"
)

// templateTrial is what a template makes of its data.
type templateTrial struct {
	Template    string           `json:"template,omitempty" help:"name of the template; absent where the plain default counts"`
	SHA256      string           `json:"sha256,omitempty" help:"of its text, in hex; what templateSha256 takes"`
	Output      json.RawMessage  `json:"output,omitempty" help:"JSON that it wrote"`
	Issued      bool             `json:"issued" help:"the server would sign this"`
	Refusal     string           `json:"refusal,omitempty" help:"why not"`
	Certificate string           `json:"certificate,omitempty" help:"the certificate, signed by a key that nobody has: PEM, or a line of OpenSSH"`
	Opinions    []server.Opinion `json:"opinions" help:"what name rules say about each name"`
	Lint        []lint.Finding   `json:"lint" help:"rules of the RFCs and the community that the certificate breaks"`
	Warnings    []string         `json:"warnings" help:"what the author of the template should know"`

	text string
}

func (r *templateTrial) Text() string {
	var b strings.Builder
	if r.Output != nil {
		var pretty bytes.Buffer
		if json.Indent(&pretty, r.Output, "", "  ") != nil {
			pretty.Reset()
			pretty.Write(r.Output) // no JSON; the refusal says where
		}
		b.WriteString(strings.TrimSpace(pretty.String()) + "\n\n")
	}
	b.WriteString(r.text)
	for _, o := range r.Opinions {
		verdict := "denied"
		if o.Allowed {
			verdict = "allowed"
		}
		fmt.Fprintf(&b, "%s: %s %s by the %s: %s\n", verdict, o.Kind, printable(o.Name), o.Level, printable(o.Reason))
	}
	for i := range r.Lint {
		fmt.Fprintf(&b, "%s: %s\n", r.Lint[i].Level, printable(r.Lint[i].Rule+": "+r.Lint[i].Text))
	}
	return b.String()
}

type templateTryFlags struct {
	config, provisioner, token, csr, subject, ssh, webhooks string
	sans                                                    []string
	data                                                    dataFlags
}

func (f *templateTryFlags) register(fs *flags) {
	fs.String(&f.config, "config", "file", "configuration `file` of the CA; config/ca.json of the home directory without it").Alias("ca-config").NoEnv()
	fs.String(&f.provisioner, "provisioner", "name", "try it under the options and rules of this provisioner").NoEnv()
	fs.String(&f.token, "token", "file", "the proof; its provisioner is taken if there is a configuration").NoEnv()
	fs.String(&f.csr, "csr", "file", "the certificate request; one that asks for nothing without it").NoEnv()
	fs.String(&f.subject, "subject", "name", "whom a proof is of, where there is no token").NoEnv()
	fs.Strings(&f.sans, "san", "name", "name that a proof is for, or principal with --ssh; the subject without it").NoEnv()
	fs.Enum(&f.ssh, "ssh", []string{"user", "host"}, "try an SSH certificate of this type").NoEnv()
	fs.String(&f.webhooks, "webhook-data", "file", "JSON object with what each enriching webhook would say, by its name").NoEnv()
	f.data.register(fs)
	fs.Incompatible("token", "provisioner", "subject", "san")
	fs.Incompatible("csr", "ssh")
}

func caTemplateTest() *command {
	f := new(templateTryFlags)
	return &command{
		short: "run a certificate template without issuing anything",
		long: `Runs a template as the server would and prints the JSON that it writes, the certificate, what name rules say and
			which rules of the RFCs it breaks. The certificate is signed by a key that nobody has. No webhook is asked;
			--webhook-data says what they would answer.

			Without a file the provisioner's own template is run. The data of --set is what a requester sends along.`,
		args: []arg{may("file", "template; the one of --provisioner or --token without it")},
		examples: []example{
			{"See what a template makes of a name", "signet ca template test leaf.tpl --subject db.corp.example --set unit=Lab"},
			{"See what a token and a request would get", "signet ca template test --config ca.json --token token.jwt --csr site.csr"},
		},
		exits:  []exitNote{{exitFailure, "nothing would be issued"}},
		flags:  f.register,
		result: &templateTrial{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			t, err := f.trial(env, args)
			if err != nil {
				return nil, err
			}
			o := server.Options{ConfigFile: f.config, Home: env.Home.Path()}
			if f.config == "" && (f.provisioner != "" || len(args) == 0) {
				o.ConfigFile = env.Home.CAConfig()
			}
			tried, notes, err := server.Try(ctx, o, t)
			if err != nil {
				return nil, err
			}
			for _, n := range notes {
				env.Note("%s", printable(n))
			}
			r, err := trialResult(tried)
			if err != nil {
				return nil, err
			}
			for _, w := range r.Warnings {
				env.Warn("%s", printable(w))
			}
			if !r.Issued {
				return r, exitWith(exitFailure, errors.New(r.Refusal))
			}
			return r, nil
		},
	}
}

func (f *templateTryFlags) trial(env *Env, args []string) (*server.Trial, error) {
	t := &server.Trial{Subject: f.subject}
	t.Provisioner, t.SSH = f.provisioner, f.ssh
	switch {
	case len(args) > 0:
		t.File = args[0]
	case f.provisioner == "" && f.token == "":
		return nil, usagef("give a template, --provisioner or --token")
	}
	if t.Subject == "" && len(f.sans) > 0 {
		t.Subject = f.sans[0]
	}
	if t.Subject == "" {
		t.Subject = "subject.example"
	}
	if f.ssh != "" {
		t.Principals = f.sans
	} else if t.Names = issue.NamesOf(f.sans); t.Names.Empty() {
		t.Names = issue.NamesOf([]string{t.Subject})
	}
	if f.token != "" {
		text, err := env.readFile(f.token)
		if err != nil {
			return nil, err
		}
		t.Token = strings.TrimSpace(string(text))
	}
	if f.csr != "" {
		text, err := env.readFile(f.csr)
		if err != nil {
			return nil, err
		}
		if t.Request, err = keys.ParseCSR(text); err != nil {
			return nil, err
		}
	}
	if f.webhooks != "" {
		text, err := env.readFile(f.webhooks)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &t.Webhooks); err != nil {
			return nil, fmt.Errorf("%s does not hold a JSON object: %w", f.webhooks, err)
		}
	}
	user, err := f.data.data(env)
	if err != nil || user == nil {
		return t, err
	}
	t.User, err = json.Marshal(user)
	return t, err
}

func trialResult(tried *server.Tried) (*templateTrial, error) {
	r := &templateTrial{Template: tried.Template, SHA256: tried.Hash, Issued: tried.Refusal == nil,
		Opinions: append([]server.Opinion{}, tried.Opinions...), Lint: []lint.Finding{}, Warnings: append([]string{}, tried.Warnings...)}
	if r.Output = tried.Output; r.Output != nil && !json.Valid(r.Output) {
		text, err := json.Marshal(string(r.Output))
		if err != nil {
			return nil, err
		}
		r.Output = text
	}
	if !r.Issued {
		r.Refusal = refusalWords(tried.Refusal)
	}
	switch {
	case tried.X509 != nil:
		r.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tried.X509.Raw}))
		r.text = inspect.CertificateText(tried.X509)
		found, err := lint.Certificate(tried.X509.Raw, nil)
		if err != nil {
			return nil, err
		}
		r.Lint = append(r.Lint, found...)
	case tried.SSH != nil:
		r.Certificate = string(ssh.MarshalAuthorizedKey(tried.SSH))
		r.text = inspectSSH(tried.SSH).Text()
	}
	return r, nil
}

// refusalWords are for the author of the template, who may read what clients may not.
func refusalWords(err error) string {
	if te, ok := errors.AsType[*issue.TemplateError](err); ok {
		return te.Error()
	}
	if f := fault.Of(err); f != nil {
		return f.Message
	}
	return err.Error()
}
