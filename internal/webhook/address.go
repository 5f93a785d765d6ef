package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/signet-ca/signet/internal/fault"
)

// maxURL bounds an address after its template ran.
const maxURL = 8 << 10

// address is a URL, or a template of one. What its actions print is percent-escaped, so that
// a value stays one segment or one parameter and never chooses where a call goes.
type address struct {
	fixed *url.URL           // up to the first action
	tmpl  *template.Template // nil: fixed is all
}

func newAddress(name, text string) (*address, error) {
	before, _, templated := strings.Cut(text, "{{")
	fixed, err := url.Parse(before)
	if err != nil {
		return nil, fault.New(fault.Invalid, "webhook %q: its url cannot be read", name)
	}
	a := &address{fixed: fixed}
	if !templated {
		return a, nil
	}
	t, err := template.New("url").Option("missingkey=error").Funcs(template.FuncMap{escapeFunction: escape}).Parse(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "webhook %q: the template of its url cannot be read: %v", name, err)
	}
	for _, part := range t.Templates() {
		if part.Tree != nil {
			escapeActions(part.Root)
		}
	}
	a.tmpl = t
	return a, nil
}

// render gives the address for one certificate.
func (a *address) render(vars func() (map[string]any, error)) (string, error) {
	if a.tmpl == nil {
		return a.fixed.String(), nil
	}
	data, err := vars()
	if err != nil {
		return "", err
	}
	out := &bounded{left: maxURL}
	if err := a.tmpl.Execute(out, data); err != nil {
		return "", fmt.Errorf("run the template of the url: %w", err)
	}
	u, err := url.Parse(out.String())
	if err != nil || u.Scheme != a.fixed.Scheme || u.Host != a.fixed.Host || u.User != nil {
		return "", errors.New("the template of the url leads to another server")
	}
	for _, segment := range strings.Split(u.EscapedPath(), "/") {
		if segment, err = url.PathUnescape(segment); err != nil || segment == "." || segment == ".." {
			return "", errors.New("the template of the url leads out of its path")
		}
	}
	return u.String(), nil
}

const escapeFunction = "_escape"

func escape(v any) string {
	return strings.ReplaceAll(url.QueryEscape(fmt.Sprint(v)), "+", "%20")
}

// escapeActions ends every action that prints something with the escape function.
func escapeActions(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				id := parse.NewIdentifier(escapeFunction).SetPos(n.Pos)
				n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{id}})
			}
		case *parse.IfNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		case *parse.RangeNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		case *parse.WithNode:
			escapeActions(n.List)
			escapeActions(n.ElseList)
		}
	}
}

// bounded is a buffer that refuses to grow beyond its bound.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("the address would have more than %d bytes", maxURL)
	}
	return b.Buffer.Write(p)
}
