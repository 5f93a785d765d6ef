package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/provisioner"
)

// unserved is a member this version knows but cannot serve. It is refused with its name
// rather than ignored: a rule that silently does nothing is worse than no rule.
type unserved struct {
	path   string   // [] stands for any element
	what   string   // what the member would do
	served []string // values that work all the same, in any case
}

// unservedMembers is the whole list. Whoever builds a feature removes its line.
var unservedMembers = []unserved{
	{"kms.type", "key managers other than softkms", []string{"softkms"}},
	{"kms.uri", "key managers other than softkms", []string{"softkms:*"}},
	{"authority.enableAdmin", "administration of provisioners over the network", nil},
	{"authority.type", "signing by another CA", []string{"softcas"}},
	{"authority.deploymentType", "deployments linked to a hosted service", []string{"standalone"}},
	{"authority.provisioners[].options.wire", "the Wire messenger's settings of a provisioner", nil},
}

// Unserved lists the members that are known but refused, by their path.
func Unserved() []string {
	paths := make([]string, len(unservedMembers))
	for i, u := range unservedMembers {
		paths[i] = u.path
	}
	return paths
}

// keyManagers are the schemes a key name may begin with.
var keyManagers = []string{"softkms", "cloudkms", "awskms", "azurekms", "pkcs11", "yubikey", "sshagentkms", "tpmkms", "capi", "mackms", "kms"}

var anyIndex = regexp.MustCompile(`\[\d+\]`)

// checkUnserved complains about members that would have an effect but cannot have it yet.
func (c *Config) checkUnserved() {
	s := c.source
	for path, v := range s.values {
		pattern := anyIndex.ReplaceAllString(path, "[]")
		i := slices.IndexFunc(unservedMembers, func(u unserved) bool { return u.path == pattern })
		if i < 0 || saysNothing(v) || c.inDisabled(path) {
			continue
		}
		u := unservedMembers[i]
		if value, ok := v.Value.(hujson.Literal); ok && slices.ContainsFunc(u.served, func(w string) bool { return matches(w, value.String()) }) {
			continue
		}
		s.complain(path, "%s: this version does not serve %s yet; leave the member out", path, u.what)
	}
	if scheme := keyScheme(c.Key); scheme != "" && scheme != "softkms" {
		s.complain("key", "key: this version does not serve keys in %s yet; name a file", scheme)
	}
}

func matches(want, value string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return len(value) >= len(prefix) && strings.EqualFold(value[:len(prefix)], prefix)
	}
	return strings.EqualFold(want, value)
}

// saysNothing reports whether a value is the same as leaving the member out. Tools write
// empty objects for what was never set.
func saysNothing(v *hujson.Value) bool {
	switch value := v.Value.(type) {
	case *hujson.Object:
		return !slices.ContainsFunc(value.Members, func(m hujson.ObjectMember) bool { return !saysNothing(&m.Value) })
	case *hujson.Array:
		return len(value.Elements) == 0
	case hujson.Literal:
		text := string(value)
		return text == "null" || text == "false" || text == `""`
	}
	return false
}

// inDisabled reports whether a path lies in a provisioner that will be disabled as a whole,
// where no single member makes a difference.
func (c *Config) inDisabled(path string) bool {
	i := provisionerIndex(path)
	return i >= 0 && i < len(c.Authority.Provisioners) && c.Authority.Provisioners[i] != nil && c.Authority.Provisioners[i].Kind() == nil
}

// keyScheme is the key manager a key name is addressed to; "" for a file name.
func keyScheme(name string) string {
	scheme, _, found := strings.Cut(name, ":")
	if !found || !slices.Contains(keyManagers, strings.ToLower(scheme)) {
		return ""
	}
	return strings.ToLower(scheme)
}

// UnservedTypes lists the types of provisioners that are known but disabled.
func UnservedTypes() []string { return provisioner.Unserved() }
