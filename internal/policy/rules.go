package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// Every index maps the form for comparison to the rule as its author wrote it, so that an
// explanation can quote it. A lookup costs a few map reads however many rules there are.

// domainRules indexes rules about domain names.
type domainRules struct {
	exact   map[string]string
	one     map[string]string // *.key
	deep    map[string]string // **.key
	parents map[string]string // exact names by the domain above them
}

func (d *domainRules) empty() bool { return len(d.exact)+len(d.one)+len(d.deep) == 0 }

func (d *domainRules) add(rule string) error {
	rest, deep := strings.CutPrefix(rule, "**.")
	one := false
	if !deep {
		rest, one = strings.CutPrefix(rule, "*.")
	}
	if strings.Contains(rest, "*") {
		return errors.New(`a star may only stand at the beginning, as "*." or "**."`)
	}
	name, err := domain(rest)
	if err != nil {
		return err
	}
	switch {
	case deep:
		put(&d.deep, name, rule)
	case one:
		put(&d.one, name, rule)
	default:
		put(&d.exact, name, rule)
		if _, parent, ok := strings.Cut(name, "."); ok {
			put(&d.parents, parent, rule)
		}
	}
	return nil
}

// match finds a rule that covers a host.
func (d *domainRules) match(host string) (string, bool) {
	if rule, ok := d.exact[host]; ok {
		return rule, true
	}
	_, parent, below := strings.Cut(host, ".")
	if !below {
		return "", false
	}
	if rule, ok := d.one[parent]; ok {
		return rule, true
	}
	return d.above(parent)
}

// covers finds a rule that covers every name below parent by one label.
func (d *domainRules) covers(parent string) (string, bool) {
	if rule, ok := d.one[parent]; ok {
		return rule, true
	}
	return d.above(parent)
}

// touches finds a rule that covers some name below parent by one label.
func (d *domainRules) touches(parent string) (string, bool) {
	if rule, ok := d.parents[parent]; ok {
		return rule, true
	}
	return d.covers(parent)
}

// above finds a ** rule for name or a domain above it.
func (d *domainRules) above(name string) (string, bool) {
	for ok := len(d.deep) > 0; ok; _, name, ok = strings.Cut(name, ".") {
		if rule, hit := d.deep[name]; hit {
			return rule, true
		}
	}
	return "", false
}

// prefixRules indexes address blocks by their prefix. There are at most 33 lengths of
// IPv4 and 129 of IPv6 to try.
type prefixRules struct {
	blocks map[netip.Prefix]string
	v4, v6 []int // lengths in use
}

func (p *prefixRules) empty() bool { return len(p.blocks) == 0 }

func (p *prefixRules) add(rule string) error {
	block, err := parseBlock(rule)
	if err != nil {
		return err
	}
	put(&p.blocks, block, rule)
	lengths := &p.v6
	if block.Addr().Is4() {
		lengths = &p.v4
	}
	if !slices.Contains(*lengths, block.Bits()) {
		*lengths = append(*lengths, block.Bits())
	}
	return nil
}

func parseBlock(rule string) (netip.Prefix, error) {
	if !strings.Contains(rule, "/") {
		addr, err := netip.ParseAddr(rule)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, errors.New("it is neither an IP address nor a block such as 10.0.0.0/8")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	block, err := netip.ParsePrefix(rule)
	if err != nil {
		return netip.Prefix{}, errors.New("it is neither an IP address nor a block such as 10.0.0.0/8")
	}
	if block.Addr().Is4In6() && block.Bits() >= 96 {
		block = netip.PrefixFrom(block.Addr().Unmap(), block.Bits()-96)
	}
	return block.Masked(), nil
}

func (p *prefixRules) match(addr netip.Addr) (string, bool) {
	lengths := p.v6
	if addr.Is4() {
		lengths = p.v4
	}
	for _, bits := range lengths {
		block, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if rule, ok := p.blocks[block]; ok {
			return rule, true
		}
	}
	return "", false
}

// mailRules indexes mailboxes and mail domains.
type mailRules struct {
	boxes   map[string]string
	anyCase bool // local parts match in any case: the deny list errs on the side of refusing
	domains domainRules
}

func (m *mailRules) empty() bool { return len(m.boxes) == 0 && m.domains.empty() }

func (m *mailRules) add(rule string) error {
	local, host, found := strings.Cut(rule, "@")
	if !found {
		host = rule
	}
	if !found || local == "" {
		if strings.HasPrefix(host, "*.") {
			return errors.New(`"*." is not for mail domains; "**." stands for all domains below`)
		}
		return m.domains.add(host)
	}
	local, host, err := mailbox(rule)
	if err != nil {
		return err
	}
	if m.anyCase {
		put(&m.boxes, fold(local)+"@"+host, rule)
		return nil
	}
	// Operators expect the case they wrote; existing installations know the lower one.
	put(&m.boxes, local+"@"+host, rule)
	put(&m.boxes, strings.ToLower(local)+"@"+host, rule)
	return nil
}

func (m *mailRules) match(local, host string) (string, bool) {
	if m.anyCase {
		local = fold(local)
	}
	if rule, ok := m.boxes[local+"@"+host]; ok {
		return rule, true
	}
	return m.domains.match(host)
}

// textRules indexes common names and principals.
type textRules struct {
	exact map[string]string
	any   bool // the rule "*"
}

func (t *textRules) empty() bool { return len(t.exact) == 0 && !t.any }

func (t *textRules) add(rule string) error {
	if rule == "" {
		return errEmpty
	}
	put(&t.exact, fold(rule), rule)
	return nil
}

func (t *textRules) addCN(rule string) error {
	if rule == "*" {
		return errors.New("a common name has no wildcard; write the name")
	}
	return t.add(rule)
}

func (t *textRules) addPrincipal(rule string) error {
	if rule == "*" {
		t.any = true
		return nil
	}
	return t.add(rule)
}

func (t *textRules) match(text string) (string, bool) {
	if t.any {
		return "*", true
	}
	rule, ok := t.exact[fold(text)]
	return rule, ok
}

func put[K comparable](m *map[K]string, key K, rule string) {
	if *m == nil {
		*m = map[K]string{}
	}
	(*m)[key] = rule
}
