package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// k8ssaKindFlags are the flags of K8sSA provisioners. The one of their keys is that of JWK
// provisioners.
type k8ssaKindFlags struct {
	jwk                                    *jwkFlags
	issuer, jwksURL, server, roots, secret string
	audiences, namespaces, accounts        []string
	requireExp                             bool
}

func (f *k8ssaKindFlags) register(fs *flags) {
	fs.String(&f.issuer, "k8s-issuer", "issuer", "issuer of a Kubernetes cluster's tokens (iss); without it tokens of the old form are accepted").NoEnv()
	fs.Strings(&f.audiences, "k8s-audience", "name", "whom a cluster's tokens must be made out to; needed with --k8s-issuer").NoEnv()
	fs.Strings(&f.namespaces, "k8s-namespace", "name", "Kubernetes namespace whose service accounts are accepted; without any all").NoEnv()
	fs.Strings(&f.accounts, "k8s-service-account", "name", "service account that is accepted, as name or namespace/name; without any all").NoEnv()
	fs.Bool(&f.requireExp, "k8s-require-exp", "refuse service account tokens that never expire").NoEnv()
	fs.String(&f.jwksURL, "k8s-jwks-url", "url", "where a Kubernetes cluster publishes its token keys").NoEnv()
	fs.String(&f.server, "k8s-api-server", "url", "API server of a Kubernetes cluster, which is asked about each token (TokenReview)").NoEnv()
	fs.String(&f.roots, "k8s-api-roots", "file", "root certificates of --k8s-api-server and --k8s-jwks-url, PEM, from `file`").NoEnv()
	fs.String(&f.secret, "k8s-api-token", "file:PATH", "token that may create TokenReviews, as file:PATH or env:NAME, which the CA reads").NoEnv()
}

// apply puts the members into a provisioner.
func (f *k8ssaKindFlags) apply(_ context.Context, env *Env, o *jsonObject) error {
	for _, m := range []struct {
		flag, member string
		value        any
	}{
		{"k8s-issuer", "issuer", f.issuer}, {"k8s-jwks-url", "jwksURL", f.jwksURL}, {"k8s-api-server", "apiServer", f.server},
		{"k8s-api-token", "apiToken", f.secret}, {"k8s-audience", "audiences", f.audiences}, {"k8s-namespace", "namespaces", f.namespaces},
		{"k8s-service-account", "serviceAccounts", f.accounts}, {"k8s-require-exp", "requireExp", f.requireExp},
	} {
		if env.Typed(m.flag) {
			o.setOrRemove(m.member, m.value)
		}
	}
	if keys.Secret(f.secret).Spelled() {
		return errors.New("flag --k8s-api-token takes a reference, file:PATH or env:NAME: a token on a command line is seen by everybody on the machine")
	}
	switch {
	case o.get("apiServer") != nil && o.get("apiToken") == nil:
		return errRequires("k8s-api-server", "k8s-api-token")
	case o.get("issuer") != nil && o.get("audiences") == nil:
		return errRequires("k8s-issuer", "k8s-audience")
	}
	if err := f.applyRoots(env, o); err != nil {
		return err
	}
	return f.applyKeys(env, o)
}

func (f *k8ssaKindFlags) applyRoots(env *Env, o *jsonObject) error {
	if !env.Typed("k8s-api-roots") {
		return nil
	}
	if f.roots == "" {
		o.remove("apiRoots")
		return nil
	}
	data, err := env.readFile(f.roots)
	if err != nil {
		return err
	}
	if _, err := provisioner.ParseRoots(data); err != nil {
		return fmt.Errorf("read roots %s: %w", f.roots, err)
	}
	o.set("apiRoots", data) // bytes are base64 in JSON
	return nil
}

// applyKeys puts the public keys there, unless the cluster is asked for them.
func (f *k8ssaKindFlags) applyKeys(env *Env, o *jsonObject) error {
	if f.jwk.publicKey == "" {
		asks := o.get("jwksURL") != nil || o.get("apiServer") != nil
		if env.Typed("public-key") {
			o.remove("publicKeys")
		}
		if len(o.get("publicKeys")) == 0 && !asks {
			return errors.New("a K8sSA provisioner needs the keys that sign the cluster's tokens: give --public-key, or let it ask the cluster with --k8s-jwks-url or --k8s-api-server")
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
