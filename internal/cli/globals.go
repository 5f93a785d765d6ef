package cli

// globalFlags are the flags every command has.
type globalFlags struct {
	help, json, quiet, verbose, noColor, noContext bool
	config, context                                string
}

// globals adds the global flags, unless the command gives the name a meaning of its own.
func (fs *flags) globals(c *command) {
	g := &fs.global
	own := len(fs.list)
	unlessOwn := func(name string, add func() *flag) {
		if fs.lookup(name) == nil {
			add().global = true
		}
	}
	unlessOwn("context", func() *flag {
		return fs.String(&g.context, "context", "name", "use this context instead of the current one").Complete(contextNames)
	})
	unlessOwn("config", func() *flag {
		return fs.String(&g.config, "config", "file", "read defaults of flags from `file` (ignored when contexts are on)")
	})
	unlessOwn("json", func() *flag { return fs.Bool(&g.json, "json", "print the result as JSON") })
	unlessOwn("quiet", func() *flag { return fs.Bool(&g.quiet, "quiet", "print no notes, only results and errors") })
	unlessOwn("verbose", func() *flag { return fs.Bool(&g.verbose, "verbose", "log what is being done") })
	unlessOwn("no-color", func() *flag {
		return fs.Bool(&g.noColor, "no-color", "print without colours, as NO_COLOR does").NoEnv()
	})
	unlessOwn("no-context", func() *flag {
		return fs.Bool(&g.noContext, "no-context", "switch contexts off for this call").Hidden()
	})
	unlessOwn("help", func() *flag {
		f := fs.Bool(&g.help, "help", "print this help").NoEnv()
		if fs.lookup("h") == nil {
			f.Alias("h")
		}
		return f
	})
	fs.own = own
}
