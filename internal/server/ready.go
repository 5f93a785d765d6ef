package server

import (
	"context"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/fault"
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
	for _, p := range s.pinged.look(ctx, s.database) {
		add(p)
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
		} else if trouble := p.Trouble(); trouble != "" {
			add(api.Problem{Part: "provisioner", Name: p.Name, Reason: trouble})
		}
	}
	return st
}

// pingEvery is how long the answer of one look at the database serves everybody who asks:
// the look writes, and anybody may ask.
const pingEvery = time.Second

// pinged remembers the last look at the database.
type pinged struct {
	mu    sync.Mutex // guards what follows, and lets one look at a time
	at    time.Time
	found []api.Problem
}

func (p *pinged) look(ctx context.Context, look func(context.Context) []api.Problem) []api.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < pingEvery {
		return p.found
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout) // the answer is for others, too
	defer cancel()
	p.found = look(ctx)
	p.at = time.Now()
	return p.found
}

// database is what is wrong with the database, or with whom this server shares it.
func (s *Server) database(ctx context.Context) []api.Problem {
	if err := s.store.Ping(ctx); err != nil {
		s.o.Log.ErrorContext(ctx, "database not ready", "err", err)
		reason := "the database does not answer; the log says why"
		if f := fault.Of(err); f != nil {
			reason = f.Message
		}
		return []api.Problem{{Part: "database", Reason: reason, Fatal: true}}
	}
	return s.strangers(ctx)
}
