package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// edit changes a syntax tree and keeps the style its author writes in.
type edit struct {
	root *hujson.Value
	unit string // what one level is indented by; "" if everything stands on one line
	crlf bool   // lines end as on Windows
}

// unitOf finds the indentation of the first member.
func unitOf(root *hujson.Value) string {
	o, ok := root.Value.(*hujson.Object)
	if !ok || len(o.Members) == 0 {
		return "\t"
	}
	indent, multiline := lastIndent(o.Members[0].Name.BeforeExtra)
	if !multiline {
		return ""
	}
	base, _ := lastIndent(o.AfterExtra)
	if unit := strings.TrimPrefix(indent, base); unit != "" {
		return unit
	}
	return "\t"
}

// lastIndent is the white space after the last line end of an extra.
func lastIndent(extra hujson.Extra) (string, bool) {
	i := bytes.LastIndexByte(extra, '\n')
	if i < 0 {
		return "", false
	}
	rest := extra[i+1:]
	return string(rest[:len(rest)-len(bytes.TrimLeft(rest, " \t"))]), true
}

func (e *edit) indent(extra hujson.Extra) string {
	indent, _ := lastIndent(extra)
	return indent
}

// indentIn is how far the members of an object are indented.
func (e *edit) indentIn(o *hujson.Object) string {
	if len(o.Members) > 0 {
		return e.indent(o.Members[0].Name.BeforeExtra)
	}
	for v := range e.root.All() {
		outer, ok := v.Value.(*hujson.Object)
		if !ok {
			continue
		}
		for i := range outer.Members {
			if outer.Members[i].Value.Value == hujson.ValueTrimmed(o) {
				return e.indent(outer.Members[i].Name.BeforeExtra) + e.unit
			}
		}
	}
	return e.unit
}

// rendered writes a value in the style of the file, for a place indented by indent.
func (e *edit) rendered(v *hujson.Value, indent string) hujson.Value {
	text := standard(v)
	if e.unit != "" {
		var out bytes.Buffer
		if json.Indent(&out, text, indent, e.unit) == nil {
			text = e.lines(out.Bytes())
		}
	}
	tree, err := hujson.Parse(text)
	if err != nil { // it came out of a parser
		return v.Clone()
	}
	return tree
}

// lineBefore is what separates a new element from what stands before it.
func (e *edit) lineBefore(indent string) hujson.Extra {
	if e.unit == "" {
		return hujson.Extra(" ")
	}
	return e.lines(hujson.Extra("\n" + indent))
}

// lines gives a text the line ends of the file. Strings in JSON hold none as they are.
func (e *edit) lines(text []byte) []byte {
	if !e.crlf {
		return text
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// append puts an element at the end of a list.
func (e *edit) append(list *hujson.Array, v *hujson.Value) {
	indent, closing := e.indentOfList(list)
	added := e.rendered(v, indent)
	trailing := len(list.Elements) > 0 && list.Elements[len(list.Elements)-1].AfterExtra != nil
	added.BeforeExtra = e.before(list.AfterExtra, indent, len(list.Elements) == 0)
	list.AfterExtra = e.after(closing)
	if trailing {
		added.AfterExtra = []byte{}
	}
	list.Elements = append(list.Elements, added)
}

// before keeps the comments that closed a list or object in front of what now follows them.
func (e *edit) before(closed hujson.Extra, indent string, first bool) hujson.Extra {
	comments := bytes.TrimRight(closed, " \t\r\n")
	if e.unit == "" && first && len(comments) == 0 {
		return nil
	}
	return append(slices.Clone(comments), e.lineBefore(indent)...)
}

func (e *edit) after(indent string) hujson.Extra {
	if e.unit == "" {
		return nil
	}
	return e.lines(hujson.Extra("\n" + indent))
}

// indentOfList is how far elements and closing bracket of a list are indented.
func (e *edit) indentOfList(list *hujson.Array) (elements, closing string) {
	for v := range e.root.All() {
		o, ok := v.Value.(*hujson.Object)
		if !ok {
			continue
		}
		for i := range o.Members {
			if o.Members[i].Value.Value == hujson.ValueTrimmed(list) {
				closing = e.indent(o.Members[i].Name.BeforeExtra)
			}
		}
	}
	if len(list.Elements) > 0 {
		if indent, multiline := lastIndent(list.Elements[0].BeforeExtra); multiline {
			return indent, closing
		}
	}
	return closing + e.unit, closing
}

// addMember puts a member at the end of an object.
func (e *edit) addMember(o *hujson.Object, name string, v hujson.Value, indent string) {
	value := e.rendered(&v, indent)
	if e.unit != "" {
		value.BeforeExtra = hujson.Extra(" ")
	}
	m := hujson.ObjectMember{Name: hujson.Value{Value: hujson.String(name)}, Value: value}
	trailing := len(o.Members) > 0 && o.Members[len(o.Members)-1].Value.AfterExtra != nil
	m.Name.BeforeExtra = e.before(o.AfterExtra, indent, len(o.Members) == 0)
	o.AfterExtra = e.after(strings.TrimSuffix(indent, e.unit))
	if trailing {
		m.Value.AfterExtra = []byte{}
	}
	o.Members = append(o.Members, m)
}

// merge makes have say what want says and leaves alone what says so already.
func (e *edit) merge(have, want *hujson.Value, indent string) {
	if sameJSON(have, want) {
		return
	}
	old, isObject := have.Value.(*hujson.Object)
	wanted, becomesObject := want.Value.(*hujson.Object)
	if !isObject || !becomesObject {
		have.Value = e.rendered(want, indent).Value
		return
	}
	for i := len(old.Members) - 1; i >= 0; i-- {
		if memberIndex(wanted, old.Members[i].Name.Value.(hujson.Literal).String()) < 0 {
			removeMember(old, i)
		}
	}
	inner := indent + e.unit
	for i := range wanted.Members {
		m := &wanted.Members[i]
		name := m.Name.Value.(hujson.Literal).String()
		if at := memberIndex(old, name); at >= 0 {
			e.merge(&old.Members[at].Value, &m.Value, inner)
			continue
		}
		e.addMember(old, name, m.Value, inner)
	}
}

func sameJSON(a, b *hujson.Value) bool {
	decode := func(v *hujson.Value) any {
		dec := json.NewDecoder(bytes.NewReader(standard(v)))
		dec.UseNumber()
		var out any
		if dec.Decode(&out) != nil {
			return nil
		}
		return out
	}
	return reflect.DeepEqual(decode(a), decode(b))
}

// removeElement takes an element out, with the comment lines above it. A comment behind its
// neighbour's comma stays with the neighbour.
func removeElement(list *hujson.Array, i int) {
	last := i == len(list.Elements)-1
	next := &list.AfterExtra
	if !last {
		next = &list.Elements[i+1].BeforeExtra
	}
	trailing := list.Elements[i].AfterExtra != nil
	*next = handOver(list.Elements[i].BeforeExtra, *next)
	list.Elements = slices.Delete(list.Elements, i, i+1)
	if last && i > 0 {
		list.AfterExtra = fixComma(&list.Elements[i-1].AfterExtra, trailing, list.AfterExtra)
	}
}

func removeMember(o *hujson.Object, i int) {
	last := i == len(o.Members)-1
	next := &o.AfterExtra
	if !last {
		next = &o.Members[i+1].Name.BeforeExtra
	}
	trailing := o.Members[i].Value.AfterExtra != nil
	*next = handOver(o.Members[i].Name.BeforeExtra, *next)
	o.Members = slices.Delete(o.Members, i, i+1)
	if last && i > 0 {
		o.AfterExtra = fixComma(&o.Members[i-1].Value.AfterExtra, trailing, o.AfterExtra)
	}
}

// handOver joins the rest of the line before what was removed with what follows it.
func handOver(removed, next hujson.Extra) hujson.Extra {
	head, _, _ := splitLine(removed)
	_, tail, found := splitLine(next)
	if !found {
		if strings.Contains(string(head), "//") {
			return append(slices.Clone(head), append([]byte("\n"), next...)...)
		}
		return append(slices.Clone(head), bytes.TrimLeft(next, " \t")...)
	}
	return append(slices.Clone(head), tail...)
}

// splitLine cuts an extra before its first line end outside a block comment.
func splitLine(extra hujson.Extra) (head, tail hujson.Extra, found bool) {
	for i := 0; i < len(extra); i++ {
		switch {
		case extra[i] == '\n':
			return extra[:i], extra[i:], true
		case bytes.HasPrefix(extra[i:], []byte("/*")):
			i = endOfComment(extra, i)
		}
	}
	return extra, nil, false
}

// fixComma gives the new last element a trailing comma if the removed one had it.
func fixComma(after *hujson.Extra, trailing bool, closing hujson.Extra) hujson.Extra {
	switch {
	case trailing && *after == nil:
		*after = hujson.Extra{}
	case !trailing && *after != nil:
		closing = append(slices.Clone(*after), closing...)
		*after = nil
	}
	return closing
}
