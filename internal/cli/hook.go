package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hookFlags say who is told of a new certificate.
type hookFlags struct {
	exec    string
	pid     int
	pidFile string
	signal  int
}

func (h *hookFlags) register(fs *flags) {
	h.signal = int(syscall.SIGHUP)
	fs.String(&h.exec, "exec", "command", "command to run afterwards; quotes and backslashes work as in a shell, nothing else does")
	fs.Int(&h.pid, "pid", "n", "process to signal afterwards")
	fs.String(&h.pidFile, "pid-file", "file", "file with the number of the process to signal afterwards")
	fs.Int(&h.signal, "signal", "n", "number of the signal")
	fs.Exclusive("pid", "pid-file")
	fs.Check(func(given func(string) bool) error {
		if given("pid") && h.pid <= 0 {
			return errValue("pid", strconv.Itoa(h.pid))
		}
		if h.signal < 0 {
			return errValue("signal", strconv.Itoa(h.signal))
		}
		if _, err := splitCommand(h.exec); err != nil {
			return usagef("invalid value %q for flag --exec: %v", h.exec, err)
		}
		return nil
	})
}

// run signals the process, then runs the command.
func (h *hookFlags) run(ctx context.Context, env *Env) error {
	return errors.Join(h.notify(), h.execute(ctx, env))
}

func (h *hookFlags) notify() error {
	pid := h.pid
	if h.pidFile != "" {
		text, err := os.ReadFile(h.pidFile)
		if err != nil {
			return fmt.Errorf("read pid file: %w", err)
		}
		// Zero and negative numbers would mean whole groups of processes.
		if pid, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil || pid <= 0 {
			return fmt.Errorf("the pid file %s holds no process number", h.pidFile)
		}
	}
	if pid == 0 {
		return nil
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(syscall.Signal(h.signal))
	}
	if err != nil {
		return fmt.Errorf("send signal %d to process %d: %w", h.signal, pid, err)
	}
	return nil
}

// hookTimeout ends a command that hangs: the next renewal must not wait for it for ever.
const hookTimeout = 10 * time.Minute

func (h *hookFlags) execute(ctx context.Context, env *Env) error {
	words, err := splitCommand(h.exec)
	if err != nil || len(words) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = env.Stdout, env.Stderr
	if env.JSON {
		cmd.Stdout = env.Stderr
	}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %q: %w", h.exec, err)
	}
	return nil
}

// splitCommand splits a command line into words as a POSIX shell does (Section 2.2,
// Quoting), without expanding anything. On Windows a backslash is a plain character, since
// paths are full of them.
func splitCommand(line string) ([]string, error) {
	s := splitter{rest: []rune(line)}
	for len(s.rest) > 0 {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	if s.quote != 0 {
		return nil, fmt.Errorf("the quote %c is never closed", s.quote)
	}
	s.end()
	return s.words, nil
}

// splitter is a command line being split.
type splitter struct {
	rest   []rune
	words  []string
	word   strings.Builder
	inWord bool // also in an empty word, ""
	quote  rune // the open one, or 0
}

func (s *splitter) step() error {
	r := s.rest[0]
	s.rest = s.rest[1:]
	switch {
	case r == '\\' && s.quote != '\'' && runtime.GOOS != "windows":
		return s.escaped()
	case s.quote == 0 && (r == '\'' || r == '"'):
		s.quote, s.inWord = r, true
	case s.quote == r:
		s.quote = 0
	case s.quote == 0 && strings.ContainsRune(" \t\r\n", r):
		s.end()
	default:
		s.word.WriteRune(r)
		s.inWord = true
	}
	return nil
}

// escaped takes the rune behind a backslash, which within double quotes stays unless it
// protects one of the few that mean something there.
func (s *splitter) escaped() error {
	if len(s.rest) == 0 {
		return errors.New("nothing follows the backslash at its end")
	}
	r := s.rest[0]
	s.rest = s.rest[1:]
	if s.quote == '"' && !strings.ContainsRune("\"\\$`", r) {
		s.word.WriteRune('\\')
	}
	s.word.WriteRune(r)
	s.inWord = true
	return nil
}

func (s *splitter) end() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
		s.word.Reset()
	}
	s.inWord = false
}
