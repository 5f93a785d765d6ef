// Package fault is the error that carries words for the caller.
//
// A fault has a kind, which a door turns into its own wire's answer, and a message, which
// reaches whoever asked. What must stay inside (paths, causes, keys) goes into the wrapped
// cause: it is logged and never sent. An error without a fault reads "internal error"
// outside.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of refusal this is. Below the doors nobody knows an HTTP status.
type Kind uint8

const (
	Internal    Kind = iota // our own mistake or a broken dependency; the zero value tells nothing
	Invalid                 // the request cannot be understood or asks for the impossible
	Unproven                // the proof is missing, bad, expired or used
	Denied                  // the proof is good, but what is asked is not allowed
	Missing                 // the thing asked for does not exist
	Conflict                // the thing exists already, or changed in between
	TooLarge                // a bound on size, depth or number was passed
	Unsupported             // this CA is not set up to do that
	Unavailable             // a dependency is away for now; the same request may succeed later
	TooMany                 // the caller asks too often
)

var kindNames = [...]string{
	"internal error", "invalid request", "not authorized", "not allowed", "not found",
	"conflict", "too large", "not supported", "unavailable", "too many requests",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// Fault is an error whose message may be shown to the caller.
type Fault struct {
	Kind    Kind
	Message string // plain words: what was refused, why, what to do next; never a secret
	cause   error  // for the log only
}

func (f *Fault) Error() string {
	if f.cause != nil {
		return f.Message + ": " + f.cause.Error()
	}
	return f.Message
}

// Unwrap gives the cause, for the log and for errors.Is.
func (f *Fault) Unwrap() error { return f.cause }

// New makes a fault whose formatted message reaches the caller.
func New(kind Kind, format string, args ...any) error {
	return &Fault{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault around a cause. Only the formatted message reaches the caller; the
// cause is for the log.
func Wrap(cause error, kind Kind, format string, args ...any) error {
	return &Fault{Kind: kind, Message: fmt.Sprintf(format, args...), cause: cause}
}

// Of finds the innermost fault in err's chain, which decides the answer: an outer layer
// never turns a refusal of one kind into another. It returns nil if there is none.
func Of(err error) *Fault {
	var found *Fault
	for err != nil {
		f, ok := errors.AsType[*Fault](err)
		if !ok {
			break
		}
		found, err = f, f.cause
	}
	return found
}

// KindOf is the kind of the innermost fault in err, or Internal.
func KindOf(err error) Kind {
	if f := Of(err); f != nil {
		return f.Kind
	}
	return Internal
}

// Is reports whether err carries a fault of this kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
