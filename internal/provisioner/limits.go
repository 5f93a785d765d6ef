package provisioner

import (
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// X509Limits are options.x509.constraints: bounds that need no template.
type X509Limits struct {
	MaxSANs         int       `json:"maxSANs,omitempty" help:"most subject alternative names of a certificate; 0: any number"`
	AllowedEKU      []string  `json:"allowedEKU,omitempty" help:"extended key usages that a certificate may have, by name or OID; it must have one of them"`
	ForbidWildcards bool      `json:"forbidWildcards,omitempty" help:"no names such as *.example"`
	KeyTypes        []string  `json:"keyTypes,omitempty" help:"keys that may be certified: RSA, RSA-3072 (or more bits), EC, EC-P-256, EC-P-384, EC-P-521, Ed25519; empty: all"`
	MaxValidity     *Duration `json:"maxValidity,omitempty" help:"longest certificate, where that is less than the claims allow"`
}

// openLimits compiles the bounds into the profile. That on the validity goes into its
// lifetimes, where requests, templates and renewals meet it.
func (p *Provisioner) openLimits(c *X509Limits) error {
	if c == nil {
		return nil
	}
	if c.MaxSANs < 0 {
		return fault.New(fault.Invalid, "maxSANs is %d; it is the number of names a certificate may have", c.MaxSANs)
	}
	limits := &issue.Limits{MaxNames: c.MaxSANs, NoWildcards: c.ForbidWildcards}
	for _, name := range c.AllowedEKU {
		oid, err := issue.ParsePurpose(name)
		if err != nil {
			return err
		}
		limits.Purposes = append(limits.Purposes, oid)
	}
	for _, name := range c.KeyTypes {
		kind, err := issue.ParseKeyLimit(name)
		if err != nil {
			return err
		}
		limits.Keys = append(limits.Keys, kind)
	}
	if c.MaxValidity != nil {
		most := time.Duration(*c.MaxValidity)
		if most < p.profile.TLS.Min {
			return fault.New(fault.Invalid, "maxValidity is %s, less than the shortest certificate, %s (minTLSCertDuration)", most, p.profile.TLS.Min)
		}
		p.profile.TLS.Max, p.profile.TLS.Default = min(p.profile.TLS.Max, most), min(p.profile.TLS.Default, most)
	}
	p.profile.Limits = limits
	return nil
}
