package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// maxAddresses bounds how many addresses of one name are tried, since a stranger's name may
// have thousands.
const maxAddresses = 8

// Dialer opens connections, within the same rules on addresses as a client. They are asked
// when a socket is about to be connected, so no name leads anywhere else, however often its
// addresses change.
type Dialer struct {
	Timeout  time.Duration // of one attempt; 0: ten seconds
	Reach    Reach         // the zero value allows every address
	Networks Networks      // narrows Reach
	// Resolve finds the addresses of a name; nil: as the machine does. With it, addresses of
	// IPv6 are tried before those of IPv4, one after the other.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// DialContext connects to a host and port.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	dialer := &net.Dialer{Timeout: timeout, ControlContext: d.control}
	if d.Resolve == nil {
		return dialer.DialContext(ctx, network, address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, a := range addresses[:min(len(addresses), maxAddresses)] {
		to := net.JoinHostPort(a.String(), port)
		conn, err := dialer.DialContext(ctx, network, to)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, &Attempt{To: to, Err: err})
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return nil, errors.Join(failed...)
}

// Attempt is one address that could not be connected to.
type Attempt struct {
	To  string
	Err error
}

func (a *Attempt) Error() string { return a.To + ": " + a.Err.Error() }

// Unwrap gives what the connection failed with.
func (a *Attempt) Unwrap() error { return a.Err }

// resolve gives the addresses of a host, those of IPv6 first.
func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	found, err := d.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	addresses := slices.Clone(found)
	for i, a := range addresses {
		addresses[i] = a.Unmap()
	}
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
	return addresses, nil
}

func (d *Dialer) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	if err := d.Reach.admit(ctx, address); err != nil {
		return err
	}
	return d.Networks.admit(address)
}
