package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
)

// FileProvisioners gives the provisioners of the file at path as they stand there, as
// standard JSON, unknown members included.
func FileProvisioners(path string) ([]json.RawMessage, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	tree, err := parseTree(path, data)
	if err != nil {
		return nil, err
	}
	list, err := (&edit{root: &tree}).provisioners(false)
	if err != nil || list == nil {
		return nil, err
	}
	all := make([]json.RawMessage, len(list.Elements))
	for i := range list.Elements {
		all[i] = standard(&list.Elements[i])
	}
	return all, nil
}

// AddProvisioner puts a provisioner at the end of the list in the file at path. Nothing else
// in the file changes: order, comments, unknown members and mode stay as they are.
func AddProvisioner(path string, object []byte) error {
	return change(path, func(e *edit) error {
		added, name, err := provisionerTree(object)
		if err != nil {
			return err
		}
		list, err := e.provisioners(true)
		if err != nil {
			return err
		}
		if indexOf(list, name) >= 0 {
			return fault.New(fault.Conflict, "a provisioner called %q exists already in %s", name, path)
		}
		if err := refuseTwin(list, object, -1); err != nil {
			return err
		}
		e.append(list, added)
		return nil
	})
}

// ReplaceProvisioner makes the named provisioner in the file at path say what object says.
// Members that do not change keep their place, form and comments.
func ReplaceProvisioner(path, name string, object []byte) error {
	return change(path, func(e *edit) error {
		wanted, newName, err := provisionerTree(object)
		if err != nil {
			return err
		}
		list, i, err := e.find(path, name)
		if err != nil {
			return err
		}
		if other := indexOf(list, newName); other >= 0 && other != i {
			return fault.New(fault.Conflict, "a provisioner called %q exists already in %s", newName, path)
		}
		if err := refuseTwin(list, object, i); err != nil {
			return err
		}
		e.merge(&list.Elements[i], wanted, e.indent(list.Elements[i].BeforeExtra))
		return nil
	})
}

// RemoveProvisioner takes the named provisioner out of the file at path, and the comment
// above it.
func RemoveProvisioner(path, name string) error {
	return change(path, func(e *edit) error {
		list, i, err := e.find(path, name)
		if err != nil {
			return err
		}
		removeElement(list, i)
		return nil
	})
}

// change rewrites the file at path in one durable step, unless somebody else wrote it in
// between: two administrators at once must not undo each other's work.
func change(path string, apply func(*edit) error) error {
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("lock %s against other writers: %w", path, err)
	}
	defer unlock()
	before, info, err := readFile(path)
	if err != nil {
		return err
	}
	tree, err := parseTree(path, before)
	if err != nil {
		return err
	}
	if err := apply(&edit{root: &tree, unit: unitOf(&tree), crlf: bytes.Contains(before, []byte("\r\n"))}); err != nil {
		return err
	}
	after := tree.Pack()
	if _, err := parseTree(path, after); err != nil {
		return fmt.Errorf("the change would break the file, so it stays as it is: %w", err)
	}
	if now, _, err := readFile(path); err != nil || !bytes.Equal(now, before) {
		return errors.Join(err, fault.New(fault.Conflict, "%s was changed by somebody else in the meantime; try again", path))
	}
	return durable.WriteFile(path, after, info.Mode().Perm())
}

// parseTree parses a text that must be one object and nothing else.
func parseTree(name string, data []byte) (hujson.Value, error) {
	s := newSource(name, data)
	tree, ok := s.tree()
	if !ok {
		_, err := s.report(false)
		return hujson.Value{}, err
	}
	if len(s.warnings) > 0 || len(s.data) != len(data) {
		return hujson.Value{}, fault.New(fault.Invalid, "%s has something before or after its object, so it cannot be edited safely; remove that first", name)
	}
	if _, isObject := tree.Value.(*hujson.Object); !isObject {
		return hujson.Value{}, fault.New(fault.Invalid, "%s holds no JSON object", name)
	}
	return *tree, nil
}

// provisionerTree checks an object that is to become a provisioner.
func provisionerTree(object []byte) (*hujson.Value, string, error) {
	tree, err := parseTree("provisioner", object)
	if err != nil {
		return nil, "", err
	}
	tree.Minimize()
	var p provisioner.Provisioner
	if err := json.Unmarshal(tree.Pack(), &p); err != nil {
		return nil, "", err
	}
	if p.Name == "" || p.Type == "" {
		return nil, "", fault.New(fault.Invalid, "a provisioner needs a type and a name")
	}
	return &tree, p.Name, nil
}

// provisioners finds the list; if asked to, it makes one that is missing.
func (e *edit) provisioners(create bool) (*hujson.Array, error) {
	top := e.root.Value.(*hujson.Object)
	authority, err := e.member(top, "authority", hujson.Value{Value: &hujson.Object{}}, create)
	if err != nil || authority == nil {
		return nil, err
	}
	object, ok := authority.Value.(*hujson.Object)
	if !ok {
		return nil, fault.New(fault.Invalid, "authority is no object")
	}
	list, err := e.member(object, "provisioners", hujson.Value{Value: &hujson.Array{}}, create)
	if err != nil || list == nil {
		return nil, err
	}
	array, ok := list.Value.(*hujson.Array)
	if !ok {
		return nil, fault.New(fault.Invalid, "authority.provisioners is no list")
	}
	return array, nil
}

// member finds the value of a member, the last of its name. null counts as missing.
func (e *edit) member(o *hujson.Object, name string, preset hujson.Value, create bool) (*hujson.Value, error) {
	i := memberIndex(o, name)
	switch {
	case i >= 0 && o.Members[i].Value.Value.Kind() != 'n':
	case !create:
		return nil, nil
	case i >= 0:
		o.Members[i].Value.Value = preset.Value
	default:
		e.addMember(o, name, preset, e.indentIn(o))
		i = len(o.Members) - 1
	}
	return &o.Members[i].Value, nil
}

func (e *edit) find(path, name string) (*hujson.Array, int, error) {
	list, err := e.provisioners(false)
	if err != nil {
		return nil, 0, err
	}
	i := -1
	if list != nil {
		i = indexOf(list, name)
	}
	if i < 0 {
		return nil, 0, fault.New(fault.Missing, "there is no provisioner called %q in %s", name, path)
	}
	return list, i, nil
}

// indexOf finds a provisioner by its name, -1 if there is none.
func indexOf(list *hujson.Array, name string) int {
	for i := range list.Elements {
		if o, ok := list.Elements[i].Value.(*hujson.Object); ok && memberText(o, "name") == name {
			return i
		}
	}
	return -1
}

// refuseTwin: tokens must tell a provisioner from the others, itself excepted.
func refuseTwin(list *hujson.Array, object []byte, itself int) error {
	var mine provisioner.Provisioner
	if err := json.Unmarshal(object, &mine); err != nil {
		return nil // what is wrong with it is for others to say
	}
	for i := range list.Elements {
		var p provisioner.Provisioner
		if i != itself && json.Unmarshal(standard(&list.Elements[i]), &p) == nil && p.TokenID() == mine.TokenID() {
			return fault.New(fault.Conflict, "the provisioner %q is selected by %q already, so tokens could not tell the two apart", p.Name, mine.TokenID())
		}
	}
	return nil
}

// memberIndex finds a member by its name in any case, the last one if there are several.
func memberIndex(o *hujson.Object, name string) int {
	for i := len(o.Members) - 1; i >= 0; i-- {
		if strings.EqualFold(o.Members[i].Name.Value.(hujson.Literal).String(), name) {
			return i
		}
	}
	return -1
}
