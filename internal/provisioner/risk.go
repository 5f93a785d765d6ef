package provisioner

import (
	"fmt"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/webhook"
)

// Levels of risks.
const (
	RiskHigh   = "high"   // a caller gets what nobody granted
	RiskMedium = "medium" // one more mistake, and a caller does
	RiskLow    = "low"    // worth knowing
)

// Risk is a place where callers may get more than their proof says. The known ways into
// certificate services of Windows domains, ESC1 to ESC16, have their likes here.
type Risk struct {
	ID          string `json:"id" help:"what kind of risk"`
	Level       string `json:"level" help:"high, medium or low"`
	Like        string `json:"like,omitempty" help:"which known weakness of certificate services it is like"`
	Provisioner string `json:"provisioner,omitempty" help:"the provisioner; absent where it is the whole CA"`
	Template    string `json:"template,omitempty" help:"whose certificates, x509 or ssh; absent where that makes no difference"`
	Text        string `json:"text" help:"what a caller can do"`
	Advice      string `json:"advice" help:"what bounds it"`
}

// callers says why the callers of a kind choose their names; "" if a proof bounds them.
// Where fromProof is false they do it by their request, which a template may ignore.
func (p *Provisioner) callers() (why string, fromProof bool) {
	if k, ok := p.kind.(interface{ CallerNames() (string, bool) }); ok {
		return k.CallerNames()
	}
	return "", false
}

// bounded reports whether allow rules of the provisioner or of the CA bound X.509 names.
func (p *Provisioner) bounded() bool {
	return p.profile.Policy.Bounds() || p.profile.Authority.Policy.Bounds()
}

// audit collects the risks of one provisioner.
type audit struct {
	p    *Provisioner
	kind string // x509, ssh or ""
	all  []Risk
}

func (a *audit) add(r Risk) {
	r.Provisioner, r.Template = a.p.Name, a.kind
	a.all = append(a.all, r)
}

// Risks looks for risks in an opened provisioner: in what its kind accepts, and in what its
// templates make of a caller's own words, for which they are run.
func (p *Provisioner) Risks() []Risk {
	if p.disabled != nil || p.profile == nil {
		return nil
	}
	a := &audit{p: p}
	a.switches()
	a.hooks()
	if k, ok := p.kind.(interface{ Risks() []Risk }); ok {
		for _, r := range k.Risks() {
			r.Provisioner = p.Name
			a.all = append(a.all, r)
		}
	}
	if p.signsX509() {
		a.kind = "x509"
		a.x509()
	}
	if p.row.permits(SignSSH) && p.claims.EnableSSHCA && p.profile.SSH.Custom {
		a.kind = "ssh"
		a.ssh()
	}
	return a.all
}

func (a *audit) switches() {
	p := a.p
	if p.AllowRevokeAny {
		a.add(Risk{ID: "revokes-any", Level: RiskMedium, Like: "ESC7", Text: "its tokens revoke every certificate of the CA", Advice: "remove allowRevokeAny; each provisioner then revokes its own certificates"})
	}
	if p.claims.DisableSmallstepExtensions {
		a.add(Risk{ID: "no-origin", Level: RiskLow, Like: "ESC9", Text: "its certificates do not say which provisioner they are of, so without a database nobody can tell", Advice: "remove disableSmallstepExtensions"})
	}
}

func (a *audit) hooks() {
	if a.p.Options == nil {
		return
	}
	for _, w := range a.p.Options.Webhooks {
		if w.AllowUnsigned {
			a.add(Risk{ID: "unsigned-webhook", Level: RiskMedium, Like: "ESC8", Text: fmt.Sprintf("the server of its webhook %q cannot tell who asks", w.Name), Advice: "give the webhook a secret, and let its server check the signature"})
		}
	}
	for _, h := range a.p.webhooks {
		if h.Kind() == webhook.Enriching {
			a.add(Risk{ID: "trusts-webhook", Level: RiskLow, Text: fmt.Sprintf("what the webhook %q says goes into certificates", h.Name()), Advice: "put allow rules into options.x509 and options.ssh"})
		}
	}
}

func (a *audit) x509() {
	style := &a.p.profile.X509
	why, fromProof := a.p.callers()
	var t *issue.X509Template
	if style.Custom {
		t = style.Template()
	}
	if why != "" && (fromProof || t == nil) {
		a.names("ESC1", RiskHigh, why)
	}
	if t == nil {
		return
	}
	a.text(t.Lint())
	if t.AllowsCA() {
		a.add(Risk{ID: "ca", Level: RiskMedium, Like: "ESC1", Text: "its template contains isCA, so it may issue CA certificates", Advice: "issue CA certificates by a provisioner of their own, whose proofs few can make"})
	}
	found, err := t.Probe(style.Constants)
	if err != nil {
		a.untried(t.Untrusted(), err)
		return
	}
	a.probed(found, "options.x509.allow", a.p.bounded())
	if found.AnyPurpose {
		a.add(Risk{ID: "any-purpose", Level: RiskMedium, Like: "ESC2", Text: "its certificates are good for any purpose", Advice: `name the purposes in extKeyUsage, for instance "clientAuth"`})
	}
	if found.Purposes {
		a.add(Risk{ID: "caller-purposes", Level: RiskHigh, Like: "ESC15", Text: "callers choose what their certificates are good for, or which policies they stand under (ESC13)", Advice: "write usages, purposes and policies into the template instead of copying them"})
	}
	if found.Agent {
		a.add(Risk{ID: "agent", Level: RiskHigh, Like: "ESC3", Text: "its certificates let their holder ask for certificates of others", Advice: "remove the purpose 1.3.6.1.4.1.311.20.2.1"})
	}
	if found.WeakMapping {
		a.add(Risk{ID: "weak-mapping", Level: RiskMedium, Like: "ESC10", Text: "its certificates map to accounts by name alone (ESC14)", Advice: "add the extension 1.3.6.1.4.1.311.25.2 with the account's security identifier"})
	}
	if t.AllowsCA() && found.Extensions {
		a.add(Risk{ID: "caller-ca", Level: RiskHigh, Like: "ESC1", Text: "a request decides whether it becomes a CA certificate", Advice: "do not copy extensions of the request where the template contains isCA"})
	}
}

func (a *audit) ssh() {
	style := &a.p.profile.SSH
	t := style.Template()
	a.text(t.Lint())
	for _, kind := range []string{"user", "host"} {
		found, err := t.Probe(kind, style.Constants)
		if err != nil {
			a.untried(t.Untrusted(), err)
			return
		}
		if kind == "host" && *found == (issue.Probe{}) {
			continue
		}
		a.probed(found, "options.ssh."+kind, a.p.profile.SSHPolicy.Bounds(kind) || a.p.profile.Authority.SSHPolicy.Bounds(kind))
		if found.Names() || kind == "host" {
			return // the same for both types says it once
		}
	}
}

// text is what the text alone shows.
func (a *audit) text(warnings []string) {
	for _, w := range warnings {
		a.add(Risk{ID: "injection", Level: RiskHigh, Text: w, Advice: "write values as {{ toJson … }} without quotes around them, or set autoEscape"})
	}
}

// untried: where no run comes to an end, everything that the template reads counts.
func (a *audit) untried(uses []string, err error) {
	if len(uses) > 0 {
		a.add(Risk{ID: "uses-insecure", Level: RiskMedium, Like: "ESC6", Text: fmt.Sprintf("its template uses %s, which the caller chooses; what becomes of it could not be tried: %v", uses, err), Advice: "put allow rules into the options"})
	}
}

func (a *audit) probed(found *issue.Probe, rules string, bounded bool) {
	switch {
	case found.Names() && bounded:
		a.add(Risk{ID: "bounded-names", Level: RiskLow, Text: "callers choose names within the allow rules"})
	case found.RequestNames:
		a.chosen("ESC1", rules, "its template takes names from the request (.Insecure.CR)")
	case found.DataNames:
		a.chosen("ESC6", rules, "its template takes names from the requester's data (.Insecure.User)")
	}
	if found.Extensions {
		a.add(Risk{ID: "caller-extensions", Level: RiskMedium, Like: "ESC15", Text: "callers choose contents of extensions or options", Advice: "write extensions and options into the template instead of copying them"})
	}
	if found.Subject && !found.Names() {
		a.add(Risk{ID: "uses-insecure", Level: RiskLow, Text: "the caller's own words stand in the certificate beside its names", Advice: "take what programs rely on from .Token or a webhook"})
	}
}

func (a *audit) names(like, level, why string) {
	if a.p.bounded() {
		a.add(Risk{ID: "bounded-names", Level: RiskLow, Text: fmt.Sprintf("%s, within the allow rules", why)})
		return
	}
	a.add(Risk{ID: "caller-names", Level: level, Like: like, Text: why, Advice: "put allow rules into options.x509.allow, or use a template that takes names from the proof alone"})
}

func (a *audit) chosen(like, rules, why string) {
	a.add(Risk{ID: "caller-names", Level: RiskHigh, Like: like, Text: why, Advice: "put allow rules into " + rules + ", or take names from the proof alone"})
}
