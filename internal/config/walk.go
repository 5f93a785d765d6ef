package config

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
)

var (
	configType      = reflect.TypeFor[Config]()
	provisionerType = reflect.TypeFor[provisioner.Provisioner]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// walk holds a value against the type it is meant for. What does not fit is complained about
// and replaced by null, so that the rest can be decoded and judged as well.
func (s *source) walk(v *hujson.Value, t reflect.Type, path string) {
	s.at[path], s.values[path] = v.StartOffset, v
	if err := s.fit(v, t, path); err != nil {
		s.complainAt(v.StartOffset, path, "%s%v", subject(path), err)
		s.broken[path] = true
		v.Value = hujson.Literal("null")
	}
}

// subject is how a message calls a member.
func subject(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// fit complains about v itself by its result, about what is inside it by walking on.
func (s *source) fit(v *hujson.Value, t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := v.Value.Kind()
	if kind == 'n' && path != "" {
		return nil
	}
	switch {
	case t == provisionerType:
		return s.fitProvisioner(v, path)
	case t == rawType:
		return nil
	case decodesItself(t):
		return s.decode(v, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		object, ok := v.Value.(*hujson.Object)
		if !ok {
			return mismatch("an object", kind)
		}
		fields := fieldsOf(t)
		if t == sshTemplatesType {
			fields = append(fields, namedFields(object)...)
		}
		s.walkObject(object, fields, path, true)
	case reflect.Slice:
		list, ok := v.Value.(*hujson.Array)
		if !ok {
			return mismatch("a list", kind)
		}
		for i := range list.Elements {
			s.walk(&list.Elements[i], t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		return s.decode(v, t)
	}
	return nil
}

func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(unmarshalerType) || p.Implements(textType) ||
		t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// decode tries a value that is decoded as a whole.
func (s *source) decode(v *hujson.Value, t reflect.Type) error {
	err := json.Unmarshal(standard(v), reflect.New(t).Interface())
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field == "" {
		if v.Value.Kind() == '0' && strings.HasSuffix(kindWord(t), "number") {
			return fmt.Errorf("%s is expected here, and a smaller one", kindWord(t))
		}
		return mismatch(kindWord(t), v.Value.Kind())
	}
	if f := fault.Of(err); f != nil {
		return f
	}
	return err
}

// standard gives a value as standard JSON and leaves it as it is.
func standard(v *hujson.Value) []byte {
	clone := v.Clone()
	clone.Minimize()
	return clone.Pack()
}

func mismatch(want string, got hujson.Kind) error {
	words := map[hujson.Kind]string{'n': "null", 'f': "false", 't': "true", '"': "a string", '0': "a number", '{': "an object", '[': "a list"}
	return fmt.Errorf("%s is expected here, not %s", want, words[got])
}

func kindWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// field is a member that a type knows.
type field struct {
	name string
	typ  reflect.Type
	tag  reflect.StructTag
}

// fieldsOf lists the members of a struct in their order.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			fields = append(fields, fieldsOf(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		fields = append(fields, field{name, f.Type, f.Tag})
	}
	return fields
}

// find matches a member name as encoding/json does: case does not matter.
func find(fields []field, name string) (field, bool) {
	i := slices.IndexFunc(fields, func(f field) bool { return strings.EqualFold(f.name, name) })
	if i < 0 {
		return field{}, false
	}
	return fields[i], true
}

// walkObject judges each member of an object. closed says that fields are all there are.
func (s *source) walkObject(object *hujson.Object, fields []field, path string, closed bool) {
	seen := map[string]int{}
	for i := range object.Members {
		m := &object.Members[i]
		name := m.Name.Value.(hujson.Literal).String()
		f, known := find(fields, name)
		canonical := name
		if known {
			canonical = f.name
		}
		if first, twice := seen[strings.ToLower(canonical)]; twice {
			line, _ := s.place(first)
			s.warnAt(m.Name.StartOffset, join(path, canonical), "%s stands twice in this object (first in line %d); the last one counts", canonical, line)
		}
		seen[strings.ToLower(canonical)] = m.Name.StartOffset
		switch {
		case known:
			s.walk(&m.Value, f.typ, join(path, canonical))
		case closed:
			s.warnStrictly(m.Name.StartOffset, join(path, name), "%s is not known here and has no effect%s", quotedPath(join(path, name)), suggestion(name, fields))
		}
	}
}

func quotedPath(path string) string { return "the member " + printable(path) }

// printable keeps what a stranger wrote from moving the cursor of a terminal.
func printable(text string) string {
	if len(text) > 120 {
		text = text[:120] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// suggestion names the known member that looks most like a mistyped one.
func suggestion(name string, fields []field) string {
	best, least := "", max(2, len(name)/3)+1
	for _, f := range fields {
		if d := distance(strings.ToLower(name), strings.ToLower(f.name)); d < least {
			best, least = f.name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the number of letters to insert, drop or change (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// fitProvisioner judges a provisioner by the members of its type. One of a type this version
// cannot serve is judged by the members that all types share, since it will be disabled.
func (s *source) fitProvisioner(v *hujson.Value, path string) error {
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		return mismatch("an object", v.Value.Kind())
	}
	fields := fieldsOf(provisionerType)
	own, closed := kindFields(memberText(object, "type"))
	s.walkObject(object, append(fields, own...), path, closed)
	var p provisioner.Provisioner
	if err := json.Unmarshal(standard(v), &p); err != nil {
		if f := fault.Of(err); f != nil {
			return f
		}
		return err
	}
	return nil
}

// kindFields lists the members of a type of provisioner; false if they are not known.
func kindFields(kind string) ([]field, bool) {
	t := kindStruct(kind)
	if t == nil {
		return nil, false
	}
	return fieldsOf(t), true
}

// memberText is the text of a string member, the last of its name.
func memberText(object *hujson.Object, name string) string {
	text := ""
	for _, m := range object.Members {
		if strings.EqualFold(m.Name.Value.(hujson.Literal).String(), name) {
			if value, ok := m.Value.Value.(hujson.Literal); ok && value.Kind() == '"' {
				text = value.String()
			}
		}
	}
	return text
}

func byPlace(list []Complaint) {
	slices.SortStableFunc(list, func(a, b Complaint) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
