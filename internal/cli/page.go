package cli

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// page is everything a reader learns about a command; each form of the documentation
// prints it in its own way.
type page struct {
	path     string // with the program's name
	short    string
	usage    string
	long     []string // paragraphs
	args     []arg
	flags    []*flag
	globals  []*flag
	examples []example
	fields   []field
	exits    []exitNote
	commands []entry
}

// entry is a line in a list of commands.
type entry struct{ path, short string }

// field is a member of the JSON that --json prints.
type field struct{ path, kind, help string }

// page collects the documentation of c.
func (c *command) page() *page {
	p := &page{
		path: c.path(), short: c.short, usage: c.usage(),
		args: c.args, examples: c.examples, exits: c.exits,
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(c.long), "\n\n") {
		if text := strings.Join(strings.Fields(paragraph), " "); text != "" {
			p.long = append(p.long, text)
		}
	}
	for _, child := range c.children {
		if !child.hidden {
			p.commands = append(p.commands, entry{child.path(), child.short})
		}
	}
	set := newFlags()
	if c.run != nil {
		set = c.prepare()
	} else {
		set.globals(c)
	}
	for _, f := range set.list {
		switch {
		case f.hidden:
		case f.global:
			p.globals = append(p.globals, f)
		default:
			p.flags = append(p.flags, f)
		}
	}
	slices.SortStableFunc(p.flags, func(a, b *flag) int { return strings.Compare(a.name, b.name) })
	if c.result != nil {
		p.fields = fieldsOf(reflect.TypeOf(c.result), "", 0)
	}
	return p
}

// names is how a flag is written, all its names included.
func (f *flag) names() string {
	var names []string
	for _, name := range append([]string{f.name}, f.aliases...) {
		names = append(names, dashed(name))
	}
	s := strings.Join(names, ", ")
	if f.placeholder != "" {
		s += " " + f.placeholder
	}
	return s
}

// about is the description of a flag with its default, without trailing full stop.
func (f *flag) about() string {
	s := strings.ReplaceAll(f.usage, "`", "") // the placeholder stands beside it
	if f.repeats {
		s += "; may be repeated"
	}
	if f.preset != "" && f.off == nil {
		s += fmt.Sprintf(" (default %s)", f.preset)
	} else if f.preset != "" {
		s += " (default true)"
	}
	return s
}

// variables are the environment variables of a flag, as documented.
func (f *flag) variables() string {
	var names []string
	for _, name := range f.env {
		names = append(names, "SIGNET_"+name, "STEP_"+name)
	}
	return strings.Join(names, ", ")
}

const maxFieldDepth = 6

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

// fieldsOf lists the JSON members of a type by its tags: `json` names them, `help` says
// what they hold.
func fieldsOf(t reflect.Type, prefix string, depth int) []field {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		if t.Kind() == reflect.Slice {
			prefix += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() == reflect.Map {
		return fieldsOf(t.Elem(), prefix+".<name>", depth+1)
	}
	if t.Kind() != reflect.Struct || t.Implements(textMarshaler) || depth > maxFieldDepth {
		return nil
	}
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous && name == "" {
			fields = append(fields, fieldsOf(sf.Type, prefix, depth+1)...)
			continue
		}
		if !sf.IsExported() || name == "-" || name == "" {
			continue
		}
		path := prefix + "." + name
		fields = append(fields, field{path: path, kind: kindOf(sf.Type), help: sf.Tag.Get("help")})
		fields = append(fields, fieldsOf(sf.Type, path, depth+1)...)
	}
	return fields
}

// kindOf names the JSON kind of a Go type.
func kindOf(t reflect.Type) string {
	if t.Implements(textMarshaler) || reflect.PointerTo(t).Implements(textMarshaler) {
		return "string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string"
		}
		return "array"
	case reflect.Map, reflect.Struct:
		return "object"
	}
	if t.Kind() == reflect.Interface {
		return "any"
	}
	return "string"
}
