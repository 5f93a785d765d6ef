package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/cli"
)

// probed runs the probe command and returns what it saw, or the exit code and the errors.
func (w *world) probed(args ...string) (*cli.ProbeResult, int) {
	w.t.Helper()
	code := cli.RunProbe(w.t.Context(), w.env(), append([]string{"probe", "--json"}, args...))
	var seen cli.ProbeResult
	if code == 0 {
		if err := json.Unmarshal(w.stdout.Bytes(), &seen); err != nil {
			w.t.Fatalf("%v\n%s", err, w.stdout.String())
		}
	}
	return &seen, code
}

// TestFlagForms proves which spellings of flags are understood.
func TestFlagForms(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, line string
		flag, want string
	}{
		{"two words", "--root f x", "root", "f"},
		{"one word", "--root=f x", "root", "f"},
		{"behind the argument", "x --root f", "root", "f"},
		{"one dash", "-root f x", "root", "f"},
		{"one dash, one word", "-root=f x", "root", "f"},
		{"another name", "x --issuer i", "provisioner", "i"},
		{"a letter", "x -p i", "provisioner", "i"},
		{"a value that looks like a flag", "x --root --force", "root", "--force"},
		{"a negative value", "x --not-after -1m", "not-after", "-1m0s"},
		{"an empty value", "x --root=", "root", ""},
		{"the last one counts", "x --root a --root b", "root", "b"},
		{"options in any case", "x --kty rsa", "kty", "RSA"},
		{"a switch turned off", "x --on=false", "on", "false"},
		{"a switch does not take the next word", "--insecure --force x", "force", "true"},
		{"an address without scheme", "x --ca-url ca.example:9000", "ca-url", "https://ca.example:9000"},
		{"an address with a path", "x --ca-url HTTPS://ca/a/b", "ca-url", "https://ca"},
		{"a bare IPv6 address", "x --ca-url ::1", "ca-url", "https://[::1]"},
		{"a time in another zone", "x --not-after 2030-01-01T00:00:00+01:00", "not-after", "2029-12-31T23:00:00Z"},
		{"a default", "x", "format", "text"},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			seen, code := w.probed(strings.Fields(x.line)...)
			if code != 0 || seen.Values[x.flag] != x.want || !cmp.Equal(seen.Args, []string{"x"}) {
				t.Errorf("%d, %q, %q\n%s", code, seen.Values[x.flag], seen.Args, w.stderr.String())
			}
		})
	}
}

// TestBadFlags proves which complaint a mistake gets; all end with 1 and print the usage.
func TestBadFlags(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, line, want string }{
		{"unknown", "x --nonsense", "unknown flag --nonsense"},
		{"nearly known", "x --rot f", "did you mean --root"},
		{"unknown letter", "x -z", "unknown flag -z"},
		{"two forms", "x --provisioner a -p b", "two forms of one flag"},
		{"no value", "x --root", "--root needs a value"},
		{"not an option", "x --kty DSA", "options are EC, RSA"},
		{"not a switch's value", "x --force=perhaps", "options are true, false"},
		{"not a number", "x --kty EC --size big", "whole number"},
		{"not a duration", "x --wait 5", "a duration such as"},
		{"not a time", "x --not-after 1d", "a time such as"},
		{"not https", "x --ca-url http://ca", "scheme must be https"},
		{"no host", "x --ca-url https://", "an address such as"},
		{"exclusive", "x --root a --curve b", "--root and --curve exclude each other"},
		{"one needs another", "x --size 5", "--size requires flag --kty"},
		{"insecure", "x --force", "--force requires --insecure"},
		{"too few", "", "<first> is missing"},
		{"too many", "x y z", `"z" is not expected`},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, code := w.probed(strings.Fields(x.line)...)
			if got := w.stderr.String(); code != 1 || !strings.Contains(got, x.want) || !strings.Contains(got, "Usage: signet probe <first>") || w.stdout.Len() > 0 {
				t.Errorf("%d, %s", code, got)
			}
		})
	}
}

// TestPrecedence proves command line over SIGNET_ over STEP_ over defaults.json over the
// built-in default, for flags of every kind, with contexts and without.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	flags := []struct {
		flag, key, variable             string // key in defaults.json, perhaps another name
		builtin, file, step, own, typed string
	}{
		{"ca-url", `"ca-url": "f"`, "CA_URL", "", "https://f", "s", "o", "t"},
		{"provisioner", `"issuer": "f"`, "PROVISIONER", "", "f", "s", "o", "t"},
		{"kty", `"kty": "EC"`, "KTY", "", "EC", "RSA", "EC", "RSA"},
		{"root", `"root": "f"`, "ROOT", "", "f", "s", "o", "t"},
		{"curve", `"crv": "f"`, "CURVE", "", "f", "s", "o", "t"},
		{"format", `"format": "json"`, "FORMAT", "text", "json", "text", "json", "text"},
		{"on", `"on": false`, "ON", "", "false", "", "false", ""},
		{"force", `"force": true`, "FORCE", "", "true", "", "true", ""},
		{"wait", `"wait": "1s"`, "WAIT", "0s", "1s", "2s", "3s", "4s"},
		{"not-after", `"not-after": "1h0m0s"`, "NOT_AFTER", "", "1h0m0s", "2h0m0s", "3h0m0s", "4h0m0s"},
	}
	asGiven := func(flag, value string) string { // what the shell gives to get this value
		switch {
		case (flag == "on" || flag == "force") && value == "":
			return map[string]string{"on": "true", "force": "false"}[flag]
		case flag == "ca-url":
			return strings.TrimPrefix(value, "https://")
		}
		return value
	}
	asSeen := func(flag, value string) string {
		if flag == "ca-url" && value != "" && !strings.HasPrefix(value, "https") {
			return "https://" + value
		}
		return value
	}
	for _, contexts := range []bool{false, true} {
		for _, x := range flags {
			t.Run(x.flag+map[bool]string{true: " in a context"}[contexts], func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				expect := func(source, want string, args ...string) {
					t.Helper()
					seen, code := w.probed(append([]string{"x", "--insecure"}, args...)...)
					if code != 0 || seen.Values[x.flag] != asSeen(x.flag, want) {
						t.Errorf("%s: %d, got %q, want %q\n%s", source, code, seen.Values[x.flag], want, w.stderr.String())
					}
				}
				expect("built in", x.builtin)
				if contexts {
					w.file(".signet/contexts.json", `{"c":{"authority":"a","profile":"p"}}`)
					w.file(".signet/current-context.json", `{"context":"c"}`)
					w.file(".signet/config/defaults.json", `{"format":"nonsense"}`) // not read
					w.file(".signet/authorities/a/config/defaults.json", `{`+x.key+`}`)
					expect("authority", x.file)
					w.file(".signet/profiles/p/config/defaults.json", `{`+x.key+`}`)
					w.file(".signet/authorities/a/config/defaults.json", `{}`)
					expect("profile", x.file)
				} else {
					w.file(".signet/config/defaults.json", `{"unknown":[{}],`+x.key+`}`)
					expect("defaults.json", x.file)
				}
				w.vars["STEP_"+x.variable] = asGiven(x.flag, x.step)
				expect("STEP_", x.step)
				w.vars["SIGNET_"+x.variable] = asGiven(x.flag, x.own)
				expect("SIGNET_", x.own)
				expect("command line", x.typed, "--"+x.flag+"="+asGiven(x.flag, x.typed))
			})
		}
	}
}

func TestRepeatedFlags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	expect := func(want []string, args ...string) {
		t.Helper()
		seen, code := w.probed(append([]string{"x"}, args...)...)
		if diff := cmp.Diff(want, seen.Lists); code != 0 || diff != "" {
			t.Errorf("%d %s\n%s", code, diff, w.stderr.String())
		}
	}
	expect([]string{"a,b", "c", "dns-01"}, "--san", "a,b", "--san=c", "--challenge", "DNS-01")
	w.file(".signet/config/defaults.json", `{"san":["f","g"],"challenge":"http-01"}`)
	expect([]string{"f", "g", "http-01"})
	expect([]string{"c", "http-01"}, "--san=c")
	w.vars["STEP_SAN"] = "e, f"
	expect([]string{"e", "f", "http-01"})
}

// TestWeakerSourceGivesWay proves that a default never conflicts with what is typed.
func TestWeakerSourceGivesWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(".signet/config/defaults.json", `{"root":"f"}`)
	seen, code := w.probed("x", "--curve", "c")
	if code != 0 || seen.Values["root"] != "" || seen.Values["curve"] != "c" {
		t.Errorf("%d, %v\n%s", code, seen.Values, w.stderr.String())
	}
}

// TestBadSources proves that a bad value names the place it comes from.
func TestBadSources(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ file, variable, want string }{
		"a variable":          {`{}`, "DSA", "in STEP_KTY"},
		"defaults.json":       {`{"kty":"DSA"}`, "", "defaults.json"},
		"broken JSON":         {`{"kty"`, "", "read defaults"},
		"another kind of doc": {`[]`, "", "read defaults"},
	} {
		w := newWorld(t)
		w.file(".signet/config/defaults.json", x.file)
		w.vars["STEP_KTY"] = x.variable
		if _, code := w.probed("x"); code != 1 || !strings.Contains(w.stderr.String(), x.want) {
			t.Errorf("%s: %d, %s", name, code, w.stderr.String())
		}
	}
}

// TestConfigFlag proves that --config names another defaults.json, except in a context.
func TestConfigFlag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.file("other.json", `{"root":"o"}`)
	if seen, code := w.probed("x", "--config", other); code != 0 || seen.Values["root"] != "o" {
		t.Errorf("%d %v", code, seen.Values)
	}
	w.file(".signet/contexts.json", `{"c":{"authority":"a","profile":"p"}}`)
	w.file(".signet/current-context.json", `{"context":"c"}`)
	w.file(".signet/profiles/p/config/defaults.json", `{"root":"p","context":"d"}`)
	seen, code := w.probed("x", "--config", other)
	if code != 0 || seen.Values["root"] != "p" || !strings.Contains(w.stderr.String(), `"context" in the defaults of context c is ignored`) {
		t.Errorf("%d %v %s", code, seen.Values, w.stderr.String())
	}
}

func FuzzArguments(f *testing.F) {
	f.Add("probe x --root a")
	f.Add("--json probe -p=1 -- --x")
	f.Add("beta probe - -1 --=")
	f.Fuzz(func(t *testing.T, line string) {
		w := newWorld(t)
		if code := cli.RunProbe(t.Context(), w.env(), strings.Fields(line)); code == 2 {
			t.Fatal(w.stderr.String())
		}
	})
}
