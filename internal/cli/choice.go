package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

// choose finds the provisioner that shall give the right to an act: by its name or key ID,
// or the only one that can, or by asking.
func (p *proofFlags) choose(ctx context.Context, env *Env, source *authority, act provisioner.Act) (*provisioner.Provisioner, error) {
	all := source.provisioners
	if len(all) == 0 {
		return nil, fmt.Errorf("the CA has no provisioner, so nobody can prove a right to it")
	}
	left := p.ofKind(all)
	if len(left) == 0 {
		return nil, fmt.Errorf("no provisioner of the CA takes what the flags give; there are %s", strings.Join(names(all), ", "))
	}
	if p.kid != "" {
		left = slices.DeleteFunc(left, func(c *provisioner.Provisioner) bool {
			id := proverOf(c.Type).id
			return id == nil || id(c) != p.kid
		})
		if len(left) == 0 {
			return nil, errValue("kid", p.kid, names(p.ofKind(all))...)
		}
	}
	// The usual provisioner of this home is not the one that takes a certificate as proof.
	if p.provisioner != "" && !(source.held && !env.Typed("provisioner")) {
		left = slices.DeleteFunc(left, func(c *provisioner.Provisioner) bool { return c.Name != p.provisioner })
		if len(left) == 0 {
			return nil, errValue("provisioner", p.provisioner, names(p.ofKind(all))...)
		}
	}
	if len(left) > 1 {
		left = slices.DeleteFunc(left, func(c *provisioner.Provisioner) bool { return !provisioner.Provable(c.Type, act) })
	}
	if source.held || len(left) > 1 {
		left = slices.DeleteFunc(left, func(c *provisioner.Provisioner) bool { return proverOf(c.Type).held != source.held })
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("none of the CA's provisioners can %s by a token: %s", act, strings.Join(names(all), ", "))
	}
	labels := make([]string, len(left))
	for i, c := range left {
		labels[i] = printable(label(c))
	}
	i, err := env.choose(ctx, "Which provisioner shall be used", "provisioner", labels)
	if err != nil {
		return nil, err
	}
	env.Done("Provisioner", "%s", labels[i])
	return left[i], nil
}

// ofKind keeps the provisioners of the type that the flags speak of; without such flags all.
func (p *proofFlags) ofKind(all []*provisioner.Provisioner) []*provisioner.Provisioner {
	only := ""
	for _, k := range proverKinds() {
		if k.wanted != nil && k.wanted(p) {
			only = k.name
		}
	}
	left := make([]*provisioner.Provisioner, 0, len(all))
	for _, c := range all {
		if only == "" || strings.EqualFold(c.Type, only) {
			left = append(left, c)
		}
	}
	return left
}

// label is how a provisioner stands in notes and lists: name (TYPE) [kid: …].
func label(p *provisioner.Provisioner) string {
	s := fmt.Sprintf("%s (%s)", p.Name, p.Type)
	if k := proverOf(p.Type); k.id != nil {
		if id := k.id(p); id != "" {
			s += fmt.Sprintf(" [%s: %s]", k.note, id)
		}
	}
	return s
}

func names(list []*provisioner.Provisioner) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = printable(label(p))
	}
	return out
}
