package strict

import (
	"bytes"
	"reflect"
	"sync"
)

// scan does what walker does, on the bytes themselves and without their meaning: several
// times faster. It may give up on anything that is not plain; then walker has the word. It
// need not notice what is no JSON, since encoding/json reads the value after it.
type scan struct {
	data    []byte
	at      int
	ignored []span // names of members which v has no field for
	seen    []span // names of the objects that are open, one object after the other
}

// plainNames is how many members an object may have before the comparison of each name with
// each other would cost more than walker's map.
const plainNames = 32

// value passes over one value that is meant for a type; false gives up.
func (s *scan) value(t *shape, depth int) bool {
	switch c := s.next(); c {
	case 0, ']', '}', ',', ':':
		return false
	case '"':
		_, ok := s.text()
		return ok
	case '{', '[':
		if depth == MaxDepth {
			return false
		}
		s.at++
		if c == '[' {
			return s.list(t, depth)
		}
		return s.members(t, depth)
	}
	if depth == 0 {
		return false // what follows a bare number decides where it ends
	}
	for s.at < len(s.data) { // a number, true, false or null
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r', ',', ']', '}':
			return true
		case '"', '[', '{', ':':
			return false
		}
		s.at++
	}
	return true
}

// next skips white space and gives the byte after it; 0 at the end.
func (s *scan) next() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scan) list(t *shape, depth int) bool {
	if s.next() == ']' {
		s.at++
		return true
	}
	inner := t.inner()
	for s.value(inner, depth+1) {
		switch s.next() {
		case ',':
			s.at++
		case ']':
			s.at++
			return true
		default:
			return false
		}
	}
	return false
}

func (s *scan) members(t *shape, depth int) bool {
	if s.next() == '}' {
		s.at++
		return true
	}
	first := len(s.seen)
	defer func() { s.seen = s.seen[:first] }()
	for s.next() == '"' {
		name, ok := s.text()
		if !ok || !s.fresh(name, s.seen[first:]) {
			return false
		}
		s.seen = append(s.seen, name)
		inner := t.inner()
		if t != nil && t.names != nil {
			field, known := t.names[string(s.data[name.from:name.to])]
			if inner = nil; known {
				inner = shapeOf(field)
			} else {
				s.ignored = append(s.ignored, name)
			}
		}
		if s.next() != ':' {
			return false
		}
		s.at++
		if !s.value(inner, depth+1) {
			return false
		}
		switch s.next() {
		case ',':
			s.at++
		case '}':
			s.at++
			return true
		default:
			return false
		}
	}
	return false
}

// fresh reports whether a name is plain and none of those before it.
func (s *scan) fresh(name span, before []span) bool {
	text := s.data[name.from:name.to]
	if len(before) == plainNames || bytes.IndexByte(text, '\\') >= 0 {
		return false
	}
	for _, c := range text {
		if c < ' ' || c >= 0x80 {
			return false
		}
	}
	for _, b := range before {
		if bytes.Equal(text, s.data[b.from:b.to]) {
			return false
		}
	}
	return true
}

// text passes over a string and tells where its content is.
func (s *scan) text() (span, bool) {
	s.at++
	from := s.at
	for {
		end := bytes.IndexByte(s.data[s.at:], '"')
		if end < 0 {
			return span{}, false
		}
		s.at += end + 1
		escapes := 0
		for i := s.at - 2; i >= from && s.data[i] == '\\'; i-- {
			escapes++
		}
		if escapes%2 == 0 {
			return span{int64(from), int64(s.at - 1)}, true
		}
	}
}

// shape is what a type means for the names below it; nil: nothing.
type shape struct {
	names   map[string]reflect.Type // of a struct's members; nil for anything else
	element reflect.Type            // of what a list or a map holds; nil for anything else
}

// inner is the shape of what a list or a map holds.
func (s *shape) inner() *shape {
	if s == nil || s.element == nil {
		return nil
	}
	return shapeOf(s.element)
}

var shapes sync.Map // reflect.Type -> *shape

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	var s *shape
	if p := plain(t); p != nil {
		s = &shape{names: fieldsOf(p), element: element(p)}
	}
	shapes.Store(t, s)
	return s
}
