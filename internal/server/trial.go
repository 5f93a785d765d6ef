package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
)

// Trial runs a template as the server would, without key, webhook or database.
type Trial struct {
	Question                 // Provisioner, Token, Request, SSH; Names and Principals are those of the proof where no token is
	Subject  string          // of the proof; "": the first name
	File     string          // template to try instead of the provisioner's own; "": the latter
	User     json.RawMessage // the requester's templateData
	Webhooks map[string]any  // what enriching webhooks would say, by name
}

// Tried is what came out.
type Tried struct {
	Template string            // name
	Hash     string            // SHA-256 of its text; "": there is no template but the plain default
	Output   []byte            // JSON that the template wrote; nil if it did not end, or there is none
	X509     *x509.Certificate // signed by a key that nobody has; nil if it was refused, and for SSH
	SSH      *ssh.Certificate  // the same for SSH
	Opinions []Opinion         // what name rules say
	Warnings []string          // about the template and what OpenSSH would do
	Refusal  error             // why nothing would be issued, in full; nil if it would
}

// Try tries a template. Without a provisioner and without a token no configuration is read.
func Try(ctx context.Context, o Options, t *Trial) (*Tried, []string, error) {
	j := &judge{q: &t.Question, now: time.Now()}
	if t.Provisioner != "" || t.Token != "" && o.ConfigFile != "" {
		cfg, _, err := config.Options{Home: o.Home}.Read(o.ConfigFile)
		if err != nil {
			return nil, nil, err
		}
		if err := j.open(cfg, o); err != nil {
			return nil, nil, err
		}
		if err := j.choose(ctx); err != nil {
			return nil, nil, err
		}
	} else {
		j.authority = &issue.Authority{Backdate: time.Minute}
	}
	w := &trial{judge: j, t: t, out: new(Tried)}
	var err error
	if w.profile, err = w.shape(); err != nil {
		return nil, nil, err
	}
	if w.grant, err = w.granted(); err != nil {
		return nil, nil, err
	}
	if t.SSH != "" {
		err = w.ssh(ctx)
	} else {
		err = w.x509()
	}
	return w.out, j.notes, err
}

type trial struct {
	*judge
	t       *Trial
	profile *issue.Profile
	grant   *issue.Grant
	out     *Tried
}

// shape is the profile of the trial, with the template of the file if there is one.
func (w *trial) shape() (*issue.Profile, error) {
	profile := *w.judge.profile()
	if w.p == nil {
		claims := provisioner.BuiltinClaims()
		profile.TLS, profile.UserSSH, profile.HostSSH = issue.Lifetimes(claims.TLS), issue.Lifetimes(claims.UserSSH), issue.Lifetimes(claims.HostSSH)
	}
	if w.t.File == "" {
		return &profile, nil
	}
	path, err := filepath.Abs(w.t.File)
	if err != nil {
		return nil, err
	}
	place := issue.TemplatePlace{Name: w.t.File, Home: w.home, Named: w.shared.X509}
	if w.t.SSH != "" {
		place.Named = w.shared.SSH
	}
	c := w.configured()
	c.Template, c.TemplateRef, c.TemplateFile, c.TemplateSHA256 = "", "", path, ""
	if w.t.SSH != "" {
		profile.SSH.Custom = true
		profile.SSH.Template, err = c.OpenSSH(place)
	} else {
		profile.X509.Custom = true
		profile.X509.Template, err = c.OpenX509(place)
	}
	return &profile, err
}

// configured is what the provisioner says about its templates.
func (w *trial) configured() issue.TemplateConfig {
	if w.p == nil || w.p.Options == nil {
		return issue.TemplateConfig{}
	}
	switch {
	case w.t.SSH != "" && w.p.Options.SSH != nil:
		return w.p.Options.SSH.TemplateConfig
	case w.t.SSH == "" && w.p.Options.X509 != nil:
		return w.p.Options.X509.TemplateConfig
	}
	return issue.TemplateConfig{}
}

// granted is what the token grants, or what the trial says instead.
func (w *trial) granted() (*issue.Grant, error) {
	if w.judge.grant != nil {
		g := *w.judge.grant
		g.Profile = w.profile
		return &g, nil
	}
	t := w.t
	g := &issue.Grant{Profile: w.profile, Subject: t.Subject, Names: t.Names, FreeNames: true, Claims: map[string]any{"sub": t.Subject}}
	if t.Token != "" {
		token, err := provisioner.ParseToken(t.Token, w.now)
		if err != nil {
			return nil, err
		}
		g.Subject, g.Claims = token.Subject, token.Claims()
		if g.Names = issue.NamesOf(token.SANs); g.Names.Empty() {
			g.Names = issue.NamesOf([]string{token.Subject})
		}
		if w.p == nil {
			w.note("the token is not verified, for no provisioner was named")
		}
	}
	principals := t.Principals
	if len(principals) == 0 {
		principals = []string{g.Subject}
	}
	g.SSH = &issue.SSHRight{Type: t.SSH, KeyID: g.Subject, Principals: principals, Free: t.Request != nil}
	return g, nil
}

func (w *trial) data() issue.Data {
	return issue.Data{User: w.t.User, Webhooks: w.t.Webhooks, ClientIP: "127.0.0.1", RequestID: "trial"}
}

func (w *trial) x509() error {
	request := w.t.Request
	if request == nil {
		var err error
		if request, err = emptyRequest(); err != nil {
			return err
		}
	}
	ask := &issue.X509Ask{Request: request, Data: w.data()}
	if current := w.profile.X509.Template; current != nil {
		t := current()
		w.out.Template, w.out.Hash, w.out.Warnings = t.Name(), t.Hash(), t.Lint()
		vars, err := issue.X509Variables(w.grant, ask, w.now)
		if err != nil {
			return err
		}
		if w.out.Output, w.out.Refusal = t.Render(vars); w.out.Refusal != nil {
			return nil
		}
		w.spelling(t.CheckMembers(w.out.Output))
	}
	checked, err := w.checked(ask)
	if err != nil {
		w.out.Refusal = err
		return nil
	}
	w.out.X509, err = issue.Rehearse(w.issuer(), checked)
	return err
}

func (w *trial) checked(ask *issue.X509Ask) (*issue.CheckedX509, error) {
	draft, err := issue.NewX509(w.grant, ask, w.now)
	if err != nil {
		return nil, err
	}
	names, err := draft.PolicyNames()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		w.opine("provisioner", w.profile.Policy != nil, w.profile.Policy.Explain(n))
		w.opine("authority", w.authority.Policy != nil, w.authority.Policy.Explain(n))
	}
	return draft.Check(w.now)
}

// spelling warns of members that the server would ignore.
func (w *trial) spelling(err error) {
	if err != nil {
		w.out.Warnings = append(w.out.Warnings, wording(err))
	}
}

func (w *trial) opine(level string, asked bool, verdicts []policy.Verdict) {
	if !asked {
		return
	}
	for _, v := range verdicts {
		w.out.Opinions = append(w.out.Opinions, Opinion{level, v})
	}
}

// issuer is that of the configuration, or one that stands for it.
func (w *trial) issuer() *x509.Certificate {
	if len(w.authority.Chain) > 0 {
		return w.authority.Chain[0]
	}
	return &x509.Certificate{Subject: pkix.Name{CommonName: "Trial CA"}, SubjectKeyId: []byte("trial"), IsCA: true, MaxPathLen: -1}
}

func (w *trial) ssh(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	if w.grant.SSH == nil {
		return errors.New("the token is not for an SSH certificate")
	}
	ask := &issue.SSHAsk{Key: pub, Type: w.t.SSH, KeyID: w.grant.SSH.KeyID, Principals: w.t.Principals, Data: w.data()}
	if current := w.profile.SSH.Template; current != nil {
		t := current()
		w.out.Template, w.out.Hash, w.out.Warnings = t.Name(), t.Hash(), t.Lint()
		vars, err := issue.SSHVariables(w.grant, ask, w.now)
		if err != nil {
			return err
		}
		if w.out.Output, w.out.Refusal = t.Render(vars); w.out.Refusal != nil {
			return nil
		}
		w.spelling(t.CheckMembers(w.out.Output))
	}
	draft, err := issue.NewSSH(w.grant, ask, w.now)
	if err != nil {
		w.out.Refusal = err
		return nil
	}
	w.judge.grant, w.judge.opinions = nil, nil
	w.q.SSH, w.q.Principals = draft.Principals()
	w.judgeSSH()
	w.out.Opinions = w.judge.opinions
	checked, err := draft.Check(w.now)
	if err != nil {
		w.out.Refusal = err
		return nil
	}
	local, err := issue.NewLocalSSH(key, nil)
	if err != nil {
		return err
	}
	if w.out.SSH, err = local.SealSSH(ctx, checked); err == nil {
		w.out.Warnings = append(w.out.Warnings, issue.SSHWarnings(w.out.SSH)...)
	}
	return err
}
