package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/webhook"
)

// Question asks what the rules of a configuration say about names.
type Question struct {
	Provisioner string                   // name; "": that of the token, else the authority alone
	Token       string                   // a proof, whose names are judged; "": none
	Request     *x509.CertificateRequest // its names are judged, or what a template makes of them; nil: none
	CommonName  string                   // judged beside Names
	Names       issue.Names
	SSH         string   // "user" or "host": Principals are judged; "": X.509
	Principals  []string // of an SSH certificate
}

// Opinion is what one level says about one name.
type Opinion struct {
	Level string `json:"level" help:"who decides: request (proof and template), issuer (its name constraints), provisioner or authority"`
	policy.Verdict
}

// Judge answers from a configuration file alone: no private key is opened, no webhook asked,
// no token spent. Notes say what an answer of the server may depend on besides.
func Judge(ctx context.Context, o Options, q *Question) (opinions []Opinion, notes []string, err error) {
	cfg, _, err := config.Options{Home: o.Home}.Read(o.ConfigFile)
	if err != nil {
		return nil, nil, err
	}
	j := &judge{q: q, now: time.Now()}
	if err := j.open(cfg, o); err != nil {
		return nil, nil, err
	}
	if err := j.choose(ctx); err != nil {
		return nil, nil, err
	}
	if q.SSH != "" {
		j.judgeSSH()
	} else {
		j.judgeX509()
	}
	return j.opinions, j.notes, nil
}

type judge struct {
	home      string // directory below which template files are
	shared    issue.NamedTemplates
	q         *Question
	now       time.Time
	authority *issue.Authority
	list      *provisioner.List
	p         *provisioner.Provisioner // nil: the authority alone
	grant     *issue.Grant             // nil: no token, or one that proves nothing
	opinions  []Opinion
	notes     []string
}

func (j *judge) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

func (j *judge) open(cfg *config.Config, o Options) error {
	chain, err := keys.ReadCertificates(cfg.Certificate)
	if err != nil {
		j.note("the name constraints of the issuer are not looked at: %v", err)
	}
	if j.authority, err = newAuthority(cfg, &config.PKI{Chain: chain}); err != nil {
		return err
	}
	claims, err := cfg.Authority.Claims.Over(provisioner.BuiltinClaims())
	if err != nil {
		return fmt.Errorf("authority.claims: %w", err)
	}
	env := &provisioner.Env{Templates: cfg.NamedTemplates(), Authority: j.authority, Claims: claims, Audiences: provisioner.NewAudiences(cfg.DNSNames),
		Home: o.Home, AllowGetHostByName: cfg.Signet != nil && cfg.Signet.AllowGetHostByName, Webhooks: webhook.NewEnv(nil, nil)}
	j.home, j.shared = o.Home, env.Templates
	silent := &Server{o: Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
	j.list, err = silent.openProvisioners(cfg.Authority.Provisioners, env)
	return err
}

// choose finds the provisioner, and what the token grants. A token that proves nothing any
// more still says which names it was for.
func (j *judge) choose(ctx context.Context) error {
	if j.q.Token == "" {
		if j.q.Provisioner == "" {
			return nil
		}
		if j.p = j.list.ByName(j.q.Provisioner); j.p == nil {
			return fault.New(fault.Missing, "there is no provisioner %q", j.q.Provisioner)
		}
		return j.usable()
	}
	t, err := provisioner.ParseToken(j.q.Token, j.now)
	if err != nil {
		return err
	}
	if j.p, err = j.list.ByToken(t); err != nil {
		return err
	}
	if err := j.usable(); err != nil {
		return err
	}
	act := provisioner.SignX509
	if j.q.SSH != "" {
		act = provisioner.SignSSH
	}
	if j.grant, err = j.p.Verify(ctx, act, t); err == nil {
		return nil
	}
	j.note("the server would refuse this token (%v); the names in it are judged all the same", err)
	j.grant = nil
	names := t.SANs
	if len(names) == 0 {
		names = []string{t.Subject}
	}
	j.q.CommonName, j.q.Names = t.Subject, issue.NamesOf(names)
	if len(j.q.Principals) == 0 {
		j.q.Principals = []string{t.Subject}
	}
	return nil
}

func (j *judge) usable() error {
	if err := j.p.Disabled(); err != nil {
		return fmt.Errorf("provisioner %q is disabled: %w", j.p.Name, err)
	}
	if hooks := j.p.Webhooks(webhook.Enriching, webhook.All); len(hooks) > 0 {
		j.note("the webhooks of the provisioner are not asked; what they say may change the names")
	}
	return nil
}

func (j *judge) profile() *issue.Profile {
	if j.p == nil {
		return &issue.Profile{Authority: j.authority}
	}
	return j.p.Profile()
}

func (j *judge) say(level string, verdicts []policy.Verdict) {
	for _, v := range verdicts {
		j.opinions = append(j.opinions, Opinion{level, v})
	}
}

func (j *judge) refuse(level string, err error) {
	reason := err.Error()
	if f := fault.Of(err); f != nil {
		reason = f.Message
	}
	j.say(level, []policy.Verdict{{Kind: policy.KindOther, Reason: reason}})
}

func (j *judge) judgeX509() {
	names, err := j.x509Names()
	if err != nil {
		j.refuse("request", err)
		return
	}
	profile := j.profile()
	for _, n := range names {
		if err := issue.CheckConstraints(j.authority, n); err != nil {
			j.refuse("issuer", err)
		}
		if profile.Policy != nil {
			j.say("provisioner", profile.Policy.Explain(n))
		}
		j.say("authority", j.authority.Policy.Explain(n))
	}
}

// x509Names are the names of the certificate: what the template makes of a good token, else
// those of the question.
func (j *judge) x509Names() ([]policy.Names, error) {
	q := j.q
	if j.grant != nil {
		request := q.Request
		if request == nil {
			var err error
			if request, err = emptyRequest(); err != nil {
				return nil, err
			}
		}
		draft, err := issue.NewX509(j.grant, &issue.X509Ask{Request: request}, j.now)
		if err != nil {
			return nil, err
		}
		return draft.PolicyNames()
	}
	if q.Request != nil {
		return issue.RequestPolicyNames(q.Request)
	}
	return []policy.Names{issue.PolicyNamesOf(q.CommonName, q.Names)}, nil
}

// emptyRequest asks for whatever the proof grants.
func emptyRequest() (*x509.CertificateRequest, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return x509.ParseCertificateRequest(der)
}

func (j *judge) judgeSSH() {
	kind, principals := j.q.SSH, j.q.Principals
	if j.grant != nil {
		draft, err := j.draftSSH()
		if err != nil {
			j.refuse("request", err)
			return
		}
		kind, principals = draft.Principals()
	}
	profile := j.profile()
	for _, level := range []struct {
		name  string
		rules *policy.SSH
	}{{"provisioner", profile.SSHPolicy}, {"authority", j.authority.SSHPolicy}} {
		if level.name == "provisioner" && level.rules == nil {
			continue
		}
		explain := level.rules.ExplainUser
		if kind == "host" {
			explain = level.rules.ExplainHost
		}
		j.say(level.name, explain(principals))
	}
}

func (j *judge) draftSSH() (*issue.SSHDraft, error) {
	request, err := emptyRequest()
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(request.PublicKey)
	if err != nil {
		return nil, err
	}
	if j.grant.SSH == nil {
		return nil, errors.New("the token is not for an SSH certificate")
	}
	return issue.NewSSH(j.grant, &issue.SSHAsk{Key: key, Type: j.q.SSH}, j.now)
}
