package cli

// The rules between flags, checked by the frame before a command runs. They speak of
// flags by their first names; a boolean counts as given when it is true.

// Required demands flags, from whichever source.
func (fs *flags) Required(names ...string) {
	for _, name := range names {
		fs.rule(func(fs *flags) error {
			if !fs.given(name) {
				return errRequired(name)
			}
			return nil
		})
	}
}

// RequiredUnless demands a flag as long as another one is not given.
func (fs *flags) RequiredUnless(name, other string) {
	fs.rule(func(fs *flags) error {
		if !fs.given(name) && !fs.given(other) {
			return errRequiredUnless(name, other)
		}
		return nil
	})
}

// Requires refuses a flag without the other ones.
func (fs *flags) Requires(name string, others ...string) {
	fs.rule(func(fs *flags) error {
		for _, other := range others {
			if fs.given(name) && !fs.given(other) {
				return errRequires(name, other)
			}
		}
		return nil
	})
}

// Together refuses one of two flags without the other.
func (fs *flags) Together(a, b string) {
	fs.Requires(a, b)
	fs.Requires(b, a)
}

// Incompatible refuses a flag beside any of the others.
func (fs *flags) Incompatible(name string, others ...string) {
	for _, other := range others {
		fs.rule(func(fs *flags) error {
			if fs.clash(name, other) {
				return errIncompatible(name, other)
			}
			return nil
		})
	}
}

// Exclusive allows at most one of these flags.
func (fs *flags) Exclusive(names ...string) {
	for i, a := range names {
		for _, b := range names[i+1:] {
			fs.rule(func(fs *flags) error {
				if fs.clash(a, b) {
					return errExclusive(a, b)
				}
				return nil
			})
		}
	}
}

// Insecure refuses flags without --insecure, which the command defines.
func (fs *flags) Insecure(names ...string) {
	for _, name := range names {
		fs.rule(func(fs *flags) error {
			if fs.given(name) && !fs.given("insecure") {
				return errInsecure(name)
			}
			return nil
		})
	}
}

// Subtle refuses flags without --subtle, which the command defines.
func (fs *flags) Subtle(names ...string) {
	for _, name := range names {
		fs.rule(func(fs *flags) error {
			if fs.given(name) && !fs.given("subtle") {
				return errSubtle(name)
			}
			return nil
		})
	}
}

// Check adds a rule of the command's own. given tells whether a flag was set by anybody.
func (fs *flags) Check(rule func(given func(name string) bool) error) {
	fs.rule(func(fs *flags) error { return rule(fs.given) })
}

func (fs *flags) rule(rule func(*flags) error) { fs.rules = append(fs.rules, rule) }

// clash reports whether two flags that exclude each other are both given. One that comes
// from a weaker source than the other, a default from a file say, gives way silently: the
// user could not take it back otherwise.
func (fs *flags) clash(a, b string) bool {
	x, y := fs.lookup(a), fs.lookup(b)
	if x == nil || y == nil || !x.given() || !y.given() {
		return false
	}
	if x.from == y.from {
		return true
	}
	if x.from > y.from {
		x, y = y, x
	}
	x.reset()
	x.from = fromNowhere
	return false
}
