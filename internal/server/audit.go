package server

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
)

// Audit looks for risks in a configuration: provisioners and templates that let callers have
// more than they proved, and files that others may change. Nothing is opened but these files,
// and no webhook is asked. Notes say what could not be looked at.
func Audit(o Options) (risks []provisioner.Risk, notes []string, err error) {
	cfg, _, err := config.Options{Home: o.Home}.Read(o.ConfigFile)
	if err != nil {
		return nil, nil, err
	}
	j := &judge{}
	if err := j.open(cfg, o); err != nil {
		return nil, nil, err
	}
	a := &auditor{home: o.Home}
	a.wholeCA(cfg)
	a.files(cfg, o.ConfigFile)
	shared := cfg.NamedTemplates()
	a.shared("x509", shared.X509)
	a.shared("ssh", shared.SSH)
	for _, p := range cfg.Authority.Provisioners {
		if why := p.Disabled(); why != nil {
			j.note("provisioner %q is disabled and not looked at: %v", p.Name, why)
			continue
		}
		a.risks = append(a.risks, p.Risks()...)
		a.templates(p)
	}
	order := []string{provisioner.RiskHigh, provisioner.RiskMedium, provisioner.RiskLow}
	slices.SortStableFunc(a.risks, func(x, y provisioner.Risk) int {
		return cmp.Compare(slices.Index(order, x.Level), slices.Index(order, y.Level))
	})
	return a.risks, j.notes, nil
}

type auditor struct {
	home  string
	risks []provisioner.Risk
}

func (a *auditor) add(r provisioner.Risk) { a.risks = append(a.risks, r) }

func (a *auditor) wholeCA(cfg *config.Config) {
	if cfg.InsecureAddress != "" {
		a.add(provisioner.Risk{ID: "plain-http", Level: provisioner.RiskLow, Like: "ESC8", Text: fmt.Sprintf("there is a listener without TLS, %s, whose traffic others can read and change", cfg.InsecureAddress), Advice: "keep it for revocation lists and SCEP alone, and let nobody send secrets there"})
	}
	if c := cfg.Authority.Claims; c != nil && c.DisableSmallstepExtensions != nil && *c.DisableSmallstepExtensions {
		a.add(provisioner.Risk{ID: "no-origin", Level: provisioner.RiskMedium, Like: "ESC16", Text: "no certificate says which provisioner it is of", Advice: "remove disableSmallstepExtensions from authority.claims"})
	}
	if cfg.Authority.RenewUnrecorded == "always" {
		a.add(provisioner.Risk{ID: "renews-unknown", Level: provisioner.RiskMedium, Like: "ESC16", Text: "certificates that neither the database nor an extension accounts for are renewed", Advice: "set authority.renewUnrecorded to extension or never"})
	}
}

// files: whoever writes the configuration or reads the key owns the CA.
func (a *auditor) files(cfg *config.Config, configFile string) {
	if mode, loose := looseMode(configFile, 0o022); loose {
		a.add(provisioner.Risk{ID: "writable-file", Level: provisioner.RiskHigh, Like: "ESC5", Text: fmt.Sprintf("others may write the configuration %s (mode %04o)", configFile, mode), Advice: "chmod 600 " + configFile})
	}
	for _, file := range append([]string{cfg.Certificate}, cfg.Root...) {
		if mode, loose := looseMode(file, 0o022); loose {
			a.add(provisioner.Risk{ID: "writable-file", Level: provisioner.RiskHigh, Like: "ESC5", Text: fmt.Sprintf("others may replace the certificate %s (mode %04o)", file, mode), Advice: "chmod 644 " + file})
		}
	}
	if mode, loose := looseMode(cfg.Key, 0o077); loose {
		a.add(provisioner.Risk{ID: "readable-key", Level: provisioner.RiskHigh, Like: "ESC12", Text: fmt.Sprintf("others may read the key of the CA, %s (mode %04o)", cfg.Key, mode), Advice: "chmod 600 " + cfg.Key})
	}
}

// looseMode: a file that is not there is no risk here. A folder that anybody writes to lets
// them put another file in its place, unless only owners may remove theirs.
func looseMode(file string, bits fs.FileMode) (fs.FileMode, bool) {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" || !info.Mode().IsRegular() {
		return 0, false
	}
	if dir, err := os.Stat(filepath.Dir(file)); err == nil && dir.Mode().Perm()&0o002 != 0 && dir.Mode()&fs.ModeSticky == 0 {
		return info.Mode().Perm(), true
	}
	return info.Mode().Perm(), info.Mode().Perm()&bits != 0
}

// templates: whoever writes a template decides about certificates without being asked.
func (a *auditor) templates(p *provisioner.Provisioner) {
	if p.Options == nil {
		return
	}
	look := func(kind string, c *issue.TemplateConfig) {
		a.template(provisioner.Risk{Provisioner: p.Name, Template: kind}, c)
	}
	if o := p.Options.X509; o != nil {
		look("x509", &o.TemplateConfig)
	}
	if o := p.Options.SSH; o != nil {
		look("ssh", &o.TemplateConfig)
	}
}

// shared looks at templates of several provisioners.
func (a *auditor) shared(kind string, all map[string]*issue.TemplateConfig) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c := all[name]; c != nil {
			a.template(provisioner.Risk{Template: kind}, c)
		}
	}
}

// template looks at the file of one template.
func (a *auditor) template(r provisioner.Risk, c *issue.TemplateConfig) {
	if c.Template != "" || c.TemplateFile == "" || c.TemplateSHA256 != "" {
		return
	}
	path, err := issue.TemplatePath(c.TemplateFile, a.home)
	if err != nil {
		return
	}
	if mode, loose := looseMode(path, 0o022); loose {
		r.ID, r.Level, r.Like = "writable-file", provisioner.RiskHigh, "ESC4"
		r.Text, r.Advice = fmt.Sprintf("others may write the template %s (mode %04o)", path, mode), "chmod 600 "+path+", or pin it with templateSha256"
		a.add(r)
	}
}
