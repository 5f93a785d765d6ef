package server

import (
	"context"

	"github.com/signet-ca/signet/internal/ca"
)

// Check does what a start does before it opens database and sockets: it reads the
// configuration, the keys and certificates it names, opens the provisioners and issues the
// server's own certificate, in memory. Warnings go to the log.
func Check(ctx context.Context, o Options) error {
	s := newServer(o)
	cfg, err := s.readConfig()
	if err != nil {
		return err
	}
	var state *ca.State
	s.metrics = newMetrics(s.started, func() *ca.State { return state })
	next, err := s.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	state = next.state
	return nil
}
