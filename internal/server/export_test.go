package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

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

// LogLines are the line of our own text writer for a request, and that of slog's handler.
func LogLines(r *http.Request, level slog.Level, id string, notes ...any) (own, slogs string) {
	e := &logEntry{request: r, id: id, remote: "127.0.0.1", start: time.Now(), duration: 1234567, status: 201, size: 99, notes: notes}
	var a, b bytes.Buffer
	textWriter(&a, "fields.time")(context.Background(), level, e)
	slogWriter(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: lowerLevel}), "fields.time")(context.Background(), level, e)
	return a.String(), b.String()
}
