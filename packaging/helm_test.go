package packaging_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden renders")

// chart renders the chart as helm does, with the functions that its templates use.
func chart(t *testing.T, values ...string) (map[string]string, error) {
	t.Helper()
	all := mustYAML(t, "values.yaml", readText(t, "helm/signet/values.yaml"))
	for _, v := range values {
		merge(all, mustYAML(t, "values", v))
	}
	about := mustYAML(t, "Chart.yaml", readText(t, "helm/signet/Chart.yaml"))
	data := map[string]any{
		"Values":  all,
		"Release": map[string]any{"Name": "ca", "Namespace": "pki", "Service": "Helm"},
		"Chart":   map[string]any{"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]},
	}
	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	functions["include"] = func(name string, data any) (string, error) {
		var out strings.Builder
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["required"] = func(message string, v any) (any, error) {
		if v == nil || v == "" {
			return nil, errors.New(message)
		}
		return v, nil
	}
	root.Funcs(functions)
	files, err := filepath.Glob("helm/signet/templates/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("templates: %v, %v", files, err)
	}
	for _, file := range files {
		if _, err := root.New(filepath.Base(file)).Parse(readText(t, file)); err != nil {
			t.Fatal(err)
		}
	}
	renders := map[string]string{}
	for _, file := range files {
		var out bytes.Buffer
		name := filepath.Base(file)
		if err := root.ExecuteTemplate(&out, name, data); err != nil {
			return nil, err
		}
		if text := strings.TrimSpace(out.String()); text != "" && strings.HasSuffix(name, ".yaml") {
			renders[name] = text + "\n"
		}
	}
	return renders, nil
}

// merge lays values over others, as helm does.
func merge(dst, src map[string]any) {
	for key, v := range src {
		below, isMap := v.(map[string]any)
		if old, ok := dst[key].(map[string]any); ok && isMap {
			merge(old, below)
			continue
		}
		dst[key] = v
	}
}

const injected = `
inject:
  enabled: true
  config:
    files:
      ca.json:
        root: "/home/step/certs/root_ca.crt"
        address: ":9000"
      defaults.json:
        ca-url: "https://ca.example"
  certificates:
    intermediate_ca: |
      -----BEGIN CERTIFICATE-----
      aW50ZXJtZWRpYXRl
      -----END CERTIFICATE-----
    root_ca: |
      -----BEGIN CERTIFICATE-----
      cm9vdA==
      -----END CERTIFICATE-----
  secrets:
    ca_password: "c3dvcmRmaXNo"
    x509:
      intermediate_ca_key: |
        KEY OF THE INTERMEDIATE
      root_ca_key: |
        KEY OF THE ROOT
`

const postgres = `
replicaCount: 3
database:
  type: postgresql
  secret: records
persistence:
  enabled: false
`

// What the chart renders is read before it is released: the golden files are what a cluster
// would get.
func TestChart(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"made":     nil,
		"password": {"ca:\n  passwordSecret: keys\n  acme: true\n  url: \"https://ca.example\"\npodAnnotations:\n  team: pki\nresources:\n  limits:\n    memory: 256Mi\n"},
		"injected": {injected},
		"replicas": {injected, postgres},
	} {
		renders, err := chart(t, values...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var all strings.Builder
		for _, file := range slices.Sorted(maps.Keys(renders)) {
			mustYAML(t, file, renders[file])
			all.WriteString("--- # " + file + "\n" + renders[file])
		}
		golden := "testdata/chart-" + name + ".yaml"
		if *update {
			if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(readText(t, golden), all.String()); diff != "" {
			t.Errorf("%s (-golden +now):\n%s", name, diff)
		}
		if strings.Contains(all.String(), "KEY OF THE ROOT") || strings.Contains(all.String(), base64.StdEncoding.EncodeToString([]byte("KEY OF THE ROOT\n"))) {
			t.Errorf("%s: the key of the root goes into the cluster", name)
		}
	}
}

func TestChartRefuses(t *testing.T) {
	t.Parallel()
	for want, values := range map[string]string{
		"a database they share":          "replicaCount: 2\n",
		"need the same keys":             postgres,
		"database.secret is missing":     "database:\n  type: mysql\n",
		"ca_password is missing":         strings.Replace(injected, `"c3dvcmRmaXNo"`, "null", 1),
		"root_ca is missing":             strings.Replace(injected, "    root_ca: |", "    other: |", 1),
		"intermediate_ca_key is missing": strings.Replace(injected, "      intermediate_ca_key: |", "      other: |", 1),
		"ca.name is missing":             "ca:\n  name: \"\"\n",
	} {
		if _, err := chart(t, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want: %s", err, want)
		}
	}
}

// The variables of the chart are those that the program knows.
func TestChartVariables(t *testing.T) {
	t.Parallel()
	renders, err := chart(t, "ca:\n  passwordSecret: keys\n  url: \"https://ca.example\"\n", "database:\n  type: postgresql\n  secret: records\n")
	if err != nil {
		t.Fatal(err)
	}
	set := mustYAML(t, "statefulset", renders["statefulset.yaml"])
	pod := set["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	var names []string
	for _, v := range pod["containers"].([]any)[0].(map[string]any)["env"].([]any) {
		if name := v.(map[string]any)["name"].(string); name != "STEPPATH" && name != "DATABASE_URL" {
			names = append(names, name)
		}
	}
	if len(names) < 9 {
		t.Errorf("only %v found", names)
	}
	checkVariables(t, names)
}

// What `ca init --helm` prints are values of the chart, and what comes out of it
// is a CA that the server would start from.
func TestChartTakesInit(t *testing.T) {
	t.Parallel()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("swordfish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	values := run(t, "ca", "init", "--helm", "--ssh", "--name", "Lab", "--dns", "ca.example", "--address", ":9000", "--provisioner", "admin", "--password-file", password)
	values = strings.Replace(values, "ca_password: null", `ca_password: "c3dvcmRmaXNo"`, 1)
	renders, err := chart(t, values)
	if err != nil {
		t.Fatal(err)
	}
	// The volumes of the pod, in a folder that stands for its home.
	home := t.TempDir()
	for dir, file := range map[string]string{"config": "config.yaml", "certs": "certificates.yaml", "secrets": "secrets.yaml"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, v := range mustYAML(t, file, renders[file])["data"].(map[string]any) {
			data := []byte(v.(string))
			if dir == "secrets" {
				if data, err = base64.StdEncoding.DecodeString(v.(string)); err != nil {
					t.Fatal(err)
				}
			}
			data = bytes.ReplaceAll(data, []byte(config.HelmHome), []byte(home))
			if err := os.WriteFile(filepath.Join(home, dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(t, "config", "validate", filepath.Join(home, "config", "ca.json"), "--password-file", filepath.Join(home, "secrets", "password"))
}
