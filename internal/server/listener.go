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
	"sync/atomic"
	"time"
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
	socket  net.Listener
	server  *http.Server
	handler atomic.Pointer[http.Handler]
	tls     atomic.Pointer[tls.Config] // nil: plain HTTP
	log     *slog.Logger
	done    chan struct{}
}

// listen binds an address; a socket that systemd passed for it is taken over.
func listen(address string, passed []net.Listener, log *slog.Logger) (*listener, error) {
	l := &listener{address: address, log: log, done: make(chan struct{})}
	for _, p := range passed {
		if p.Addr().String() == address || samePort(p.Addr().String(), address) {
			l.socket = p
		}
	}
	if l.socket == nil {
		socket, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w; is another server using the port, or does it need more rights?", address, err)
		}
		l.socket = socket
	}
	return l, nil
}

// samePort matches ":443" against the "[::]:443" of a bound socket.
func samePort(bound, wanted string) bool {
	_, a, err1 := net.SplitHostPort(bound)
	host, b, err2 := net.SplitHostPort(wanted)
	return err1 == nil && err2 == nil && host == "" && a == b
}

// set swaps what the listener serves; connections stay.
func (l *listener) set(h http.Handler, config *tls.Config) {
	l.handler.Store(&h)
	l.tls.Store(config)
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
	serve := l.server.Serve
	if current := l.tls.Load(); current != nil {
		l.server.TLSConfig = &tls.Config{
			NextProtos:         []string{"h2", "http/1.1"},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return l.tls.Load(), nil },
			GetCertificate:     current.GetCertificate,
		}
		serve = func(socket net.Listener) error { return l.server.ServeTLS(socket, "", "") }
	}
	go func() {
		defer close(l.done)
		if err := serve(l.socket); err != nil && !errors.Is(err, http.ErrServerClosed) {
			l.log.Error("listener ended", "address", l.address, "err", err)
		}
	}()
}

// drain stops accepting and waits for the requests under way.
func (l *listener) drain(ctx context.Context) {
	if l.server == nil {
		_ = l.socket.Close()
		return
	}
	if err := l.server.Shutdown(ctx); err != nil {
		_ = l.server.Close()
	}
	<-l.done
}

// handshakeLog takes what net/http says about broken connections: of no interest unless
// one looks for it.
type handshakeLog struct{ log *slog.Logger }

func (h handshakeLog) Write(b []byte) (int, error) {
	h.log.Debug("connection", "err", string(b))
	return len(b), nil
}
