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
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == '\'' && r != '\'', quote == '"' && r != '"' && r != '\\':
			word.WriteRune(r)
		case r == quote && quote != 0:
			quote = 0
		case r == '\\' && runtime.GOOS != "windows":
			i++
			if i == len(runes) {
				return nil, errors.New("nothing follows the backslash at its end")
			}
			if quote == '"' && !strings.ContainsRune("\"\\$`", runes[i]) {
				word.WriteRune('\\')
			}
			word.WriteRune(runes[i])
			inWord = true
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is never closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
