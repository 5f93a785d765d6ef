package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Home is where the files of a user are: the base directory, and below it the directories
// of the current context, if contexts are on.
type Home struct {
	base    string
	user    string // the user's own home directory
	current *Context
}

// OpenHome finds the base directory for a binary of this name.
//
// As step and step-ca: $STEPPATH, else ~/.step. As signet: $SIGNETPATH, $STEPPATH,
// ~/.signet if it exists, ~/.step if it holds a configuration, else ~/.signet.
func OpenHome(name string, getenv func(string) string) (Home, error) {
	user, err := userHome(getenv)
	h := Home{user: user}
	if name == "signet" {
		h.base = getenv("SIGNETPATH")
	}
	if h.base == "" {
		h.base = getenv("STEPPATH")
	}
	if h.base != "" {
		h.base, err = filepath.Abs(h.base)
		return h, err
	}
	if err != nil {
		return h, err
	}
	h.base = filepath.Join(user, ".step")
	if name == "signet" {
		own := filepath.Join(user, ".signet")
		if isDir(own) || !holdsConfiguration(h.base) {
			h.base = own
		}
	}
	return h, nil
}

func userHome(getenv func(string) string) (string, error) {
	variable := "HOME"
	if runtime.GOOS == "windows" {
		variable = "USERPROFILE"
	}
	if dir := getenv(variable); dir != "" {
		return dir, nil
	}
	if dir, err := os.UserHomeDir(); err == nil {
		return dir, nil
	}
	return "", errors.New("the home directory is unknown: set " + variable + " or STEPPATH")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// holdsConfiguration tells a directory in use from one left behind.
func holdsConfiguration(base string) bool {
	for _, file := range []string{"config/ca.json", "config/defaults.json", contextsFile} {
		if _, err := os.Stat(filepath.Join(base, filepath.FromSlash(file))); !errors.Is(err, fs.ErrNotExist) {
			return err == nil
		}
	}
	return false
}

// Base is a path below the base directory, whatever the context.
func (h Home) Base(elem ...string) string { return join(h.base, elem) }

// Path is a path below the directory of the current authority: the base directory without
// a context.
func (h Home) Path(elem ...string) string {
	if h.current == nil {
		return h.Base(elem...)
	}
	return join(filepath.Join(h.base, "authorities", h.current.Authority), elem)
}

// Profile is a path below the directory of the current profile: the base directory without
// a context.
func (h Home) Profile(elem ...string) string {
	if h.current == nil {
		return h.Base(elem...)
	}
	return join(filepath.Join(h.base, "profiles", h.current.Profile), elem)
}

// Context is the current context, or nil.
func (h Home) Context() *Context { return h.current }

// In is this home with c as the current context; nil is none.
func (h Home) In(c *Context) Home {
	h.current = c
	return h
}

// Abs applies the rule for file names in configurations: an absolute one stays, "~/" is
// the user's home, "./" and "../" start at the working directory, everything else is
// below Path.
func (h Home) Abs(name string) string {
	slashed := filepath.ToSlash(name)
	switch {
	case name == "" || filepath.IsAbs(name):
		return name
	case strings.HasPrefix(slashed, "~/"):
		return filepath.Join(h.user, name[2:])
	case strings.HasPrefix(slashed, "./"), strings.HasPrefix(slashed, "../"):
		if abs, err := filepath.Abs(name); err == nil {
			return abs
		}
		return name
	}
	return h.Path(name)
}

// RootFile is where the root certificate of the current authority is kept.
func (h Home) RootFile() string { return h.Path("certs", "root_ca.crt") }

// CAConfig is the configuration file of the current authority's server.
func (h Home) CAConfig() string { return h.Path("config", "ca.json") }

func join(dir string, elem []string) string {
	return filepath.Join(append([]string{dir}, elem...)...)
}
