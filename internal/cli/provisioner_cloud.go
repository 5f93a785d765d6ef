package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/signet-ca/signet/internal/provisioner"
)

// cloudFlags are the flags that the provisioners of several clouds share.
type cloudFlags struct {
	age              string
	fixed, repeat    bool
	sshUser, sshHost bool
	lists            map[string]*[]string // by flag
	texts            map[string]*string   // by flag
}

// cloudKindFlags are the flags of one cloud.
type cloudKindFlags struct {
	shared *cloudFlags
	first  bool // registers the shared ones
	lists  []cloudFlag
	texts  []cloudFlag
	rest   func(f *cloudFlags, env *Env, o *jsonObject) error
}

// cloudFlag is a flag and the member it sets.
type cloudFlag struct{ flag, member, placeholder, usage string }

// cloudKinds are the rows of the clouds.
func cloudKinds() []provisionerKind {
	shared := &cloudFlags{lists: map[string]*[]string{}, texts: map[string]*string{}}
	return []provisionerKind{
		{"AWS", &cloudKindFlags{shared, true,
			[]cloudFlag{{"aws-account", "accounts", "number", "accept the instances of this AWS account"}},
			[]cloudFlag{{"iid-roots", "iidRoots", "file", "certificates that verify identity documents of AWS, PEM, in `file`, in place of those built in"}}, finishAWS}, true},
		{"GCP", &cloudKindFlags{shared, false,
			[]cloudFlag{
				{"gcp-service-account", "serviceAccounts", "account", "accept the machines of this Google service account, by ID or e-mail address"},
				{"gcp-project", "projectIDs", "id", "accept the machines of this Google Cloud project"}},
			[]cloudFlag{{"gcp-organization", "organizationID", "id", "accept the projects of this Google Cloud organization"}}, finishGCP}, true},
		{"AZURE", &cloudKindFlags{shared, false,
			[]cloudFlag{
				{"azure-resource-group", "resourceGroups", "name", "accept the machines of this Azure resource group"},
				{"azure-subscription-id", "subscriptionIDs", "id", "accept the machines of this Azure subscription"},
				{"azure-object-id", "objectIDs", "id", "accept the Azure managed identity with this object ID"}},
			[]cloudFlag{
				{"azure-tenant", "tenantID", "id", "ID of the Azure tenant (directory)"},
				{"azure-audience", "audience", "resource", "resource that the tokens of Azure machines are for"}}, finishAzure}, true},
	}
}

func (k *cloudKindFlags) register(fs *flags) {
	f := k.shared
	if k.first {
		fs.String(&f.age, "instance-age", "duration", "oldest a machine at AWS or Google may be, such as 1h").NoEnv()
		fs.Bool(&f.fixed, "disable-custom-sans", "certify only names that the cloud vouches for").NoEnv()
		fs.Bool(&f.repeat, "disable-trust-on-first-use", "a machine may get certificates again and again, not just one").Alias("disable-tofu").NoEnv()
		fs.Bool(&f.sshUser, "disable-ssh-ca-user", "no SSH user certificates for Google service accounts").NoEnv()
		fs.Bool(&f.sshHost, "disable-ssh-ca-host", "no SSH host certificates for Google machines").NoEnv()
	}
	for _, l := range k.lists {
		f.lists[l.flag], f.lists["remove-"+l.flag] = new([]string), new([]string)
		fs.Strings(f.lists[l.flag], l.flag, l.placeholder, l.usage).NoEnv()
		fs.Strings(f.lists["remove-"+l.flag], "remove-"+l.flag, l.placeholder, "take this out of "+l.member).NoEnv()
	}
	for _, t := range k.texts {
		f.texts[t.flag] = new(string)
		fs.String(f.texts[t.flag], t.flag, t.placeholder, t.usage).NoEnv()
	}
}

// apply puts what stands on the command line into a provisioner.
func (k *cloudKindFlags) apply(_ context.Context, env *Env, o *jsonObject) error {
	f := k.shared
	for _, l := range k.lists {
		if err := applyList(o, l.member, *f.lists[l.flag], *f.lists["remove-"+l.flag]); err != nil {
			return err
		}
	}
	for _, t := range k.texts {
		if env.Typed(t.flag) {
			o.setOrRemove(t.member, *f.texts[t.flag])
		}
	}
	if env.Typed("disable-custom-sans") {
		o.set("disableCustomSANs", f.fixed)
	}
	if env.Typed("disable-trust-on-first-use") {
		o.set("disableTrustOnFirstUse", f.repeat)
	}
	return k.rest(f, env, o)
}

// applyAge sets how old a machine may be.
func (f *cloudFlags) applyAge(env *Env, o *jsonObject) error {
	if !env.Typed("instance-age") {
		return nil
	}
	if f.age == "" {
		o.remove("instanceAge")
		return nil
	}
	age, err := time.ParseDuration(f.age)
	if err != nil || age < 0 {
		return errValue("instance-age", f.age)
	}
	o.set("instanceAge", age.String())
	return nil
}

func finishAWS(f *cloudFlags, env *Env, o *jsonObject) error {
	if file := *f.texts["iid-roots"]; file != "" {
		data, err := env.readFile(file)
		if err != nil {
			return err
		}
		if _, err := provisioner.ParseIIDRoots(data); err != nil {
			return fmt.Errorf("read certificates %s: %w", file, err)
		}
		full, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		o.set("iidRoots", full) // the server looks from elsewhere
	}
	return f.applyAge(env, o)
}

func finishGCP(f *cloudFlags, env *Env, o *jsonObject) error {
	if env.Typed("disable-ssh-ca-user") {
		o.set("disableSSHCAUser", f.sshUser)
	}
	if env.Typed("disable-ssh-ca-host") {
		o.set("disableSSHCAHost", f.sshHost)
	}
	return f.applyAge(env, o)
}

func finishAzure(_ *cloudFlags, env *Env, o *jsonObject) error {
	if env.Typed("instance-age") {
		return usagef("flag --instance-age is not for Azure, whose tokens do not say how old a machine is")
	}
	if len(o.get("tenantID")) == 0 {
		return errors.New("an Azure provisioner needs the ID of your tenant (directory): give --azure-tenant")
	}
	return nil
}
