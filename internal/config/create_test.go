package config_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// TestReferenceFiles loads what the reference's ca init writes. What is not served yet is
// all that may be complained about.
func TestReferenceFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/reference/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	whole := []string{"plain", "acme", "no-db", "older"}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = config.Parse(file, text)
			if err != nil && slices.Contains(whole, name) {
				t.Error(err)
			}
			for _, c := range each(err) {
				if !slices.Contains(append(config.Unserved(), "key"), c.Path) || !strings.Contains(c.Message, "does not serve") {
					t.Errorf("refused: %v", c)
				}
			}
			if strings.HasPrefix(name, "ra-") && (len(each(err)) != 1 || each(err)[0].Path != "authority.type") {
				t.Errorf("want the one complaint about authority.type, got %v", err)
			}
		})
	}
}

func testOptions(home string) config.CreateOptions {
	return config.CreateOptions{
		Home: home, Name: "Test", DNSNames: []string{"ca.example"}, Address: ":9000", Provisioner: "admin",
		Password: []byte("swordfish"), ProvisionerPassword: []byte("trout"),
	}
}

func create(t *testing.T, o config.CreateOptions) *config.Created {
	t.Helper()
	c, err := config.Create(o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCreatedAsTheReferenceWrites compares members, order and values of what we write for
// the reference with its own files.
func TestCreatedAsTheReferenceWrites(t *testing.T) {
	t.Parallel()
	vary := regexp.MustCompile(`"(kid|x|y|encryptedKey)": "[^"]*"`)
	for name, bend := range map[string]func(*config.CreateOptions){
		"plain": func(*config.CreateOptions) {},
		"acme":  func(o *config.CreateOptions) { o.ACME = true },
		"no-db": func(o *config.CreateOptions) { o.NoDB = true },
		"ssh":   func(o *config.CreateOptions) { o.SSH = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions("/home/step")
			o.Reference, o.Password = true, nil
			bend(&o)
			want, err := os.ReadFile(filepath.Join("testdata", "reference", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			got := create(t, o).File("config/ca.json").Data
			blank := func(text []byte) string { return string(vary.ReplaceAll(text, []byte(`"$1": ""`))) }
			if diff := cmp.Diff(blank(want), blank(got)); diff != "" {
				t.Errorf("ca.json differs (-reference +ours):\n%s", diff)
			}
		})
	}
}

func TestCreated(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	o := testOptions(home)
	o.SSH, o.ACME, o.Password = true, true, nil
	made := create(t, o)
	if err := made.Write(); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
		rel, _ := filepath.Rel(home, path)
		got = append(got, fmt.Sprintf("%04o %s", info.Mode().Perm(), rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0700 .", "0700 certs", "0600 certs/intermediate_ca.crt", "0600 certs/root_ca.crt", "0600 certs/ssh_host_ca_key.pub", "0600 certs/ssh_user_ca_key.pub",
		"0700 config", "0600 config/ca.json", "0644 config/defaults.json", "0700 db",
		"0700 secrets", "0600 secrets/intermediate_ca_key", "0600 secrets/root_ca_key", "0600 secrets/ssh_host_ca_key", "0600 secrets/ssh_user_ca_key",
		"0700 templates", "0700 templates/ssh", "0644 templates/ssh/ca.tpl", "0644 templates/ssh/config.tpl", "0644 templates/ssh/known_hosts.tpl",
		"0644 templates/ssh/sshd_config.tpl", "0644 templates/ssh/step_config.tpl", "0644 templates/ssh/step_includes.tpl",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files differ (-want +got):\n%s", diff)
	}
	var defaults map[string]string
	if err := json.Unmarshal(made.File("config/defaults.json").Data, &defaults); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{
		"ca-url": "https://ca.example:9000", "ca-config": home + "/config/ca.json", "root": home + "/certs/root_ca.crt",
		"fingerprint": keys.CertificateFingerprint(made.Root),
	}, defaults); diff != "" {
		t.Error(diff)
	}
	private, err := keys.DecryptJWK([]byte(provisionerMember(t, made, "encryptedKey")), []byte("trout"))
	if err != nil || private.KeyID != made.Provisioner.KeyID {
		t.Errorf("the provisioner's key does not open: %v", err)
	}
}

func provisionerMember(t *testing.T, made *config.Created, name string) string {
	t.Helper()
	var object map[string]any
	text, err := made.Config.Authority.Provisioners[0].MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	if err != nil {
		t.Fatal(err)
	}
	return object[name].(string)
}

// TestCreatedStarts: what create writes loads, and its files are one working CA.
func TestCreatedStarts(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*config.CreateOptions){
		"with secrets":    func(o *config.CreateOptions) { o.Password, o.ProvisionerPassword = []byte("a"), []byte("b") },
		"acme":            func(o *config.CreateOptions) { o.ACME = true },
		"reference":       func(o *config.CreateOptions) { o.Reference = true },
		"no database":     func(o *config.CreateOptions) { o.NoDB = true },
		"P-384":           func(o *config.CreateOptions) { o.Alg = keys.Alg{Kty: "EC", Crv: "P-384"} },
		"Ed25519":         func(o *config.CreateOptions) { o.Alg = keys.Alg{Kty: "OKP"} },
		"RSA":             func(o *config.CreateOptions) { o.Alg = keys.Alg{Kty: "RSA", Size: 2048} },
		"without secrets": func(*config.CreateOptions) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t.TempDir())
			o.Password, o.ProvisionerPassword = nil, nil
			bend(&o)
			made := create(t, o)
			if err := made.Write(); err != nil {
				t.Fatal(err)
			}
			c, _, err := config.Options{Home: o.Home}.Read(filepath.Join(o.Home, "config", "ca.json"))
			if err != nil {
				t.Fatal(err)
			}
			p, warnings, err := config.LoadPKI(c, keys.FixedPassword(o.Password), time.Now())
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			if !p.Anchor.Equal(made.Root) || !keys.SamePublicKey(p.Signer.Public(), made.Key.Public()) {
				t.Error("other files were loaded than written")
			}
		})
	}
}

func TestProvisionerNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	for first, want := range map[string]string{"admin": "admin acme sshpop", "acme": "acme acme-1 sshpop", "sshpop": "sshpop acme sshpop-1"} {
		o := testOptions("/home/step")
		o.Provisioner, o.ACME, o.SSH = first, true, true
		o.Password, o.ProvisionerPassword = nil, nil
		var names []string
		for _, p := range create(t, o).Config.Authority.Provisioners {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestOpenSSLJudges has OpenSSL look at certificates and keys.
func TestOpenSSLJudges(t *testing.T) {
	t.Parallel()
	o := testOptions(t.TempDir())
	made := create(t, o)
	if err := made.Write(); err != nil {
		t.Fatal(err)
	}
	for _, f := range made.Files {
		if bytes.Contains(f.Data, []byte("swordfish")) || bytes.Contains(f.Data, []byte("trout")) {
			t.Errorf("%s holds a password", f.Path)
		}
	}
	file := func(name string) string { return filepath.Join(o.Home, filepath.FromSlash(name)) }
	root, intermediate := file("certs/root_ca.crt"), file("certs/intermediate_ca.crt")
	if got := openssl(t, "verify", "-x509_strict", "-CAfile", root, intermediate); !strings.HasSuffix(strings.TrimSpace(got), "OK") {
		t.Errorf("openssl verify: %s", got)
	}
	for _, key := range []string{"root_ca_key", "intermediate_ca_key"} {
		openssl(t, "pkey", "-in", file("secrets/"+key), "-passin", "pass:swordfish", "-noout", "-check")
		text, _ := os.ReadFile(file("secrets/" + key))
		if !bytes.HasPrefix(text, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")) {
			t.Errorf("%s is no PKCS#8: %.40s", key, text)
		}
		if got := openssl(t, "asn1parse", "-in", file("secrets/"+key)); !strings.Contains(got, "PBES2") || !strings.Contains(got, "aes-256-cbc") || !strings.Contains(got, "hmacWithSHA256") {
			t.Errorf("%s: %s", key, got)
		}
	}
	for name, golden := range map[string]string{"certs/root_ca.crt": "root.txt", "certs/intermediate_ca.crt": "intermediate.txt"} {
		got := facts(openssl(t, "x509", "-in", file(name), "-noout", "-text"))
		path := filepath.Join("testdata", golden)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s differs from %s (-want +got):\n%s", name, golden, diff)
		}
	}
}

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// facts keeps what is the same each time: numbers, times and signatures are blanked.
func facts(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		word := strings.TrimSpace(line)
		if regexp.MustCompile(`^([0-9a-fA-F]{2}:)+[0-9a-fA-F]{0,2}$`).MatchString(word) {
			line = strings.Replace(line, word, "(octets)", 1)
		}
		if name, _, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(strings.TrimSpace(name), "Not ") {
			line = name + ": (time)\n"
		}
		if !strings.Contains(out.String(), line) || !strings.Contains(line, "(octets)") {
			out.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
	}
	return out.String()
}

func TestAuthorityValidity(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 12, 0, 0, 123, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		root, intermediate issue.Moment
		rootEnd, end       time.Duration // from now
		refused            bool
	}{
		"both as usual":                 {rootEnd: 3650 * day, end: 3650 * day},
		"the root ends sooner":          {root: issue.Moment{In: day}, rootEnd: day, end: day},
		"the root ends later":           {root: issue.Moment{In: 5000 * day}, rootEnd: 5000 * day, end: 3650 * day},
		"the intermediate ends sooner":  {intermediate: issue.Moment{In: day}, rootEnd: 3650 * day, end: day},
		"the intermediate outlives it":  {root: issue.Moment{In: day}, intermediate: issue.Moment{In: 2 * day}, refused: true},
		"the root is over already":      {root: issue.Moment{In: -day}, refused: true},
		"the intermediate is over, too": {intermediate: issue.Moment{In: -day}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions("/home")
			o.Password, o.ProvisionerPassword = nil, nil
			o.RootNotAfter, o.IntermediateNotAfter = c.root, c.intermediate
			made, err := config.Create(o, now)
			if (err != nil) != c.refused {
				t.Fatal(err)
			}
			if c.refused {
				return
			}
			begin := now.Add(-time.Minute).Truncate(time.Second)
			for _, v := range []struct {
				cert *x509.Certificate
				end  time.Duration
			}{{made.Root, c.rootEnd}, {made.Intermediate, c.end}} {
				if want := now.Add(v.end).Truncate(time.Second); !v.cert.NotBefore.Equal(begin) || !v.cert.NotAfter.Equal(want) {
					t.Errorf("%s is valid from %s to %s, want %s to %s", v.cert.Subject, v.cert.NotBefore, v.cert.NotAfter, begin, want)
				}
			}
		})
	}
}

func TestExistingRoot(t *testing.T) {
	t.Parallel()
	root := sign(t, "root", nil, newKey(t, keys.Alg{Kty: "RSA", Size: 2048}), nil)
	middle := sign(t, "middle", root, newKey(t, keys.Alg{}), nil)
	tight := sign(t, "tight", nil, newKey(t, keys.Alg{}), func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	old := sign(t, "old", nil, newKey(t, keys.Alg{}), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	leaf := sign(t, "leaf", nil, newKey(t, keys.Alg{}), func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	for name, c := range map[string]struct {
		root *pair
		key  *pair
		good bool
	}{
		"a root and its key":   {root, root, true},
		"a root, another key":  {root, middle, false},
		"an intermediate":      {middle, middle, false},
		"no room below":        {tight, tight, false},
		"an expired root":      {old, old, false},
		"an end-entity's cert": {leaf, leaf, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions("/home")
			o.Root, o.RootKey = c.root.cert, c.key.key
			made, err := config.Create(o, time.Now())
			if (err == nil) != c.good {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				return
			}
			if made.Intermediate.NotAfter.After(root.cert.NotAfter) || made.Intermediate.CheckSignatureFrom(root.cert) != nil {
				t.Error("the intermediate is not the root's, or outlives it")
			}
			if made.File("secrets/root_ca_key") != nil {
				t.Error("the key of an existing root was copied")
			}
		})
	}
}

func TestHelmValues(t *testing.T) {
	t.Parallel()
	o := testOptions(config.HelmHome)
	o.SSH, o.LogFormat, o.Password = true, "json", nil
	text, err := create(t, o).HelmValues()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"inject:\n  enabled: true\n  config:\n    files:\n      ca.json:\n        root: \"/home/step/certs/root_ca.crt\"\n        federatedRoots: null\n",
		"        logger:\n          format: \"json\"\n",
		"        authority:\n          provisioners:\n            - type: \"JWK\"\n              name: \"admin\"\n              key:\n                use: \"sig\"\n",
		"      defaults.json:\n        ca-url: \"https://ca.example:9000\"\n",
		"  certificates:\n    intermediate_ca: |\n      -----BEGIN CERTIFICATE-----\n",
		"    ssh_host_ca: |\n      ecdsa-sha2-nistp256 ",
		"    ca_password: null\n    provisioner_password: null\n    x509:\n      intermediate_ca_key: |\n        -----BEGIN EC PRIVATE KEY-----\n",
		"    ssh:\n      host_ca_key: |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the values lack %q:\n%s", want, text)
		}
	}
}
