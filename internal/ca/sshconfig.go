package ca

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

//go:embed sshtemplates/*.tpl
var builtinTemplates embed.FS

// SSHFile is a file, or a part of one, for a client's machine.
type SSHFile struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // snippet, prepend-line, file or directory
	Path    string `json:"path"`
	Comment string `json:"comment"` // what starts a comment in the file
	Content []byte `json:"content"`
}

// SSHTemplates make the files for clients, by kind of machine. Compiled once at load.
type SSHTemplates struct {
	user, host []*sshTemplate
	data       map[string]any
}

type sshTemplate struct {
	SSHTemplate
	compiled *template.Template // nil for a directory
}

// SSHTemplate describes one file.
type SSHTemplate struct {
	Name, Type, Path, Comment string
	Requires                  []string // data a request must bring
	Text                      string
}

// BuiltinSSHTemplates are the files of a CA that configures none, by kind: user or host.
func BuiltinSSHTemplates(kind string) []SSHTemplate {
	list := []SSHTemplate{
		{Name: "config.tpl", Type: "snippet", Path: "~/.ssh/config"},
		{Name: "step_includes.tpl", Type: "prepend-line", Path: "${STEPPATH}/ssh/includes"},
		{Name: "step_config.tpl", Type: "file", Path: "ssh/config"},
		{Name: "known_hosts.tpl", Type: "file", Path: "ssh/known_hosts"},
	}
	if kind == "host" {
		list = []SSHTemplate{
			{Name: "sshd_config.tpl", Type: "snippet", Path: "/etc/ssh/sshd_config", Requires: []string{"Certificate", "Key"}},
			{Name: "ca.tpl", Type: "snippet", Path: "/etc/ssh/ca.pub"},
		}
	}
	for i := range list {
		list[i].Comment = "#"
		text, err := builtinTemplates.ReadFile("sshtemplates/" + list[i].Name)
		if err != nil {
			panic(err) // embedded: a mistake of ours
		}
		list[i].Text = string(text)
	}
	return list
}

// NewSSHTemplates compiles templates; all that is wrong with them is reported at once.
func NewSSHTemplates(user, host []SSHTemplate, data map[string]any) (*SSHTemplates, error) {
	t := &SSHTemplates{data: data}
	var errs []error
	for _, part := range []struct {
		from []SSHTemplate
		to   *[]*sshTemplate
	}{{user, &t.user}, {host, &t.host}} {
		for _, one := range part.from {
			compiled, err := compileSSH(one)
			errs = append(errs, err)
			*part.to = append(*part.to, compiled)
		}
	}
	return t, errors.Join(errs...)
}

func compileSSH(one SSHTemplate) (*sshTemplate, error) {
	if one.Type == "directory" {
		return &sshTemplate{SSHTemplate: one}, nil
	}
	functions := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name) // they would show the server's surroundings to clients
	}
	compiled, err := template.New(one.Name).Funcs(functions).Parse(one.Text)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the SSH template %q cannot be compiled: %v", one.Name, err)
	}
	return &sshTemplate{one, compiled}, nil
}

// maxSSHFile bounds what a template makes, in bytes.
const maxSSHFile = 1 << 20

// SSHConfig makes the files for a client's machine from the data it sent.
func (c *CA) SSHConfig(kind string, data map[string]string) ([]SSHFile, error) {
	s := c.state.Load().SSH
	if s == nil || s.Templates == nil {
		return nil, fault.New(fault.Missing, "this CA is not configured for SSH")
	}
	list := s.Templates.user
	if kind == "host" {
		list = s.Templates.host
	}
	files := make([]SSHFile, 0, len(list))
	for _, t := range list {
		if t.Name == "known_hosts.tpl" && len(s.HostKeys) == 0 {
			continue // nothing to trust, and no key the template could print
		}
		file, err := t.render(s, data)
		if err != nil {
			return nil, err
		}
		files = append(files, *file)
	}
	return files, nil
}

func (t *sshTemplate) render(s *SSHState, data map[string]string) (*SSHFile, error) {
	for _, name := range t.Requires {
		if data[name] == "" {
			return nil, fault.New(fault.Invalid, "the template %s needs %s; send it as data (--set %s=…)", t.Name, name, name)
		}
	}
	file := &SSHFile{Name: t.Name, Type: t.Type, Path: t.Path, Comment: t.Comment}
	// Clients that do not name the version of the templates know no prepend-line.
	if data["StepSSHTemplateVersion"] == "" && t.Name == "step_includes.tpl" {
		file.Type, file.Path = "file", strings.TrimPrefix(file.Path, "${STEPPATH}/")
	}
	if t.compiled == nil {
		return file, nil
	}
	var out bytes.Buffer
	if err := t.compiled.Execute(&boundedWriter{w: &out, left: maxSSHFile}, s.templateData(data)); err != nil {
		return nil, fmt.Errorf("render the SSH template %s: %w", t.Name, err)
	}
	file.Content = out.Bytes()
	return file, nil
}

func (s *SSHState) templateData(user map[string]string) map[string]any {
	first := func(list []ssh.PublicKey) ssh.PublicKey {
		if len(list) == 0 {
			return nil
		}
		return list[0]
	}
	all := map[string]any{}
	maps.Copy(all, s.Templates.data)
	all["User"] = user
	all["Step"] = map[string]any{"SSH": map[string]any{
		"UserKey": first(s.UserKeys), "HostKey": first(s.HostKeys), "UserKeys": s.UserKeys, "HostKeys": s.HostKeys,
		"UserFederatedKeys": s.FederatedUserKeys, "HostFederatedKeys": s.FederatedHostKeys,
	}}
	return all
}

type boundedWriter struct {
	w    io.Writer
	left int
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, fmt.Errorf("the output is larger than %d bytes", maxSSHFile)
	}
	b.left -= len(p)
	return b.w.Write(p)
}
