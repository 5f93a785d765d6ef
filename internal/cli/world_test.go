package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/cli"
	"github.com/signet-ca/signet/internal/truststore"
)

// world is a shell of its own for one test: variables, streams and a home directory.
type world struct {
	t              *testing.T
	name           string
	home           string
	vars           map[string]string
	stdin          string
	answers        string // typed at the terminal, if not empty
	stdout, stderr bytes.Buffer
	tty            bytes.Buffer // what the terminal showed
}

func newWorld(t *testing.T) *world {
	t.Helper()
	home := t.TempDir()
	return &world{t: t, name: "signet", home: home, vars: map[string]string{"HOME": home, "USERPROFILE": home}}
}

// file writes a file below the home and returns its path.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// env is the world as a command sees it; the streams are fresh.
func (w *world) env() *cli.Env {
	w.stdout.Reset()
	w.stderr.Reset()
	env := &cli.Env{
		Name: w.name, Stdin: strings.NewReader(w.stdin), Stdout: &w.stdout, Stderr: &w.stderr,
		LookupEnv: func(name string) (string, bool) { v, ok := w.vars[name]; return v, ok },
		Trust:     truststore.Store{Root: filepath.Join(w.home, "machine")},
	}
	if w.answers != "" {
		env.TTY = struct {
			io.Reader
			io.Writer
		}{strings.NewReader(w.answers), &w.tty}
	}
	return env
}

// run runs a command line and returns its exit code; the streams hold this run alone.
func (w *world) run(ctx context.Context, args ...string) int {
	w.t.Helper()
	return cli.Run(ctx, w.env(), args)
}
