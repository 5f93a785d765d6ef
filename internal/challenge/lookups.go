package challenge

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// lookups are the addresses that were found on the way of one connection, for the trace of
// an attempt. A connection may still be on its way when nobody waits for it any more.
type lookups struct {
	mu    sync.Mutex
	lines []string
}

type lookupsKey struct{}

// withLookups collects what is looked up for an attempt; told puts it into the trace.
func withLookups(ctx context.Context, a *Attempt) (_ context.Context, told func()) {
	l := new(lookups)
	return context.WithValue(ctx, lookupsKey{}, l), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, line := range l.lines {
			a.note("%s", line)
		}
		l.lines = nil
	}
}

// foundAddresses notes the addresses of a host and who told them.
func foundAddresses(ctx context.Context, host, by string, all []netip.Addr) {
	l, ok := ctx.Value(lookupsKey{}).(*lookups)
	if !ok {
		return
	}
	var text []string
	for _, one := range all {
		text = append(text, one.Unmap().String())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < maxTrace {
		l.lines = append(l.lines, fmt.Sprintf("%s is at %s, says %s", strings.TrimSuffix(host, "."), strings.Join(text, ", "), by))
	}
}
