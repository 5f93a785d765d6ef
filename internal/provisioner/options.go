package provisioner

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/lint"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/webhook"
)

// Options shape the certificates of one provisioner.
type Options struct {
	X509     *X509Options     `json:"x509,omitempty" help:"template and name rules of X.509 certificates"`
	SSH      *SSHOptions      `json:"ssh,omitempty" help:"template and name rules of SSH certificates"`
	Webhooks []webhook.Config `json:"webhooks,omitempty" help:"servers of the operator that are asked before a certificate is signed"`
	Wire     json.RawMessage  `json:"wire,omitempty" help:"settings of the Wire messenger"`
}

// X509Options are options.x509.
type X509Options struct {
	issue.TemplateConfig
	policy.X509Config
	StrictCSR       bool        `json:"strictCSR,omitempty" help:"refuse a request that asks for something the certificate would not have, instead of leaving it out"`
	Constraints     *X509Limits `json:"constraints,omitempty" help:"what certificates may be at most, whatever template and request say"`
	SubjectEncoding string      `json:"subjectEncoding,omitempty" help:"several values of one attribute of the subject: joined in one relative distinguished name, or separate" enum:"joined,separate" default:"joined"`

	Lint       string   `json:"lint,omitempty" help:"rules of the RFCs and the community about the certificate before it is signed: off, warn (log what is broken) or refuse (what breaks a MUST)" enum:"off,warn,refuse" default:"off"`
	LintIgnore []string `json:"lintIgnore,omitempty" help:"names of rules that do not count"`
}

// What becomes of a certificate that breaks a standard.
const (
	LintOff    = "off"    // nobody looks
	LintWarn   = "warn"   // the log says so
	LintRefuse = "refuse" // it is not issued, if what is broken is a MUST
)

// SSHOptions are options.ssh.
type SSHOptions struct {
	issue.TemplateConfig
	policy.SSHConfig
}

// openOptions compiles templates and rules into the profile. What is wrong with one of them
// disables the provisioner: certificates without them would be others than the operator
// wants.
func (p *Provisioner) openOptions(env *Env) error {
	p.profile.Origin = issue.Origin{Name: p.Name, Type: p.Type}
	if p.Options == nil {
		return nil
	}
	if o := p.Options.X509; o != nil && p.signsX509() {
		if err := p.openX509(o, env); err != nil {
			return fmt.Errorf("options.x509: %w", err)
		}
	}
	if o := p.Options.SSH; o != nil && p.row.permits(SignSSH) {
		if err := p.openSSH(o, env); err != nil {
			return fmt.Errorf("options.ssh: %w", err)
		}
	}
	if err := p.openWebhooks(env); err != nil {
		return fmt.Errorf("options.webhooks: %w", err)
	}
	return nil
}

// signsX509 reports whether certificates of this type are ever made anew. Existing
// configurations have templates where none is run, and the file need not exist there.
func (p *Provisioner) signsX509() bool { return p.row.permits(SignX509) || p.row.protocol }

func (p *Provisioner) openWebhooks(env *Env) error {
	names := map[string]bool{}
	var all []error
	for _, c := range p.Options.Webhooks {
		if names[c.Name] {
			all = append(all, fault.New(fault.Invalid, "two webhooks are called %q; names must be unique", c.Name))
			continue
		}
		names[c.Name] = true
		h, err := webhook.Open(c, env.Webhooks)
		if err != nil {
			all = append(all, err)
			continue
		}
		p.webhooks = append(p.webhooks, h)
	}
	return errors.Join(all...)
}

// Linting is what becomes of certificates that break standards, and the rules that do not
// count.
func (p *Provisioner) Linting() (severity string, ignore []string) {
	if p.Options == nil || p.Options.X509 == nil || p.Options.X509.Lint == "" {
		return LintOff, nil
	}
	return p.Options.X509.Lint, p.Options.X509.LintIgnore
}

// Webhooks are those of a kind that are asked about a type of certificates, in their order.
func (p *Provisioner) Webhooks(kind, certType string) []*webhook.Hook {
	var some []*webhook.Hook
	for _, h := range p.webhooks {
		if h.Kind() == kind && (certType == webhook.All || h.Covers(certType)) {
			some = append(some, h)
		}
	}
	return some
}

// OwnMembers lists the members in use that only this product knows: an older program that
// rewrites the configuration drops them.
func (o *Options) OwnMembers() []string {
	if o == nil {
		return nil
	}
	var own []string
	add := func(name string, used bool) {
		if used {
			own = append(own, name)
		}
	}
	if x := o.X509; x != nil {
		add("x509.allow", x.Allow != nil)
		add("x509.deny", x.Deny != nil)
		add("x509.templateRef", x.TemplateRef != "")
		add("x509.strictCSR", x.StrictCSR)
		add("x509.constraints", x.Constraints != nil)
		add("x509.subjectEncoding", x.SubjectEncoding != "" && x.SubjectEncoding != "joined")
		add("x509.templateSha256", x.TemplateSHA256 != "")
		add("x509.lint", x.Lint != "" && x.Lint != LintOff)
	}
	if s := o.SSH; s != nil {
		add("ssh.user", s.User != nil)
		add("ssh.host", s.Host != nil)
		add("ssh.templateRef", s.TemplateRef != "")
		add("ssh.templateSha256", s.TemplateSHA256 != "")
	}
	for _, w := range o.Webhooks {
		add("webhooks of "+w.Name+": secret", w.Secret != "")
	}
	return own
}

// OwnMembers lists the members in use that only this product knows, the kind's included:
// without some of them a provisioner grants more.
func (p *Provisioner) OwnMembers() []string {
	var own []string
	if p.AllowRevokeAny {
		own = append(own, "allowRevokeAny")
	}
	if k, ok := p.kind.(interface{ OwnMembers() []string }); ok {
		own = append(own, k.OwnMembers()...)
	}
	for _, member := range p.Options.OwnMembers() {
		own = append(own, "options."+member)
	}
	return own
}

// SpellsSecret reports whether a secret itself stands in the configuration of the provisioner.
func (p *Provisioner) SpellsSecret() bool {
	k, ok := p.kind.(interface{ SpellsSecret() bool })
	return ok && k.SpellsSecret() || p.Options.SpellsSecret()
}

// SpellsSecret reports whether a secret itself stands in the options, not a reference to one.
func (o *Options) SpellsSecret() bool {
	if o == nil {
		return false
	}
	for _, w := range o.Webhooks {
		if w.Secret.Spelled() || w.BearerToken.Spelled() || w.BasicAuth != nil && w.BasicAuth.Password.Spelled() {
			return true
		}
	}
	return false
}

func (p *Provisioner) place(kind string, env *Env) issue.TemplatePlace {
	named := env.Templates.X509
	if kind == "ssh" {
		named = env.Templates.SSH
	}
	return issue.TemplatePlace{Name: p.Name + "/" + kind, Home: env.Home, Named: named, AllowGetHostByName: env.AllowGetHostByName, Warn: env.Warn}
}

func (p *Provisioner) openX509(o *X509Options, env *Env) error {
	rules, err := policy.NewX509(&o.X509Config)
	if err != nil {
		return err
	}
	p.profile.Policy = rules
	switch o.Lint {
	case "", LintOff, LintWarn, LintRefuse:
	default:
		return fault.New(fault.Invalid, "lint is %q; it is off, warn or refuse", o.Lint)
	}
	for _, rule := range o.LintIgnore {
		if !lint.Known(rule) {
			return fault.New(fault.Invalid, "lintIgnore names %q, which is no rule", rule)
		}
	}
	switch o.SubjectEncoding {
	case "", "joined", "separate":
	default:
		return fault.New(fault.Invalid, "subjectEncoding is %q; it is joined or separate", o.SubjectEncoding)
	}
	if err := p.openLimits(o.Constraints); err != nil {
		return fmt.Errorf("constraints: %w", err)
	}
	c, err := o.ResolvedX509(env.Templates)
	if err != nil {
		return err
	}
	current, err := c.OpenX509(p.place("x509", env))
	if err != nil {
		return err
	}
	p.profile.X509 = issue.X509Style{Template: current, Custom: c.Custom(), Constants: c.TemplateData,
		StrictRequest: o.StrictCSR, SeparateSubject: o.SubjectEncoding == "separate"}
	replaced, err := overridden(c.TemplateData, "Subject", "SANs")
	if err != nil {
		return err
	}
	if current == nil && replaced {
		t := issue.DefaultX509Template(issue.TemplateLeaf)
		p.profile.X509.Template = func() *issue.X509Template { return t }
	}
	return nil
}

func (p *Provisioner) openSSH(o *SSHOptions, env *Env) error {
	rules, err := policy.NewSSH(&o.SSHConfig)
	if err != nil {
		return err
	}
	p.profile.SSHPolicy = rules
	c, err := o.ResolvedSSH(env.Templates)
	if err != nil {
		return err
	}
	current, err := c.OpenSSH(p.place("ssh", env))
	if err != nil {
		return err
	}
	p.profile.SSH = issue.SSHStyle{Template: current, Custom: c.Custom(), Constants: c.TemplateData}
	replaced, err := overridden(c.TemplateData, "Type", "KeyID", "Principals", "Extensions", "CriticalOptions")
	if err != nil {
		return err
	}
	if current == nil && replaced {
		t := issue.DefaultSSHTemplate(issue.TemplateSSH)
		p.profile.SSH.Template = func() *issue.SSHTemplate { return t }
	}
	return nil
}

// overridden reports whether templateData replaces something that a default template prints.
// Only then must the default template run at all.
func overridden(constants json.RawMessage, printed ...string) (bool, error) {
	own, err := issue.TemplateData(constants)
	if err != nil {
		return false, err
	}
	for _, name := range printed {
		if _, ok := own[name]; ok {
			return true, nil
		}
	}
	return false, nil
}

// Warnings are what an operator should know about an opened provisioner: what its kind has
// to say, templates that can be broken out of, names that callers choose.
func (p *Provisioner) Warnings() []string {
	if p.disabled != nil || p.profile == nil {
		return nil
	}
	var all []string
	say := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("provisioner %q: ", p.Name)+fmt.Sprintf(format, args...))
	}
	if k, ok := p.kind.(interface{ Warnings() []string }); ok {
		for _, w := range k.Warnings() {
			say("%s", w)
		}
	}
	if why, fromProof := p.callers(); why != "" && !fromProof && !p.profile.X509.Custom && !p.bounded() {
		say("%s; rules in options.x509.allow bound them", why)
	}
	if p.Options == nil {
		return all
	}
	if o := p.Options; o.X509 != nil && !p.signsX509() || o.SSH != nil && !p.row.permits(SignSSH) {
		say("a provisioner of type %s only renews and revokes, so its options are never used", p.Type)
	}
	if o := p.Options.X509; o != nil {
		if p.profile.X509.Custom {
			t := p.profile.X509.Template()
			for _, w := range t.Lint() {
				say("%s", w)
			}
			if uses := t.Untrusted(); len(uses) > 0 {
				say("its X.509 template uses %s, which the caller chooses freely; without rules in options.x509.allow any name may come out", uses)
			}
			if t.AllowsCA() {
				say("its X.509 template contains isCA, so it may issue CA certificates")
			}
		}
		p.warnOverridden("options.x509", p.profile.X509.Constants, say)
	}
	if o := p.Options.SSH; o != nil {
		if p.profile.SSH.Custom {
			t := p.profile.SSH.Template()
			for _, w := range t.Lint() {
				say("%s", w)
			}
			if uses := t.Untrusted(); len(uses) > 0 {
				say("its SSH template uses %s, which the caller chooses freely; without rules in options.ssh any principal may come out", uses)
			}
		}
		p.warnOverridden("options.ssh", p.profile.SSH.Constants, say)
	}
	for _, h := range p.webhooks {
		if h.Kind() == webhook.ACME && p.row.name != "ACME" {
			say("its webhook %q is of kind %s, which only provisioners of type ACME call", h.Name(), h.Kind())
		}
		if h.Kind() == webhook.SCEPChallenge || h.Kind() == webhook.Notifying {
			say("its webhook %q is of kind %s, which only provisioners of type SCEP call", h.Name(), h.Kind())
		}
	}
	return all
}

func (p *Provisioner) warnOverridden(where string, constants json.RawMessage, say func(string, ...any)) {
	own, err := issue.TemplateData(constants)
	if err != nil {
		return
	}
	for _, name := range issue.OverriddenVariables(own) {
		say("%s.templateData replaces the variable %s, which says what was proven", where, name)
	}
}
