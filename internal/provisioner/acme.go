package provisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/issue"
)

// ACME lets whoever controls a name have it certified (RFC 8555). There are no tokens: its
// protocol is a door of its own, which asks Grant once the names of an order are proven.
type ACME struct {
	ForceCN    bool   `json:"forceCN,omitempty" help:"a certificate without common name gets its first name as one"`
	RequireEAB bool   `json:"requireEAB,omitempty" help:"new accounts need an external account binding key"`
	EABPolicy  string `json:"eabPolicy,omitempty" help:"who needs an external account binding key; always-required also stops accounts that were made without one" enum:"not-required,new-account-required,always-required"`

	TermsOfService     string   `json:"termsOfService,omitempty" help:"URL of the terms of service, for clients to show"`
	RequireTermsAgreed bool     `json:"requireTermsAgreed,omitempty" help:"new accounts must agree to the terms of service"`
	Website            string   `json:"website,omitempty" help:"URL about this service, for clients to show"`
	CAAIdentities      []string `json:"caaIdentities,omitempty" help:"domain names that stand for this CA in CAA records"`
	CAACheck           bool     `json:"caaCheck,omitempty" help:"heed the CAA records of the names in an order; needs caaIdentities"`

	Challenges         []string `json:"challenges,omitempty" help:"challenge types that are offered; by default http-01, dns-01 and tls-alpn-01" enum:"http-01,dns-01,tls-alpn-01,dns-account-01,dns-persist-01"`
	AttestationFormats []string `json:"attestationFormats,omitempty" help:"formats of device attestation" enum:"apple,step,tpm,android-key"`
	AttestationRoots   []byte   `json:"attestationRoots,omitempty" help:"CAs of device attestation, PEM"`

	Profiles      map[string]*ACMEProfile `json:"profiles,omitempty" help:"kinds of certificates that clients choose from, by name"`
	Validation    *ACMEValidation         `json:"validation,omitempty" help:"how names are looked at"`
	Limits        *ACMELimits             `json:"limits,omitempty" help:"bounds on what clients may ask for"`
	AuthzReuse    *Duration               `json:"authzReuse,omitempty" help:"how long a name that was proven needs no new proof; 0 asks every time"`
	OrderLifetime *Duration               `json:"orderLifetime,omitempty" help:"how long a client has to bring an order to its end; by default 24h"`
	OrderReuse    bool                    `json:"orderReuse,omitempty" help:"a wish for the same names as an order that waits gets that order, and a name that is being proven no second authorization"`
	CORS          bool                    `json:"cors,omitempty" help:"pages of any origin may speak ACME from a browser (Access-Control-Allow-Origin: *)"`
	SubdomainAuth bool                    `json:"subdomainAuth,omitempty" help:"a proof by DNS may cover all names below a domain (RFC 9444)"`
	AllowTLDs     bool                    `json:"allowTopLevelWildcards,omitempty" help:"a wildcard name may stand directly below a top-level domain"`
	Underscores   bool                    `json:"allowUnderscores,omitempty" help:"DNS names may have underscores"`

	name     string
	p        *Provisioner
	profiles map[string]*issue.Profile
}

// ACMEProfile is a kind of certificate that clients choose by name.
type ACMEProfile struct {
	Description string  `json:"description,omitempty" help:"what it is for, or the URL of a page about it"`
	Claims      *Claims `json:"claims,omitempty" help:"lifetimes that differ from the provisioner's"`
	issue.TemplateConfig
}

// ACMEValidation says how names are looked at.
type ACMEValidation struct {
	Window        *Duration `json:"window,omitempty" help:"for how long a challenge is tried again before it counts as failed; by default 60s"`
	Resolvers     []string  `json:"resolvers,omitempty" help:"DNS servers, host or host:port, that are asked instead of the machine's"`
	Authoritative bool      `json:"authoritative,omitempty" help:"ask the name servers of each zone themselves, not a cache"`
	DNSSEC        bool      `json:"dnssec,omitempty" help:"take only answers that the resolver calls authentic"`
	AllowNetworks []string  `json:"allowNetworks,omitempty" help:"networks (CIDR) that validation may connect to; empty: all that are not forbidden"`
	DenyNetworks  []string  `json:"denyNetworks,omitempty" help:"networks (CIDR) that validation never connects to"`
}

// ACMELimits bound what clients ask for. 0 is the default, a negative number no limit.
type ACMELimits struct {
	Identifiers       int `json:"identifiersPerOrder,omitempty" help:"names in one order" default:"100"`
	PendingOrders     int `json:"pendingOrders,omitempty" help:"orders of one account that wait at the same time" default:"300"`
	NewOrders         int `json:"newOrdersPerHour,omitempty" help:"new orders of one account in an hour" default:"unlimited"`
	NewAccounts       int `json:"newAccountsPerHour,omitempty" help:"new accounts from one address (IPv6: one /48) in an hour" default:"10000"`
	FailedValidations int `json:"failedValidationsPerHour,omitempty" help:"failed validations of one name by one account in an hour" default:"60"`
	Certificates      int `json:"certificatesPerDay,omitempty" help:"certificates for exactly the same names in a day" default:"unlimited"`
	Requests          int `json:"requestsPerSecond,omitempty" help:"requests for nonces and renewal information from one address in a second" default:"500"`
}

// Numbers that Limits has where the configuration says nothing.
const (
	defaultIdentifiers       = 100
	defaultPendingOrders     = 300
	defaultNewAccounts       = 10000
	defaultFailedValidations = 60
	defaultRequests          = 500
)

// acmeChallenges are the challenge types by whether they are offered when none is named.
var acmeChallenges = map[string]bool{"http-01": true, "dns-01": true, "tls-alpn-01": true, "dns-account-01": false, "dns-persist-01": false}

// laterChallenges are known and not served yet.
var laterChallenges = []string{"device-attest-01", "wire-oidc-01", "wire-dpop-01"}

func decodeACME(data []byte) (Kind, error) {
	a := new(ACME)
	if err := json.Unmarshal(data, a); err != nil {
		return nil, err
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return nil, err
	}
	a.name = named.Name
	return a, nil
}

func openACME(p *Provisioner, env *Env) error {
	a := p.kind.(*ACME)
	a.p = p
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name}
	}
	return errors.Join(a.checkChallenges(), a.checkMembers(), a.openProfiles(env))
}

func (a *ACME) checkChallenges() error {
	var all []error
	for i, name := range a.Challenges {
		name = strings.ToLower(name)
		a.Challenges[i] = name
		_, known := acmeChallenges[name]
		switch {
		case slices.Contains(laterChallenges, name):
			all = append(all, fault.New(fault.Unsupported, "challenges: this version does not serve %s yet; leave it out", name))
		case !known:
			all = append(all, fault.New(fault.Invalid, "challenges: %q is not known; known are http-01, dns-01, tls-alpn-01, dns-account-01 and dns-persist-01", name))
		}
	}
	if a.Offers("dns-persist-01") && len(a.CAAIdentities) == 0 {
		all = append(all, fault.New(fault.Invalid, "challenges: dns-persist-01 needs caaIdentities, by which the records of a domain name this CA"))
	}
	return errors.Join(all...)
}

func (a *ACME) checkMembers() error {
	var all []error
	say := func(format string, args ...any) { all = append(all, fault.New(fault.Invalid, format, args...)) }
	for _, format := range a.AttestationFormats {
		if !slices.Contains([]string{"apple", "step", "tpm", "android-key"}, strings.ToLower(format)) {
			say("attestationFormats: %q is not known; known are apple, step, tpm and android-key", format)
		}
	}
	if len(a.AttestationRoots) > 0 {
		if _, err := ParseRoots(a.AttestationRoots); err != nil {
			all = append(all, fmt.Errorf("attestationRoots: %w", err))
		}
	}
	switch a.EABPolicy {
	case "", "not-required", "new-account-required", "always-required":
	default:
		say("eabPolicy is %q; it is not-required, new-account-required or always-required", a.EABPolicy)
	}
	if a.CAACheck && len(a.CAAIdentities) == 0 {
		say("caaCheck needs caaIdentities, by which CAA records name this CA")
	}
	if a.RequireTermsAgreed && a.TermsOfService == "" {
		say("requireTermsAgreed needs termsOfService, or there is nothing to agree to")
	}
	for name, text := range map[string]string{"termsOfService": a.TermsOfService, "website": a.Website} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Scheme == "") {
			say("%s: %q is no URL", name, text)
		}
	}
	if d := a.OrderLifetime; d != nil && time.Duration(*d) < time.Minute {
		say("orderLifetime is less than a minute, which no client can keep to")
	}
	if _, err := a.Networks(); err != nil {
		all = append(all, err)
	}
	if d := a.AuthzReuse; d != nil && *d < 0 {
		say("authzReuse is negative")
	}
	return errors.Join(all...)
}

func (a *ACME) openProfiles(env *Env) error {
	a.profiles = map[string]*issue.Profile{"": a.p.profile}
	var all []error
	for name, c := range a.Profiles {
		if name == "" || len(name) > 64 || c == nil {
			all = append(all, fault.New(fault.Invalid, "profiles: the name %q is empty or too long, or has no object", name))
			continue
		}
		profile := *a.p.profile
		claims, err := c.Claims.Over(a.p.claims)
		if err != nil {
			all = append(all, fmt.Errorf("claims of profile %q: %w", name, err))
			continue
		}
		profile.TLS = issue.Lifetimes(claims.TLS)
		shape, err := c.ResolvedX509(env.Templates)
		if err != nil {
			all = append(all, fmt.Errorf("profile %q: %w", name, err))
			continue
		}
		current, err := shape.OpenX509(a.p.place("profiles/"+name, env))
		if err != nil {
			all = append(all, fmt.Errorf("profile %q: %w", name, err))
			continue
		}
		if current != nil {
			profile.X509.Template, profile.X509.Custom, profile.X509.Constants = current, shape.Custom(), shape.TemplateData
		}
		a.profiles[name] = &profile
	}
	return errors.Join(all...)
}

// OwnMembers are the members in use that older programs drop.
func (a *ACME) OwnMembers() []string {
	return inUse(map[string]bool{
		"eabPolicy": a.EABPolicy != "", "requireTermsAgreed": a.RequireTermsAgreed, "caaCheck": a.CAACheck,
		"profiles": len(a.Profiles) > 0, "validation": a.Validation != nil, "limits": a.Limits != nil,
		"authzReuse": a.AuthzReuse != nil, "orderLifetime": a.OrderLifetime != nil, "subdomainAuth": a.SubdomainAuth,
		"orderReuse": a.OrderReuse, "cors": a.CORS,
		"allowTopLevelWildcards": a.AllowTLDs, "allowUnderscores": a.Underscores,
	})
}

// TokenID is how others of its type name it. No token ever selects it.
func (a *ACME) TokenID() string { return "acme/" + a.name }

// Verify refuses: there are no tokens for a protocol.
func (a *ACME) Verify(context.Context, Act, *Token) (*issue.Grant, error) {
	return nil, fault.New(fault.Invalid, "provisioner %q is of type ACME, which takes no tokens", a.name)
}

// Warnings tells what an operator should know.
func (a *ACME) Warnings() []string {
	var all []string
	if a.Offers("dns-persist-01") {
		all = append(all, "with dns-persist-01 whoever has an account's key has its names certified for as long as the record stands")
	}
	return all
}

// Offers reports whether a challenge type is on.
func (a *ACME) Offers(challenge string) bool {
	if len(a.Challenges) == 0 {
		return acmeChallenges[challenge]
	}
	return slices.Contains(a.Challenges, challenge)
}

// NeedsEAB reports whether accounts need somebody who vouches for them: new ones, and those
// that were made without.
func (a *ACME) NeedsEAB() (fresh, always bool) {
	if a.EABPolicy == "" {
		return a.RequireEAB, false
	}
	return a.EABPolicy != "not-required", a.EABPolicy == "always-required"
}

// Profile is what a profile says about certificates, "" being the provisioner's own; nil if
// there is none of that name.
func (a *ACME) Profile(name string) *issue.Profile { return a.profiles[name] }

// Window is for how long a challenge is tried again.
func (a *ACME) Window() time.Duration {
	if a.Validation == nil || a.Validation.Window == nil {
		return time.Minute
	}
	return time.Duration(*a.Validation.Window)
}

// Lifetime is how long a client has for an order.
func (a *ACME) Lifetime() time.Duration {
	if a.OrderLifetime == nil {
		return 24 * time.Hour
	}
	return time.Duration(*a.OrderLifetime)
}

// Reuse is how long a proof of a name stands for later orders.
func (a *ACME) Reuse() time.Duration {
	if a.AuthzReuse == nil {
		return 0
	}
	return time.Duration(*a.AuthzReuse)
}

// Bounds are the limits with every number decided; a negative one is no limit.
func (a *ACME) Bounds() ACMELimits {
	l := ACMELimits{}
	if a.Limits != nil {
		l = *a.Limits
	}
	fill := func(n *int, usual int) {
		if *n == 0 {
			*n = usual
		}
	}
	fill(&l.Identifiers, defaultIdentifiers)
	fill(&l.PendingOrders, defaultPendingOrders)
	fill(&l.NewOrders, -1)
	fill(&l.NewAccounts, defaultNewAccounts)
	fill(&l.FailedValidations, defaultFailedValidations)
	fill(&l.Certificates, -1)
	fill(&l.Requests, defaultRequests)
	return l
}

// Grant is what an order whose names are all proven grants. The common name is that of the
// request, which the order has to cover.
func (a *ACME) Grant(names issue.Names, commonName, profile string) (*issue.Grant, error) {
	if err := a.p.Refusal(); err != nil {
		return nil, err
	}
	chosen := a.profiles[profile]
	if chosen == nil {
		return nil, fault.New(fault.Denied, "there is no profile %q any more", profile)
	}
	g := &issue.Grant{Provisioner: a.p.ID, Profile: chosen, Subject: commonName, Names: names, CommonNames: []string{commonName}}
	if a.ForceCN && commonName == "" {
		switch { // X.520 bounds a common name; a longer name stays a subject alternative name alone
		case len(names.DNS) > 0 && len(slices.Min(names.DNS)) <= 64:
			g.Subject = slices.Min(names.DNS)
		case len(names.DNS) == 0 && len(names.IPs) > 0:
			g.Subject = names.IPs[0].String()
		}
	}
	return g, nil
}

// Networks are those that validation may and may not connect to.
func (a *ACME) Networks() (n fetch.Networks, err error) {
	if a.Validation == nil {
		return n, nil
	}
	if n.Allow, err = prefixes(a.Validation.AllowNetworks); err != nil {
		return n, fmt.Errorf("validation.allowNetworks: %w", err)
	}
	if n.Deny, err = prefixes(a.Validation.DenyNetworks); err != nil {
		return n, fmt.Errorf("validation.denyNetworks: %w", err)
	}
	return n, nil
}

func prefixes(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%q is no network such as 10.0.0.0/8", s)
		}
		all = append(all, p)
	}
	return all, nil
}
