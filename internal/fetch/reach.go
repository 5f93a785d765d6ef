package fetch

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/signet-ca/signet/internal/fault"
)

// Reach says which addresses a client may connect to. It is asked after names were resolved,
// so no name can lead anywhere else.
type Reach uint8

const (
	// Anywhere is for URLs that an operator configured.
	Anywhere Reach = iota
	// Validation is for addresses that a stranger names, as in ACME: private and loopback
	// ones are reached, since CA and hosts may share a machine or a network; link-local,
	// metadata and multicast ones never; loopback not by way of a redirect.
	Validation
)

// redirected marks the context of a call that follows a redirect.
type redirected struct{}

// metadata are addresses of cloud metadata services outside the link-local block.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
}

func (r Reach) admit(ctx context.Context, address string) error {
	if r == Anywhere {
		return nil
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address", address)
	}
	follows := ctx.Value(redirected{}) != nil
	if !mayValidate(to.Addr(), follows) {
		return fault.New(fault.Denied, "the address %s may not be reached from here", to.Addr())
	}
	return nil
}

// Networks narrows which addresses may be reached: those of Deny never, and where Allow has
// any, only those of Allow. The zero value allows all.
type Networks struct {
	Allow, Deny []netip.Prefix
}

func (n *Networks) admit(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address", address)
	}
	a := to.Addr().Unmap().WithZone("")
	inner, ok := translated(a)
	denied := contains(n.Deny, a) || ok && contains(n.Deny, inner)
	if denied || len(n.Allow) > 0 && !contains(n.Allow, a) {
		return fault.New(fault.Denied, "the address %s is in no network that may be reached", a)
	}
	return nil
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// mayValidate judges one address; an IPv4 one in IPv6 clothing is judged as what it is.
func mayValidate(a netip.Addr, follows bool) bool {
	a = a.Unmap().WithZone("")
	if inner, ok := translated(a); ok && !mayValidate(inner, follows) {
		return false
	}
	for _, m := range metadata {
		if a == m {
			return false
		}
	}
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a.IsInterfaceLocalMulticast():
		return false
	case a.Is4() && (a.As4()[0] == 0 || a.As4() == [4]byte{255, 255, 255, 255}):
		return false
	case follows && a.IsLoopback():
		return false
	}
	return true
}

// translations are the prefixes of IPv6 below which a gateway finds an IPv4 address, and the byte
// where that begins: NAT64 (RFC 6052), SIIT (RFC 7915) and 6to4 (RFC 3056).
var translations = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"):    12,
	netip.MustParsePrefix("::ffff:0:0:0/96"): 12,
	netip.MustParsePrefix("2002::/16"):       2,
}

// translated is the IPv4 address that an IPv6 one stands for; false if it stands for itself.
func translated(a netip.Addr) (netip.Addr, bool) {
	for prefix, at := range translations {
		if prefix.Contains(a) {
			raw := a.As16()
			return netip.AddrFrom4([4]byte(raw[at : at+4])), true
		}
	}
	return netip.Addr{}, false
}
