package provisioner

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// Duration is a Go duration string in JSON; numbers are refused.
type Duration time.Duration

// UnmarshalJSON reads a Go duration string such as "24h".
func (d *Duration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fault.New(fault.Invalid, "a duration is a string such as \"24h\", not %s", data)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fault.New(fault.Invalid, "%q is no duration; write for example \"24h\" or \"1h30m\"", s)
	}
	*d = Duration(v)
	return nil
}

// MarshalJSON writes a Go duration string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Claims are the lifetimes and switches of one level, authority or provisioner. An absent
// member inherits.
type Claims struct {
	MinTLSDuration             *Duration `json:"minTLSCertDuration,omitempty" help:"shortest X.509 certificate"`
	MaxTLSDuration             *Duration `json:"maxTLSCertDuration,omitempty" help:"longest X.509 certificate"`
	DefaultTLSDuration         *Duration `json:"defaultTLSCertDuration,omitempty" help:"X.509 certificate when nothing is asked"`
	MinUserSSHDuration         *Duration `json:"minUserSSHCertDuration,omitempty" help:"shortest SSH user certificate"`
	MaxUserSSHDuration         *Duration `json:"maxUserSSHCertDuration,omitempty" help:"longest SSH user certificate"`
	DefaultUserSSHDuration     *Duration `json:"defaultUserSSHCertDuration,omitempty" help:"SSH user certificate when nothing is asked"`
	MinHostSSHDuration         *Duration `json:"minHostSSHCertDuration,omitempty" help:"shortest SSH host certificate"`
	MaxHostSSHDuration         *Duration `json:"maxHostSSHCertDuration,omitempty" help:"longest SSH host certificate"`
	DefaultHostSSHDuration     *Duration `json:"defaultHostSSHCertDuration,omitempty" help:"SSH host certificate when nothing is asked"`
	EnableSSHCA                *bool     `json:"enableSSHCA,omitempty" help:"may sign SSH certificates"`
	DisableRenewal             *bool     `json:"disableRenewal,omitempty" help:"no renewal and no rekey"`
	AllowRenewalAfterExpiry    *bool     `json:"allowRenewalAfterExpiry,omitempty" help:"expired certificates may be renewed"`
	DisableSmallstepExtensions *bool     `json:"disableSmallstepExtensions,omitempty" help:"leave the provisioner extension out"`
	DisableIssuedAtCheck       *bool     `json:"disableIssuedAtCheck,omitempty" help:"accept tokens issued before the server started (memory store only)"`
}

// Triple bounds one family of lifetimes.
type Triple struct{ Min, Max, Default time.Duration }

// Resolved are claims with every member decided.
type Resolved struct {
	TLS, UserSSH, HostSSH      Triple
	EnableSSHCA                bool
	DisableRenewal             bool
	AllowRenewalAfterExpiry    bool
	DisableSmallstepExtensions bool
	DisableIssuedAtCheck       bool
}

// BuiltinClaims are the lifetimes of a CA that says nothing about them.
func BuiltinClaims() Resolved {
	const day = 24 * time.Hour
	return Resolved{
		TLS:     Triple{5 * time.Minute, day, day},
		UserSSH: Triple{5 * time.Minute, day, 16 * time.Hour},
		HostSSH: Triple{5 * time.Minute, 30 * day, 30 * day},
	}
}

// Over lays the claims over inherited ones and checks what comes out.
func (c *Claims) Over(base Resolved) (Resolved, error) {
	r := base
	if c != nil {
		r.TLS = overTriple(base.TLS, c.MinTLSDuration, c.MaxTLSDuration, c.DefaultTLSDuration)
		r.UserSSH = overTriple(base.UserSSH, c.MinUserSSHDuration, c.MaxUserSSHDuration, c.DefaultUserSSHDuration)
		r.HostSSH = overTriple(base.HostSSH, c.MinHostSSHDuration, c.MaxHostSSHDuration, c.DefaultHostSSHDuration)
		overBool(&r.EnableSSHCA, c.EnableSSHCA)
		overBool(&r.DisableRenewal, c.DisableRenewal)
		overBool(&r.AllowRenewalAfterExpiry, c.AllowRenewalAfterExpiry)
		overBool(&r.DisableSmallstepExtensions, c.DisableSmallstepExtensions)
		overBool(&r.DisableIssuedAtCheck, c.DisableIssuedAtCheck)
	}
	return r, errors.Join(
		checkTriple("TLSCertDuration", r.TLS),
		checkTriple("UserSSHCertDuration", r.UserSSH),
		checkTriple("HostSSHCertDuration", r.HostSSH))
}

// overTriple: a level that sets only the default moves the inherited bound it passes.
func overTriple(base Triple, shortest, longest, usual *Duration) Triple {
	t := base
	if shortest != nil {
		t.Min = time.Duration(*shortest)
	}
	if longest != nil {
		t.Max = time.Duration(*longest)
	}
	if usual == nil {
		return t
	}
	t.Default = time.Duration(*usual)
	if shortest == nil && t.Default < t.Min {
		t.Min = t.Default
	}
	if longest == nil && t.Default > t.Max {
		t.Max = t.Default
	}
	return t
}

func overBool(to *bool, from *bool) {
	if from != nil {
		*to = *from
	}
}

func checkTriple(name string, t Triple) error {
	var all []error
	refuse := func(format string, args ...any) { all = append(all, fault.New(fault.Invalid, format, args...)) }
	for _, m := range []struct {
		name string
		d    time.Duration
	}{{"min", t.Min}, {"max", t.Max}, {"default", t.Default}} {
		if m.d <= 0 {
			refuse("%s%s is %s; it must be above zero", m.name, name, m.d)
		}
	}
	switch {
	case t.Max < t.Min:
		refuse("max%s (%s) is below min%s (%s)", name, t.Max, name, t.Min)
	case t.Default < t.Min:
		refuse("default%s (%s) is below min%s (%s)", name, t.Default, name, t.Min)
	case t.Default > t.Max:
		refuse("default%s (%s) is above max%s (%s)", name, t.Default, name, t.Max)
	}
	return errors.Join(all...)
}
