package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// x5cRootFlags are the flags of X5C provisioners.
type x5cRootFlags struct{ roots string }

func (f *x5cRootFlags) register(fs *flags) {
	fs.String(&f.roots, "x5c-roots", "file", "root certificates that certificates of an X5C provisioner must lead to, PEM, from `file`").Alias("x5c-root").NoEnv()
}

// apply puts the roots into a provisioner.
func (f *x5cRootFlags) apply(_ context.Context, env *Env, o *jsonObject) error {
	if f.roots == "" {
		if len(o.get("roots")) == 0 || env.Typed("x5c-roots") {
			return errors.New("an X5C provisioner needs the roots that its certificates lead to: give --x5c-roots")
		}
		return nil
	}
	data, err := env.readFile(f.roots)
	if err != nil {
		return err
	}
	roots, err := provisioner.ParseRoots(data)
	if err != nil {
		return fmt.Errorf("read roots %s: %w", f.roots, err)
	}
	o.set("roots", keys.EncodeCertificates(roots...)) // bytes are base64 in JSON
	return nil
}
