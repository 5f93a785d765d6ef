package issue

import (
	"net/netip"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

// Bounds are the names a credential itself carries. Whatever a token or a template says, a
// certificate within bounds has no other.
type Bounds struct {
	Name     string         // "" covers nothing
	Networks []netip.Prefix // cover every address inside
}

// Covers reports whether a name is the one of the credential, to the letter, or an address
// in one of its networks.
func (b *Bounds) Covers(name string) bool {
	if name != "" && name == b.Name {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil || ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	for _, n := range b.Networks {
		if unmapped(n).Contains(ip) {
			return true
		}
	}
	return false
}

// unmapped is a network of IPv4 addresses that are written as IPv6 ones, in IPv4.
func unmapped(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= 96 {
		return netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n
}

// Admit refuses a name that is not covered; what says where it stands. Without bounds
// everything is admitted.
func (b *Bounds) Admit(what, name string) error {
	if b == nil || b.Covers(name) {
		return nil
	}
	return fault.New(fault.Denied, "the %s %s is neither the name nor an IP address of the credential behind the proof", what, quoted([]string{name}))
}

// admitAll is Admit for the common names and all names of a certificate or a request.
func (b *Bounds) admitAll(commonNames []string, names allNames) error {
	if b == nil {
		return nil
	}
	if len(names.Other) > 0 {
		return fault.New(fault.Denied, "names of these kinds are not covered by the credential behind the proof: %s", quoted(names.Other))
	}
	for _, cn := range commonNames {
		if cn == "" {
			continue
		}
		if err := b.Admit("common name", cn); err != nil {
			return err
		}
	}
	for _, name := range names.Strings() {
		if err := b.Admit("name", name); err != nil {
			return err
		}
	}
	return nil
}

// admitSSH is Admit for all that names somebody in an SSH certificate.
func (b *Bounds) admitSSH(c *ssh.Certificate) error {
	if err := b.Admit("key ID", c.KeyId); err != nil {
		return err
	}
	for _, p := range c.ValidPrincipals {
		if err := b.Admit("principal", p); err != nil {
			return err
		}
	}
	return nil
}
