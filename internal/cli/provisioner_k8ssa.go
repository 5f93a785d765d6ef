package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/provisioner"
)

// k8ssaKindFlags are the flags of K8sSA provisioners. The one of their keys is that of JWK
// provisioners.
type k8ssaKindFlags struct{ jwk *jwkFlags }

func (*k8ssaKindFlags) register(*flags) {}

// apply puts the public keys into a provisioner.
func (f *k8ssaKindFlags) apply(_ context.Context, env *Env, o *jsonObject) error {
	if f.jwk.publicKey == "" {
		if len(o.get("publicKeys")) == 0 || env.Typed("public-key") {
			return errors.New("a K8sSA provisioner needs the keys that sign the cluster's tokens: give --public-key")
		}
		return nil
	}
	data, err := env.readFile(f.jwk.publicKey)
	if err != nil {
		return err
	}
	all, err := provisioner.ParsePublicKeys(data)
	if err == nil && len(all) == 0 {
		err = errors.New("there is no public key in it, PEM is expected")
	}
	if err != nil {
		return fmt.Errorf("read public keys %s: %w", f.jwk.publicKey, err)
	}
	o.set("publicKeys", data) // bytes are base64 in JSON
	return nil
}
