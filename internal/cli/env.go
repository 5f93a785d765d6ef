package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/signet-ca/signet/internal/truststore"
)

// Env is the world of a command: it holds everything that a shell gives a process, so that
// a command runs in a test as it does in a shell.
type Env struct {
	Name      string // the binary's name: signet, step or step-ca
	Stdin     io.Reader
	Stdout    io.Writer // results only
	Stderr    io.Writer // notes, prompts, errors
	LookupEnv func(string) (string, bool)
	TTY       io.ReadWriter // asked instead of the terminal, for tests; nil: the real one
	Now       func() time.Time
	Trust     truststore.Store // the machine's roots; the zero value is the real one

	Home  Home         // where files are, the current context applied
	Log   *slog.Logger // to standard error; warnings and worse, with --verbose or STEPDEBUG=1 everything
	JSON  bool         // --json: the result is printed as JSON
	quiet bool
	plain bool // --no-color
	set   *flags
}

// ProcessEnv is the world of this process, called by this name.
func ProcessEnv(argv0 string) *Env {
	return &Env{
		Name: programName(argv0), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		LookupEnv: os.LookupEnv, Now: time.Now,
	}
}

// programName is the name that decides the behaviour: step, step-ca, or else signet.
func programName(argv0 string) string {
	name := filepath.Base(argv0)
	if runtime.GOOS == "windows" {
		name = strings.TrimSuffix(strings.ToLower(name), ".exe")
	}
	if name == "step" || name == "step-ca" {
		return name
	}
	return "signet"
}

// Getenv is the value of an environment variable, or "".
func (e *Env) Getenv(name string) string {
	value, _ := e.LookupEnv(name)
	return value
}

// variable is the value of SIGNET_name, else of STEP_name. An empty one is as good as none.
func (e *Env) variable(name string) (value, found string) {
	for _, prefix := range []string{"SIGNET_", "STEP_"} {
		if value := e.Getenv(prefix + name); value != "" {
			return value, prefix + name
		}
	}
	return "", ""
}

func (e *Env) debugging() bool {
	on, _ := strconv.ParseBool(e.Getenv("STEPDEBUG"))
	return on
}

// forCall is the world of one invocation: home and context are settled, the rest is as
// before. It does not change e.
func (e *Env) forCall(ctx context.Context, call *invocation) (*Env, error) {
	env := *e
	env.set = call.cmd.prepare()
	if env.Now == nil {
		env.Now = time.Now
	}
	home, err := env.openHome(ctx, call)
	if err != nil {
		return nil, err
	}
	env.Home = home
	return &env, nil
}

// settle takes over the global flags once all sources of flags are read.
func (e *Env) settle(set *flags) {
	g := &set.global
	e.JSON, e.quiet, e.plain = g.json, g.quiet, g.noColor
	level := slog.LevelWarn
	if g.verbose || e.debugging() {
		level = slog.LevelDebug
	}
	e.Log = slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: level}))
}

// Given reports whether a flag of this call was set, on the command line, by the
// environment or by defaults.json. A boolean counts when it is true.
func (e *Env) Given(flag string) bool { return e.set.given(flag) }

// Typed reports whether a flag stands on the command line itself, an empty value included.
func (e *Env) Typed(flag string) bool {
	f := e.set.lookup(flag)
	return f != nil && f.from == fromCommandLine
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is the number of columns of the terminal that a stream is, or 80.
func width(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 40 {
			return min(w, 120)
		}
	}
	return 80
}
