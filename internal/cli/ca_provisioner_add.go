package cli

import (
	"context"
	"strings"

	"github.com/signet-ca/signet/internal/config"
)

func caProvisionerAdd() *command {
	f := new(editFlags)
	common, kinds := new(commonFlags), provisionerKinds()
	kind, revokeAny := "", false
	return &command{
		short: "add a provisioner to a CA",
		long: `Puts a provisioner at the end of the list in the CA's configuration file and changes nothing else in it. The
			CA takes it up at its next reload.`,
		args: []arg{may("name", "name of the new provisioner; without one its type in lower case")},
		examples: []example{
			{"Add a JWK provisioner with a new key", "signet ca provisioner add you@example.com --type JWK --create"},
			{"Add one for a key of your own, with longer certificates", "signet ca provisioner add robots --type JWK --public-key jwk.pub --x509-max-dur 72h"},
			{"Accept certificates of another PKI as proofs", "signet ca provisioner add devices --type X5C --x5c-roots devices_root.crt"},
			{"Accept the service accounts of a Kubernetes cluster", "signet ca provisioner add my-kube --type K8sSA --public-key sa.pub"},
			{"Accept the hosts of a Nebula network", "signet ca provisioner add mesh --type Nebula --nebula-root ca.crt"},
			{"Let ACME clients get certificates", "signet ca provisioner add acme --type ACME"},
			{"Let hosts renew their SSH certificates", "signet ca provisioner add sshpop --type SSHPOP"},
		},
		flags: func(fs *flags) {
			fs.Enum(&kind, "type", kindNames(kinds), "kind of the provisioner").NoEnv()
			fs.Bool(&revokeAny, "allow-revoke-any", "its tokens revoke any certificate, not only its own").NoEnv()
			registerKinds(fs, kinds)
			common.register(fs)
			f.register(fs)
		},
		context: contextMust,
		result:  provisionerResult(nil),
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			k, err := kindToAdd(env, kinds, kind)
			if err != nil {
				return nil, err
			}
			if err := f.checkLocal(ctx, env); err != nil {
				return nil, err
			}
			o := newObject()
			o.set("type", k.name)
			o.set("name", nameOrType(env, args, k))
			if err := k.apply(ctx, env, o); err != nil {
				return nil, err
			}
			if revokeAny {
				o.set("allowRevokeAny", true)
			}
			if err := common.apply(env, o); err != nil {
				return nil, err
			}
			if k.ssh && common.ssh && !env.Typed("ssh") {
				_ = o.within("claims", func(claims *jsonObject) error { claims.set("enableSSHCA", true); return nil })
			}
			if err := checkObject(o); err != nil {
				return nil, err
			}
			if err := config.AddProvisioner(f.file(env), o.text()); err != nil {
				return nil, err
			}
			f.done(env)
			return provisionerResult(o.text()), nil
		},
	}
}

// kindToAdd is the kind given, or JWK for who makes a new key pair, which documents leave out.
func kindToAdd(env *Env, kinds []provisionerKind, name string) (provisionerKind, error) {
	switch {
	case name != "":
		return findKind(kinds, name)
	case env.Typed("create"):
		return findKind(kinds, "JWK")
	}
	return provisionerKind{}, errRequired("type")
}

// nameOrType is the name given, or that of the type, which documents leave out.
func nameOrType(env *Env, args []string, k provisionerKind) string {
	if len(args) > 0 {
		return args[0]
	}
	name := strings.ToLower(k.name)
	env.Note("No name is given, so the provisioner is called %s.", name)
	return name
}

// registerKinds defines the flags of all kinds, each once.
func registerKinds(fs *flags, kinds []provisionerKind) {
	for _, k := range kinds {
		if k.flags != nil {
			k.flags.register(fs)
		}
	}
}

func (k *provisionerKind) apply(ctx context.Context, env *Env, o *jsonObject) error {
	if k.flags == nil {
		return nil
	}
	return k.flags.apply(ctx, env, o)
}

func caProvisionerUpdate() *command {
	f := new(editFlags)
	common, kinds := new(commonFlags), provisionerKinds()
	name, revokeAny := "", false
	return &command{
		short: "change a provisioner of a CA",
		long: `Changes the members of a provisioner that flags name, in the CA's configuration file, and leaves everything else
			in it as it is. An empty value takes an optional member out. The CA takes the change up at its next reload.`,
		args: []arg{need("name", "name of the provisioner")},
		examples: []example{
			{"Change the lifetimes of X.509 certificates", "signet ca provisioner update robots --x509-min-dur 20m --x509-max-dur 72h --x509-default-dur 36h"},
			{"Give a JWK provisioner a new key pair", "signet ca provisioner update you@example.com --create"},
			{"Put the private key under another password", `signet ca provisioner update you@example.com --private-key=<(echo -n "$ENCRYPTED_KEY")`},
			{"No longer hand out the encrypted private key", `signet ca provisioner update you@example.com --private-key ""`},
		},
		flags: func(fs *flags) {
			fs.String(&name, "name", "name", "new `name`").NoEnv()
			fs.Bool(&revokeAny, "allow-revoke-any", "its tokens revoke any certificate, not only its own").NoEnv()
			registerKinds(fs, kinds)
			common.register(fs)
			f.register(fs)
		},
		context:  contextMust,
		result:   provisionerResult(nil),
		complete: f.ca.completeName,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if err := f.checkLocal(ctx, env); err != nil {
				return nil, err
			}
			o, err := f.existing(env, args[0])
			if err != nil {
				return nil, err
			}
			k, err := findKind(kinds, strings.Trim(string(o.get("type")), `"`))
			if err != nil {
				return nil, err
			}
			if err := k.apply(ctx, env, o); err != nil {
				return nil, err
			}
			if name != "" {
				o.set("name", name)
			}
			if env.Typed("allow-revoke-any") {
				o.set("allowRevokeAny", revokeAny)
			}
			if err := common.apply(env, o); err != nil {
				return nil, err
			}
			if err := checkObject(o); err != nil {
				return nil, err
			}
			if err := config.ReplaceProvisioner(f.file(env), args[0], o.text()); err != nil {
				return nil, err
			}
			f.done(env)
			return provisionerResult(o.text()), nil
		},
	}
}

func caProvisionerRemove() *command {
	f := new(editFlags)
	return &command{
		short: "remove a provisioner from a CA",
		long: `Takes a provisioner out of the CA's configuration file. Certificates it issued stay valid, and are no longer
			renewed.`,
		args:     []arg{need("name", "name of the provisioner")},
		examples: []example{{"Remove a provisioner", "signet ca provisioner remove robots"}},
		flags:    f.register,
		context:  contextMust,
		complete: f.ca.completeName,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if err := f.checkLocal(ctx, env); err != nil {
				return nil, err
			}
			if err := config.RemoveProvisioner(f.file(env), args[0]); err != nil {
				return nil, err
			}
			f.done(env)
			return nil, nil
		},
	}
}

// completeName proposes the names of the CA's provisioners for the first argument.
func (c *caFlags) completeName(ctx context.Context, env *Env, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	return c.provisionerNames(ctx, env)
}
