package strict

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Found is what one of the two ways of reading found: the first value, and in it the names
// that nobody knows.
type Found struct {
	First   string
	Ignored []string
}

func found(data, first []byte, ignored []span) *Found {
	f := &Found{First: string(first)}
	for _, s := range ignored {
		f.Ignored = append(f.Ignored, string(data[s.from:s.to]))
	}
	return f
}

// Scan is the fast way; nil if it gave up.
func Scan(data []byte, t reflect.Type) *Found {
	s := &scan{data: data}
	if !s.value(shapeOf(t), 0) {
		return nil
	}
	return found(data, data[:s.at], s.ignored)
}

// Walk is the other one; nil if it refused.
func Walk(data []byte, t reflect.Type) *Found {
	w := &walker{dec: json.NewDecoder(bytes.NewReader(data)), data: data}
	w.dec.UseNumber()
	if w.value(t, 0) != nil {
		return nil
	}
	return found(data, data[:w.dec.InputOffset()], w.ignored)
}
