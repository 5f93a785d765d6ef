package cli_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/cli"
)

// TestExitCodes holds the frame's exit codes.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, line     string
		code           int
		stdout, stderr string
	}{
		{"no command is a question for help", "", 0, "Usage:", ""},
		{"help", "probe --help", 0, "Usage:", ""},
		{"an unknown command", "prob", 3, "", "did you mean probe"},
		{"an unknown global flag", "--nonsense probe x", 1, "", "unknown flag --nonsense"},
		{"a panic", "panic", 2, "", "internal error: ouch"},
		{"a result and a failure", "verdict", 7, "a verdict\n", "signet: bad"},
		{"a failure without words", "quiet-exit", 1, "", ""},
		{"global flags may stand first", "--no-color --json probe x", 0, `"args"`, ""},
		{"beta is forgotten", "beta probe x", 0, `"args"`, ""},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			code := cli.RunProbe(t.Context(), w.env(), strings.Fields(x.line))
			if code != x.code || !strings.Contains(w.stdout.String(), x.stdout) || !strings.Contains(w.stderr.String(), x.stderr) ||
				x.stdout == "" && w.stdout.Len() > 0 || x.stderr == "" && w.stderr.Len() > 0 {
				t.Errorf("%d\nstdout %s\nstderr %s", code, w.stdout.String(), w.stderr.String())
			}
		})
	}
}

func TestPanicShowsStackOnRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["STEPDEBUG"] = "1"
	if code := cli.RunProbe(t.Context(), w.env(), []string{"panic"}); code != 2 || !strings.Contains(w.stderr.String(), "goroutine") {
		t.Errorf("%d %s", code, w.stderr.String())
	}
}

// TestPrompts proves what answers are taken, and that a wrong one is asked again.
func TestPrompts(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		answers string
		want    map[string]any
	}{
		"all given":            {"bob\n pass \ny\n2\n", map[string]any{"text": "bob", "password": " pass ", "sure": true, "chosen": 1.0}},
		"defaults":             {"\np\nNO\n\n", map[string]any{"text": "anna", "password": "p", "sure": false, "chosen": 0.0}},
		"asked again":          {"bob\n\np\nperhaps\nyes\n9\nx\n3\n", map[string]any{"text": "bob", "password": "p", "sure": true, "chosen": 2.0}},
		"line ends of Windows": {"bob\r\np\r\ny\r\n1\r\n", map[string]any{"text": "bob", "password": "p", "sure": true, "chosen": 0.0}},
	} {
		w := newWorld(t)
		w.answers = x.answers
		code := cli.RunProbe(t.Context(), w.env(), []string{"ask"})
		var got map[string]any
		if err := json.Unmarshal(w.stdout.Bytes(), &got); code != 0 || err != nil || !cmp.Equal(x.want, got) {
			t.Errorf("%s: %d, %v, %v\n%s", name, code, err, got, w.stderr.String())
		}
	}
}

func TestPromptsEnd(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]string{
		"the terminal closes": "bob\n",
		"never an answer":     "bob\np\n" + strings.Repeat("perhaps\n", 20),
		"an endless line":     strings.Repeat("x", 1<<20),
	} {
		w := newWorld(t)
		w.answers = answers
		if code := cli.RunProbe(t.Context(), w.env(), []string{"ask"}); code != 1 {
			t.Errorf("%s: %d %s", name, code, w.stdout.String())
		}
	}
}

func TestInterruptedPrompt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t)
	env := w.env()
	env.TTY = &stuckTerminal{asked: cancel, never: make(chan struct{})}
	if code := cli.RunProbe(ctx, env, []string{"ask"}); code != 1 || !strings.Contains(w.stderr.String(), "interrupted") {
		t.Errorf("%d %s", code, w.stderr.String())
	}
}

// stuckTerminal is one at which the user presses Ctrl-C instead of answering.
type stuckTerminal struct {
	asked func()
	never chan struct{}
}

func (s *stuckTerminal) Write(p []byte) (int, error) { return len(p), nil }
func (s *stuckTerminal) Read([]byte) (int, error)    { s.asked(); <-s.never; return 0, nil }

// TestColours proves who decides about colours.
func TestColours(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		vars string
		args string
		want bool
	}{
		{"no terminal", "", "", false},
		{"forced", "CLICOLOR_FORCE=1", "", true},
		{"forced by 0 is not forced", "CLICOLOR_FORCE=0", "", false},
		{"NO_COLOR wins", "CLICOLOR_FORCE=1 NO_COLOR=1", "", false},
		{"the flag wins", "CLICOLOR_FORCE=1", "--no-color", false},
	}
	for _, x := range cases {
		w := newWorld(t)
		for pair := range strings.FieldsSeq(x.vars) {
			name, value, _ := strings.Cut(pair, "=")
			w.vars[name] = value
		}
		w.file(".signet/contexts.json", `{"c":{"authority":"a","profile":"p"}}`)
		w.file(".signet/current-context.json", `{"context":"c"}`)
		w.file(".signet/profiles/p/config/defaults.json", `{"context":"d"}`) // makes a warning
		w.run(t.Context(), append([]string{"path"}, strings.Fields(x.args)...)...)
		if got := strings.Contains(w.stderr.String(), "\x1b["); got != x.want {
			t.Errorf("%s: %q", x.name, w.stderr.String())
		}
	}
}
