package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/fault"
)

// requestLog writes one line a request. Its fields carry the names that existing log
// readers know; tokens, keys and Authorization headers are never among them.
type requestLog struct {
	write      func(ctx context.Context, level slog.Level, e *logEntry)
	realIP     bool // take the address from a proxy's headers
	quietProbe bool // leave successful /health out
}

// logEntry is one request.
type logEntry struct {
	request  *http.Request
	id       string
	remote   string
	start    time.Time
	duration time.Duration
	status   int
	size     int64
	notes    []any
}

// newRequestLog makes the log of the configured format: text, json, or common.
func newRequestLog(format string, out io.Writer, getenv func(string) string) (*requestLog, error) {
	l := &requestLog{
		realIP:     getenv("STEP_LOGGER_LOG_REAL_IP") == "1" || getenv("SIGNET_LOGGER_LOG_REAL_IP") == "1",
		quietProbe: getenv("STEP_LOGGER_ONLY_TRACE_HEALTH_ENDPOINT") == "1" || getenv("SIGNET_LOGGER_ONLY_TRACE_HEALTH_ENDPOINT") == "1",
	}
	out = &lockedWriter{w: out}
	switch format {
	case "", "text":
		l.write = textWriter(out, "fields.time")
	case "json":
		l.write = slogWriter(slog.NewJSONHandler(out, &slog.HandlerOptions{ReplaceAttr: lowerLevel}), "fields.time")
	case "common":
		l.write = commonWriter(out)
	default:
		return nil, fault.New(fault.Invalid, "logger.format is %q; it must be text, json or common", format)
	}
	return l, nil
}

// lowerLevel writes levels as existing log readers expect them.
func lowerLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		level := strings.ToLower(a.Value.String())
		if level == "warn" {
			level = "warning"
		}
		return slog.String(slog.LevelKey, level)
	}
	return a
}

func slogWriter(h slog.Handler, startKey string) func(context.Context, slog.Level, *logEntry) {
	return func(ctx context.Context, level slog.Level, e *logEntry) {
		r := slog.NewRecord(time.Now(), level, "", 0)
		r.AddAttrs(
			slog.String("request-id", e.id), slog.String("remote-address", e.remote),
			slog.String("name", "ca"), slog.String("user-id", ""),
			slog.String(startKey, e.start.Format(time.RFC3339)),
			slog.String("duration", e.duration.String()), slog.Int64("duration-ns", e.duration.Nanoseconds()),
			slog.String("method", e.request.Method), slog.String("path", clip(e.request.URL.RequestURI())),
			slog.String("protocol", e.request.Proto), slog.Int("status", e.status), slog.Int64("size", e.size),
			slog.String("referer", clip(e.request.Referer())), slog.String("user-agent", clip(e.request.UserAgent())),
		)
		r.Add(e.notes...)
		_ = h.Handle(ctx, r) // a log that cannot be written does not fail the request
	}
}

func commonWriter(out io.Writer) func(context.Context, slog.Level, *logEntry) {
	return func(_ context.Context, _ slog.Level, e *logEntry) {
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s %s ca - %s %s %q %d %d\n", orDash(e.id), orDash(e.remote), e.start.Format(time.RFC3339),
			e.duration, e.request.Method+" "+clip(e.request.URL.RequestURI())+" "+e.request.Proto, e.status, e.size)
		_, _ = out.Write(b.Bytes())
	}
}

// maxLogged bounds a text of the client in the log, in bytes.
const maxLogged = 1024

func clip(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// wrap logs every request that next serves.
func (l *requestLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, notes := api.WithNotes(r.Context())
		e := &logEntry{request: r, id: w.Header().Get("X-Request-Id"), remote: l.remote(r), start: time.Now()}
		seen := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			e.duration, e.status, e.size, e.notes = time.Since(e.start), seen.status, seen.size, notes.List()
			if l.quietProbe && strings.HasSuffix(r.URL.Path, "/health") && e.status < 400 {
				return
			}
			l.write(r.Context(), levelOf(e.status), e)
		}()
		next.ServeHTTP(seen, r.WithContext(ctx))
	})
}

func levelOf(status int) slog.Level {
	switch {
	case status >= 500:
		return slog.LevelError
	case status >= 400:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// remote is the client's address: the peer's, or with realIP what a proxy in front says, if
// it is an IP address at all.
func (l *requestLog) remote(r *http.Request) string {
	if l.realIP {
		forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
		for _, s := range []string{r.Header.Get("True-Client-IP"), r.Header.Get("X-Real-IP"), forwarded} {
			if ip := net.ParseIP(strings.TrimSpace(s)); ip != nil {
				return ip.String()
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	size   int64
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	n, err := r.ResponseWriter.Write(b)
	r.size += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
