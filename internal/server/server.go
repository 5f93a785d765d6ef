// Package server opens the listeners, mounts the doors, and swaps what they serve on reload.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

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
	Strict                           bool                // warnings about the configuration are errors
	Quiet                            bool                // no banner
	PIDFile                          string              // "" writes none
	Version                          string              // product version
	Stderr                           io.Writer           // banner and request log
	Log                              *slog.Logger        // what the server has to say
	Getenv                           func(string) string // environment
	Reload                           <-chan os.Signal    // asks for a reload
}

// Server is a running CA.
type Server struct {
	o       Options
	started time.Time
	notify  notifier
	store   *store.Store
	ca      *ca.CA
	metrics *metrics
	own     *ownCertificate
	pinged  pinged

	mu        sync.Mutex // one reload at a time; guards what follows
	current   *setup
	listeners map[string]*listener // by role: tls, insecure, metrics
	passed    []net.Listener
}

// Run serves until the context ends, then drains and closes. It returns nil after a clean
// stop.
func Run(ctx context.Context, o Options) error {
	s := &Server{o: o, started: time.Now(), notify: newNotifier(o.Getenv), listeners: map[string]*listener{}, passed: passedSockets(o.Getenv)}
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
	s.banner()
	s.notify.ready("serving")
	s.reloadOnRequest(ctx)
	s.notify.stopping()
	s.drain()
	stop()
	jobs.Wait()
	return nil
}

// open reads the configuration, opens the store and binds every socket. Only when all of it
// worked does anything serve.
func (s *Server) open(ctx context.Context) error {
	cfg, err := s.readConfig()
	if err != nil {
		return err
	}
	s.store, err = store.Open(ctx, cfg.store, s.o.Log)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := s.openOn(ctx, cfg); err != nil {
		return errors.Join(err, s.store.Close())
	}
	return nil
}

func (s *Server) openOn(ctx context.Context, cfg *loaded) error {
	s.metrics = newMetrics(s.started, func() *ca.State { return s.ca.State() })
	next, err := s.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	s.ca = ca.New(ca.Options{Store: s.store, Log: s.o.Log, Started: s.started, Observe: s.metrics.observe}, next.state)
	s.own = newOwnCertificate(s.ca, next.own, s.o.Log)
	if err := s.mount(next); err != nil {
		return err
	}
	opened, _, err := s.rebind(next)
	if err != nil {
		return err
	}
	s.current = next
	for role, l := range opened {
		s.listeners[role] = l
		l.set(next.roles[role].handler, next.roles[role].tls)
		l.start()
	}
	return nil
}

// rebind opens the sockets a setup wants and the server does not have yet, and names those
// it no longer wants. On any failure everything just opened is closed again.
func (s *Server) rebind(next *setup) (opened map[string]*listener, gone []string, err error) {
	opened = map[string]*listener{}
	for name, r := range next.roles {
		if have := s.listeners[name]; have != nil && have.address == r.address {
			continue
		}
		l, err := listen(r.address, s.passed, s.o.Log)
		if err != nil {
			for _, l := range opened {
				_ = l.socket.Close()
			}
			return nil, nil, err
		}
		opened[name] = l
	}
	for name := range s.listeners {
		if r, wanted := next.roles[name]; !wanted || r.address != s.listeners[name].address {
			gone = append(gone, name)
		}
	}
	return opened, gone, nil
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
	opened, gone, err := s.rebind(next)
	if err != nil {
		return err
	}
	s.swap(next, opened, gone)
	return nil
}

func (s *Server) swap(next *setup, opened map[string]*listener, gone []string) {
	s.ca.Swap(next.state)
	s.own.set(next.own)
	for _, name := range gone {
		old := s.listeners[name]
		delete(s.listeners, name)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
			defer cancel()
			old.drain(ctx)
		}()
	}
	for name, l := range s.listeners {
		l.set(next.roles[name].handler, next.roles[name].tls)
	}
	for name, l := range opened {
		s.listeners[name] = l
		l.set(next.roles[name].handler, next.roles[name].tls)
		l.start()
	}
	s.current = next
}

// reloadOnRequest reloads at each request for it until the context ends.
func (s *Server) reloadOnRequest(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.o.Reload:
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
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range s.listeners {
		all.Go(func() { l.drain(ctx) })
	}
	all.Wait()
}

// watchdog tells the supervisor that the server can still reach its store.
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
			s.notify.send("WATCHDOG=1")
		}
	}
}

// role is what one listener serves.
type role struct {
	address string
	handler http.Handler
	tls     *tls.Config
}
