package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// acmeFlags are the flags of ACME provisioners.
type acmeFlags struct {
	requireEAB, forceCN, caaCheck, subdomains       bool
	orderReuse, cors                                bool
	eabPolicy, terms, website, reuse, orderLifetime string
	challenges, removed, caaIdentities, resolvers   []string
}

var acmeChallengeNames = []string{"http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"}

func (f *acmeFlags) register(fs *flags) {
	fs.Bool(&f.requireEAB, "require-eab", "new ACME accounts need an external account binding key").NoEnv()
	fs.Enum(&f.eabPolicy, "eab-policy", []string{"not-required", "new-account-required", "always-required"}, "which ACME accounts need an external account binding key").NoEnv()
	fs.Bool(&f.forceCN, "force-cn", "a certificate without common name gets its first name as one (ACME)").NoEnv()
	fs.Strings(&f.challenges, "challenge", "type", "offer the ACME challenge `type`: "+strings.Join(acmeChallengeNames, ", ")).NoEnv()
	fs.Strings(&f.removed, "remove-challenge", "type", "no longer offer the ACME challenge `type`").NoEnv()
	fs.String(&f.terms, "terms-of-service", "url", "`URL` of the terms of service that ACME clients show; empty takes it out").NoEnv()
	fs.String(&f.website, "website", "url", "`URL` about the service that ACME clients show; empty takes it out").NoEnv()
	fs.Strings(&f.caaIdentities, "caa-identity", "domain", "`domain` that stands for this CA in CAA records").NoEnv()
	fs.Bool(&f.caaCheck, "caa-check", "heed the CAA records of the names in ACME orders").NoEnv()
	fs.Strings(&f.resolvers, "acme-resolver", "address", "ask the DNS server at `address` for ACME validation").NoEnv()
	fs.String(&f.reuse, "authz-reuse", "duration", "how long a name that was proven by ACME needs no new proof; empty takes it out").NoEnv()
	fs.String(&f.orderLifetime, "order-lifetime", "duration", "how long an ACME client has to bring an order to its end; empty takes it out").NoEnv()
	fs.Bool(&f.orderReuse, "order-reuse", "a wish for the same names as an ACME order that waits gets that order").NoEnv()
	fs.Bool(&f.cors, "cors", "pages of any origin may speak ACME from a browser").NoEnv()
	fs.Bool(&f.subdomains, "subdomain-auth", "a proof by DNS may cover all names below a domain (RFC 9444)").NoEnv()
}

// apply puts into a provisioner what stands on the command line, and nothing else.
func (f *acmeFlags) apply(_ context.Context, env *Env, o *jsonObject) error {
	for _, s := range []struct {
		flag, member string
		value        bool
	}{{"require-eab", "requireEAB", f.requireEAB}, {"force-cn", "forceCN", f.forceCN}, {"caa-check", "caaCheck", f.caaCheck}, {"subdomain-auth", "subdomainAuth", f.subdomains},
		{"order-reuse", "orderReuse", f.orderReuse}, {"cors", "cors", f.cors}} {
		if env.Typed(s.flag) {
			o.set(s.member, s.value)
		}
	}
	for _, s := range []struct{ flag, member, value string }{
		{"eab-policy", "eabPolicy", f.eabPolicy}, {"terms-of-service", "termsOfService", f.terms}, {"website", "website", f.website},
	} {
		if !env.Typed(s.flag) {
			continue
		}
		if s.value == "" {
			o.remove(s.member)
		} else {
			o.set(s.member, s.value)
		}
	}
	for _, d := range []commonFlag{{flag: "authz-reuse", member: "authzReuse"}, {flag: "order-lifetime", member: "orderLifetime"}} {
		value := map[string]string{"authz-reuse": f.reuse, "order-lifetime": f.orderLifetime}[d.flag]
		if err := applyDuration(env, o, &d, value); err != nil {
			return err
		}
	}
	if env.Typed("caa-identity") {
		o.set("caaIdentities", f.caaIdentities)
	}
	if err := f.applyChallenges(o); err != nil {
		return err
	}
	if !env.Typed("acme-resolver") {
		return nil
	}
	return o.within("validation", func(v *jsonObject) error { v.set("resolvers", f.resolvers); return nil })
}

// applyChallenges adds to the list and takes from it. One that was not written down yet is
// the list of those that are on by themselves.
func (f *acmeFlags) applyChallenges(o *jsonObject) error {
	if len(f.challenges)+len(f.removed) == 0 {
		return nil
	}
	for _, name := range slices.Concat(f.challenges, f.removed) {
		if !slices.ContainsFunc(acmeChallengeNames, func(known string) bool { return strings.EqualFold(known, name) }) {
			return errValue("challenge", name, acmeChallengeNames...)
		}
	}
	var list []string
	if raw := o.get("challenges"); raw != nil {
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("member challenges: %w", err)
		}
	}
	if len(list) == 0 && len(f.removed) > 0 {
		list = slices.Clone(acmeChallengeNames[:3])
	}
	for _, name := range f.challenges {
		if name = strings.ToLower(name); !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	list = slices.DeleteFunc(list, func(have string) bool {
		return slices.ContainsFunc(f.removed, func(name string) bool { return strings.EqualFold(name, have) })
	})
	if len(list) == 0 {
		return fmt.Errorf("no challenge type is left; a provisioner without any could prove nothing")
	}
	o.set("challenges", list)
	return nil
}
