package packaging_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/cli"
)

// unit is a file of systemd: values in their order, by section and name, as in Service.Type.
type unit map[string][]string

func parseUnit(t *testing.T, text string) unit {
	t.Helper()
	u, section := unit{}, ""
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok || section == "" || strings.ContainsAny(name, " \t") {
				t.Fatalf("line %d is no assignment in a section: %s", n+1, line)
			}
			u[section+"."+name] = append(u[section+"."+name], value)
		}
	}
	return u
}

func units(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob("systemd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Ext(file) == ".conf" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = string(data)
	}
	if len(all) < 4 {
		t.Fatalf("only %d units found", len(all))
	}
	return all
}

// Every command line of a unit names a command and flags that exist.
func TestUnitsCallCommandsThatExist(t *testing.T) {
	t.Parallel()
	calls := 0
	for name, text := range units(t) {
		for key, values := range parseUnit(t, text) {
			if !strings.HasPrefix(key, "Service.Exec") {
				continue
			}
			for _, line := range values {
				words := strings.Fields(strings.TrimLeft(line, "-+!@:"))
				if words[0] != "/usr/bin/signet" {
					if words[0] != "/usr/bin/systemctl" {
						t.Errorf("%s: %s calls %s", name, key, words[0])
					}
					continue
				}
				calls++
				checkCall(t, name, words[1:])
			}
		}
	}
	if calls < 5 {
		t.Errorf("only %d calls found", calls)
	}
}

func checkCall(t *testing.T, where string, words []string) {
	t.Helper()
	end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "-/$%") })
	if end < 0 {
		end = len(words)
	}
	help := run(t, append([]string{"help"}, words[:end]...)...)
	for _, w := range words[end:] {
		if flag, _, _ := strings.Cut(w, "="); strings.HasPrefix(flag, "-") && !strings.Contains(help, flag) {
			t.Errorf("%s: %v has no flag %s", where, words[:end], flag)
		}
	}
}

// run runs the program and gives its standard output.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var out, notes bytes.Buffer
	home := t.TempDir()
	env := &cli.Env{Name: "signet", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &notes,
		LookupEnv: func(name string) (string, bool) {
			if name != "HOME" {
				return "", false
			}
			return home, true
		}}
	if code := cli.Run(t.Context(), env, args); code != 0 {
		t.Fatalf("signet %s: exit code %d: %s", strings.Join(args, " "), code, &notes)
	}
	return out.String()
}

// The server reports its state, proves that it lives, gets its password as a credential, and
// reaches nothing that it does not need.
func TestServerUnit(t *testing.T) {
	t.Parallel()
	u := parseUnit(t, units(t)["signet.service"])
	for key, want := range map[string]string{
		"Service.Type": "notify-reload", "Service.User": "signet", "Service.NoNewPrivileges": "yes",
		"Service.ProtectSystem": "strict", "Service.ProtectHome": "yes", "Service.PrivateTmp": "yes",
		"Service.CapabilityBoundingSet": "CAP_NET_BIND_SERVICE", "Service.MemoryDenyWriteExecute": "yes",
		"Service.RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6", "Service.SystemCallArchitectures": "native",
		"Service.UMask": "0077", "Service.StateDirectory": "signet", "Service.Restart": "on-failure",
		"Service.LoadCredential": "password:/etc/signet/secrets/password", "Install.WantedBy": "multi-user.target",
	} {
		if got := u[key]; len(got) == 0 || got[len(got)-1] != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if len(u["Service.WatchdogSec"]) != 1 {
		t.Error("there is no watchdog")
	}
	for _, file := range []string{"sysusers.conf", "tmpfiles.conf"} {
		text, err := os.ReadFile("systemd/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") && !strings.Contains(line, "signet") {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
}

// systemd itself has nothing to say about the units, where it is installed. The Debian
// package of version 252 does not know notify-reload, for which the unit provides.
func TestUnitsSatisfySystemd(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return // the tests above are all there is without systemd
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for name, text := range units(t) {
		file := filepath.Join(dir, strings.Replace(name, "@.", "@x.", 1))
		for _, command := range []string{"/usr/bin/signet", "/usr/bin/systemctl"} {
			text = strings.ReplaceAll(text, command, program)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	said := false
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "signet") || strings.Contains(line, "cert-renewer") {
			said = true
			if !strings.Contains(line, "ignoring: notify-reload") {
				t.Errorf("systemd-analyze: %s", line)
			}
		}
	}
	if err != nil && !said {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}
