package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/durable"
)

// sshConfigFlags are the flags of ssh config.
type sshConfigFlags struct {
	ca                      caFlags
	host, roots, federation bool
	dryRun, force, console  bool
	provisioner             string
	data                    dataFlags
}

type sshConfigResult struct {
	Files []sshConfigFile `json:"files" help:"files that were written, or would be"`
	Keys  []string        `json:"keys,omitempty" help:"keys of the CA, with --roots or --federation"`
	show  bool
}

type sshConfigFile struct {
	Path    string `json:"path" help:"file on this machine"`
	Type    string `json:"type" help:"file, snippet, prepend-line or directory"`
	Content string `json:"content" help:"what is written there"`
}

func (r *sshConfigResult) Text() string {
	if r.Keys != nil {
		return strings.Join(r.Keys, "\n")
	}
	if !r.show {
		return ""
	}
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "%s\n\n%s\n", f.Path, f.Content)
	}
	return b.String()
}

func sshConfig() *command {
	f := new(sshConfigFlags)
	return &command{
		short: "make ssh or sshd use the CA's certificates",
		long: `Writes the files that make ssh here trust the hosts of the CA, and log in to them with a certificate from
			the ssh-agent; with --host those that make sshd trust its users. The files come from templates of the CA. What else is
			in a file stays: only the part between the marks is replaced.

			With --roots or --federation the CA's keys are printed and nothing is written.`,
		examples: []example{
			{"Set up ssh for the user who is logged in", "signet ssh config"},
			{"Without an ssh-agent", "signet ssh config --set User=ann"},
			{"Set up sshd", "signet ssh config --host --set Certificate=ssh_host_ecdsa_key-cert.pub --set Key=ssh_host_ecdsa_key"},
			{"The keys whose users a host should trust", "signet ssh config --roots > /etc/ssh/ca.pub"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.host, "host", "for sshd on this host, not for a user's ssh")
			fs.Bool(&f.roots, "roots", "print the keys that sign users' certificates, with --host those that sign hosts'")
			fs.Bool(&f.federation, "federation", "print the keys of federated CAs, likewise")
			fs.Bool(&f.dryRun, "dry-run", "print what would be written")
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			fs.String(&f.provisioner, "provisioner", "name", "provisioner that ssh logs in with").Alias("issuer").Complete(f.ca.provisionerNames)
			fs.Bool(&f.console, "console", "ssh logs in on another device instead of a browser here")
			f.data.register(fs)
			f.ca.register(fs)
			fs.Exclusive("roots", "federation")
			for _, name := range []string{"roots", "federation"} {
				fs.Incompatible(name, "set", "set-file", "dry-run")
			}
		},
		context: contextMust,
		result:  &sshConfigResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			var result any
			login := new(sshLoginFlags)
			login.ca, login.provisioner, login.loginFlags.console = f.ca, f.provisioner, f.console
			err := login.introduced(ctx, env, func(client *signet.Client) (err error) {
				if f.roots || f.federation {
					result, err = f.keys(ctx, client)
				} else {
					result, err = f.configure(ctx, env, client)
				}
				return err
			})
			return result, err
		},
	}
}

func (f *sshConfigFlags) keys(ctx context.Context, client *signet.Client) (any, error) {
	fetch := client.SSHRoots
	if f.federation {
		fetch = client.SSHFederation
	}
	all, err := fetch(ctx)
	if err != nil {
		return nil, notForSSH(err)
	}
	list := all.User
	if f.host {
		list = all.Host
	}
	result := &sshConfigResult{Keys: []string{}}
	for _, key := range plainKeys(list) {
		result.Keys = append(result.Keys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
	}
	return result, nil
}

// notForSSH says what the answer 404 means here.
func notForSSH(err error) error {
	if refused, ok := errors.AsType[*signet.Error](err); ok && refused.Status == http.StatusNotFound {
		return fmt.Errorf("the CA is not configured for SSH, or has no such keys: %w", err)
	}
	return err
}

func (f *sshConfigFlags) configure(ctx context.Context, env *Env, client *signet.Client) (any, error) {
	kind := "user"
	if f.host {
		kind = "host"
	}
	data, err := f.request(ctx, env, client)
	if err != nil {
		return nil, err
	}
	files, err := client.SSHConfig(ctx, &signet.SSHConfigRequest{Type: kind, Data: data})
	if err != nil {
		return nil, notForSSH(err)
	}
	result := &sshConfigResult{show: f.dryRun}
	for _, one := range files {
		path := env.templatePath(one.Path)
		result.Files = append(result.Files, sshConfigFile{path, one.Type, string(one.Content)})
		if f.dryRun {
			continue
		}
		if err := env.placeTemplate(ctx, &one, path, f.force); err != nil {
			return nil, err
		}
		env.Note("%s %s", env.paint(green, "✔"), printable(path))
		if data["Program"] != "step" && bytes.Contains(one.Content, []byte(" step ssh ")) || bytes.Contains(one.Content, []byte("\"step ssh ")) {
			env.warnOfStep(path)
		}
	}
	return result, nil
}

// warnOfStep tells that the CA's own templates call a program of another name.
func (e *Env) warnOfStep(path string) {
	if _, err := exec.LookPath("step"); err != nil {
		e.Warn("%s calls the program 'step', which is not on this machine: link it to %s", printable(path), programPath(e.Name))
	}
}

// request is what templates are told about this machine.
func (f *sshConfigFlags) request(ctx context.Context, env *Env, client *signet.Client) (map[string]string, error) {
	data := map[string]string{"GOOS": runtime.GOOS, "StepPath": env.Home.Path(), "StepBasePath": env.Home.Base(), "StepSSHTemplateVersion": "v2",
		"Program": programPath(env.Name)}
	if c := env.Home.Context(); c != nil {
		data["Context"] = c.Name
	}
	if f.console {
		data["Console"] = "true"
	}
	if f.provisioner != "" {
		data["Provisioner"] = f.provisioner
	}
	own, err := f.data.data(env)
	if err != nil {
		return nil, err
	}
	for name, value := range maps.All(own) {
		data[name] = fmt.Sprint(value)
	}
	if f.host || data["User"] != "" {
		return data, nil
	}
	if data["User"], err = agentUser(ctx, env, client); err != nil {
		return nil, err
	}
	return data, nil
}

// agentUser is the first principal of a certificate of the CA in the ssh-agent.
func agentUser(ctx context.Context, env *Env, client *signet.Client) (string, error) {
	const remedy = "log in with 'ssh login' first, or give --set User=name"
	agent, err := env.openAgent()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, remedy)
	}
	defer agent.close()
	held, err := agent.valid(userRoots(ctx, &authority{client: client}), env.Now())
	if err != nil {
		return "", err
	}
	for _, c := range held {
		if len(c.cert.ValidPrincipals) > 0 {
			return c.cert.ValidPrincipals[0], nil
		}
	}
	return "", fmt.Errorf("the ssh-agent holds no valid certificate of this CA: %s", remedy)
}

// programPath is how files for ssh call this program: by a name that the shell finds, else
// by its path.
func programPath(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	own, err := os.Stat(self)
	if err != nil {
		return name
	}
	for _, candidate := range []string{name, "signet", "step"} {
		found, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		if info, err := os.Stat(found); err == nil && os.SameFile(own, info) && candidate != "step-ca" {
			return candidate
		}
	}
	if strings.ContainsFunc(self, func(r rune) bool { return strings.ContainsRune(" '\"$`\\&;()<>|*?", r) }) && runtime.GOOS != "windows" {
		return "'" + strings.ReplaceAll(self, "'", `'\''`) + "'"
	}
	return self
}

// templatePath is where a template's file is on this machine.
func (e *Env) templatePath(path string) string {
	if rest, ok := strings.CutPrefix(path, "${STEPPATH}"); ok {
		return filepath.Clean(e.Home.Base() + rest)
	}
	return e.Home.Abs(path)
}

// placeTemplate puts what the CA rendered where it belongs. What else a user has in a file
// is kept.
func (e *Env) placeTemplate(ctx context.Context, t *signet.SSHFile, path string, force bool) error {
	if t.Type == "directory" {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
		return nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // some keep their settings elsewhere, under links
	}
	mode := fs.FileMode(0o600)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read %w", err)
	default:
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at %w", err)
		}
		mode = info.Mode().Perm()
	}
	var text []byte
	switch t.Type {
	case "file":
		if text = t.Content; !bytes.Equal(text, old) {
			if err := e.confirmOverwrite(ctx, force, path); err != nil {
				return err
			}
		}
	case "prepend-line":
		text = prependLine(old, t.Content)
	default:
		text = replaceSnippet(old, t.Content, t.Comment, e.Now())
	}
	if err := makeDirs(path); err != nil {
		return err
	}
	return durable.WriteFile(path, text, mode)
}

// prependLine puts a line on top and drops its older forms.
func prependLine(old, line []byte) []byte {
	line = bytes.TrimSpace(line)
	out := append(bytes.Clone(line), '\n')
	for l := range bytes.Lines(old) {
		if len(line) == 0 || !bytes.HasPrefix(l, line) {
			out = append(out, l...)
		}
	}
	return out
}

// Marks of the part of a file that is ours. Existing programs write the same ones, so that
// each replaces the part of the other.
const (
	snippetBegin = " autogenerated by step @ "
	snippetEnd   = " end"
)

// replaceSnippet replaces the part between the marks, or adds it at the end.
func replaceSnippet(old, content []byte, comment string, now time.Time) []byte {
	if comment == "" {
		comment = "#"
	}
	var block bytes.Buffer
	block.WriteString(comment + snippetBegin + now.UTC().Format(time.RFC3339) + "\n")
	block.Write(bytes.TrimRight(content, "\n"))
	block.WriteString("\n" + comment + snippetEnd + "\n")

	var out []byte
	inside, placed := false, false
	for l := range bytes.Lines(old) {
		text := strings.TrimRight(string(l), "\r\n")
		switch {
		case !placed && !inside && strings.HasPrefix(text, comment+snippetBegin) && hasEnd(old, comment):
			inside = true
		case inside && text == comment+snippetEnd:
			inside, placed = false, true
			out = append(out, block.Bytes()...)
		case !inside:
			out = append(out, l...)
		}
	}
	if placed {
		return out
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return append(out, block.Bytes()...)
}

// hasEnd reports whether the part that begins is also closed; otherwise nothing is cut.
func hasEnd(text []byte, comment string) bool {
	_, rest, found := bytes.Cut(text, []byte(comment+snippetBegin))
	return found && bytes.Contains(append(rest, '\n'), []byte("\n"+comment+snippetEnd+"\n"))
}
