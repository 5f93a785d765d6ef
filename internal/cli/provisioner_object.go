package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// jsonObject is a JSON object whose members keep their order. Names match without regard
// to case, as the configuration is read.
type jsonObject struct {
	names  []string
	values map[string]json.RawMessage
}

func newObject() *jsonObject { return &jsonObject{values: map[string]json.RawMessage{}} }

// readObject reads an object; nil and null are an empty one.
func readObject(data []byte) (*jsonObject, error) {
	o := newObject()
	if len(data) == 0 || bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return o, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, fmt.Errorf("a JSON object is expected, not %s", clipped(data))
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		o.put(name.(string), value)
	}
	return o, nil
}

func clipped(data []byte) string {
	if len(data) > 40 {
		return string(data[:40]) + "…"
	}
	return string(data)
}

// find gives the name under which a member stands; "" if it does not.
func (o *jsonObject) find(name string) string {
	i := slices.IndexFunc(o.names, func(have string) bool { return strings.EqualFold(have, name) })
	if i < 0 {
		return ""
	}
	return o.names[i]
}

func (o *jsonObject) get(name string) json.RawMessage { return o.values[o.find(name)] }

func (o *jsonObject) put(name string, value json.RawMessage) {
	if have := o.find(name); have != "" {
		name = have
	} else {
		o.names = append(o.names, name)
	}
	o.values[name] = value
}

// set puts a value of ours, which always encodes.
func (o *jsonObject) set(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	o.put(name, data)
}

// setOrRemove is set, but an empty text or list, and false, take the member out. Empty texts in
// a list do not count.
func (o *jsonObject) setOrRemove(name string, value any) {
	if list, ok := value.([]string); ok {
		value = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	}
	switch v := value.(type) {
	case []string:
		if len(v) > 0 {
			o.set(name, v)
			return
		}
	case string, bool:
		if v != "" && v != false {
			o.set(name, v)
			return
		}
	}
	o.remove(name)
}

func (o *jsonObject) remove(name string) {
	if have := o.find(name); have != "" {
		delete(o.values, have)
		o.names = slices.DeleteFunc(o.names, func(n string) bool { return n == have })
	}
}

// within changes an object inside this one; an inner object left empty goes.
func (o *jsonObject) within(name string, change func(*jsonObject) error) error {
	inner, err := readObject(o.get(name))
	if err != nil {
		return fmt.Errorf("member %s: %w", name, err)
	}
	before := len(inner.names)
	if err := change(inner); err != nil {
		return err
	}
	switch {
	case len(inner.names) > 0:
		o.put(name, inner.text())
	case before > 0:
		o.remove(name)
	}
	return nil
}

// text is the object as JSON.
func (o *jsonObject) text() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		quoted, _ := json.Marshal(name) // a string always encodes
		b.Write(quoted)
		b.WriteByte(':')
		b.Write(o.values[name])
	}
	b.WriteByte('}')
	return b.Bytes()
}
