// Package sshfiles makes the files that let the ssh and sshd of a machine trust an SSH
// certificate authority: it holds the built-in templates, and compiles and renders these and
// the operator's own.
package sshfiles

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

//go:embed templates/*.tpl
var builtin embed.FS

// Template describes one file.
type Template struct {
	Name     string
	Type     string // snippet, prepend-line, file or directory
	Path     string // on the client
	Comment  string // what starts a comment in the file
	Requires []string
	Text     string // empty for a directory
}

// File is a file, or a part of one, for a client's machine.
type File struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Path    string `json:"path"`
	Comment string `json:"comment"`
	Content []byte `json:"content"`
}

// Keys are what the files make a machine trust, the signing key first.
type Keys struct {
	User, Host                   []ssh.PublicKey // the CA's own
	FederatedUser, FederatedHost []ssh.PublicKey
}

// Set is compiled once and renders many times.
type Set struct {
	user, host []*compiled
	data       map[string]any
}

type compiled struct {
	Template
	template *template.Template // nil for a directory
}

// Builtin are the templates of a CA that configures none, by kind of machine: user or host.
// They read no more than what old CAs give templates, so these can use the files as well.
func Builtin(kind string) []Template {
	list := []Template{
		{Name: "config.tpl", Type: "snippet", Path: "~/.ssh/config"},
		{Name: "step_includes.tpl", Type: "prepend-line", Path: "${STEPPATH}/ssh/includes"},
		{Name: "step_config.tpl", Type: "file", Path: "ssh/config"},
		{Name: "known_hosts.tpl", Type: "file", Path: "ssh/known_hosts"},
	}
	if kind == "host" {
		list = []Template{
			{Name: "sshd_config.tpl", Type: "snippet", Path: "/etc/ssh/sshd_config", Requires: []string{"Certificate", "Key"}},
			{Name: "ca.tpl", Type: "snippet", Path: "/etc/ssh/ca.pub"},
		}
	}
	for i := range list {
		list[i].Comment = "#"
		text, err := builtin.ReadFile(path.Join("templates", list[i].Name))
		if err != nil {
			panic(err) // embedded: a mistake of ours
		}
		list[i].Text = string(text)
	}
	return list
}

// Compile prepares templates; all that is wrong with them is reported at once. data goes to
// all of them.
func Compile(user, host []Template, data map[string]any) (*Set, error) {
	s := &Set{data: data}
	var errs []error
	for _, part := range []struct {
		from []Template
		to   *[]*compiled
	}{{user, &s.user}, {host, &s.host}} {
		for _, one := range part.from {
			c, err := compile(one)
			errs = append(errs, err)
			*part.to = append(*part.to, c)
		}
	}
	return s, errors.Join(errs...)
}

func compile(one Template) (*compiled, error) {
	if one.Type == "directory" {
		return &compiled{Template: one}, nil
	}
	functions := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name) // they would show the server's surroundings to clients
	}
	t, err := template.New(one.Name).Funcs(functions).Parse(one.Text)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the SSH template %q cannot be compiled: %v", one.Name, err)
	}
	return &compiled{one, t}, nil
}

// maxFile bounds what a template makes, in bytes.
const maxFile = 1 << 20

// Render makes the files for a client's machine from the data it sent.
func (s *Set) Render(kind string, keys *Keys, data map[string]string) ([]File, error) {
	list := s.user
	if kind == "host" {
		list = s.host
	}
	all := s.context(keys, data)
	files := make([]File, 0, len(list))
	for _, t := range list {
		if t.Name == "known_hosts.tpl" && len(keys.Host) == 0 {
			continue // nothing to trust, and no key the template could print
		}
		file, err := t.render(all, data)
		if err != nil {
			return nil, err
		}
		files = append(files, *file)
	}
	return files, nil
}

// context is what templates see.
func (s *Set) context(k *Keys, user map[string]string) map[string]any {
	// Templates that know only the signing key and federated ones, as those of old CAs do,
	// would forget the CA's other keys, and with them every host certified before a change
	// of keys: those count as federated here.
	split := func(own, federated []ssh.PublicKey) (first ssh.PublicKey, others []ssh.PublicKey) {
		if len(own) == 0 {
			return nil, federated
		}
		return own[0], append(own[1:len(own):len(own)], federated...)
	}
	userKey, otherUserKeys := split(k.User, k.FederatedUser)
	hostKey, otherHostKeys := split(k.Host, k.FederatedHost)
	all := map[string]any{}
	maps.Copy(all, s.data)
	all["User"] = user
	all["Step"] = map[string]any{"SSH": map[string]any{
		"UserKey": userKey, "HostKey": hostKey, "UserFederatedKeys": otherUserKeys, "HostFederatedKeys": otherHostKeys,
	}}
	return all
}

func (t *compiled) render(all map[string]any, data map[string]string) (*File, error) {
	for _, name := range t.Requires {
		if data[name] == "" {
			return nil, fault.New(fault.Invalid, "the template %s needs %s; send it as data (--set %s=…)", t.Name, name, name)
		}
	}
	file := &File{Name: t.Name, Type: t.Type, Path: t.Path, Comment: t.Comment}
	// Clients that do not name the version of the templates know no prepend-line.
	if data["StepSSHTemplateVersion"] == "" && t.Name == "step_includes.tpl" {
		file.Type, file.Path = "file", strings.TrimPrefix(file.Path, "${STEPPATH}/")
	}
	if t.template == nil {
		return file, nil
	}
	var out bytes.Buffer
	if err := t.template.Execute(&boundedWriter{w: &out, left: maxFile}, all); err != nil {
		return nil, fmt.Errorf("render the SSH template %s: %w", t.Name, err)
	}
	file.Content = out.Bytes()
	return file, nil
}

type boundedWriter struct {
	w    io.Writer
	left int
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return 0, fmt.Errorf("the output is larger than %d bytes", maxFile)
	}
	b.left -= len(p)
	return b.w.Write(p)
}
