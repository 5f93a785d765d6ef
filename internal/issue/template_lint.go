package issue

import (
	"fmt"
	"text/template/parse"
)

// harmless are functions whose result never closes a JSON string.
var harmless = map[string]bool{
	"toJson": true, "mustToJson": true, "toRawJson": true, "mustToRawJson": true, "quote": true,
	"int": true, "int64": true, "float64": true, "add": true, "add1": true, "sub": true, "mul": true, "div": true, "mod": true,
	"len": true, "max": true, "min": true, "round": true, "floor": true, "ceil": true, "atoi": true, "toDecimal": true, "unixEpoch": true,
	"b64enc": true, "b32enc": true, "sha1sum": true, "sha256sum": true, "sha512sum": true, "adler32sum": true, "hex": true,
	"formatTime": true, "htmlDate": true, "urlquery": true, "js": true, "html": true, "uuidv4": true, "jwkThumbprint": true,
	"randAlpha": true, "randAlphaNum": true, "randNumeric": true, "randInt": true, "randBytes": true,
	"asn1Enc": true, "asn1Marshal": true, "asn1Seq": true, "asn1Set": true, "asn1SetOf": true,
	funcEscape: true,
}

// Lint warns of actions that paste a value between the quotes of a JSON text, where the
// value can close the quotes and add members of its own choice.
func (t *X509Template) Lint() []string { return t.engine.lint() }

func (e *engine) lint() []string {
	var warnings []string
	if e.escaped {
		return nil
	}
	for _, t := range e.trees() {
		name := e.name
		if t.ParseName != "template" {
			name = t.ParseName
		}
		eachUnquoted(t.Root, func(a *parse.ActionNode) {
			place, _ := t.ErrorContext(a)
			warnings = append(warnings, fmt.Sprintf("template %s, %s: the value of %s stands between quotes, which it can close; write it without them as {{ toJson … }}",
				name, lineColumn(place), a.Pipe))
		})
	}
	return warnings
}

// eachUnquoted visits the actions that stand inside a JSON text and do not end with a
// harmless function.
func eachUnquoted(root *parse.ListNode, visit func(*parse.ActionNode)) {
	scan := jsonScan{visit: visit}
	scan.list(root, false)
}

// jsonScan follows the quotes of the JSON around actions.
type jsonScan struct{ visit func(*parse.ActionNode) }

// list reports whether the text after the list is inside a string if that before it is. The
// branches of a condition are taken to agree.
func (s *jsonScan) list(l *parse.ListNode, inside bool) bool {
	if l == nil {
		return inside
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			inside = afterText(n.Text, inside)
		case *parse.ActionNode:
			if inside && len(n.Pipe.Decl) == 0 && !harmless[lastFunction(n.Pipe)] {
				s.visit(n)
			}
		case *parse.IfNode:
			inside = s.branch(&n.BranchNode, inside)
		case *parse.RangeNode:
			inside = s.branch(&n.BranchNode, inside)
		case *parse.WithNode:
			inside = s.branch(&n.BranchNode, inside)
		}
	}
	return inside
}

func (s *jsonScan) branch(b *parse.BranchNode, inside bool) bool {
	after := s.list(b.List, inside)
	s.list(b.ElseList, inside)
	return after
}

func afterText(text []byte, inside bool) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if inside {
				i++
			}
		case '"':
			inside = !inside
		}
	}
	return inside
}

// lastFunction is the function that makes the value of a pipeline; "" if none does.
func lastFunction(p *parse.PipeNode) string {
	if len(p.Cmds) == 0 {
		return ""
	}
	if id, ok := p.Cmds[len(p.Cmds)-1].Args[0].(*parse.IdentifierNode); ok {
		return id.Ident
	}
	return ""
}
