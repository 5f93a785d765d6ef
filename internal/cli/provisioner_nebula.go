package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/provisioner"
)

// nebulaRootFlags are the flags of Nebula provisioners.
type nebulaRootFlags struct {
	roots string
	exact bool
}

func (f *nebulaRootFlags) register(fs *flags) {
	fs.String(&f.roots, "nebula-root", "file", "CA certificates of the Nebula network of a Nebula provisioner, PEM, from `file`").NoEnv()
	fs.Bool(&f.exact, "nebula-exact-ips", "a Nebula certificate covers its own addresses alone, not every one in its networks").NoEnv()
}

// apply puts the roots into a provisioner.
func (f *nebulaRootFlags) apply(_ context.Context, env *Env, o *jsonObject) error {
	if env.Typed("nebula-exact-ips") {
		o.setOrRemove("exactIPs", f.exact)
	}
	if f.roots == "" {
		if len(o.get("roots")) == 0 || env.Typed("nebula-root") {
			return errors.New("a Nebula provisioner needs the CA certificates of its network: give --nebula-root")
		}
		return nil
	}
	data, err := env.readFile(f.roots)
	if err != nil {
		return err
	}
	if _, err := provisioner.ParseNebulaRoots(data); err != nil {
		return fmt.Errorf("read roots %s: %w", f.roots, err)
	}
	o.set("roots", data) // bytes are base64 in JSON
	return nil
}
