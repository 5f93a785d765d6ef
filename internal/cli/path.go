package cli

import "context"

// pathResult is a directory.
type pathResult struct {
	Path string `json:"path" help:"absolute path of the directory"`
}

func (p *pathResult) Text() string { return p.Path }

func path() *command {
	var f struct{ base, profile bool }
	return &command{
		short: "print the directory where files are kept",
		long: `Prints the directory of configuration, certificates and keys. With a current context
			that is the directory of its authority.

			Under the name signet the base directory is $SIGNETPATH, else $STEPPATH, else ~/.signet if it
			exists, else ~/.step if it holds a configuration, else ~/.signet. Under the names step and
			step-ca it is $STEPPATH, else ~/.step.`,
		examples: []example{{"Where is the root certificate", "ls $(signet path)/certs"}},
		flags: func(fs *flags) {
			fs.Bool(&f.base, "base", "print the base directory, whatever the context").NoEnv()
			fs.Bool(&f.profile, "profile", "print the directory of the current profile").NoEnv()
			fs.Exclusive("base", "profile")
		},
		result: &pathResult{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			switch {
			case f.base:
				return &pathResult{env.Home.Base()}, nil
			case f.profile:
				return &pathResult{env.Home.Profile()}, nil
			}
			return &pathResult{env.Home.Path()}, nil
		},
	}
}
