package challenge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
)

// Problem is why a challenge is not fulfilled, in words for whoever asked.
type Problem struct {
	Type   string // of RFC 8555, Section 6.7, without the urn's prefix
	Detail string
	Retry  bool // a later attempt may succeed without a new challenge
}

func (p *Problem) Error() string { return p.Type + ": " + p.Detail }

// Types of problems.
const (
	caa            = "caa"
	connection     = "connection"
	dnsFailure     = "dns"
	malformed      = "malformed"
	rejected       = "rejectedIdentifier"
	serverInternal = "serverInternal"
	tlsFailure     = "tls"
	unauthorized   = "unauthorized"
)

func final(kind, format string, args ...any) *Problem {
	return &Problem{Type: kind, Detail: fmt.Sprintf(format, args...)}
}

func retry(kind, format string, args ...any) *Problem {
	return &Problem{Type: kind, Detail: fmt.Sprintf(format, args...), Retry: true}
}

// unreached tells why there was no answer. A problem found on the way, such as a refused
// redirect or a name without address, speaks for itself.
func unreached(what string, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return retry(connection, "%s: %s", what, reason(err))
}

// reason puts the failure of a connection into a few words. What a server sent is not
// among them.
func reason(err error) string {
	if tries := attempts(err); len(tries) > 0 {
		var words []string
		for _, t := range tries {
			words = append(words, t.To+": "+reason(t.Err))
		}
		return strings.Join(words, "; ")
	}
	if f := fault.Of(err); f != nil {
		return f.Message
	}
	switch {
	case fetch.IsTimeout(err), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the attempt was given up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route there"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "the connection was closed"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "no connection"
	}
	return "the answer cannot be understood"
}

// attempts finds the addresses that were tried, wherever in err they are.
func attempts(err error) []*fetch.Attempt {
	switch e := err.(type) {
	case nil:
		return nil
	case *fetch.Attempt:
		return []*fetch.Attempt{e}
	case interface{ Unwrap() []error }:
		var all []*fetch.Attempt
		for _, one := range e.Unwrap() {
			all = append(all, attempts(one)...)
		}
		return all
	}
	return attempts(errors.Unwrap(err))
}
