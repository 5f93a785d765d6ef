package cli_test

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/cli"
)

var update = flag.Bool("update", false, "rewrite generated files and golden texts")

// TestReferencePages holds the pages under docs/reference/cli against the commands.
func TestReferencePages(t *testing.T) {
	t.Parallel()
	kept := filepath.Join("..", "..", "docs", "reference", "cli")
	if *update {
		if err := os.RemoveAll(kept); err != nil {
			t.Fatal(err)
		}
		runOK(t, "help", "--markdown", kept)
	}
	fresh := t.TempDir()
	runOK(t, "help", "--markdown", fresh)
	want, got := readAll(t, kept), readAll(t, fresh)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the reference differs from the commands; run 'go test ./internal/cli -run TestReferencePages -update' (-kept +commands):\n%s", diff)
	}
}

// TestWrittenForms proves that HTML and man pages are written for every command.
func TestWrittenForms(t *testing.T) {
	t.Parallel()
	markdown, html, man := t.TempDir(), t.TempDir(), t.TempDir()
	runOK(t, "help", "--markdown", markdown)
	runOK(t, "help", "--html", html)
	runOK(t, "help", "--man", man)
	for name := range readAll(t, markdown) {
		stem := strings.TrimSuffix(name, ".md")
		for _, file := range []string{filepath.Join(html, stem+".html"), filepath.Join(man, stem+".1")} {
			data, err := os.ReadFile(file)
			if err != nil || len(data) == 0 {
				t.Errorf("%s: %d bytes, %v", file, len(data), err)
			}
		}
	}
}

// TestServedPages proves that help is served as a web site until the user ends it.
func TestServedPages(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	env := newWorld(t).env()
	notes, stderr := io.Pipe()
	env.Stderr = stderr
	ended := make(chan int, 1)
	go func() { ended <- cli.Run(ctx, env, []string{"help", "--http", "127.0.0.1:0"}) }()
	line, err := bufio.NewReader(notes).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(line[strings.Index(line, "http://"):])
	for path, want := range map[string]int{"": 200, "signet-ca-root.html": 200, "nonsense.html": 404} {
		answer, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestDocumented proves that every command explains itself: arguments, flags, the members
// of its JSON, and an example.
func TestDocumented(t *testing.T) {
	t.Parallel()
	for _, missing := range cli.Undocumented() {
		t.Error(missing)
	}
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func runOK(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	w := newWorld(t)
	if code := w.run(context.Background(), args...); code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, w.stderr.String())
	}
	return w.stdout.String(), w.stderr.String()
}
