package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// command is one command, as its function returns it; where it hangs in the tree, and so
// its name, is its row in tree.go. A command without run is a group.
type command struct {
	short    string    // one line without full stop, for lists
	long     string    // paragraphs, separated by empty lines
	args     []arg     // in order: needed ones, optional ones, at most one that repeats
	examples []example // at least one for a command that runs
	flags    func(*flags)

	// run does the work. The value it returns is printed: its text form, or with --json its
	// JSON. Nil prints nothing.
	run func(ctx context.Context, env *Env, args []string) (any, error)

	result  any        // a zero value of what run returns: its tags document --json
	exits   []exitNote // exit codes beyond 0 and 1
	context contextUse
	hidden  bool

	// complete proposes values for the positional argument number len(args).
	complete func(ctx context.Context, env *Env, args []string) []string

	// Set by tree.
	name     string
	parent   *command
	children []*command
	set      *flags
}

// arg is a positional argument.
type arg struct {
	name, help     string
	optional, many bool
}

func need(name, help string) arg { return arg{name: name, help: help} }
func may(name, help string) arg  { return arg{name: name, help: help, optional: true} }

// rest takes any number of further arguments, none included.
func rest(name, help string) arg { return arg{name: name, help: help, optional: true, many: true} }

func (a arg) String() string {
	s := "<" + a.name + ">"
	if a.many {
		s += "..."
	}
	if a.optional {
		s = "[" + s + "]"
	}
	return s
}

// example is a command line, as typed after the program's name, and what it is good for.
type example struct{ does, line string }

// exitNote documents an exit code.
type exitNote struct {
	code int
	when string
}

// contextUse says what a command does with contexts.
type contextUse uint8

const (
	contextMay  contextUse = iota // uses the current one, if there is one
	contextMust                   // asks for one if contexts are on and none is current
	contextOwn                    // reads --context itself: it makes, selects or removes one
)

func (c *command) path() string {
	if c.parent == nil {
		return c.name
	}
	return c.parent.path() + " " + c.name
}

func (c *command) usage() string {
	var b strings.Builder
	b.WriteString(c.path())
	if c.run == nil {
		b.WriteString(" <command>")
		return b.String()
	}
	for _, a := range c.args {
		b.WriteString(" " + a.String())
	}
	b.WriteString(" [flags]")
	return b.String()
}

func (c *command) child(name string) *command {
	for _, child := range c.children {
		if child.name == name {
			return child
		}
	}
	return nil
}

// prepare collects the flags of the command, the global ones included.
func (c *command) prepare() *flags {
	if c.set == nil {
		c.set = newFlags()
		if c.flags != nil {
			c.flags(c.set)
		}
		c.set.globals(c)
	}
	return c.set
}

// checkArgs complains about too few or too many positional arguments.
func (c *command) checkArgs(args []string) error {
	limit := 0
	for i, a := range c.args {
		if !a.optional && i >= len(args) {
			return usagef("too few arguments: <%s> is missing", a.name)
		}
		limit++
		if a.many {
			return nil
		}
	}
	if len(args) > limit {
		return usagef("too many arguments: %q is not expected", args[limit])
	}
	return nil
}

// cobra builds the library's form of the tree, which parses flags and completes.
func (c *command) cobra(env *Env) *cobra.Command {
	cc := &cobra.Command{
		Use: c.name, Short: c.short, Hidden: c.hidden,
		SilenceErrors: true, SilenceUsage: true,
		SuggestionsMinimumDistance: 2,
	}
	cc.CompletionOptions.DisableDefaultCmd = true
	cc.SetOut(env.Stdout)
	cc.SetErr(env.Stderr)
	for _, child := range c.children {
		cc.AddCommand(child.cobra(env))
	}
	if c.run == nil {
		return cc
	}
	set := c.prepare()
	cc.Flags().AddFlagSet(set.pf)
	cc.Run = func(*cobra.Command, []string) {}
	c.completions(cc, env)
	return cc
}

// suggest names commands below c that were perhaps meant.
func (c *command) suggest(typed string) []string {
	var names []string
	for _, child := range c.children {
		if !child.hidden && alike(typed, child.name) {
			names = append(names, child.name)
		}
	}
	return names
}

// unknownCommand is a word that names no command or help topic.
type unknownCommand struct {
	parent *command
	name   string
	args   []string // what followed
}

func (u *unknownCommand) Error() string {
	what := fmt.Sprintf("%q is not a command", u.name)
	if u.parent.parent != nil {
		what = fmt.Sprintf("%q is not a command of '%s'", u.name, u.parent.path())
	}
	if near := u.parent.suggest(u.name); len(near) > 0 {
		what += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return what
}
