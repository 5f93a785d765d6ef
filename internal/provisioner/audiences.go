package provisioner

import (
	"net/netip"
	"net/url"
	"strings"
)

// legacyAudience is accepted for X.509 sign and revoke, as old clients send it.
const legacyAudience = "step-certificate-authority"

// Audiences are the addresses tokens may be made out to, by act. A port in the token is
// ignored, since proxies change it; scheme and host must be exact.
type Audiences struct {
	accepted map[Act]map[string]bool
	any      map[string]bool
}

// NewAudiences builds the addresses for the host names of a CA.
func NewAudiences(dnsNames []string) *Audiences {
	a := &Audiences{accepted: map[Act]map[string]bool{}, any: map[string]bool{}}
	for act, paths := range map[Act][]string{
		SignX509:     {"/1.0/sign", "/sign", "/1.0/ssh/sign", "/ssh/sign"},
		SignSSH:      {"/1.0/ssh/sign", "/ssh/sign", "/1.0/sign", "/sign"},
		SignIdentity: {"/1.0/ssh/sign", "/ssh/sign", "/1.0/sign", "/sign"},
		RenewX509:    {"/1.0/renew", "/renew"},
		RevokeX509:   {"/1.0/revoke", "/revoke"},
		RenewSSH:     {"/1.0/ssh/renew", "/ssh/renew"},
		RekeySSH:     {"/1.0/ssh/rekey", "/ssh/rekey"},
		RevokeSSH:    {"/1.0/ssh/revoke", "/ssh/revoke"},
	} {
		set := map[string]bool{}
		for _, name := range dnsNames {
			for _, path := range paths {
				set["https://"+hostOf(name)+path] = true
			}
		}
		if act == SignX509 || act == RevokeX509 {
			set[legacyAudience] = true
		}
		a.accepted[act] = set
		for url := range set {
			a.any[url] = true
		}
	}
	return a
}

// hostOf is how a name stands in a URL: IPv6 addresses get brackets.
func hostOf(name string) string {
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil && ip.Is6() {
		return "[" + ip.String() + "]"
	}
	return name
}

// Accepts reports whether one of a token's audiences is an address of this act, with the
// given fragment ("" for none).
func (a *Audiences) Accepts(act Act, audience []string, fragment string) bool {
	return matches(a.accepted[act], audience, fragment)
}

// Known reports whether one of the audiences is an address of any act.
func (a *Audiences) Known(audience []string, fragment string) bool {
	return matches(a.any, audience, fragment)
}

func matches(set map[string]bool, audience []string, fragment string) bool {
	for _, aud := range audience {
		plain, got := normalAudience(aud)
		if got == fragment && set[plain] {
			return true
		}
	}
	return false
}

// normalAudience drops the port and splits the fragment off.
func normalAudience(aud string) (plain, fragment string) {
	u, err := url.Parse(aud)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return aud, ""
	}
	if u.User != nil || u.RawQuery != "" || u.Scheme != "https" {
		return aud, u.Fragment
	}
	return "https://" + hostOf(u.Hostname()) + u.EscapedPath(), u.Fragment
}

// fragmentOf is the first URL fragment among the audiences; it names a provisioner.
func fragmentOf(audience []string) string {
	for _, aud := range audience {
		if u, err := url.Parse(aud); err == nil && u.Fragment != "" {
			return u.Fragment
		}
	}
	return ""
}
