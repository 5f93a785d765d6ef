package issue

import (
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// Moment is a wished point in time: absolute, or a duration from a base that the flow
// names. The zero value is no wish.
type Moment struct {
	At time.Time     // absolute; wins if set
	In time.Duration // relative to the base; may be negative
}

// ParseMoment reads an RFC 3339 time or a Go duration; "" is no wish.
func ParseMoment(s string) (Moment, error) {
	if s == "" {
		return Moment{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return Moment{In: d}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Moment{}, fault.New(fault.Invalid,
			"%q is neither a time such as 2030-01-31T12:00:00Z nor a duration such as 8h or 90m", s)
	}
	return Moment{At: t}, nil
}

// IsZero reports whether nothing was wished.
func (m Moment) IsZero() bool { return m.At.IsZero() && m.In == 0 }

// From resolves the moment against a base; the zero moment gives the zero time.
func (m Moment) From(base time.Time) time.Time {
	switch {
	case !m.At.IsZero():
		return m.At
	case m.In != 0:
		return base.Add(m.In)
	}
	return time.Time{}
}

// String is the form clients send: RFC 3339 in UTC, a Go duration, or "".
func (m Moment) String() string {
	switch {
	case !m.At.IsZero():
		return m.At.UTC().Format(time.RFC3339)
	case m.In != 0:
		return m.In.String()
	}
	return ""
}
