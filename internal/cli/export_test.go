package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ProbeResult is what the probe command saw.
type ProbeResult struct {
	Values map[string]string `json:"values"`
	Lists  []string          `json:"lists"`
	Args   []string          `json:"args"`
	Typed  bool              `json:"typed"`
}

// RunProbe runs a command line of a tree that holds a single command, probe, with flags of
// every kind. It lets the frame be tested without the commands in it.
func RunProbe(ctx context.Context, env *Env, args []string) int {
	root := &command{name: env.Name, short: "probe the frame"}
	root.hang("probe", probe())
	root.hang("panic", &command{short: "fall", run: func(context.Context, *Env, []string) (any, error) { panic("ouch") }})
	root.hang("verdict", &command{short: "answer and fail", run: func(context.Context, *Env, []string) (any, error) {
		return "a verdict", exitWith(7, errors.New("bad"))
	}})
	root.hang("quiet-exit", &command{short: "fail without words", run: func(context.Context, *Env, []string) (any, error) {
		return nil, exitWith(1, nil)
	}})
	root.hang("ask", asker())
	return run(ctx, env, root, args)
}

func probe() *command {
	var f struct {
		url, name, kind, root, curve, format string
		force, insecure, on                  bool
		size                                 int
		wait                                 time.Duration
		until                                When
		sans, kinds                          []string
	}
	f.on, f.format = true, "text"
	return &command{
		short: "show what the frame understood",
		args:  []arg{need("first", ""), may("second", "")},
		flags: func(fs *flags) {
			fs.URL(&f.url, "ca-url", "")
			fs.String(&f.name, "provisioner", "name", "").Alias("issuer", "p")
			fs.Enum(&f.kind, "kty", []string{"EC", "RSA"}, "")
			fs.String(&f.root, "root", "file", "")
			fs.String(&f.curve, "curve", "c", "").Alias("crv")
			fs.Enum(&f.format, "format", []string{"text", "json"}, "")
			fs.Bool(&f.force, "force", "").Alias("f")
			fs.Bool(&f.insecure, "insecure", "")
			fs.Bool(&f.on, "on", "")
			fs.Int(&f.size, "size", "n", "")
			fs.Duration(&f.wait, "wait", "")
			fs.Time(&f.until, "not-after", "")
			fs.Strings(&f.sans, "san", "name", "")
			fs.Enums(&f.kinds, "challenge", []string{"http-01", "dns-01"}, "")
			fs.Exclusive("root", "curve")
			fs.Requires("size", "kty")
			fs.Insecure("force")
		},
		result: &ProbeResult{},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			values := map[string]string{
				"ca-url": f.url, "provisioner": f.name, "kty": f.kind, "root": f.root, "curve": f.curve, "format": f.format,
				"wait": f.wait.String(), "not-after": f.until.String(),
			}
			if f.force {
				values["force"] = "true"
			}
			if !f.on {
				values["on"] = "false"
			}
			return &ProbeResult{Values: values, Lists: append(f.sans, f.kinds...), Args: args, Typed: env.Typed("provisioner")}, nil
		},
	}
}

// asker asks everything that can be asked.
func asker() *command {
	return &command{
		short: "ask",
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			text, err := env.ask(ctx, question{label: "Name", flag: "name", preset: "anna"})
			if err != nil {
				return nil, err
			}
			password, err := env.askPassword(ctx, question{label: "Secret", flag: "password-file"})
			if err != nil {
				return nil, err
			}
			sure, err := env.confirm(ctx, "Sure", "force")
			if err != nil {
				return nil, err
			}
			chosen, err := env.choose(ctx, "Which one", "pick", []string{"a", "b", "c"})
			return map[string]any{"text": text, "password": string(password), "sure": sure, "chosen": chosen}, err
		},
	}
}

// Undocumented lists what is missing in the documentation of the commands.
func Undocumented() []string {
	var missing []string
	var walk func(c *command)
	walk = func(c *command) {
		complain := func(format string, args ...any) {
			missing = append(missing, c.path()+": "+fmt.Sprintf(format, args...))
		}
		p := c.page()
		if c.short == "" || strings.HasSuffix(c.short, ".") || c.short[:1] != strings.ToLower(c.short[:1]) {
			complain("short %q: a phrase in lower case without full stop is needed", c.short)
		}
		if c.run != nil && len(c.examples) == 0 {
			complain("no example")
		}
		for _, x := range c.examples {
			if !strings.Contains(x.line, "signet ") || x.does == "" {
				complain("example %q: a command line with signet is needed, and what it is good for", x.line)
			}
		}
		for _, a := range p.args {
			if a.help == "" {
				complain("argument %s has no help", a.name)
			}
		}
		for _, f := range append(p.flags, p.globals...) {
			if f.usage == "" || f.off == nil && f.placeholder == "" {
				complain("flag %s has no help or no placeholder", f.name)
			}
		}
		for _, f := range p.fields {
			if f.help == "" {
				complain("member %s has no help tag", f.path)
			}
		}
		for _, child := range c.children {
			walk(child)
		}
	}
	walk(tree("signet"))
	return missing
}

// EABSecret is a new key for external account binding.
var EABSecret = eabSecret
