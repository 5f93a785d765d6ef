package server

import (
	"context"
	"crypto/tls"
	"log/slog"

	"github.com/signet-ca/signet/internal/ca"
)

// KeepOwnCertificate keeps a server certificate fresh until the context ends, and gives what
// a handshake would get.
func KeepOwnCertificate(ctx context.Context, c *ca.CA) (func() *tls.Certificate, error) {
	first, err := c.OwnCertificate(ctx)
	if err != nil {
		return nil, err
	}
	own := newOwnCertificate(c, first, slog.New(slog.DiscardHandler))
	go own.keepFresh(ctx)
	return func() *tls.Certificate { return own.fresh(context.Background()) }, nil
}
