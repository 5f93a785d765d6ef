package cli

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// When is a moment as flags give it: a time, or a duration relative to now. The zero value
// is "not given".
type When struct {
	Time     time.Time
	Duration time.Duration
	relative bool
}

// ParseWhen reads an RFC 3339 time or a Go duration such as 5m, -1m or 24h.
func ParseWhen(s string) (When, error) {
	if s == "" {
		return When{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return When{Duration: d, relative: true}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return When{}, fmt.Errorf("a time such as 2030-01-31T12:00:00Z or a duration such as 24h is needed")
	}
	return When{Time: t}, nil
}

// IsZero reports whether nothing was given.
func (w When) IsZero() bool { return !w.relative && w.Time.IsZero() }

// At is the moment meant, or the zero time if nothing was given.
func (w When) At(now time.Time) time.Time {
	if w.relative {
		return now.Add(w.Duration)
	}
	return w.Time
}

// String is the form sent to a CA: durations stay durations, so that the CA's clock
// counts, and times are RFC 3339 in UTC.
func (w When) String() string {
	switch {
	case w.relative:
		return w.Duration.String()
	case w.Time.IsZero():
		return ""
	}
	return w.Time.UTC().Format(time.RFC3339)
}

// NormalizeURL turns what people type for the address of a CA into a URL: the scheme may
// be missing, a bare IPv6 address gets its brackets, a path is dropped.
func NormalizeURL(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
		s = "[" + s + "]"
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "https", s
	}
	if !strings.EqualFold(scheme, "https") {
		return "", fmt.Errorf("the scheme must be https")
	}
	u, err := url.Parse("https://" + rest)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("an address such as https://ca.example.com:9000 is needed")
	}
	return "https://" + u.Host, nil
}
