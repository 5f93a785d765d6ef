package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/signet-ca/signet/internal/api"
)

const (
	connTimeout  = 15 * time.Second // read, read header, write, idle
	drainTimeout = 60 * time.Second // requests under way at a stop
	maxHeader    = 64 << 10         // bytes of all request headers
)

// listener is one socket and the server behind it. Handler and TLS settings can be swapped
// while connections live.
type listener struct {
	address string
	passed  []*net.TCPListener // sockets of the service manager, one of which may be ours
	log     *slog.Logger
	server  *http.Server
	handler atomic.Pointer[http.Handler]
	tls     atomic.Pointer[tls.Config] // nil: plain HTTP
	socket  net.Listener
	serving sync.WaitGroup // the loop that accepts
}

// listen binds an address; a socket that the service manager passed for it is taken over.
func listen(address string, passed []*net.TCPListener, log *slog.Logger) (*listener, error) {
	l := &listener{address: address, passed: passed, log: log}
	return l, l.bind()
}

func (l *listener) bind() (err error) {
	for _, p := range l.passed {
		if bound := p.Addr().String(); bound == l.address || samePort(bound, l.address) {
			l.socket, err = duplicate(p)
			return err
		}
	}
	l.socket, err = net.Listen("tcp", l.address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: another program uses this port: %w", l.address, err)
	}
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("listen on %s: ports below 1024 need the capability CAP_NET_BIND_SERVICE: %w", l.address, err)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", l.address, err)
	}
	return nil
}

// samePort matches ":443" against the "[::]:443" of a bound socket.
func samePort(bound, wanted string) bool {
	_, a, err1 := net.SplitHostPort(bound)
	host, b, err2 := net.SplitHostPort(wanted)
	return err1 == nil && err2 == nil && host == "" && a == b
}

// set swaps what the listener serves; connections stay.
func (l *listener) set(r role) {
	l.handler.Store(&r.handler)
	l.tls.Store(r.tls)
}

// start begins to answer. TLS settings are looked up at each handshake, the handler at each
// request.
func (l *listener) start() {
	l.server = &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*l.handler.Load()).ServeHTTP(w, r) }),
		ReadTimeout: connTimeout, ReadHeaderTimeout: connTimeout, WriteTimeout: connTimeout, IdleTimeout: connTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(handshakeLog{l.log}, "", 0),
	}
	if current := l.tls.Load(); current != nil {
		l.server.BaseContext = func(net.Listener) context.Context { return api.WithVerifiedClients(context.Background()) }
		l.server.TLSConfig = &tls.Config{
			NextProtos:         []string{"h2", "http/1.1"},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return l.tls.Load(), nil },
			GetCertificate:     current.GetCertificate,
		}
	}
	l.accept()
}

func (l *listener) accept() {
	serve, socket := l.server.Serve, l.socket
	if l.server.TLSConfig != nil {
		serve = func(socket net.Listener) error { return l.server.ServeTLS(socket, "", "") }
	}
	l.serving.Go(func() {
		if err := serve(socket); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			l.log.Error("listener ended", "address", l.address, "err", err)
		}
	})
}

// release frees the address for an overlapping one. Connections go on; reopen takes it back.
func (l *listener) release() {
	_ = l.socket.Close()
	l.serving.Wait()
}

func (l *listener) reopen() {
	if err := l.bind(); err != nil {
		l.log.Error("the listener is lost", "address", l.address, "err", err)
		return
	}
	l.accept()
}

// drain stops accepting and waits for the requests under way.
func (l *listener) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = l.server.Close()
	}
	l.serving.Wait()
}

// overlaps reports whether two addresses cannot be bound at the same time.
func (l *listener) overlaps(address string) bool {
	_, have, err1 := net.SplitHostPort(l.address)
	_, want, err2 := net.SplitHostPort(address)
	return err1 == nil && err2 == nil && have == want
}

// handshakeLog takes what net/http says about broken connections: of no interest unless
// one looks for it.
type handshakeLog struct{ log *slog.Logger }

func (h handshakeLog) Write(b []byte) (int, error) {
	h.log.Debug("connection", "err", string(b))
	return len(b), nil
}
