// Package server opens the listeners, mounts the doors, and swaps what they serve on reload.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/acme"
	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

// Options say how to run.
type Options struct {
	ConfigFile                       string
	Home                             string              // where relative defaults live
	Password                         []byte              // of the keys; wins over the configuration's; nil: none given
	Prompt                           keys.Password       // asks for a password nobody gave
	SSHUserPassword, SSHHostPassword []byte              // of the SSH keys; nil: Password
	Context                          string              // name of the context, for the banner
	NoMigrate                        bool                // refuse a database whose schema is older than this program's
	Strict                           bool                // warnings about the configuration are errors
	Quiet                            bool                // no banner
	PIDFile                          string              // "" writes none
	Version                          string              // product version
	Stderr                           io.Writer           // banner and request log
	Log                              *slog.Logger        // what the server has to say
	Getenv                           func(string) string // environment
	ACMEHTTPPort, ACMETLSPort        int                 // of validation; 0: 80 and 443
	ACMEStrictFQDN                   bool                // names of challenges are complete: no search list
	Resolver                         string              // DNS server of validation, host:port; "": those of the machine
	Reload                           <-chan os.Signal    // asks for a reload
}

// Server is a running CA.
type Server struct {
	o              Options
	started        time.Time
	notify         notifier
	store          *store.Store
	ca             *ca.CA
	acme           *acme.Door
	metrics        *metrics
	own            *ownCertificate
	pinged         pinged
	asked          asked
	changed        chan struct{} // the configuration file has other content
	databaseConfig store.Config  // no reload changes it

	mu        sync.Mutex // one reload at a time; guards what follows
	current   *setup
	listeners map[string]*listener // by role: tls, insecure, metrics
	passed    []*net.TCPListener
	retiring  sync.WaitGroup // listeners that a reload closed and whose requests go on
}

func newServer(o Options) *Server {
	return &Server{o: o, started: time.Now(), listeners: map[string]*listener{}, asked: asked{answers: map[string][]byte{}}}
}

// Run serves until the context ends, then drains and closes. It returns nil after a clean
// stop.
func Run(ctx context.Context, o Options) error {
	s := newServer(o)
	s.notify, s.passed, s.changed = newNotifier(o.Getenv), passedSockets(o.Getenv, o.Log), make(chan struct{}, 1)
	if err := s.open(ctx); err != nil {
		return err
	}
	defer func() {
		if err := s.store.Close(); err != nil {
			o.Log.Error("close the database", "err", err)
		}
	}()
	if o.PIDFile != "" {
		if err := durable.WriteFile(o.PIDFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return fmt.Errorf("write the pid file: %w", err)
		}
		defer os.Remove(o.PIDFile)
	}
	if err := s.profile(); err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	var jobs sync.WaitGroup
	jobs.Go(func() { s.ca.Maintain(work) })
	jobs.Go(func() { s.own.keepFresh(work) })
	jobs.Go(func() { s.watchdog(work) })
	jobs.Go(func() { s.attend(work) })
	jobs.Go(func() { s.watch(work) })
	s.banner()
	s.notify.ready("serving")
	tendHeap(o.Getenv)
	s.reloadOnRequest(ctx)
	s.notify.stopping()
	s.drain()
	s.acme.Close()
	stop()
	jobs.Wait()
	return nil
}

// open reads the configuration, opens the store and binds every socket. Only when all of it
// worked does anything serve. The store opens while the keys are decrypted.
func (s *Server) open(ctx context.Context) error {
	cfg, err := s.readFile()
	if err != nil {
		return err
	}
	s.metrics = newMetrics(s.started, func() *ca.State { return s.ca.State() })
	var keysErr error
	var loading sync.WaitGroup
	loading.Go(func() { keysErr = s.loadKeys(cfg) })
	s.store, err = store.Open(ctx, cfg.store, s.o.Log, s.storeOptions()...)
	loading.Wait()
	if err != nil {
		return errors.Join(keysErr, fmt.Errorf("open the database: %w", err))
	}
	if keysErr != nil {
		return errors.Join(keysErr, s.store.Close())
	}
	s.asked.started = true
	s.showSize()
	if err := s.openOn(ctx, cfg); err != nil {
		return errors.Join(err, s.store.Close())
	}
	return nil
}

func (s *Server) openOn(ctx context.Context, cfg *loaded) error {
	next, err := s.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	s.ca = ca.New(ca.Options{Store: s.store, Log: s.o.Log, Started: s.started, Observe: s.metrics.observe}, next.state)
	s.acme = acme.New(acme.Options{CA: s.ca, Log: s.o.Log, HTTPPort: s.o.ACMEHTTPPort, TLSPort: s.o.ACMETLSPort,
		Resolver: s.o.Resolver, StrictFQDN: s.o.ACMEStrictFQDN})
	s.databaseConfig = cfg.store
	s.metrics.registry.MustRegister(newGauges(s))
	s.own = newOwnCertificate(s.ca, next.own, s.o.Log)
	if err := s.mount(next); err != nil {
		return err
	}
	m, err := s.rebind(next.roles)
	if err != nil {
		return err
	}
	s.swap(next, m)
	warnUnused(s.passed, s.listeners, s.o.Log)
	return nil
}

// Reload builds and checks a whole new state from the configuration file, then swaps it in.
// On any error the old one keeps running. Connections and requests under way go on.
func (s *Server) Reload(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.reload(ctx)
	s.metrics.reloads.WithLabelValues(strconv.FormatBool(err == nil)).Inc()
	return err
}

func (s *Server) reload(ctx context.Context) error {
	cfg, err := s.readConfig()
	if err != nil {
		return err
	}
	if cfg.store != s.current.store {
		return errors.New("the member db changed, which a reload cannot follow; restart the server")
	}
	warnVanished(s.o.Log, s.current.loaded, cfg)
	next, err := s.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	if err := s.mount(next); err != nil {
		return err
	}
	m, err := s.rebind(next.roles)
	if err != nil {
		return err
	}
	s.own.swap(next.state, next.own)
	s.swap(next, m)
	return nil
}

// reloadOnRequest reloads at each request for it until the context ends.
func (s *Server) reloadOnRequest(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.o.Reload:
		case <-s.changed:
			s.o.Log.Info("the configuration file changed")
		}
		s.notify.reloading()
		if err := s.Reload(ctx); err != nil {
			s.o.Log.Error("reload refused, the old configuration goes on", "err", err)
			s.notify.ready("serving the old configuration: the reload was refused")
			continue
		}
		s.o.Log.Info("configuration reloaded")
		s.notify.ready("serving")
	}
}

// drain lets requests under way finish; the database stays open until they have.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		s.retiring.Go(l.drain)
	}
	s.retiring.Wait()
}

// watchdog tells the supervisor that the server is alive, which it is not when the database
// neither answers nor fails. A database that fails is no reason to restart the server.
func (s *Server) watchdog(ctx context.Context) {
	period := watchdogPeriod(s.o.Getenv)
	if period == 0 {
		return
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.pinged.look(ctx, s.database)
			s.notify.send("WATCHDOG=1")
		}
	}
}
