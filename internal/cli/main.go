// Package cli is every command of the binary: it parses, calls one verb of another room,
// and prints. Results go to standard output, everything else to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Main runs the binary with the arguments of a process, the program's name first, and
// returns its exit code.
//
// The context of a command ends at the first SIGINT or SIGTERM; a second one kills the
// process, so that a command which does not listen can still be stopped.
func Main(argv []string) int {
	if len(argv) == 0 {
		argv = []string{"signet"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, ProcessEnv(argv[0]), argv[1:])
}

// Run runs one command line, without the program's name, in env and returns the exit code:
// 0 success, 1 an error, 2 a bug of ours, 3 an unknown command; a few commands define
// their own (spec of `needs-renewal` and `serve`).
func Run(ctx context.Context, env *Env, args []string) int {
	return run(ctx, env, tree(env.Name), args)
}

// run is Run with the commands of root.
func run(ctx context.Context, env *Env, root *command, args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			env.complain(fmt.Errorf("internal error: %v (this is a bug; STEPDEBUG=1 shows where)", p))
			if env.debugging() {
				env.Stderr.Write(debug.Stack())
			}
			code = exitPanic
		}
	}()
	err := dispatch(ctx, env, root, args)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = exitWith(exitFailure, errors.New("interrupted"))
	}
	return env.report(err)
}

// dispatch finds the command and runs it.
func dispatch(ctx context.Context, env *Env, root *command, args []string) error {
	if len(args) > 0 && completionRequest(args[0]) {
		return complete(ctx, env, root, args)
	}
	if env.Name == "step-ca" {
		args = serverArgs(args)
	}
	call, err := resolve(root, args)
	if err != nil {
		var unknown *unknownCommand
		if errors.As(err, &unknown) && unknown.parent == root {
			return runPlugin(ctx, env, unknown)
		}
		return err
	}
	return call.execute(ctx, env)
}

// serverArgs turns the command line of step-ca into one of ours: everything that is not
// one of its few sub-commands is an invocation of the server.
func serverArgs(args []string) []string {
	if len(args) > 0 {
		switch args[0] {
		case "version", "help", "completion", "onboard":
			return args
		case "export":
			return append([]string{"config"}, args...)
		case "--version", "-version", "-v":
			return []string{"version"}
		}
	}
	return append([]string{"serve"}, args...)
}
