package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// textual is a result with a form for people; a missing line end is added.
type textual interface{ Text() string }

// writable is a result whose bytes are written as they are: plaintext, DER, a stream.
type writable interface {
	WriteTo(io.Writer) (int64, error)
}

// print writes the result of a command to standard output.
func (e *Env) print(result any) error {
	if result == nil {
		return nil
	}
	if e.JSON {
		return e.printJSON(result)
	}
	switch r := result.(type) {
	case writable:
		_, err := r.WriteTo(e.Stdout)
		return err
	case textual:
		return e.printText(r.Text())
	case string:
		return e.printText(r)
	}
	return e.printJSON(result)
}

func (e *Env) printText(text string) error {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err := io.WriteString(e.Stdout, text)
	return err
}

func (e *Env) printJSON(result any) error {
	encoder := json.NewEncoder(e.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// Done notes a finished part on standard error: ✔ name: value.
func (e *Env) Done(name, format string, args ...any) {
	e.mark(green, "✔", name, fmt.Sprintf(format, args...))
}

// Fail notes a part that did not work and does not stop the command: ✘ name: reason.
func (e *Env) Fail(name, format string, args ...any) {
	e.mark(red, "✘", name, fmt.Sprintf(format, args...))
}

func (e *Env) mark(colour, mark, name, value string) {
	if e.quiet {
		return
	}
	fmt.Fprintf(e.Stderr, "%s %s: %s\n", e.paint(colour, mark), e.paint(bold, name), value)
}

// Note says something on standard error, one line.
func (e *Env) Note(format string, args ...any) {
	if !e.quiet {
		fmt.Fprintf(e.Stderr, format+"\n", args...)
	}
}

// Warn says that something needs attention; --quiet does not hide it.
func (e *Env) Warn(format string, args ...any) {
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.paint(yellow, "warning"), fmt.Sprintf(format, args...))
}

const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours text for standard error, if that is wanted.
func (e *Env) paint(colour, text string) string {
	if !e.coloured() {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// coloured follows NO_COLOR, then CLICOLOR_FORCE, then the terminal.
func (e *Env) coloured() bool {
	if e.plain || e.Getenv("NO_COLOR") != "" {
		return false
	}
	if force := e.Getenv("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	return e.Getenv("TERM") != "dumb" && isTerminal(e.Stderr)
}

// printable makes foreign text safe for a terminal: control characters are shown, not sent.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if !strconv.IsPrint(r) && r != '\t' {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
