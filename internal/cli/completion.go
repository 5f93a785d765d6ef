package cli

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// completion is the command that prints completion scripts.
func completion() *command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &command{
		short: "print the completion script of a shell",
		long: `Prints a script that makes the shell complete commands, flags and values. It asks the
			binary itself for proposals, so it need not be renewed with every version.`,
		args: []arg{need("shell", strings.Join(shells, ", "))},
		examples: []example{
			{"Try it in the running bash", "source <(signet completion bash)"},
			{"Install it for all users of zsh", "signet completion zsh > /usr/share/zsh/vendor-completions/_signet"},
		},
		complete: func(_ context.Context, _ *Env, args []string) []string {
			if len(args) > 0 {
				return nil
			}
			return shells
		},
		run: func(_ context.Context, env *Env, args []string) (any, error) {
			root := tree(env.Name).cobra(env)
			switch strings.ToLower(args[0]) {
			case "bash":
				return nil, root.GenBashCompletionV2(env.Stdout, true)
			case "zsh":
				return nil, root.GenZshCompletion(env.Stdout)
			case "fish":
				return nil, root.GenFishCompletion(env.Stdout, true)
			case "powershell", "pwsh":
				return nil, root.GenPowerShellCompletionWithDesc(env.Stdout)
			}
			return nil, usagef("no completion for shell %q; options are %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// completionRequest reports whether a word is the request of a completion script.
func completionRequest(word string) bool {
	return word == cobra.ShellCompRequestCmd || word == cobra.ShellCompNoDescRequestCmd
}

// complete answers a completion script.
func complete(ctx context.Context, env *Env, root *command, args []string) error {
	quiet := *env
	quiet.Stderr = io.Discard // the library tells the shell's user about its directives
	cc := root.cobra(&quiet)
	cc.SetArgs(args)
	return cc.ExecuteContext(ctx)
}

// completions hangs the proposals of c's arguments and flags into the library's form of it.
func (c *command) completions(cc *cobra.Command, env *Env) {
	cc.ValidArgsFunction = func(cc *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if c.complete == nil {
			return nil, cobra.ShellCompDirectiveDefault // files
		}
		return matching(c.complete(cc.Context(), c.completionEnv(cc.Context(), env), args), typed), cobra.ShellCompDirectiveNoFileComp
	}
	for _, f := range c.set.list {
		if f.hidden {
			cc.Flags().Lookup(f.name).Hidden = true
		}
		if f.off != nil {
			continue
		}
		cc.RegisterFlagCompletionFunc(f.name, func(cc *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			switch {
			case f.complete != nil:
				proposals := f.complete(cc.Context(), c.completionEnv(cc.Context(), env))
				return matching(proposals, typed), cobra.ShellCompDirectiveNoFileComp
			case len(f.options) > 0:
				return matching(f.options, typed), cobra.ShellCompDirectiveNoFileComp
			case f.placeholder == "file" || f.placeholder == "dir":
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		})
	}
}

// completionEnv is the world of the command as far as it is typed: home, context and
// defaults are filled in where that works without asking.
func (c *command) completionEnv(ctx context.Context, env *Env) *Env {
	silent := *env
	silent.Stdin, silent.Stderr, silent.TTY = strings.NewReader(""), io.Discard, nothing{}
	filled, err := silent.forCall(ctx, &invocation{cmd: c})
	if err != nil {
		return &silent
	}
	if c.set.fill(filled) == nil {
		filled.settle(c.set)
	}
	return filled
}

// nothing is a terminal at which nobody answers.
type nothing struct{}

func (nothing) Read([]byte) (int, error)    { return 0, io.EOF }
func (nothing) Write(p []byte) (int, error) { return len(p), nil }

func matching(proposals []string, typed string) []string {
	var out []string
	for _, p := range proposals {
		if strings.HasPrefix(p, typed) {
			out = append(out, p)
		}
	}
	return out
}
