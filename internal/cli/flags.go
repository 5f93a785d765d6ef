package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// flags are the flags of one command. Each is bound to a variable whose value at the time
// of binding is the default.
type flags struct {
	pf    *pflag.FlagSet // the library's view of them, for completion
	list  []*flag
	own   int // how many of list are the command's own; the global ones follow
	rules []func(*flags) error

	global globalFlags
}

// flag is one flag with its names and where its value came from.
type flag struct {
	name        string   // the first name: the one in messages, documentation and environment
	aliases     []string // other names, one-letter ones included
	placeholder string   // what a value is called in help; "" for a boolean
	usage       string
	preset      string   // the default as shown in help
	options     []string // all accepted values, if they are few
	env         []string // variable names without SIGNET_ or STEP_; empty: none
	hidden      bool
	global      bool
	repeats     bool
	from        source
	set         func(string) error
	reset       func()
	off         func() bool                                  // whether a boolean is false
	complete    func(ctx context.Context, env *Env) []string // dynamic values, may be nil
}

// source says who set a flag, weakest first.
type source uint8

const (
	fromNowhere source = iota
	fromDefaults
	fromEnvironment
	fromCommandLine
)

func newFlags() *flags {
	return &flags{pf: pflag.NewFlagSet("", pflag.ContinueOnError)}
}

// lookup finds a flag by any of its names.
func (fs *flags) lookup(name string) *flag {
	for _, f := range fs.list {
		if f.name == name {
			return f
		}
		for _, alias := range f.aliases {
			if alias == name {
				return f
			}
		}
	}
	return nil
}

// given reports whether a flag was set by anybody; a boolean counts when it is true.
func (fs *flags) given(name string) bool {
	f := fs.lookup(name)
	return f != nil && f.given()
}

func (f *flag) given() bool {
	return f.from != fromNowhere && (f.off == nil || !f.off())
}

func (fs *flags) add(f *flag) *flag {
	if fs.lookup(f.name) != nil {
		panic("flag " + f.name + " defined twice")
	}
	f.env = []string{envName(f.name)}
	fs.list = append(fs.list, f)
	fs.pf.AddFlag(&pflag.Flag{Name: f.name, Usage: f.usage, Value: shadow{f}, NoOptDefVal: f.noValue()})
	return f
}

func (f *flag) noValue() string {
	if f.off != nil {
		return "true"
	}
	return ""
}

func envName(flag string) string {
	return strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Alias gives the flag more names. Two names of one flag in one call are refused.
func (f *flag) Alias(names ...string) *flag { f.aliases = append(f.aliases, names...); return f }

// Hidden keeps the flag out of help and completion.
func (f *flag) Hidden() *flag { f.hidden = true; return f }

// NoEnv takes the flag from the command line alone, neither environment nor defaults.json.
func (f *flag) NoEnv() *flag { f.env = nil; return f }

// Env replaces the variables' names, given without SIGNET_ and STEP_.
func (f *flag) Env(names ...string) *flag { f.env = names; return f }

// Preset shows text as the default in help, for a default that is found at run time.
func (f *flag) Preset(text string) *flag { f.preset = text; return f }

// Complete proposes values to the shell.
func (f *flag) Complete(propose func(ctx context.Context, env *Env) []string) *flag {
	f.complete = propose
	return f
}

// bind adds a flag whose value parse turns into a T.
func bind[T any](fs *flags, dst *T, name, placeholder, usage string, parse func(string) (T, error)) *flag {
	initial := *dst
	return fs.add(&flag{
		name: name, placeholder: placeholder, usage: usage,
		set: func(s string) error {
			v, err := parse(s)
			if err == nil {
				*dst = v
			}
			return err
		},
		reset: func() { *dst = initial },
	})
}

// String adds a flag for text.
func (fs *flags) String(dst *string, name, placeholder, usage string) *flag {
	f := bind(fs, dst, name, placeholder, usage, func(s string) (string, error) { return s, nil })
	f.preset = *dst
	return f
}

// Strings adds a flag that may be repeated. A variable separates its values by commas.
func (fs *flags) Strings(dst *[]string, name, placeholder, usage string) *flag {
	initial := *dst
	f := fs.add(&flag{
		name: name, placeholder: placeholder, usage: usage, repeats: true,
		set:   func(s string) error { *dst = append(*dst, s); return nil },
		reset: func() { *dst = initial },
	})
	f.preset = strings.Join(*dst, ", ")
	return f
}

// Bool adds a switch.
func (fs *flags) Bool(dst *bool, name, usage string) *flag {
	initial := *dst
	f := fs.add(&flag{
		name: name, usage: usage,
		set: func(s string) error {
			v, err := strconv.ParseBool(s)
			if err != nil {
				return fmt.Errorf("options are true, false")
			}
			*dst = v
			return nil
		},
		reset: func() { *dst = initial },
		off:   func() bool { return !*dst },
	})
	if *dst {
		f.preset = "true"
	}
	return f
}

// Int adds a flag for a whole number.
func (fs *flags) Int(dst *int, name, placeholder, usage string) *flag {
	f := bind(fs, dst, name, placeholder, usage, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("a whole number is needed")
		}
		return n, nil
	})
	if *dst != 0 {
		f.preset = strconv.Itoa(*dst)
	}
	return f
}

// Duration adds a flag for a length of time.
func (fs *flags) Duration(dst *time.Duration, name, usage string) *flag {
	f := bind(fs, dst, name, "duration", usage, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("a duration such as 90s, 15m or 24h is needed")
		}
		return d, nil
	})
	if *dst != 0 {
		f.preset = dst.String()
	}
	return f
}

// Time adds a flag for a time or a duration from now.
func (fs *flags) Time(dst *When, name, usage string) *flag {
	return bind(fs, dst, name, "time|duration", usage, ParseWhen)
}

// Enum adds a flag with few accepted values; case does not matter, the listed spelling is
// what the command sees.
func (fs *flags) Enum(dst *string, name string, options []string, usage string) *flag {
	f := bind(fs, dst, name, strings.Join(options, "|"), usage, func(s string) (string, error) {
		for _, o := range options {
			if strings.EqualFold(o, s) {
				return o, nil
			}
		}
		return "", fmt.Errorf("options are %s", strings.Join(options, ", "))
	})
	f.options, f.preset = options, *dst
	return f
}

// Enums is Enum for a flag that may be repeated.
func (fs *flags) Enums(dst *[]string, name string, options []string, usage string) *flag {
	initial := *dst
	f := fs.add(&flag{
		name: name, placeholder: strings.Join(options, "|"), usage: usage, options: options, repeats: true,
		set: func(s string) error {
			for _, o := range options {
				if strings.EqualFold(o, s) {
					*dst = append(*dst, o)
					return nil
				}
			}
			return fmt.Errorf("options are %s", strings.Join(options, ", "))
		},
		reset: func() { *dst = initial },
	})
	f.preset = strings.Join(*dst, ", ")
	return f
}

// URL adds a flag for the address of a CA.
func (fs *flags) URL(dst *string, name, usage string) *flag {
	return bind(fs, dst, name, "url", usage, NormalizeURL)
}

// shadow is a flag as the library sees it.
type shadow struct{ f *flag }

func (s shadow) Set(text string) error {
	s.f.from = fromCommandLine
	return s.f.set(text)
}

func (s shadow) String() string {
	if s.f == nil {
		return ""
	}
	return s.f.preset
}
func (s shadow) Type() string {
	switch {
	case s.f.off != nil:
		return "bool"
	case s.f.repeats:
		return "stringArray"
	}
	return "string"
}
