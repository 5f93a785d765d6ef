package packaging_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func readText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// initVariables are the variables that `signet serve --container` knows.
var initVariables = []string{"NAME", "DNS_NAMES", "PROVISIONER_NAME", "ADMIN_SUBJECT", "ADDRESS", "PASSWORD_FILE", "PASSWORD",
	"ROOT_FILE", "KEY_FILE", "KEY_PASSWORD_FILE", "DEPLOYMENT_TYPE", "WITH_CA_URL", "SSH", "ACME", "REMOTE_MANAGEMENT"}

// The image has the face of step-ca's: user, volume, variables, names, signal.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(readText(t, "docker/Dockerfile"), "\\\n", "")
	last := text[strings.LastIndex(text, "\nFROM "):]
	got := map[string][]string{}
	for line := range strings.Lines(last) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "" && name != "#" {
			got[name] = append(got[name], value)
		}
	}
	for name, want := range map[string]string{
		"FROM": "scratch", "USER": "1000:1000", "VOLUME": `["/home/step"]`, "STOPSIGNAL": "SIGTERM", "EXPOSE": "9000", "CMD": `["/usr/bin/step-ca"]`,
	} {
		if !slices.Equal(got[name], []string{want}) {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	env := " " + strings.Join(got["ENV"], " ") + " "
	for _, want := range []string{"STEPPATH=/home/step", "CONFIGPATH=/home/step/config/ca.json", "PWDPATH=/home/step/secrets/password", "SIGNET_CONTAINER=true"} {
		if !strings.Contains(env, " "+want+" ") {
			t.Errorf("ENV lacks %s", want)
		}
	}
	_, check, _ := strings.Cut(got["HEALTHCHECK"][0], "CMD ")
	var words []string
	if err := json.Unmarshal([]byte(check), &words); err != nil || words[0] != "/usr/bin/signet" {
		t.Fatalf("HEALTHCHECK %s: %v", check, err)
	}
	checkCall(t, "Dockerfile", words[1:])
	checkCall(t, "Dockerfile", []string{"serve", "--container"})
	for _, part := range []string{"ln -s signet /out/usr/bin/step ", "ln -s signet /out/usr/bin/step-ca ", "CGO_ENABLED=0", "step:x:1000:1000"} {
		if !strings.Contains(text, part) {
			t.Errorf("the build lacks %s", part)
		}
	}
}

// checkVariables holds the variables of a container against what the program knows.
func checkVariables(t *testing.T, names []string) {
	t.Helper()
	help := run(t, "help", "ca", "init")
	for _, name := range names {
		if short, ok := strings.CutPrefix(name, "DOCKER_STEPCA_INIT_"); ok {
			if !slices.Contains(initVariables, short) {
				t.Errorf("%s is no variable of a container", name)
			}
			continue
		}
		flag := "--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "SIGNET_"), "_", "-"))
		if !strings.HasPrefix(name, "SIGNET_") || !strings.Contains(help, flag+" ") {
			t.Errorf("%s is the variable of no flag of ca init", name)
		}
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	file := mustYAML(t, "compose.yaml", readText(t, "docker/compose.yaml"))
	services := file["services"].(map[string]any)
	for name, s := range services {
		service := s.(map[string]any)
		for _, secret := range service["secrets"].([]any) {
			if _, ok := file["secrets"].(map[string]any)[secret.(string)]; !ok {
				t.Errorf("%s: the secret %s is not declared", name, secret)
			}
		}
		for _, mount := range service["volumes"].([]any) {
			volume, _, _ := strings.Cut(mount.(string), ":")
			if _, ok := file["volumes"].(map[string]any)[volume]; !ok {
				t.Errorf("%s: the volume %s is not declared", name, volume)
			}
		}
		for variable, value := range service["environment"].(map[string]any) {
			secret, ok := strings.CutPrefix(strings.TrimPrefix(value.(string), "file:"), "/run/secrets/")
			if ok && !slices.Contains(service["secrets"].([]any), any(secret)) {
				t.Errorf("%s: %s names the secret %s, which the service does not have", name, variable, secret)
			}
		}
	}
	ca := services["ca"].(map[string]any)
	var names []string
	for name := range ca["environment"].(map[string]any) {
		names = append(names, name)
	}
	checkVariables(t, names)
	if _, err := os.Stat("../" + ca["build"].(map[string]any)["dockerfile"].(string)); err != nil {
		t.Error(err)
	}
	for on := range ca["depends_on"].(map[string]any) {
		if services[on].(map[string]any)["healthcheck"] == nil {
			t.Errorf("%s is waited for and has no health check", on)
		}
	}
}
