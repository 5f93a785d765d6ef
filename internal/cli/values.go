package cli

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/signet-ca/signet"
)

// When is a moment as flags give it: a time, or a duration relative to now. The zero value
// is "not given".
type When = signet.TimeDuration

// ParseWhen reads an RFC 3339 time or a Go duration such as 5m, -1m or 24h.
func ParseWhen(s string) (When, error) {
	w, err := signet.ParseTimeDuration(s)
	if err != nil {
		err = errors.New("a time such as 2030-01-31T12:00:00Z or a duration such as 24h is needed")
	}
	return w, err
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
		return "", errors.New("the scheme must be https")
	}
	u, err := url.Parse("https://" + rest)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return "", errors.New("an address such as https://ca.example.com:9000 is needed")
	}
	return "https://" + u.Host, nil
}
