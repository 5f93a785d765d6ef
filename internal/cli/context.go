package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/signet-ca/signet/internal/durable"
)

// Text prints the name alone; authority and profile are in the JSON.
func (c *Context) Text() string { return c.Name }

func contextCurrent() *command {
	return &command{
		short:    "print the current context",
		examples: []example{{"Show authority and profile of the current context", "signet context current --json"}},
		result:   &Context{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			c := env.Home.Context()
			if c == nil {
				return nil, errors.New("no context is selected; 'context list' shows those there are")
			}
			return c, nil
		},
	}
}

// contextListResult is the contexts, the current one first.
type contextListResult []contextEntry

type contextEntry struct {
	*Context
	Current bool `json:"current" help:"whether later commands use this context"`
}

func (l contextListResult) Text() string {
	var b strings.Builder
	for _, c := range l {
		if c.Current {
			b.WriteString("▶ ")
		}
		b.WriteString(c.Name + "\n")
	}
	return b.String()
}

func contextList() *command {
	return &command{
		short:    "list the contexts",
		long:     "Lists all contexts, the current one first and marked.",
		examples: []example{{"Which contexts are there", "signet context list"}},
		context:  contextOwn,
		result:   contextListResult{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			all, err := readContexts(env.Home)
			if err != nil {
				return nil, err
			}
			current, err := currentContext(env.Home)
			if err != nil {
				return nil, err
			}
			list := contextListResult{}
			for _, name := range all.names(current) {
				list = append(list, contextEntry{all[name], name == current})
			}
			return list, nil
		},
	}
}

// completeContext proposes a context as the only argument.
func completeContext(ctx context.Context, env *Env, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	return contextNames(ctx, env)
}

func contextSelect() *command {
	return &command{
		short:    "make a context the current one",
		args:     []arg{need("name", "name of the context")},
		examples: []example{{"Work with another CA from now on", "signet context select lab"}},
		context:  contextOwn,
		complete: completeContext,
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			all, err := readContexts(env.Home)
			if err != nil {
				return nil, err
			}
			if all[args[0]] == nil {
				return nil, fmt.Errorf("there is no context %q", args[0])
			}
			return nil, selectContext(env.Home, args[0])
		},
	}
}

func contextRemove() *command {
	var force bool
	return &command{
		short: "remove a context with its files",
		long: `Removes a context and deletes the directories of its authority and profile, keys
			included, unless another context uses them. The current context can't be removed.`,
		args:     []arg{need("name", "name of the context")},
		examples: []example{{"Remove a context without being asked", "signet context remove old --force"}},
		flags: func(fs *flags) {
			fs.Bool(&force, "force", "remove without asking").Alias("f")
		},
		context:  contextOwn,
		complete: completeContext,
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			all, err := readContexts(env.Home)
			if err != nil {
				return nil, err
			}
			c := all[args[0]]
			if c == nil {
				return nil, fmt.Errorf("there is no context %q", args[0])
			}
			current, err := currentContext(env.Home)
			if err != nil {
				return nil, err
			}
			if current == c.Name {
				return nil, fmt.Errorf("context %q is the current one; select another one first", c.Name)
			}
			if !force {
				agreed, err := env.confirm(ctx, fmt.Sprintf("Remove context %s and its files", c.Name), "force")
				if err != nil {
					return nil, err
				}
				if !agreed {
					return nil, fmt.Errorf("context %q was not removed", c.Name)
				}
			}
			return nil, removeContext(env.Home, all, c)
		},
	}
}

// removeContext forgets c first and deletes its files then: a half-done removal leaves
// files, never a context without its files.
func removeContext(h Home, all Contexts, c *Context) error {
	delete(all, c.Name)
	if err := all.write(h); err != nil {
		return err
	}
	keepAuthority, keepProfile := false, false
	for _, other := range all {
		keepAuthority = keepAuthority || other.Authority == c.Authority
		keepProfile = keepProfile || other.Profile == c.Profile
	}
	within := h.In(c)
	if err := dropSSHInclude(h, within.Path("ssh", "config")); err != nil {
		return err
	}
	if !keepAuthority {
		if err := os.RemoveAll(within.Path()); err != nil {
			return fmt.Errorf("delete files of context %s: %w", c.Name, err)
		}
	}
	if !keepProfile {
		if err := os.RemoveAll(within.Profile()); err != nil {
			return fmt.Errorf("delete files of context %s: %w", c.Name, err)
		}
	}
	return nil
}

// dropSSHInclude takes the line that includes config out of ssh/includes.
func dropSSHInclude(h Home, config string) error {
	path := h.Base("ssh", "includes")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) > 1 && strings.EqualFold(fields[0], "Include") {
			name := strings.Trim(strings.TrimSpace(strings.TrimSpace(string(line))[len(fields[0]):]), `"`)
			if filepath.Clean(filepath.FromSlash(name)) == config {
				continue
			}
		}
		kept.Write(line)
	}
	if kept.Len() == len(data) {
		return nil
	}
	return durable.WriteFile(path, kept.Bytes(), 0o600)
}
