package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/durable"
)

// bootstrapResult is where the trust in a CA is kept now.
type bootstrapResult struct {
	URL         string   `json:"caURL" help:"address of the CA"`
	Fingerprint string   `json:"fingerprint" help:"SHA-256 of the root certificate, in hex"`
	Root        string   `json:"root" help:"file of the root certificate"`
	Defaults    string   `json:"defaults" help:"file with the defaults of later commands"`
	Context     *Context `json:"context,omitempty" help:"the context made for the CA"`
	Installed   string   `json:"installed,omitempty" help:"where the machine's trust store keeps the root"`
}

func (*bootstrapResult) Text() string { return "" } // the notes say it all

// clientDefaults is what defaults.json holds for a client of a CA.
type clientDefaults struct {
	URL         string `json:"ca-url"`
	Config      string `json:"ca-config,omitempty"`
	Fingerprint string `json:"fingerprint"`
	Root        string `json:"root"`
	RedirectURL string `json:"redirect-url,omitempty"`
}

// encode is the file's text.
func (d *clientDefaults) encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(d)
	return b.Bytes(), err
}

type bootstrapFlags struct {
	url, fingerprint, redirectURL string
	force, install                bool
	team, teamAuthority, teamURL  string
	context, authority, profile   string
}

func (f *bootstrapFlags) register(fs *flags) {
	fs.URL(&f.url, "ca-url", "address of the CA, such as https://ca.example.com:9000")
	fs.String(&f.fingerprint, "fingerprint", "hex", "SHA-256 of the CA's root certificate")
	fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
	fs.Bool(&f.install, "install", "let the whole machine trust the root certificate, too")
	fs.String(&f.redirectURL, "redirect-url", "url", "page to which the browser is sent after a login")
	fs.String(&f.context, "context", "name", "make this context and select it")
	fs.String(&f.authority, "authority", "name", "directory of the CA's files in the new context").Preset("the context's name")
	fs.String(&f.profile, "profile", "name", "directory of the user's defaults in the new context").Preset("the context's name")
	fs.String(&f.team, "team", "id", "team at a hosted service").Hidden()
	fs.String(&f.teamAuthority, "team-authority", "id", "authority of the team").Hidden()
	fs.String(&f.teamURL, "team-url", "url", "where to look up the team").Hidden()
	fs.Incompatible("team", "ca-url", "fingerprint")
	fs.Requires("team-authority", "team")
	fs.Requires("team-url", "team")
	fs.Check(func(given func(string) bool) error {
		if given("team") {
			return usagef("flag --team asks a vendor's hosted service, which this CA does not use; give --ca-url and --fingerprint")
		}
		return nil
	})
	fs.Required("ca-url", "fingerprint")
}

func caBootstrap() *command {
	var f bootstrapFlags
	return &command{
		short: "trust a CA from now on",
		long: `Downloads the root certificate of a CA, compares its fingerprint, and saves it together
			with the address of the CA, so that later commands need neither. The fingerprint is printed when the CA
			is made; get it over a channel you trust.

			With --context, or when contexts are in use already, everything is saved in a context of
			its own, which becomes the current one.`,
		examples: []example{
			{"Trust a CA", "signet ca bootstrap --ca-url ca.example.com:9000 --fingerprint $FINGERPRINT"},
			{"Let browsers and all other programs trust it as well", "signet ca bootstrap --ca-url ca.example.com --fingerprint $FINGERPRINT --install"},
			{"Trust a second CA beside it", "signet ca bootstrap --context lab --ca-url ca.lab --fingerprint $FINGERPRINT"},
		},
		flags:   f.register,
		context: contextOwn,
		result:  &bootstrapResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			_, root, err := signet.Bootstrap(ctx, f.url, f.fingerprint, clientOptions(env))
			if err != nil {
				return nil, err
			}
			home := env.Home
			c, err := f.newContext(home)
			if err != nil {
				return nil, err
			}
			if c != nil {
				home = home.In(c)
			}
			return f.save(ctx, env, home, root)
		},
	}
}

// newContext is the context to make, or nil where contexts are not used.
func (f *bootstrapFlags) newContext(home Home) (*Context, error) {
	all, err := readContexts(home)
	if err != nil {
		return nil, err
	}
	if f.context == "" && len(all) == 0 {
		if f.authority != "" || f.profile != "" {
			return nil, usagef("flags --authority and --profile require flag --context")
		}
		return nil, nil
	}
	name := f.context
	if name == "" {
		u, err := url.Parse(f.url)
		if err != nil {
			return nil, err
		}
		name = u.Hostname()
	}
	c := &Context{Name: name, Authority: cmp.Or(f.authority, name), Profile: cmp.Or(f.profile, name)}
	if !plainName(c.Name) || !plainName(c.Authority) || !plainName(c.Profile) {
		return nil, usagef("context, authority and profile need plain names, without a slash")
	}
	return c, nil
}

// save writes the root and the defaults into home and registers its context.
func (f *bootstrapFlags) save(ctx context.Context, env *Env, home Home, root *x509.Certificate) (any, error) {
	result := &bootstrapResult{
		URL: f.url, Fingerprint: signet.Fingerprint(root), Root: home.RootFile(),
		Defaults: home.Path("config", "defaults.json"), Context: home.Context(),
	}
	defaults, err := (&clientDefaults{URL: f.url, Fingerprint: result.Fingerprint, Root: result.Root, RedirectURL: f.redirectURL}).encode()
	if err != nil {
		return nil, err
	}
	if err := env.confirmOverwrite(ctx, f.force, result.Root, result.Defaults); err != nil {
		return nil, err
	}
	if err := makeDirs(result.Root, result.Defaults); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(result.Root, signet.EncodePEM(root), 0o600); err != nil {
		return nil, err
	}
	env.Note("The root certificate has been saved in %s.", result.Root)
	if err := durable.WriteFile(result.Defaults, defaults, 0o644); err != nil {
		return nil, err
	}
	env.Note("The authority configuration has been saved in %s.", result.Defaults)
	if c := home.Context(); c != nil {
		if _, err := addContext(env.Home, c); err != nil {
			return nil, err
		}
		env.Note("The profile configuration has been saved in %s.", home.Profile("config", "defaults.json"))
	}
	if f.install {
		if result.Installed, err = env.Trust.Install(ctx, root, ""); err != nil {
			return nil, fmt.Errorf("install root certificate: %w", err)
		}
		env.Note("The root certificate has been installed in %s.", result.Installed)
	}
	return result, nil
}
