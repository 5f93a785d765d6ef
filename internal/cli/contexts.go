package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/durable"
)

const (
	contextsFile       = "contexts.json"
	currentContextFile = "current-context.json"
)

// Context names an authority and a profile: the first has the CA's files and defaults, the
// second the user's own defaults over them.
type Context struct {
	Name      string `json:"name" help:"name of the context"`
	Authority string `json:"authority" help:"directory below authorities/ with files and defaults of the CA"`
	Profile   string `json:"profile" help:"directory below profiles/ with the user's own defaults"`
}

// Contexts are the contexts of a home, by name. They are on when there is at least one.
type Contexts map[string]*Context

// storedContext is a context in contexts.json, whose key is the name.
type storedContext struct {
	Profile   string `json:"profile"`
	Authority string `json:"authority"`
}

// readContexts reads contexts.json; without the file there are none.
func readContexts(h Home) (Contexts, error) {
	path := h.Base(contextsFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Contexts{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	var stored map[string]storedContext
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, fmt.Errorf("read contexts %s: %w", path, err)
	}
	all := Contexts{}
	for name, s := range stored {
		c := &Context{Name: name, Authority: s.Authority, Profile: s.Profile}
		if !plainName(c.Authority) || !plainName(c.Profile) {
			return nil, fmt.Errorf("read contexts %s: context %q leads outside of %s", path, name, h.Base())
		}
		all[name] = c
	}
	return all, nil
}

// plainName reports whether s can be the name of a directory right below another one.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, `/\`) && filepath.IsLocal(s)
}

// write stores the contexts.
func (all Contexts) write(h Home) error {
	stored := make(map[string]storedContext, len(all))
	for name, c := range all {
		stored[name] = storedContext{Profile: c.Profile, Authority: c.Authority}
	}
	data, err := json.MarshalIndent(stored, "", "    ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.Base(), 0o700); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	return durable.WriteFile(h.Base(contextsFile), append(data, '\n'), 0o600)
}

// currentContext is the name in current-context.json, or "".
func currentContext(h Home) (string, error) {
	path := h.Base(currentContextFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read current context: %w", err)
	}
	var stored struct {
		Context string `json:"context"`
	}
	if err := json.Unmarshal(data, &stored); err != nil {
		return "", fmt.Errorf("read current context %s: %w", path, err)
	}
	return stored.Context, nil
}

// selectContext makes name the current context of later calls.
func selectContext(h Home, name string) error {
	data, err := json.Marshal(map[string]string{"context": name})
	if err != nil {
		return err
	}
	return durable.WriteFile(h.Base(currentContextFile), append(data, '\n'), 0o644)
}

// addContext registers c, makes its directories, an empty profile if it has none, and
// selects it. It returns the home within c.
func addContext(h Home, c *Context) (Home, error) {
	if !plainName(c.Name) || !plainName(c.Authority) || !plainName(c.Profile) {
		return h, usagef("context, authority and profile need plain names, without a slash")
	}
	all, err := readContexts(h)
	if err != nil {
		return h, err
	}
	all[c.Name] = c
	if err := all.write(h); err != nil {
		return h, err
	}
	within := h.In(c)
	for _, dir := range []string{within.Path("config"), within.Profile("config")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return h, fmt.Errorf("make directory of context %s: %w", c.Name, err)
		}
	}
	profile := within.Profile("config", "defaults.json")
	if _, err := os.Stat(profile); errors.Is(err, fs.ErrNotExist) {
		if err := durable.WriteFile(profile, []byte("{}\n"), 0o600); err != nil {
			return h, err
		}
	}
	return within, selectContext(h, c.Name)
}

// openHome finds the home of a call with its context: the one the call names, else the
// current one; a command that must have one asks.
func (e *Env) openHome(ctx context.Context, call *invocation) (Home, error) {
	home, err := OpenHome(e.Name, e.Getenv)
	if err != nil {
		return home, err
	}
	g := &e.set.global
	name := g.context
	if call.cmd.context == contextOwn {
		return home, nil
	}
	if noContext, _ := e.variable("NO_CONTEXT"); g.noContext || noContext == "1" || noContext == "true" {
		return home, nil
	}
	if name == "" {
		name, _ = e.variable("CONTEXT")
	}
	all, err := readContexts(home)
	if err != nil {
		return home, err
	}
	if len(all) == 0 {
		if name != "" {
			return home, usagef("there is no context %q: contexts are off here", name)
		}
		return home, nil
	}
	if name == "" {
		if name, err = currentContext(home); err != nil {
			return home, err
		}
	}
	if name == "" && call.cmd.context == contextMust {
		names := all.names("")
		i, err := e.choose(ctx, "Which context should be used", "context", names)
		if err != nil {
			return home, err
		}
		name = names[i]
	}
	if name == "" {
		return home, nil
	}
	c := all[name]
	if c == nil {
		return home, usagef("there is no context %q", name)
	}
	return home.In(c), nil
}

// names are the names of all contexts, the current one first, the others sorted.
func (all Contexts) names(current string) []string {
	names := slices.Sorted(maps.Keys(all))
	if i := slices.Index(names, current); i >= 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, current)
	}
	return names
}

// contextNames proposes the contexts to the shell.
func contextNames(_ context.Context, env *Env) []string {
	home, err := OpenHome(env.Name, env.Getenv)
	if err != nil {
		return nil
	}
	all, err := readContexts(home)
	if err != nil {
		return nil
	}
	return all.names("")
}
