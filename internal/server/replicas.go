package server

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

func (s *Server) storeOptions() []store.Option {
	all := []store.Option{store.Observe(s.metrics.stored)}
	if s.o.NoMigrate {
		all = append(all, store.NoMigrate())
	}
	return all
}

// sizeEvery is how long one look at the size of the database serves those who ask.
const sizeEvery = time.Minute

// showSize adds the size of the database to the metrics. Counting it is work, so it is
// not done at each scrape; a database that is away shows the last size known.
func (s *Server) showSize() {
	var mu sync.Mutex
	var at time.Time
	size := 0.0
	s.metrics.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "signet", Name: "database_size_bytes",
		Help: "Bytes that the tables and indexes of the database take"}, func() float64 {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) < sizeEvery {
			return size
		}
		at = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		if n, err := s.store.Size(ctx); err == nil {
			size = float64(n)
		}
		return size
	}))
}

// attend tells the servers on the same database about this one until the context ends.
func (s *Server) attend(ctx context.Context) {
	s.store.Attend(ctx, s.self, func(err error) {
		s.o.Log.ErrorContext(ctx, "this server is not announced to the others on its database", "err", err)
	})
}

// self is this server as the others see it.
func (s *Server) self() store.Server {
	state := s.ca.State()
	host, _ := os.Hostname() // for people; "" is no harm
	me := store.Server{Host: host, Version: s.o.Version, StartedAt: s.started}
	if id, err := keys.PublicKeyID(state.Issuer.Issuer().PublicKey); err == nil {
		me.IssuerKeyID = id
	}
	for _, c := range state.Previous {
		if id, err := keys.PublicKeyID(c.PublicKey); err == nil {
			me.Knows = append(me.Knows, id)
		}
	}
	return me
}

// strangers are the servers of another authority on this database. Of two the one that
// came later is not ready: a mistake in its configuration must not take the first one down.
func (s *Server) strangers(ctx context.Context) (problems []api.Problem) {
	older, younger, err := s.store.Strangers(ctx, s.self())
	if err != nil {
		return nil // the look at the database tells
	}
	const reason = "a server on the same database signs with another issuing key (%.12s, started %s), which is none of authority.previousIssuers here; " +
		"give both the same key, or each its own database"
	say := func(all []store.Server, fatal bool) {
		for _, o := range all {
			p := api.Problem{Part: "issuer", Reason: fmt.Sprintf(reason, o.IssuerKeyID, o.StartedAt.Format(time.RFC3339)), Fatal: fatal}
			s.o.Log.ErrorContext(ctx, "two authorities on one database", "issuer", o.IssuerKeyID, "host", o.Host, "started", o.StartedAt)
			problems = append(problems, p)
		}
	}
	say(older, true)
	say(younger, false)
	return problems
}
