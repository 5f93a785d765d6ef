package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/signet-ca/signet"
)

// Exit codes, the same under every name of the binary.
const (
	exitOK      = 0
	exitFailure = 1
	exitPanic   = 2
	exitUnknown = 3
)

// exitError chooses the exit code. With a nil err nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith ends the command with this code, silently if err is nil.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// usageError is a mistake in the command line: the usage line is printed with it.
type usageError struct {
	message string
	cmd     *command // set by the frame
}

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// The uniform complaints about flags. Names are given without dashes.

func errRequired(flag string) error {
	return usagef("flag %s is required", dashed(flag))
}

func errRequiredUnless(flag, other string) error {
	return usagef("flag %s is required unless %s is given", dashed(flag), dashed(other))
}

func errRequires(flag, other string) error {
	return usagef("flag %s requires flag %s", dashed(flag), dashed(other))
}

func errIncompatible(flag, other string) error {
	return usagef("flag %s can't be combined with flag %s", dashed(flag), dashed(other))
}

func errExclusive(flags ...string) error {
	names := make([]string, len(flags))
	for i, f := range flags {
		names[i] = dashed(f)
	}
	return usagef("flags %s exclude each other", strings.Join(names, " and "))
}

// errValue complains about the value of a flag and names what would be accepted, if that
// is a short list.
func errValue(flag, value string, options ...string) error {
	if len(options) == 0 {
		return usagef("invalid value %q for flag %s", value, dashed(flag))
	}
	return usagef("invalid value %q for flag %s; options are %s", value, dashed(flag), strings.Join(options, ", "))
}

func errInsecure(flag string) error {
	return usagef("flag %s requires --insecure: it weakens security", dashed(flag))
}

func errSubtle(flag string) error {
	return usagef("flag %s requires --subtle: it is easy to misuse", dashed(flag))
}

func dashed(flag string) string {
	if len(flag) == 1 {
		return "-" + flag
	}
	return "--" + flag
}

// report prints err and returns the exit code it asks for.
func (e *Env) report(err error) int {
	code := exitFailure
	if exit, ok := errors.AsType[*exitError](err); ok {
		code = exit.code
		if exit.err == nil {
			return code
		}
	}
	if unknown, ok := errors.AsType[*unknownCommand](err); ok {
		code = exitUnknown
		e.complain(err)
		fmt.Fprintf(e.Stderr, "Run '%s --help' for the list of commands.\n", unknown.parent.path())
		return code
	}
	e.complain(err)
	if usage, ok := errors.AsType[*usageError](err); ok && usage.cmd != nil {
		fmt.Fprintf(e.Stderr, "Usage: %s\nRun '%s --help' for more.\n", usage.cmd.usage(), usage.cmd.path())
	}
	return code
}

// complain prints one line, and with STEPDEBUG=1 what is behind it.
func (e *Env) complain(err error) {
	text := err.Error()
	if refused, ok := errors.AsType[*signet.Error](err); ok {
		if e.debugging() {
			text += " (request " + refused.RequestID + ")"
		} else {
			text += "; run again with STEPDEBUG=1 for details"
		}
	}
	var safe []string // what a CA answers must not steer the terminal
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		safe = append(safe, printable(line))
	}
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.Name, strings.Join(safe, "\n"))
	if e.debugging() {
		for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
			fmt.Fprintf(e.Stderr, "  caused by %T: %s\n", cause, printable(cause.Error()))
		}
	}
}
