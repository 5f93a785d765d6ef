package sshfiles_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/sshfiles"
)

// key is an SSH key that every number has one of.
func key(t *testing.T, n byte) ssh.PublicKey {
	t.Helper()
	seed := bytes.Repeat([]byte{n}, ed25519.SeedSize)
	k, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func line(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }

func builtin(t *testing.T) *sshfiles.Set {
	t.Helper()
	s, err := sshfiles.Compile(sshfiles.Builtin("user"), sshfiles.Builtin("host"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBuiltinFiles(t *testing.T) {
	t.Parallel()
	user := map[string]string{"GOOS": "linux", "StepPath": "/h/.step/authorities/a", "StepBasePath": "/h/.step", "User": "joe", "StepSSHTemplateVersion": "v2"}
	signet := map[string]string{"GOOS": "linux", "StepPath": "/h/.signet", "Program": "signet", "StepSSHTemplateVersion": "v2"}
	windows := map[string]string{"GOOS": "windows", "StepPath": `C:\h\.step`, "Context": "lab", "Console": "true", "Provisioner": "p"}
	host := map[string]string{"Certificate": "c.pub", "Key": "k"}
	for _, c := range []struct {
		name, kind, file, typ, path string
		data                        map[string]string
		want                        string
	}{
		{"ssh reads the base's includes", "user", "config.tpl", "snippet", "~/.ssh/config", user,
			"Host *\n\tInclude \"/h/.step/ssh/includes\"\n"},
		{"Windows paths get other slashes", "user", "config.tpl", "snippet", "~/.ssh/config", windows,
			"Host *\n\tInclude \"/h/.step/ssh/includes\"\n"},
		{"a line for each CA", "user", "step_includes.tpl", "prepend-line", "${STEPPATH}/ssh/includes", user,
			"Include \"/h/.step/authorities/a/ssh/config\"\n"},
		{"old clients get a file", "user", "step_includes.tpl", "file", "ssh/includes", windows,
			"Include \"/h/.step/ssh/config\"\n"},
		{"old clients are called step", "user", "step_config.tpl", "file", "ssh/config", user,
			"Match exec \"step ssh check-host %h\"\n\tUser joe\n\tUserKnownHostsFile \"/h/.step/authorities/a/ssh/known_hosts\"\n\tProxyCommand step ssh proxycommand %r %h %p\n"},
		{"a client may say how it is called", "user", "step_config.tpl", "file", "ssh/config", signet,
			"Match exec \"signet ssh check-host %h\"\n\tUserKnownHostsFile \"/h/.signet/ssh/known_hosts\"\n\tProxyCommand signet ssh proxycommand %r %h %p\n"},
		{"flags of the client are kept", "user", "step_config.tpl", "file", "ssh/config", windows,
			"Match exec \"step ssh check-host --context lab %h\"\n\tUserKnownHostsFile \"C:\\h\\.step\\ssh\\known_hosts\"\n\tProxyCommand C:\\Windows\\System32\\cmd.exe /c step ssh proxycommand --context lab --console --provisioner \"p\" %r %h %p\n"},
		{"all host keys are trusted", "user", "known_hosts.tpl", "file", "ssh/known_hosts", user,
			"@cert-authority * " + line(key(t, 3)) + "\n@cert-authority * " + line(key(t, 4)) + "\n@cert-authority * " + line(key(t, 6)) + "\n"},
		{"all user keys are trusted", "host", "ca.tpl", "snippet", "/etc/ssh/ca.pub", host,
			line(key(t, 1)) + "\n" + line(key(t, 2)) + "\n" + line(key(t, 5)) + "\n"},
		{"sshd knows its certificate", "host", "sshd_config.tpl", "snippet", "/etc/ssh/sshd_config", host,
			"Match all\n\tTrustedUserCAKeys /etc/ssh/ca.pub\n\tHostCertificate /etc/ssh/c.pub\n\tHostKey /etc/ssh/k\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			keys := &sshfiles.Keys{User: []ssh.PublicKey{key(t, 1), key(t, 2)}, Host: []ssh.PublicKey{key(t, 3), key(t, 4)},
				FederatedUser: []ssh.PublicKey{key(t, 5)}, FederatedHost: []ssh.PublicKey{key(t, 6)}}
			files, err := builtin(t).Render(c.kind, keys, c.data)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if f.Name != c.file {
					continue
				}
				want := sshfiles.File{Name: c.file, Type: c.typ, Path: c.path, Comment: "#", Content: []byte(c.want)}
				if diff := cmp.Diff(want, f); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			t.Errorf("no %s among %d files", c.file, len(files))
		})
	}
}

// oldKey is a key as the templates of old CAs see it: nothing but its own methods.
type oldKey struct{ ssh.PublicKey }

// Old CAs must be able to use the files of ours, as they use theirs: their templates see a
// struct, in which a member that does not exist ends the rendering.
func TestBuiltinTemplatesAskForNoMoreThanOldCAsHave(t *testing.T) {
	t.Parallel()
	type sshData struct {
		HostKey, UserKey                     ssh.PublicKey
		HostFederatedKeys, UserFederatedKeys []ssh.PublicKey
	}
	data := map[string]any{"User": map[string]string{"StepPath": "/s", "Certificate": "c", "Key": "k"},
		"Step": struct{ SSH sshData }{sshData{HostKey: oldKey{key(t, 1)}, UserKey: oldKey{key(t, 2)}}}}
	for _, one := range append(sshfiles.Builtin("user"), sshfiles.Builtin("host")...) {
		parsed, err := template.New(one.Name).Funcs(sprig.TxtFuncMap()).Parse(one.Text)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := parsed.Execute(&out, data); err != nil || out.Len() == 0 || strings.Contains(out.String(), "no value") {
			t.Errorf("%s: %v: %s", one.Name, err, out.String())
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	set := builtin(t)
	if _, err := set.Render("host", &sshfiles.Keys{}, map[string]string{"Key": "k"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a missing value that a template needs: %v", err)
	}
	files, err := set.Render("user", &sshfiles.Keys{User: []ssh.PublicKey{key(t, 1)}}, nil)
	if err != nil || len(files) != 3 {
		t.Errorf("without a host key there are no known hosts, the rest stays: %d files, %v", len(files), err)
	}
	for name, text := range map[string]string{"it does not parse": "{{", "it reads the environment": `{{ env "HOME" }}`,
		"it expands the environment": `{{ expandenv "$HOME" }}`, "it asks the name service": `{{ getHostByName "a" }}`} {
		if _, err := sshfiles.Compile([]sshfiles.Template{{Name: "x", Type: "file", Text: text}}, nil, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	big, err := sshfiles.Compile([]sshfiles.Template{{Name: "x", Type: "file", Text: `{{ range until 2000000 }}x{{ end }}`}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := big.Render("user", &sshfiles.Keys{}, nil); err == nil {
		t.Error("a template without end was rendered")
	}
}

func TestRenderOperatorsOwn(t *testing.T) {
	t.Parallel()
	set, err := sshfiles.Compile([]sshfiles.Template{
		{Name: "dir", Type: "directory", Path: "~/.ssh/keys", Comment: "#"},
		{Name: "motd", Type: "file", Path: "motd", Comment: "//", Text: "{{ .Greeting }} {{ .User.Name }} {{ .User.None }}"},
	}, nil, map[string]any{"Greeting": "hello", "User": "shadowed"})
	if err != nil {
		t.Fatal(err)
	}
	files, err := set.Render("user", &sshfiles.Keys{}, map[string]string{"Name": "joe"})
	if err != nil {
		t.Fatal(err)
	}
	want := []sshfiles.File{
		{Name: "dir", Type: "directory", Path: "~/.ssh/keys", Comment: "#"},
		{Name: "motd", Type: "file", Path: "motd", Comment: "//", Content: []byte("hello joe <no value>")},
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
