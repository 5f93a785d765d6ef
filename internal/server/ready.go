package server

import (
	"context"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/store"
)

// readyTimeout bounds the look at the database.
const readyTimeout = 3 * time.Second

// status tells the truth to a load balancer: database reachable, issuer valid, clock sane.
// Disabled provisioners are shown and do not keep the server from being ready: the others
// work.
func (s *Server) status(ctx context.Context) api.Status {
	st := api.Status{Ready: true}
	add := func(p api.Problem) {
		st.Problems = append(st.Problems, p)
		st.Ready = st.Ready && !p.Fatal
	}
	if err := s.pinged.ping(ctx, s.store); err != nil {
		s.o.Log.ErrorContext(ctx, "database not ready", "err", err)
		add(api.Problem{Part: "database", Reason: "the database does not answer; the log says why", Fatal: true})
	}
	state, now := s.ca.State(), time.Now()
	switch issuer := state.Issuer.Issuer(); {
	case now.Before(issuer.NotBefore):
		add(api.Problem{Part: "clock", Reason: "the clock shows a time before the issuing certificate was made", Fatal: true})
	case now.After(issuer.NotAfter):
		add(api.Problem{Part: "issuer", Name: issuer.Subject.CommonName, Reason: "the issuing certificate has expired", Fatal: true})
	case now.After(issuer.NotAfter.AddDate(0, 0, -30)):
		add(api.Problem{Part: "issuer", Name: issuer.Subject.CommonName, Reason: "the issuing certificate expires within 30 days"})
	}
	for _, p := range state.Provisioners.All() {
		if p.Disabled() != nil {
			add(api.Problem{Part: "provisioner", Name: p.Name, Reason: "disabled; the log says why"})
		}
	}
	return st
}

// pingEvery is how long the answer of one look at the database serves everybody who asks:
// the look writes, and anybody may ask.
const pingEvery = time.Second

// pinged remembers the last look at the database.
type pinged struct {
	mu  sync.Mutex // guards what follows, and lets one look at a time
	at  time.Time
	err error
}

func (p *pinged) ping(ctx context.Context, st *store.Store) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < pingEvery {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout) // the answer is for others, too
	defer cancel()
	p.err = st.Ping(ctx)
	p.at = time.Now()
	return p.err
}
