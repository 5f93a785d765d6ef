package issue

import (
	"slices"
	"strings"
	"text/template/parse"
)

// harmlessRequest are the members of .Insecure.CR that say nothing about names: facts about
// the key that the request proved to hold.
var harmlessRequest = []string{"PublicKey", "PublicKeyAlgorithm", "KeyType", "KeyBits", "Fingerprint", "Key", "Signature", "Version"}

// Untrusted lists what the template takes from the requester: the variables below .Insecure,
// those about the key left out.
func (t *X509Template) Untrusted() []string { return t.engine.untrusted() }

// Untrusted does what X509Template.Untrusted does.
func (t *SSHTemplate) Untrusted() []string { return t.engine.untrusted() }

func (e *engine) untrusted() []string {
	var used []string
	for _, tree := range e.trees() {
		walkNodes(tree.Root, func(n parse.Node) {
			var names []string
			switch n := n.(type) {
			case *parse.FieldNode:
				names = n.Ident
			case *parse.VariableNode:
				names = n.Ident[1:] // $.Insecure…
			}
			if len(names) == 0 || names[0] != "Insecure" {
				return
			}
			if len(names) > 2 && names[1] == "CR" && slices.Contains(harmlessRequest, names[2]) {
				return
			}
			name := "." + strings.Join(names[:min(len(names), 3)], ".")
			if !slices.Contains(used, name) {
				used = append(used, name)
			}
		})
	}
	slices.Sort(used)
	return used
}

// builtins stands for the functions that text/template brings: their names are enough to
// parse.
var builtins = map[string]any{"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"index": true, "slice": true, "len": true, "print": true, "printf": true, "println": true, "html": true, "js": true, "urlquery": true, "call": true}
