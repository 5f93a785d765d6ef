package issue

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/signet-ca/signet/internal/fault"
)

// maxPartials bounds the texts that one template is made of, itself left out.
const maxPartials = 64

// partial is the text of a named template that another one includes.
type partial struct{ name, text string }

// partials gives the text of a named template; ok is false if there is none of that name.
type partials func(name string) (text string, ok bool, err error)

// including adds the named templates that a parsed text calls and does not define, and what
// they call in turn.
type including struct {
	into  *template.Template
	funcs template.FuncMap
	find  partials
	found []partial
	open  []string // being added, outer ones first
}

// includeIn adds what the templates of a text include.
func includeIn(parsed *template.Template, funcs template.FuncMap, find partials) ([]partial, error) {
	i := &including{into: parsed, funcs: funcs, find: find}
	for _, t := range parsed.Templates() { // a copy
		if t.Tree != nil && t.Root != nil {
			if err := i.add(t.Root); err != nil {
				return nil, err
			}
		}
	}
	return i.found, nil
}

func (i *including) add(root parse.Node) error {
	var names []string
	walkNodes(root, func(n parse.Node) {
		if call, ok := n.(*parse.TemplateNode); ok && !slices.Contains(names, call.Name) {
			names = append(names, call.Name)
		}
	})
	for _, name := range names {
		if slices.Contains(i.open, name) {
			return fault.New(fault.Invalid, "named templates include each other in a circle: %s", strings.Join(append(i.open, name), " → "))
		}
		if i.into.Lookup(name) != nil {
			continue
		}
		if err := i.include(name); err != nil {
			return err
		}
	}
	return nil
}

func (i *including) include(name string) error {
	text, ok, err := i.find(name)
	if err != nil || !ok {
		return err // what nobody defines ends the run, if it gets there
	}
	if len(i.found) == maxPartials {
		return fault.New(fault.Invalid, "it includes more than %d named templates", maxPartials)
	}
	trees, err := parse.Parse(name, text, "", "", i.funcs, builtins)
	if err != nil {
		return fault.New(fault.Invalid, "what it includes, %s", clipWords(err.Error()))
	}
	i.found = append(i.found, partial{name, text})
	for inner, tree := range trees {
		if i.into.Lookup(inner) != nil {
			return fault.New(fault.Invalid, "the named template %q, which it includes, defines %q once more", name, inner)
		}
		if _, err := i.into.AddParseTree(inner, tree); err != nil {
			return err
		}
	}
	i.open = append(i.open, name)
	defer func() { i.open = i.open[:len(i.open)-1] }()
	for _, tree := range trees {
		if err := i.add(tree.Root); err != nil {
			return err
		}
	}
	return nil
}

// partialsOf finds named templates. Where a text is pinned, so must be what it includes.
func (c *TemplateConfig) partialsOf(p TemplatePlace) partials {
	return func(name string) (string, bool, error) {
		named := p.Named[name]
		if named == nil || !named.Custom() {
			return "", false, nil
		}
		if c.TemplateSHA256 != "" && named.TemplateSHA256 == "" {
			return "", false, fault.New(fault.Invalid, "templateSha256 pins the template, but not the named template %q that it includes; pin that, too", name)
		}
		text, err := named.text(name, p.Home)
		if err != nil {
			return "", false, err
		}
		if sum := sha256.Sum256([]byte(text)); named.TemplateSHA256 != "" && !strings.EqualFold(named.TemplateSHA256, hex.EncodeToString(sum[:])) {
			return "", false, fault.New(fault.Invalid, "the text of the named template %q has the SHA-256 %x, templateSha256 pins %s; somebody changed it", name, sum, named.TemplateSHA256)
		}
		return text, true, nil
	}
}

// text is the text of the template as it is now.
func (c *TemplateConfig) text(name, home string) (string, error) {
	if c.Template != "" {
		return TemplateOptions{}.decode(name, c.Template)
	}
	path, err := TemplatePath(c.TemplateFile, home)
	if err != nil {
		return "", err
	}
	text, err := readTemplate(path)
	if err != nil {
		return "", err
	}
	return TemplateOptions{Literal: true}.decode(name, text)
}
