package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// invocation is a command with the arguments of this call.
type invocation struct {
	cmd  *command
	args []string
	help bool
}

// resolve walks from root to the command the words name, and parses its flags. Flags that
// stand before the command's name are kept for it.
func resolve(root *command, args []string) (*invocation, error) {
	c := root
	var early []string
	for c.run == nil {
		if len(args) == 0 {
			return groupHelp(c, early)
		}
		word := args[0]
		if isFlag(word) {
			n, err := earlyFlag(c, args)
			if err != nil {
				return nil, err
			}
			early, args = append(early, args[:n]...), args[n:]
			continue
		}
		child := c.child(word)
		if child == nil && c == root && word == "beta" {
			args = args[1:] // beta commands are found at their final place
			continue
		}
		if child == nil {
			return nil, &unknownCommand{parent: c, name: word, args: args[1:]}
		}
		c, args = child, args[1:]
	}
	call := &invocation{cmd: c}
	if err := call.parse(append(early, args...)); err != nil {
		return nil, err
	}
	return call, nil
}

// groupHelp answers a group called without a command.
func groupHelp(c *command, early []string) (*invocation, error) {
	for _, word := range early {
		switch strings.TrimLeft(word, "-") {
		case "version", "v":
			if c.parent == nil {
				return &invocation{cmd: c.child("version")}, nil
			}
		}
	}
	return &invocation{cmd: c, help: true}, nil
}

// earlyFlag says how many words a flag before the command's name takes. Which flags the
// command has is not known yet, so only the global ones can stand there.
func earlyFlag(c *command, args []string) (int, error) {
	name, _, hasValue := splitFlag(args[0])
	set := newFlags()
	set.globals(c)
	if c.parent == nil && (name == "version" || name == "v") {
		return 1, nil
	}
	f := set.lookup(name)
	switch {
	case f == nil:
		return 0, &usageError{message: fmt.Sprintf("unknown flag %s", args[0]), cmd: c}
	case f.off != nil || hasValue:
		return 1, nil
	case len(args) < 2:
		return 0, &usageError{message: fmt.Sprintf("flag %s needs a value", dashed(name)), cmd: c}
	}
	return 2, nil
}

// isFlag tells flags from positional arguments: "-" is standard input, a negative number
// is a value.
func isFlag(word string) bool {
	return len(word) > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9')
}

// splitFlag takes a flag apart; one dash is as good as two.
func splitFlag(word string) (name, value string, hasValue bool) {
	name = strings.TrimPrefix(word[1:], "-")
	return strings.Cut(name, "=")
}

// parse sets the flags found among words and collects the positional arguments.
func (call *invocation) parse(words []string) error {
	set := call.cmd.prepare()
	used := map[*flag]string{}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--" {
			call.args = append(call.args, words...)
			break
		}
		if !isFlag(word) {
			call.args = append(call.args, word)
			continue
		}
		name, value, hasValue := splitFlag(word)
		f := set.lookup(name)
		if f == nil {
			return call.fail(unknownFlag(set, name))
		}
		if before, ok := used[f]; ok && before != name {
			return call.fail(usagef("%s and %s are two forms of one flag; give one of them", dashed(before), dashed(name)))
		}
		used[f] = name
		switch {
		case hasValue:
		case f.off != nil:
			value = "true"
		case len(words) == 0:
			return call.fail(usagef("flag %s needs a value", dashed(name)))
		default:
			value, words = words[0], words[1:]
		}
		if f.from != fromCommandLine {
			f.reset() // a repeatable flag replaces its default
		}
		if err := f.set(value); err != nil {
			return call.fail(usagef("invalid value %q for flag %s: %v", value, dashed(name), err))
		}
		f.from = fromCommandLine
		if f.name == "help" {
			call.help = true
			return nil
		}
	}
	return nil
}

// fail attaches the command to a usage error.
func (call *invocation) fail(err error) error {
	if usage, ok := errors.AsType[*usageError](err); ok && usage.cmd == nil {
		usage.cmd = call.cmd
	}
	return err
}

func unknownFlag(set *flags, name string) error {
	for _, f := range set.list {
		if !f.hidden && alike(name, f.name) {
			return usagef("unknown flag %s; did you mean %s?", dashed(name), dashed(f.name))
		}
	}
	return usagef("unknown flag %s", dashed(name))
}

// execute runs the command: home, defaults, rules, then the work, then the print.
func (call *invocation) execute(ctx context.Context, env *Env) error {
	c := call.cmd
	if call.help {
		return env.printHelp(c)
	}
	set := c.prepare()
	env, err := env.forCall(ctx, call)
	if err != nil {
		return call.fail(err)
	}
	env.settle(set) // what is typed counts for the notes of the next steps already
	if err := set.fill(env); err != nil {
		return call.fail(err)
	}
	env.settle(set)
	for _, rule := range set.rules {
		if err := rule(set); err != nil {
			return call.fail(err)
		}
	}
	if err := c.checkArgs(call.args); err != nil {
		return call.fail(err)
	}
	result, err := c.run(ctx, env, call.args)
	if result != nil {
		// A command may have a result and fail nevertheless, as a verdict does.
		if printErr := env.print(result); err == nil {
			err = printErr
		}
	}
	return call.fail(err)
}

// alike reports whether a typed word is near enough to a name to be meant.
func alike(typed, name string) bool {
	if len(typed) >= 3 && strings.HasPrefix(name, typed) {
		return true
	}
	limit := 2
	if len(name) < 5 {
		limit = 1
	}
	return len(typed) <= 64 && distance(typed, name) <= limit
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			previous, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, previous+cost)
		}
	}
	return row[len(b)]
}
