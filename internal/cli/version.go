package cli

import (
	"cmp"
	"context"
	"crypto/fips140"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a release build, set by the linker; without it the build
// information of the module decides.
var release string

// versionResult says what this binary is.
type versionResult struct {
	Name     string            `json:"name" help:"name the binary was called by"`
	Version  string            `json:"version" help:"semantic version"`
	Commit   string            `json:"commit,omitempty" help:"commit the binary was built from"`
	Date     string            `json:"date,omitempty" help:"time of that commit, RFC 3339"`
	Modified bool              `json:"modified,omitempty" help:"whether the source differed from the commit"`
	Go       string            `json:"go" help:"version of the Go toolchain"`
	OS       string            `json:"os" help:"operating system"`
	Arch     string            `json:"arch" help:"architecture"`
	FIPS     bool              `json:"fips" help:"whether the FIPS 140-3 mode of the cryptography is on"`
	Settings map[string]string `json:"settings,omitempty" help:"settings of the build, by name"`
}

func (v *versionResult) Text() string {
	text := fmt.Sprintf("%s/%s (%s/%s)\n", v.Name, v.Version, v.OS, v.Arch)
	if v.Date != "" {
		text += "Release date: " + v.Date + "\n"
	}
	return text
}

// Version is the version of this binary, as it names itself to others.
func Version() string { return describe("").Version }

// describe collects what the toolchain wrote into the binary.
func describe(name string) *versionResult {
	v := &versionResult{
		Name: name, Version: release, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		FIPS: fips140.Enabled(), Settings: map[string]string{},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		v.Version = cmp.Or(v.Version, "devel")
		return v
	}
	if v.Version == "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	v.Version = cmp.Or(v.Version, "devel")
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		default:
			v.Settings[s.Key] = s.Value
		}
	}
	return v
}

func version() *command {
	return &command{
		short:    "print the version",
		long:     "Prints version and platform; with --json also commit, toolchain and settings of the build.",
		examples: []example{{"Which commit is this", "signet version --json"}},
		result:   &versionResult{},
		run: func(_ context.Context, env *Env, _ []string) (any, error) {
			return describe(env.Name), nil
		},
	}
}
