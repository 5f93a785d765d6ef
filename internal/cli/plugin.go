package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// runPlugin runs the executable step-X-plugin for an unknown command X, with the streams
// and all following arguments, and ends with its exit code.
func runPlugin(ctx context.Context, env *Env, unknown *unknownCommand) error {
	path := findPlugin(env, unknown.name)
	if path == "" {
		if unknown.name == "kms" {
			return exitWith(exitUnknown, errors.New("the kms commands are a plugin that is not installed: "+
				"get step-kms-plugin from its project's releases and put it into $PATH or the plugins directory of 'path --base'"))
		}
		return unknown
	}
	cmd := exec.CommandContext(ctx, path, unknown.args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = env.Stdin, env.Stdout, env.Stderr
	// A terminal's interrupt reaches the plugin as well; it decides how to end.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
		return exitWith(exit.ExitCode(), nil)
	}
	if err != nil {
		return fmt.Errorf("run plugin %s: %w", path, err)
	}
	return nil
}

// findPlugin looks into the plugins directory, then into PATH.
func findPlugin(env *Env, name string) string {
	if !plainName(name) {
		return ""
	}
	name = "step-" + name + "-plugin"
	endings := []string{""}
	if runtime.GOOS == "windows" {
		endings = []string{".com", ".exe", ".bat", ".cmd"}
	}
	if home, err := OpenHome(env.Name, env.Getenv); err == nil {
		for _, ending := range endings {
			path := home.Base("plugins", name+ending)
			if _, err := exec.LookPath(path); err == nil {
				return path
			}
		}
	}
	for _, dir := range filepath.SplitList(env.Getenv("PATH")) {
		// A relative directory in PATH would run what happens to lie in the working directory.
		if !filepath.IsAbs(dir) {
			continue
		}
		for _, ending := range endings {
			path := filepath.Join(dir, name+ending)
			if _, err := exec.LookPath(path); err == nil {
				return path
			}
		}
	}
	return ""
}
