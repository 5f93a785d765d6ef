package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/provisioner"
)

// kindFlags are the flags of one kind of provisioner: they put its members into its object.
type kindFlags interface {
	register(fs *flags)
	apply(ctx context.Context, env *Env, o *jsonObject) error
}

// provisionerKind is a kind the commands can write.
type provisionerKind struct {
	name  string    // as it is written
	flags kindFlags // nil: it has no members of its own
	ssh   bool      // may sign SSH certificates, which --ssh turns on by default
}

// provisionerKinds is the table of kinds. A new kind is a file with its flags and a row.
func provisionerKinds() []provisionerKind {
	jwk := new(jwkFlags)
	return append([]provisionerKind{
		{"JWK", jwk, true},
		{"K8SSA", &k8ssaKindFlags{jwk: jwk}, true},
		{"X5C", new(x5cRootFlags), true},
		{"OIDC", new(oidcFlags), true},
		{"SSHPOP", nil, true},
		{"NEBULA", new(nebulaRootFlags), true},
		{"ACME", new(acmeFlags), false},
	}, cloudKinds()...)
}

func kindNames(kinds []provisionerKind) []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

func findKind(kinds []provisionerKind, name string) (provisionerKind, error) {
	i := slices.IndexFunc(kinds, func(k provisionerKind) bool { return strings.EqualFold(k.name, name) })
	if i < 0 {
		return provisionerKind{}, errValue("type", name, kindNames(kinds)...)
	}
	return kinds[i], nil
}

// editFlags are what all commands share that change provisioners.
type editFlags struct {
	ca     caFlags
	config string
}

func (f *editFlags) register(fs *flags) {
	f.ca.register(fs)
	fs.String(&f.config, "ca-config", "file", "configuration of the CA to change").Preset("config/ca.json in the home")
}

func (f *editFlags) file(env *Env) string {
	if f.config == "" {
		return env.Home.CAConfig()
	}
	return f.config
}

// adminTimeout bounds the question whether a server keeps the provisioners itself.
const adminTimeout = 3 * time.Second

// checkLocal finds out whether the configuration file is where provisioners live. A server
// that keeps them itself says so by asking for an administrator.
func (f *editFlags) checkLocal(ctx context.Context, env *Env) error {
	if f.ca.url == "" {
		return nil
	}
	client, err := f.ca.client(env)
	if err != nil {
		return nil // without a root nobody can be asked; the file is at hand
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	remote, err := client.KeepsProvisioners(ctx)
	if _, answered := errors.AsType[*signet.Error](err); answered {
		return err
	}
	switch {
	case remote:
		return errors.New("the CA at " + f.ca.url + " keeps its provisioners in its database, and this version cannot administer it over the network")
	case err != nil:
		env.Warn("the CA at %s does not answer, so only the file is changed; a CA that keeps its provisioners in its database would not see it", f.ca.url)
	}
	return nil
}

// done says what to do for the change to take effect.
func (f *editFlags) done(env *Env) {
	env.Done("CA configuration", "%s", f.file(env))
	env.Note("Reload the CA (kill -HUP, or systemctl reload) or restart it for the change to take effect.")
}

// provisionerResult is a provisioner as it stands in the configuration.
type provisionerResult json.RawMessage

// Text is nothing: what was done is said in notes.
func (provisionerResult) Text() string { return "" }

// MarshalJSON gives the object.
func (r provisionerResult) MarshalJSON() ([]byte, error) { return r, nil }

// existing reads the named provisioner from the file.
func (f *editFlags) existing(env *Env, name string) (*jsonObject, error) {
	all, err := config.FileProvisioners(f.file(env))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, raw := range all {
		o, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		var have string
		if err := json.Unmarshal(o.get("name"), &have); err != nil {
			continue
		}
		if have == name {
			return o, nil
		}
		names = append(names, have)
	}
	return nil, fmt.Errorf("there is no provisioner called %q in %s; there are %s", name, f.file(env), strings.Join(names, ", "))
}

// checkObject refuses an object the server could not read or open by its own rules.
func checkObject(o *jsonObject) error {
	p := new(provisioner.Provisioner)
	if err := json.Unmarshal(o.text(), p); err != nil {
		return err
	}
	if _, err := p.Claims.Over(provisioner.BuiltinClaims()); err != nil {
		return fmt.Errorf("the claims do not fit together: %w", err)
	}
	return nil
}
