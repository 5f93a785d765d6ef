package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/keys"
)

// container is a world with the variables of a container, whose home is $STEPPATH.
func container(t *testing.T, vars map[string]string) *world {
	t.Helper()
	w := newWorld(t)
	w.name = "step-ca"
	w.vars["STEPPATH"] = filepath.Join(w.home, "step")
	w.vars["SIGNET_CONTAINER"] = "true"
	w.vars["CONFIGPATH"] = filepath.Join(w.home, "nowhere.json") // so that nothing is served
	for name, value := range vars {
		w.vars[name] = strings.ReplaceAll(value, "$HOME", w.home)
		if name != "PWDPATH" {
			w.vars["DOCKER_STEPCA_INIT_"+name] = w.vars[name]
			delete(w.vars, name)
		}
	}
	return w
}

func (w *world) step(elem ...string) string {
	return filepath.Join(append([]string{w.vars["STEPPATH"]}, elem...)...)
}

func (w *world) content(path string) string {
	w.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// made runs the container and wants it to fail only for want of its configuration file.
func (w *world) made() {
	w.t.Helper()
	if code := w.run(context.Background()); code != 1 || !strings.Contains(w.stderr.String(), "nowhere.json") {
		w.t.Fatalf("exit code %d: %s", code, &w.stderr)
	}
}

// Each row of the table of variables, with the default where the variable is not set.
func TestContainerVariables(t *testing.T) {
	t.Parallel()
	contains := func(name string, parts ...string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			text := w.content(w.step(name))
			for _, part := range parts {
				if !strings.Contains(text, part) {
					t.Errorf("%s does not contain %s:\n%s", name, part, text)
				}
			}
		}
	}
	for _, test := range []struct {
		name  string
		vars  map[string]string
		check func(*testing.T, *world)
	}{
		{"defaults", map[string]string{},
			contains("config/ca.json", `"address": ":9000"`, `"name": "admin"`, `"a.example",`, `"b.example"`, `"badgerv2"`)},
		{"provisioner and address", map[string]string{"PROVISIONER_NAME": "ops@example.com", "ADDRESS": "127.0.0.1:8443"},
			contains("config/ca.json", `"address": "127.0.0.1:8443"`, `"name": "ops@example.com"`)},
		{"URL and kind of deployment", map[string]string{"WITH_CA_URL": "https://ca.example:444", "DEPLOYMENT_TYPE": "standalone"},
			contains("config/defaults.json", `"ca-url": "https://ca.example:444"`)},
		{"SSH and ACME", map[string]string{"SSH": "true", "ACME": "true"},
			contains("config/ca.json", `"hostKey"`, `"SSHPOP"`, `"ACME"`)},
		{"not quite true", map[string]string{"SSH": "yes", "ACME": "false", "REMOTE_MANAGEMENT": "1"}, func(t *testing.T, w *world) {
			if text := w.content(w.step("config/ca.json")); strings.Contains(text, "SSHPOP") || strings.Contains(text, "ACME") || strings.Contains(text, "enableAdmin") {
				t.Errorf("only the word true switches on:\n%s", text)
			}
		}},
		{"remote management", map[string]string{"REMOTE_MANAGEMENT": "true", "ADMIN_SUBJECT": "boss"}, func(t *testing.T, w *world) {
			contains("config/ca.json", `"enableAdmin": true`)(t, w)
			if !strings.Contains(w.stdout.String(), "username: boss\n") {
				t.Errorf("the administrator is not named: %s", &w.stdout)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := container(t, test.vars)
			w.vars["DOCKER_STEPCA_INIT_NAME"], w.vars["DOCKER_STEPCA_INIT_DNS_NAMES"] = "Lab", "a.example,b.example"
			w.made()
			test.check(t, w)
		})
	}
}

// Without a password two are made: one lies beside the keys, the other one is shown once.
func TestContainerPasswordMade(t *testing.T) {
	t.Parallel()
	w := container(t, map[string]string{"NAME": "Lab", "DNS_NAMES": "ca.example"})
	w.made()
	stored := strings.TrimSpace(w.content(w.step("secrets/password")))
	if !regexp.MustCompile(`^[0-9A-Za-z]{40}$`).MatchString(stored) {
		t.Errorf("the stored password has not 40 letters and digits")
	}
	shown := regexp.MustCompile(`administrative password: ([0-9A-Za-z]{40})\n`).FindStringSubmatch(w.stdout.String())
	if shown == nil || shown[1] == stored {
		t.Fatalf("the password of the provisioner is not shown, or is that of the keys: %s", &w.stdout)
	}
	if strings.Contains(w.stdout.String()+w.stderr.String(), stored) {
		t.Error("the password of the keys is shown")
	}
	w.opens(stored, shown[1])
	if err := filepath.WalkDir(w.vars["STEPPATH"], func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(w.content(path), shown[1]) {
			t.Errorf("%s holds the password of the provisioner", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	before := w.content(w.step("config/ca.json"))
	w.made()
	if w.stdout.Len() > 0 || w.content(w.step("config/ca.json")) != before {
		t.Error("the second start made something")
	}
}

// opens checks which password opens the issuing key and which that of the provisioner.
func (w *world) opens(password, provisioner string) {
	w.t.Helper()
	of := func(text string) keys.Password { return func(string) ([]byte, error) { return []byte(text), nil } }
	if _, err := keys.ReadPrivate(w.step("secrets/intermediate_ca_key"), of(password)); err != nil {
		w.t.Errorf("the password does not open the key: %v", err)
	}
	var c struct {
		Authority struct {
			Provisioners []struct{ EncryptedKey string }
		}
	}
	if err := json.Unmarshal([]byte(w.content(w.step("config/ca.json"))), &c); err != nil {
		w.t.Fatal(err)
	}
	if _, err := keys.DecryptJWK([]byte(c.Authority.Provisioners[0].EncryptedKey), []byte(provisioner)); err != nil {
		w.t.Errorf("the password does not open the key of the provisioner: %v", err)
	}
}

func TestContainerPasswordGiven(t *testing.T) {
	t.Parallel()
	for name, vars := range map[string]map[string]string{
		"by value":             {"PASSWORD": "open sesame"},
		"by file":              {"PASSWORD_FILE": "$HOME/given", "PASSWORD": "loses"},
		"to another place":     {"PASSWORD_FILE": "$HOME/given", "PWDPATH": "$HOME/mine/password"},
		"where it lies anyway": {"PASSWORD_FILE": "$HOME/given", "PWDPATH": "$HOME/given"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := container(t, vars)
			w.vars["DOCKER_STEPCA_INIT_NAME"], w.vars["DOCKER_STEPCA_INIT_DNS_NAMES"] = "Lab", "ca.example"
			given := w.file("given", "open sesame \n")
			if err := os.Chmod(given, 0o400); err != nil {
				t.Fatal(err)
			}
			w.made()
			file := w.vars["PWDPATH"]
			if file == "" {
				file = w.step("secrets/password")
			}
			if got := strings.TrimSpace(w.content(file)); got != "open sesame" {
				t.Errorf("%s holds %q", file, got)
			}
			if w.stdout.Len() > 0 || strings.Contains(w.stderr.String(), "sesame") {
				t.Errorf("a password that is known is shown: %s%s", &w.stdout, &w.stderr)
			}
			w.opens("open sesame", "open sesame")
			if w.content(given) != "open sesame \n" {
				t.Error("the given file was changed")
			}
		})
	}
}

func TestContainerExistingRoot(t *testing.T) {
	t.Parallel()
	w := container(t, map[string]string{"NAME": "Lab", "DNS_NAMES": "ca.example", "PASSWORD": "x",
		"ROOT_FILE": "$HOME/root.crt", "KEY_FILE": "$HOME/root.key", "KEY_PASSWORD_FILE": "$HOME/root.password"})
	name := w.name
	w.name = "signet"
	w.file("root.password", "rooted")
	w.must("certificate", "create", "Old Root", filepath.Join(w.home, "root.crt"), filepath.Join(w.home, "root.key"),
		"--profile", "root-ca", "--password-file", filepath.Join(w.home, "root.password"))
	w.name = name
	w.made()
	if w.content(w.step("certs/root_ca.crt")) != w.content(filepath.Join(w.home, "root.crt")) {
		t.Error("another root was made")
	}
	if _, err := os.Stat(w.step("secrets/root_ca_key")); err == nil {
		t.Error("the key of the root was copied")
	}

	w = container(t, map[string]string{"NAME": "Lab", "DNS_NAMES": "ca.example", "PASSWORD": "x", "ROOT_FILE": "$HOME/gone.crt"})
	w.made()
	if !strings.Contains(w.stderr.String(), "gone.crt, which DOCKER_STEPCA_INIT_ROOT_FILE names, does not exist") {
		t.Errorf("no word of the missing root: %s", &w.stderr)
	}
}

func TestContainerWithoutVariables(t *testing.T) {
	t.Parallel()
	for name, vars := range map[string]map[string]string{
		"none": {}, "name alone": {"NAME": "Lab"}, "host names alone": {"DNS_NAMES": "ca.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := container(t, vars)
			w.made()
			if !strings.Contains(w.stderr.String(), "set DOCKER_STEPCA_INIT_NAME and DOCKER_STEPCA_INIT_DNS_NAMES") {
				t.Errorf("no word of the variables: %s", &w.stderr)
			}
			if _, err := os.Stat(w.vars["STEPPATH"]); err == nil {
				t.Error("something was made")
			}
		})
	}
}

func TestContainerRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		vars map[string]string
		want string
	}{
		"hosted deployment": {map[string]string{"DEPLOYMENT_TYPE": "hosted"}, "deployment-type"},
		"no host name":      {map[string]string{"DNS_NAMES": "https://ca.example"}, "flag --dns"},
		"no address":        {map[string]string{"ADDRESS": "nowhere"}, "flag --address"},
		"root without key":  {map[string]string{"ROOT_FILE": "$HOME/given"}, "--key"},
		"blank password":    {map[string]string{"PASSWORD": " "}, "blank"},
		"empty password":    {map[string]string{"PASSWORD_FILE": "$HOME/empty"}, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := map[string]string{"NAME": "Lab", "DNS_NAMES": "ca.example"}
			for name, value := range test.vars {
				all[name] = value
			}
			w := container(t, all)
			w.file("given", "x")
			w.file("empty", "\n")
			if code := w.run(context.Background()); code != 2 || !strings.Contains(w.stderr.String(), test.want) {
				t.Errorf("exit code %d: %s", code, &w.stderr)
			}
			if _, err := os.Stat(w.step("config/ca.json")); err == nil {
				t.Error("a configuration was made")
			}
		})
	}
}

// A start that was killed halfway leaves its mark and is made good; files that nobody left
// halfway are somebody's, and stay.
func TestContainerLeftovers(t *testing.T) {
	t.Parallel()
	w := container(t, map[string]string{"NAME": "Lab", "DNS_NAMES": "ca.example", "PASSWORD": "x"})
	key := w.file("step/secrets/intermediate_ca_key", "precious")
	if code := w.run(context.Background()); code != 2 || !strings.Contains(w.stderr.String(), "bring the configuration back") {
		t.Errorf("exit code %d: %s", code, &w.stderr)
	}
	if code := w.run(context.Background()); code != 2 || w.content(key) != "precious" {
		t.Errorf("the second try overwrote the key: exit code %d", code)
	}
	w.file("step/.init-unfinished", "")
	w.made()
	if w.content(key) == "precious" {
		t.Error("the CA was not made")
	}
	if _, err := os.Stat(w.step(".init-unfinished")); err == nil {
		t.Error("the mark stays")
	}
}
