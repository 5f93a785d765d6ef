package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// question is something to ask the user. flag names the flag that answers it without a
// terminal.
type question struct {
	label  string
	flag   string
	preset string             // taken when the answer is empty, and shown
	empty  bool               // an empty answer is one
	check  func(string) error // nil: anything
}

// maxAttempts bounds how often a wrong answer is asked again.
const maxAttempts = 5

// maxAnswer bounds a line of an answer.
const maxAnswer = 64 << 10

// terminal is where questions go: standard input and error, or the controlling terminal
// when standard input carries data.
type terminal struct {
	in    io.Reader
	out   io.Writer
	fd    int // of in, or -1 without echo control
	close func() error
}

// openTerminal finds the terminal, or names the flag that makes the question needless.
func (e *Env) openTerminal(q question) (*terminal, error) {
	nothing := func() error { return nil }
	if e.TTY != nil {
		return &terminal{in: e.TTY, out: e.TTY, fd: -1, close: nothing}, nil
	}
	if isTerminal(e.Stdin) {
		return &terminal{in: e.Stdin, out: e.Stderr, fd: int(e.Stdin.(*os.File).Fd()), close: nothing}, nil
	}
	in, out := "/dev/tty", "/dev/tty"
	if runtime.GOOS == "windows" {
		in, out = "CONIN$", "CONOUT$"
	}
	r, err := os.OpenFile(in, os.O_RDWR, 0)
	if err != nil {
		return nil, noTerminal(q)
	}
	w, err := os.OpenFile(out, os.O_RDWR, 0)
	if err != nil {
		r.Close()
		return nil, noTerminal(q)
	}
	return &terminal{in: r, out: w, fd: int(r.Fd()), close: func() error { return errors.Join(r.Close(), w.Close()) }}, nil
}

func noTerminal(q question) error {
	text := fmt.Sprintf("can't ask %q: there is no terminal", q.label)
	if q.flag != "" {
		text += "; give " + dashed(q.flag)
	}
	return errors.New(text)
}

// ask asks for a line of text.
func (e *Env) ask(ctx context.Context, q question) (string, error) {
	t, err := e.openTerminal(q)
	if err != nil {
		return "", err
	}
	defer t.close()
	for range maxAttempts {
		prompt := q.label
		if q.preset != "" {
			prompt += " [" + q.preset + "]"
		}
		fmt.Fprintf(t.out, "%s: ", prompt)
		answer, err := t.line(ctx)
		if err != nil {
			return "", fmt.Errorf("read answer to %q: %w", q.label, err)
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			answer = q.preset
		}
		err = q.accept(answer)
		if err == nil {
			return answer, nil
		}
		fmt.Fprintf(t.out, "%v\n", err)
	}
	return "", fmt.Errorf("no usable answer to %q", q.label)
}

func (q question) accept(answer string) error {
	if answer == "" && !q.empty {
		return errors.New("an answer is needed")
	}
	if q.check != nil {
		return q.check(answer)
	}
	return nil
}

// askLine asks a person, or takes the next line of standard input if nobody sits there.
func (e *Env) askLine(ctx context.Context, q question) (string, error) {
	if e.TTY != nil || isTerminal(e.Stdin) {
		return e.ask(ctx, q)
	}
	line, err := (&terminal{in: e.Stdin, fd: -1}).line(ctx)
	return strings.TrimSpace(line), err
}

// askPassword asks without echo. Only line ends are cut: blanks may belong to a password.
func (e *Env) askPassword(ctx context.Context, q question) ([]byte, error) {
	t, err := e.openTerminal(q)
	if err != nil {
		return nil, err
	}
	defer t.close()
	for range maxAttempts {
		fmt.Fprintf(t.out, "%s: ", q.label)
		password, err := t.password(ctx)
		fmt.Fprintln(t.out)
		if err != nil {
			return nil, fmt.Errorf("read answer to %q: %w", q.label, err)
		}
		err = q.accept(string(password))
		if err == nil {
			return password, nil
		}
		fmt.Fprintf(t.out, "%v\n", err)
	}
	return nil, fmt.Errorf("no usable answer to %q", q.label)
}

// confirm asks a question that is answered by yes or no.
func (e *Env) confirm(ctx context.Context, label, flag string) (bool, error) {
	answer, err := e.ask(ctx, question{label: label + " [y/n]", flag: flag, check: func(s string) error {
		if _, ok := yes(s); !ok {
			return errors.New("answer y or n")
		}
		return nil
	}})
	if err != nil {
		return false, err
	}
	agreed, _ := yes(answer)
	return agreed, nil
}

func yes(s string) (agreed, ok bool) {
	switch strings.ToLower(s) {
	case "y", "yes":
		return true, true
	case "n", "no":
		return false, true
	}
	return false, false
}

// choose asks for one of several items and returns its index. A single item is taken
// without a question. Without a terminal the error lists the items.
func (e *Env) choose(ctx context.Context, label, flag string, items []string) (int, error) {
	switch len(items) {
	case 0:
		return 0, fmt.Errorf("%s: there is nothing to choose from", label)
	case 1:
		return 0, nil
	}
	q := question{label: "Number", flag: flag, preset: "1", check: func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < 1 || n > len(items) {
			return fmt.Errorf("a number from 1 to %d is needed", len(items))
		}
		return nil
	}}
	t, err := e.openTerminal(question{label: label, flag: flag})
	if err != nil {
		return 0, fmt.Errorf("%w (one of: %s)", err, strings.Join(items, ", "))
	}
	fmt.Fprintf(t.out, "%s?\n", label)
	for i, item := range items {
		fmt.Fprintf(t.out, "%4d) %s\n", i+1, printable(item))
	}
	t.close()
	answer, err := e.ask(ctx, q)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(answer)
	return n - 1, err
}

// line reads a line. It takes byte by byte, so that nothing behind it is lost to the next
// question or to a command that reads the same stream.
func (t *terminal) line(ctx context.Context) (string, error) {
	return wait(ctx, func() (string, error) {
		var b strings.Builder
		one := make([]byte, 1)
		for b.Len() < maxAnswer {
			n, err := t.in.Read(one)
			if n == 1 && one[0] == '\n' {
				return strings.TrimSuffix(b.String(), "\r"), nil
			}
			b.Write(one[:n])
			if err != nil {
				if err == io.EOF && b.Len() > 0 {
					return b.String(), nil
				}
				return "", err
			}
		}
		return "", errors.New("the answer is too long")
	})
}

// password reads a line without echo, and gives the echo back even if the user interrupts.
func (t *terminal) password(ctx context.Context) ([]byte, error) {
	if t.fd < 0 {
		s, err := t.line(ctx)
		return []byte(s), err
	}
	before, err := term.GetState(t.fd)
	if err != nil {
		return nil, err
	}
	password, err := wait(ctx, func() ([]byte, error) { return term.ReadPassword(t.fd) })
	if ctx.Err() != nil {
		term.Restore(t.fd, before)
	}
	return password, err
}

// wait runs read until it ends or the user gives up. A read that is given up keeps its
// goroutine: the process is about to end.
func wait[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := read()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
