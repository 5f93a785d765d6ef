package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

// OpenLocal opens the CA of a configuration file without serving it, for commands on the
// CA's own machine: the same state on the same records. A server may run on them meanwhile.
// The caller closes it.
func OpenLocal(ctx context.Context, o Options) (local *ca.CA, closeStore func() error, err error) {
	s := newServer(o)
	cfg, err := s.readConfig()
	if err != nil {
		return nil, nil, err
	}
	if cfg.store.Type == "memory" {
		return nil, nil, fault.New(fault.Unsupported, "the records of this CA are in the memory of its server; only the server can change them")
	}
	s.metrics = newMetrics(s.started, func() *ca.State { return s.ca.State() })
	state, err := s.newState(cfg)
	if err != nil {
		return nil, nil, err
	}
	s.store, err = store.Open(ctx, cfg.store, o.Log)
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	s.ca = ca.New(ca.Options{Store: s.store, Log: o.Log, Started: s.started}, state)
	if err := ctx.Err(); err != nil {
		return nil, nil, errors.Join(err, s.store.Close())
	}
	return s.ca, s.store.Close, nil
}
