package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
)

// maxRequestID bounds a request ID we take over from a client, in characters.
const maxRequestID = 128

// withRequestID gives each request an ID: the client's if it is printable and short, else a
// fresh one. It is echoed in the answer, on errors too.
func withRequestID(traceHeader string, next http.Handler) http.Handler {
	if traceHeader == "" {
		traceHeader = "X-Smallstep-Id"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !printable(id) {
			id = r.Header.Get(traceHeader)
		}
		if !printable(id) {
			id = newUUID()
			r.Header.Set(traceHeader, id)
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(ca.WithRequestID(r.Context(), id)))
	})
}

func printable(s string) bool {
	if s == "" || len(s) > maxRequestID {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// newUUID is a random UUID (RFC 9562, Section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	at := 0
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], part)
	}
	return string(text[:])
}

// contained turns a panic in a handler into a 500 and a line in the log: one bad request
// never takes the server down, nor leaves its client without an answer.
func contained(log *slog.Logger, m *metrics, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			m.panics.Inc()
			log.ErrorContext(r.Context(), "panic in a handler", "err", fmt.Sprint(cause), "stack", string(debug.Stack()), "path", r.URL.Path)
			api.WriteError(w, fault.New(fault.Internal, "internal error; the server's log says more under this request's ID"))
		}()
		next.ServeHTTP(w, r)
	})
}

// measured counts and times requests by the pattern they matched, never by their path: a
// stranger who invents paths makes no new series.
func measured(m *metrics, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		seen := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r) // the router notes the pattern in r itself
		endpoint := r.Pattern
		if endpoint == "" || endpoint == "/" {
			endpoint = "other" // nothing of ours
		}
		m.requests.WithLabelValues(endpoint, statusClass(seen.status)).Observe(time.Since(start).Seconds())
	})
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return strconv.Itoa(status/100) + "xx"
}

// deadline gives every request less time than the connection has to write the answer.
func deadline(d time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
