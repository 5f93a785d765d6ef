package config

import (
	"strconv"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

// provisionerIndex is the index in a path below authority.provisioners, -1 outside.
func provisionerIndex(path string) int {
	rest, ok := strings.CutPrefix(path, "authority.provisioners[")
	if !ok {
		return -1
	}
	number, _, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return i
}

// checkProvisioners refuses provisioners that cannot be told apart, and warns of those that
// will be disabled: the CA goes on without them.
func (c *Config) checkProvisioners() {
	s := c.source
	base, err := c.Authority.Claims.Over(provisioner.BuiltinClaims())
	if err != nil {
		base = provisioner.BuiltinClaims() // complained about already
	}
	names := &unique{c.source, "is called", map[string]int{}}
	tokens := &unique{c.source, "is selected by", map[string]int{}}
	ids := &unique{c.source, "has the record ID", map[string]int{}}
	for i, p := range c.Authority.Provisioners {
		path := element("authority.provisioners", i)
		if p == nil {
			s.complain(path, "%s is null; a provisioner is an object", path)
			continue
		}
		names.check(path+".name", p.Name, i)
		if token := p.TokenID(); !strings.HasSuffix(token, ":") && !strings.EqualFold(token, p.Type+"/"+p.Name) {
			tokens.check(path, token, i)
		}
		ids.check(path+".id", p.ID, i)
		if why := unusable(p, base); why != "" {
			s.warnStrictly(s.offset(path), path, "the provisioner %q will be disabled: %s", printable(p.Name), why)
		}
	}
}

// unique refuses a value that an earlier provisioner has already.
type unique struct {
	src  *source
	what string         // how a message puts it
	seen map[string]int // value → index
}

func (u *unique) check(path, value string, i int) {
	if value == "" {
		return
	}
	if first, taken := u.seen[value]; taken {
		line, _ := u.src.place(u.src.offset(element("authority.provisioners", first)))
		u.src.complain(path, "this provisioner %s %q, and so is the one in line %d; each must be unique", u.what, printable(value), line)
		return
	}
	u.seen[value] = i
}

// unusable says why a provisioner cannot be opened, as far as the file alone tells.
func unusable(p *provisioner.Provisioner, base provisioner.Resolved) string {
	switch {
	case p.Type == "":
		return "it has no type"
	case p.Name == "":
		return "it has no name"
	case p.Number() == 0:
		return "the type " + printable(p.Type) + " is not known; known are " + strings.Join(provisioner.Types(), ", ")
	case p.Kind() == nil:
		return "this version does not serve the type " + p.Type + " yet"
	}
	if _, err := p.Claims.Over(base); err != nil {
		return "claims: " + oneLine(err).Error()
	}
	return ""
}
