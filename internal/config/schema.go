package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

// member describes one member of the file, for the schema and for people.
type member struct {
	name, help, preset string
	required           bool
	enum               []string
	typ                reflect.Type
	unserved           bool // known, but refused for now
}

// policyHelp describes the members of name rules, whose room knows no documentation.
var policyHelp = map[string]string{
	"x509": "rules for X.509 certificates", "ssh": "rules for SSH certificates", "user": "rules for user certificates", "host": "rules for host certificates",
	"allow": "names that may be certified; once there are any, others may not", "deny": "names that may never be certified",
	"allowWildcardNames": "names such as *.example may be certified if a rule covers them",
	"cn":                 "common names", "dns": "host names; *.example covers one label, **.example any depth", "ip": "addresses and blocks such as 10.0.0.0/8",
	"email": "addresses, or @example for all of a domain", "uri": "host names of URIs", "principal": "SSH principals; * for any",
}

// membersOf lists the members of a struct below a path.
func membersOf(t reflect.Type, path string) []member {
	var all []member
	for _, f := range fieldsOf(t) {
		m := member{name: f.name, help: f.tag.Get("help"), preset: f.tag.Get("default"), required: f.tag.Get("required") == "true", typ: f.typ}
		if m.help == "" {
			m.help = policyHelp[f.name]
		}
		if enum := f.tag.Get("enum"); enum != "" {
			m.enum = strings.Split(enum, ",")
		}
		m.unserved = isUnserved(join(path, f.name))
		all = append(all, m)
	}
	return all
}

// isUnserved reports whether a member as a whole is refused for now.
func isUnserved(path string) bool {
	return slices.ContainsFunc(unservedMembers, func(u unserved) bool { return u.path == path && u.served == nil })
}

func (m *member) describe() string {
	text := m.help
	if m.unserved {
		text += ". Not served yet: the server refuses to start with it"
	}
	return text
}

// shape is a node of a JSON Schema.
type shape map[string]any

// Schema is the JSON Schema (draft 2020-12) of the configuration file.
func Schema() ([]byte, error) {
	s := shapeOf(configType, "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Configuration of the signet certificate authority (ca.json)"
	return plainJSON(s, "", "  ")
}

func shapeOf(t reflect.Type, path string) shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Strings]():
		return shape{"oneOf": []shape{{"type": "string"}, {"type": "array", "items": shape{"type": "string"}}}}
	case reflect.TypeFor[provisioner.Duration]():
		return shape{"type": "string", "pattern": `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`}
	case reflect.TypeFor[TLSVersion]():
		return shape{"type": "number", "enum": []float64{0, 1.0, 1.1, 1.2, 1.3}}
	case reflect.TypeFor[provisioner.PublicJWK]():
		return shape{"type": "object"}
	case provisionerType:
		return provisionerShape(path)
	case rawType:
		return shape{}
	case sshTemplatesType:
		s := objectShape(membersOf(t, path), path, true)
		s["additionalProperties"] = shapeOf(namedType, path+".*")
		return s
	}
	switch t.Kind() {
	case reflect.Struct:
		return objectShape(membersOf(t, path), path, true)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return shape{"type": "string"}
		}
		return shape{"type": []string{"array", "null"}, "items": shapeOf(t.Elem(), path+"[]")}
	case reflect.Map:
		return shape{"type": "object"}
	case reflect.Bool:
		return shape{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return shape{"type": "integer"}
	case reflect.String:
		return shape{"type": "string"}
	}
	return shape{}
}

func objectShape(members []member, path string, closed bool) shape {
	properties := shape{}
	var required []string
	for i := range members {
		m := &members[i]
		p := shapeOf(m.typ, join(path, m.name))
		p["description"] = m.describe()
		if m.enum != nil {
			one := p // a list is of such values
			if items, ok := p["items"].(shape); ok {
				one = items
			}
			one["enum"] = append(slices.Clone(m.enum), "")
		}
		properties[m.name] = p
		if m.required {
			required = append(required, m.name)
		}
	}
	s := shape{"type": []string{"object", "null"}, "properties": properties}
	if closed {
		s["additionalProperties"] = false
	}
	if required != nil {
		s["required"] = required
	}
	return s
}

// provisionerShape has the members all types share; those of a type follow its name.
func provisionerShape(path string) shape {
	s := objectShape(membersOf(provisionerType, path), path, false)
	s["required"] = []string{"type", "name"}
	var kinds []shape
	for _, kind := range servedTypes() {
		own := objectShape(kindMembers(kind, path), path, false)
		delete(own, "type")
		kinds = append(kinds, shape{
			"if":   shape{"properties": shape{"type": shape{"pattern": anyCase(kind)}}, "required": []string{"type"}},
			"then": own,
		})
	}
	if kinds != nil {
		s["allOf"] = kinds
	}
	return s
}

// anyCase is a pattern for a word in upper and lower case; schemas know no flag for that.
func anyCase(word string) string {
	var b strings.Builder
	b.WriteByte('^')
	for _, r := range word {
		if lower, upper := strings.ToLower(string(r)), strings.ToUpper(string(r)); lower != upper {
			b.WriteString("[" + upper + lower + "]")
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('$')
	return b.String()
}

func servedTypes() []string {
	return slices.DeleteFunc(provisioner.Types(), func(kind string) bool { return slices.Contains(provisioner.Unserved(), kind) })
}

func kindMembers(kind, path string) []member {
	t := kindStruct(kind)
	if t == nil {
		return nil
	}
	return membersOf(t, path)
}

// kindStruct is the struct of a type of provisioner; nil if the type is not known.
func kindStruct(kind string) reflect.Type {
	name, _ := json.Marshal(kind) // a string never fails
	var p provisioner.Provisioner
	if err := json.Unmarshal(fmt.Appendf(nil, `{"type":%s,"name":"-"}`, name), &p); err != nil || p.Kind() == nil {
		return nil
	}
	t := reflect.TypeOf(p.Kind())
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}
