package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

const manualHead = `# Configuration file

` + "`ca.json`" + ` is JSON; comments (` + "`//` and `/* */`" + `) and trailing commas are allowed. Names of members match in any
case. All mistakes are reported at once, each with line and column. A member nobody knows is a warning with a
suggestion, and an error with ` + "`--strict`" + `. A member that is known but not served yet stops the start.

A *duration* is a string such as ` + "`\"24h\"`, `\"1h30m\"` or `\"300ms\"`" + `; there are no days. A *secret* is the secret itself,
` + "`file:PATH` (trailing white space is cut) or `env:NAME`" + `. File names are relative to the working directory of the
server.

This page is printed from the program; so is the JSON Schema, [ca.schema.json](ca.schema.json), which editors
understand.
`

// Manual is the reference page of the configuration file, in Markdown.
func Manual() string {
	m := &manual{}
	m.WriteString(manualHead)
	m.section("Top level", membersOf(configType, ""), "")
	m.queued()
	return m.String()
}

// manual prints one section for each object, outer ones first.
type manual struct {
	strings.Builder
	queue []func()
}

func (m *manual) queued() {
	for len(m.queue) > 0 {
		next := m.queue[0]
		m.queue = m.queue[1:]
		next()
	}
}

func (m *manual) section(title string, members []member, path string) {
	fmt.Fprintf(m, "\n## %s\n\n| Member | Type | Default | Meaning |\n|---|---|---|---|\n", title)
	for i := range members {
		e := &members[i]
		preset := e.preset
		if e.required {
			preset = "**required**"
		} else if preset != "" && !strings.Contains(preset, " ") {
			preset = "`" + preset + "`"
		}
		fmt.Fprintf(m, "| `%s` | %s | %s | %s |\n", e.name, typeWord(e.typ), preset, cell(e.describe()))
		m.enqueue(e.typ, join(path, e.name))
	}
}

// cell keeps a text inside its table cell.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "\\<").Replace(text)
}

func (m *manual) enqueue(t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t != rawType {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
		t = t.Elem()
	}
	switch {
	case t == provisionerType:
		m.queue = append(m.queue, func() { m.provisioners(path) })
	case t.Kind() == reflect.Struct && !decodesItself(t):
		m.queue = append(m.queue, func() { m.section("`"+path+"`", membersOf(t, path), path) })
	}
}

// provisioners has a section for the members all types share, and one for each type.
func (m *manual) provisioners(path string) {
	m.section("`"+path+"`", membersOf(provisionerType, path), path)
	fmt.Fprintf(m, "\nTypes served: %s. ", strings.Join(servedTypes(), ", "))
	if off := provisioner.Unserved(); len(off) > 0 {
		fmt.Fprintf(m, "Known, but disabled in this version: %s. ", strings.Join(off, ", "))
	}
	m.WriteString("A disabled provisioner is named in the log and by `/ready`; the others go on.\n")
	for _, kind := range servedTypes() {
		if members := kindMembers(kind, path); len(members) > 0 {
			m.section("`"+path+"` of type "+kind, members, path)
		}
	}
}

func typeWord(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Strings]():
		return "string or list"
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[provisioner.Duration]():
		return "duration"
	case reflect.TypeFor[TLSVersion]():
		return "number"
	case reflect.TypeFor[provisioner.PublicJWK]():
		return "JWK"
	case provisionerType:
		return "object"
	case rawType:
		return "any"
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "base64"
		}
		return "list of " + typeWord(t.Elem()) + "s"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "string"
	}
	return "number"
}
