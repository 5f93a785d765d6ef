// Package strict is the one decoder for strangers' JSON. encoding/json alone is lax where a
// signature or a rule may look at one thing and the program at another: it takes the last of
// two members with one name, fills `csr` from `CSR`, and nests as deep as memory lasts.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// MaxDepth is how many objects and lists may stand inside each other.
const MaxDepth = 32

// Decode fills v from the first JSON value in data. It refuses nesting beyond MaxDepth and
// two members of one name in one object, at every level. Member names match in exact case;
// unknown ones are ignored, and so is whatever follows the first value. The caller bounds
// the size. Every refusal is a fault.Invalid.
//
// A type with its own UnmarshalJSON sees its value after these checks, but matches names
// inside it by its own rules.
func Decode(data []byte, v any) error {
	first, ignored, err := look(data, reflect.TypeOf(v))
	if err != nil {
		return complain(err)
	}
	if len(ignored) > 0 {
		first = bytes.Clone(first)
		for _, name := range ignored {
			blank(first[name.from:name.to])
		}
	}
	if err := json.Unmarshal(first, v); err != nil {
		return complain(err)
	}
	return nil
}

// look finds the first value, and the names in it that the type has no field for.
func look(data []byte, t reflect.Type) (first []byte, ignored []span, err error) {
	s := &scan{data: data}
	if s.value(shapeOf(t), 0) {
		return data[:s.at], s.ignored, nil
	}
	w := &walker{dec: json.NewDecoder(bytes.NewReader(data)), data: data}
	w.dec.UseNumber() // a number too big for float64 is no syntax error
	if err = w.value(t, 0); err == io.EOF && len(bytes.TrimSpace(data)) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return data[:w.dec.InputOffset()], w.ignored, err
}

// Check applies the rules of Decode to the first JSON value in data without decoding it.
func Check(data []byte) error {
	var v json.RawMessage
	return Decode(data, &v)
}

// walker reads the tokens of one value beside the type it is meant for.
type walker struct {
	dec     *json.Decoder
	data    []byte
	ignored []span // names of members which v has no field for
}

type span struct{ from, to int64 }

// blank makes a member name one that no field has, so that encoding/json can't fold its case
// into a known one. The length stays, and with it every offset in an error.
func blank(name []byte) {
	for i := range name {
		name[i] = ' '
	}
}

func (w *walker) value(t reflect.Type, depth int) error {
	tok, err := w.dec.Token()
	if err != nil {
		return err
	}
	delim, nested := tok.(json.Delim)
	if !nested {
		return nil
	}
	if depth == MaxDepth {
		return fault.New(fault.Invalid, "JSON nests deeper than %d levels", MaxDepth)
	}
	t = plain(t)
	if delim == '[' {
		for w.dec.More() {
			if err := w.value(element(t), depth+1); err != nil {
				return err
			}
		}
	} else if err := w.members(t, depth); err != nil {
		return err
	}
	_, err = w.dec.Token() // the closing bracket
	return err
}

func (w *walker) members(t reflect.Type, depth int) error {
	seen := map[string]bool{}
	names := fieldsOf(t)
	for w.dec.More() {
		before := w.dec.InputOffset()
		tok, err := w.dec.Token()
		if err != nil {
			return err
		}
		name := tok.(string) // the decoder lets only strings stand here
		if seen[name] {
			return fault.New(fault.Invalid, "JSON member %q stands twice in one object", name)
		}
		seen[name] = true
		inner := element(t)
		if names != nil {
			known := false
			if inner, known = names[name]; !known {
				start := before + int64(bytes.IndexByte(w.data[before:], '"'))
				w.ignored = append(w.ignored, span{start + 1, w.dec.InputOffset() - 1})
			}
		}
		if err := w.value(inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()
)

// plain follows pointers down to the type that takes the value; nil stands for a type that
// looks after itself, whose names are not ours to judge.
func plain(t reflect.Type) reflect.Type {
	for t != nil {
		if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) ||
			t.Implements(textUnmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

// element is what a list or a map holds, or nil.
func element(t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return t.Elem()
	}
	return nil
}

// fieldsOf lists the JSON names of a struct and their types; nil for anything else.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	names := map[string]reflect.Type{}
	collect(t, names, 0)
	return names
}

func collect(t reflect.Type, names map[string]reflect.Type, depth int) {
	if depth > MaxDepth { // a type that embeds itself
		return
	}
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		inner := f.Type
		if f.Anonymous && inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case !f.IsExported():
		case name == "":
			names[f.Name] = f.Type
		default:
			names[name] = f.Type
		}
	}
	// An outer field hides the embedded one of the same name.
	for _, e := range embedded {
		inner := map[string]reflect.Type{}
		collect(e, inner, depth+1)
		for name, typ := range inner {
			if _, taken := names[name]; !taken {
				names[name] = typ
			}
		}
	}
}

// complain puts the decoder's refusal into words.
func complain(err error) error {
	if fault.Of(err) != nil {
		return err
	}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == io.EOF:
		return fault.New(fault.Invalid, "no JSON value found")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "JSON ends before its value is complete")
	case errors.As(err, &syntax):
		return fault.New(fault.Invalid, "JSON is malformed at byte %d: %v", syntax.Offset, err)
	case errors.As(err, &mismatch):
		return fault.New(fault.Invalid, "%s: found a JSON %s where %s is expected",
			where(mismatch.Field), mismatch.Value, kindWord(mismatch.Type))
	}
	return fault.New(fault.Invalid, "JSON holds an unusable value: %v", err)
}

func where(field string) string {
	if field == "" {
		return "JSON value"
	}
	return fmt.Sprintf("JSON member %q", field)
}

// kindWord names a Go type as someone who writes JSON would.
func kindWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number in range"
}
