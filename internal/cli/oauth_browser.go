package cli

import (
	"context"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// browser is the program that opens addresses; "" is the usual one.
type browser string

// show opens an address in a browser and says it, for those whose browser is elsewhere.
func (b browser) show(ctx context.Context, env *Env, address string) {
	opened := env.mayOpenBrowser() && b.open(ctx, env, address)
	if opened {
		env.Note("Your browser opens to log in. If it does not, open this address:\n\n%s\n", address)
		return
	}
	env.Note("Open this address in a browser on this machine and log in:\n\n%s\n", address)
}

// mayOpenBrowser: SIGNET_OPEN_BROWSER=0 leaves browsers alone.
func (e *Env) mayOpenBrowser() bool {
	value, found := e.variable("OPEN_BROWSER")
	if found == "" {
		return true
	}
	may, err := strconv.ParseBool(value)
	return err != nil || may
}

// open tries the browsers that are named, then the usual one of this system. None of them is
// waited for: some end only when their window does.
func (b browser) open(ctx context.Context, env *Env, address string) bool {
	for _, line := range b.commands(env) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		args, given := words[1:], false
		for i, arg := range args {
			if strings.Contains(arg, "%s") {
				args[i], given = strings.ReplaceAll(arg, "%s", address), true
			}
		}
		if !given {
			args = append(args, address)
		}
		// The browser outlives this program, and what it says is not ours.
		cmd := exec.CommandContext(context.WithoutCancel(ctx), words[0], args...)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		if err := cmd.Start(); err == nil {
			go cmd.Wait()
			return true
		}
	}
	return false
}

// commands are those of --browser, else of $BROWSER, which lists several after each other,
// else the one of this system.
func (b browser) commands(env *Env) []string {
	switch {
	case b != "":
		return []string{string(b)}
	case env.Getenv("BROWSER") != "":
		return strings.Split(env.Getenv("BROWSER"), string(listSeparator))
	case runtime.GOOS == "windows":
		return []string{"rundll32 url.dll,FileProtocolHandler"}
	case runtime.GOOS == "darwin":
		return []string{"open"}
	}
	return []string{"xdg-open"}
}

// listSeparator is what stands between the browsers in $BROWSER.
const listSeparator = ':'
