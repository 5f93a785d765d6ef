package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/signet-ca/signet/internal/challenge"
)

// acmeSocket answers tls-alpn-01: it shows challenge certificates and says nothing.
type acmeSocket struct {
	mu    sync.Mutex
	certs map[string]*tls.Certificate // by server name, lower case
}

func (s *acmeSocket) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.certs[strings.ToLower(hello.ServerName)]; ok {
		return c, nil
	}
	return nil, errors.New("no challenge for that name")
}

func (a *acmeAnswers) listenTLS(ctx context.Context, c acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return fmt.Errorf("make the challenge certificate: %w", err)
	}
	if a.alpn == nil {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.flags.tlsListen)
		if err != nil {
			return fmt.Errorf("listen for the ACME server (choose another place with --tls-listen): %w", err)
		}
		a.alpn = &acmeSocket{certs: map[string]*tls.Certificate{}}
		config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmez.ACMETLS1Protocol}, GetCertificate: a.alpn.certificate}
		go acceptHandshakes(l, config)
		a.undo = append(a.undo, func(context.Context) error { return l.Close() })
	}
	a.alpn.mu.Lock()
	defer a.alpn.mu.Unlock()
	name := challenge.ServerName(challenge.Identifier{Type: c.Identifier.Type, Value: c.Identifier.Value})
	a.alpn.certs[strings.ToLower(name)] = cert
	return nil
}

// acceptHandshakes completes handshakes until the listener is closed.
func acceptHandshakes(l net.Listener, config *tls.Config) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_ = tls.Server(conn, config).Handshake()
		}()
	}
}
