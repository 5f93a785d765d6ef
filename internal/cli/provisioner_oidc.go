package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/provisioner"
)

// oidcFlags are the flags of OIDC provisioners.
type oidcFlags struct {
	texts map[string]*string   // by flag
	lists map[string]*[]string // by flag
}

// oidcTexts are the members that hold one text, by flag.
var oidcTexts = []struct{ flag, member, placeholder, usage string }{
	{"client-id", "clientID", "id", "client that is registered at the identity provider of an OIDC provisioner"},
	{"client-secret", "clientSecret", "secret", "secret of that client, which everybody gets to see who uses the CA"},
	{"configuration-endpoint", "configurationEndpoint", "url", "address of the identity provider, or of its description"},
	{"listen-address", "listenAddress", "host:port", "where browsers come back to after the login; without it a free port of 127.0.0.1"},
	{"tenant-id", "tenantID", "id", "what stands for {tenantid} in the identity provider's issuer"},
}

// oidcLists are the members that hold several, by flag; there is a flag to take one out, too.
var oidcLists = []struct{ flag, member, placeholder, usage string }{
	{"domain", "domains", "domain", "domain of e-mail addresses that an OIDC provisioner accepts"},
	{"group", "groups", "group", "group of which a token must name at least one"},
	{"admin", "admins", "address|group", "who may have any names: an e-mail address, or a group"},
	{"scope", "scopes", "scope", "what clients ask the identity provider for; openid and email without any"},
	{"auth-param", "authParams", "key=value", "parameter that clients add to the address of the login"},
}

func (f *oidcFlags) register(fs *flags) {
	f.texts, f.lists = map[string]*string{}, map[string]*[]string{}
	for _, t := range oidcTexts {
		f.texts[t.flag] = new(string)
		fs.String(f.texts[t.flag], t.flag, t.placeholder, t.usage).NoEnv()
	}
	for _, l := range oidcLists {
		f.lists[l.flag] = new([]string)
		fs.Strings(f.lists[l.flag], l.flag, l.placeholder, l.usage).NoEnv()
	}
	for _, l := range oidcLists {
		f.lists["remove-"+l.flag] = new([]string)
		fs.Strings(f.lists["remove-"+l.flag], "remove-"+l.flag, l.placeholder, "take this out of "+l.member).NoEnv()
	}
}

// apply puts what stands on the command line into a provisioner, and asks for what it cannot
// be without.
func (f *oidcFlags) apply(ctx context.Context, env *Env, o *jsonObject) error {
	fresh := len(o.get("clientID")) == 0 && len(o.get("configurationEndpoint")) == 0
	for _, t := range oidcTexts {
		value := *f.texts[t.flag]
		needed := t.flag == "client-id" || t.flag == "configuration-endpoint"
		switch {
		case !env.Typed(t.flag) && needed && len(o.get(t.member)) == 0:
			answer, err := env.ask(ctx, question{label: map[bool]string{true: "Client ID", false: "Address of the identity provider"}[t.flag == "client-id"], flag: t.flag})
			if err != nil {
				return err
			}
			o.set(t.member, answer)
		case env.Typed(t.flag) && value == "" && needed:
			return errValue(t.flag, value)
		case env.Typed(t.flag) && value == "" && t.flag != "client-secret":
			o.remove(t.member)
		case env.Typed(t.flag):
			o.set(t.member, value)
		}
	}
	if len(o.get("clientSecret")) == 0 {
		o.set("clientSecret", "")
	}
	for _, l := range oidcLists {
		if err := applyList(o, l.member, *f.lists[l.flag], *f.lists["remove-"+l.flag]); err != nil {
			return err
		}
	}
	if fresh || env.Typed("configuration-endpoint") {
		return f.try(ctx, env, o)
	}
	return nil
}

// applyList adds to a list and takes out of it. An empty list goes.
func applyList(o *jsonObject, member string, add, remove []string) error {
	if len(add)+len(remove) == 0 {
		return nil
	}
	var list []string
	if have := o.get(member); len(have) > 0 {
		if err := json.Unmarshal(have, &list); err != nil {
			return fmt.Errorf("member %s is not a list of texts: %w", member, err)
		}
	}
	for _, value := range add {
		switch {
		case value == "": // an empty value empties the list
			list = nil
		case !slices.Contains(list, value):
			list = append(list, value)
		}
	}
	for _, value := range remove {
		if !slices.Contains(list, value) {
			return fmt.Errorf("%s holds no %q", member, value)
		}
		list = slices.DeleteFunc(list, func(s string) bool { return s == value })
	}
	if len(list) == 0 {
		o.remove(member)
		return nil
	}
	o.set(member, list)
	return nil
}

// tryTime bounds the look at the identity provider.
const tryTime = 5 * time.Second

// try looks whether the identity provider describes itself. If it does not now, it may when
// it is needed.
func (f *oidcFlags) try(ctx context.Context, env *Env, o *jsonObject) error {
	kind := new(provisioner.OIDC)
	if err := json.Unmarshal(o.text(), kind); err != nil {
		return err
	}
	address, err := provisioner.DiscoveryURL(kind.ConfigurationEndpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	issuer := provisioner.Issuer{Endpoint: address, Name: kind.Issuer, Tenant: kind.TenantID}
	if _, err := issuer.Discover(ctx, fetch.New(fetch.Options{Timeout: tryTime})); err != nil && !errors.Is(err, context.Canceled) {
		env.Warn("the provisioner is written all the same: %v", err)
	}
	return nil
}
