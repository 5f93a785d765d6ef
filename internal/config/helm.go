package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// HelmHome is the home directory inside the container.
const HelmHome = "/home/step"

// HelmValues gives the new CA as values of the Helm chart. It was made with HelmHome as its
// home. The passwords stay open: whoever installs the chart fills them in, base64.
func (c *Created) HelmValues() (string, error) {
	y := &yaml{}
	y.line(0, "# Values for the Helm chart of the certificate authority.")
	y.line(0, "inject:")
	y.line(1, "enabled: true")
	y.line(1, "config:")
	y.line(2, "files:")
	for _, name := range []string{"ca.json", "defaults.json"} {
		tree, err := hujson.Parse(c.File("config/" + name).Data)
		if err != nil {
			return "", fmt.Errorf("read back %s: %w", name, err)
		}
		if o, ok := tree.Value.(*hujson.Object); ok {
			// Files of templates have no place in a chart; without them the built-in ones are taken.
			o.Members = slices.DeleteFunc(o.Members, func(m hujson.ObjectMember) bool {
				return m.Name.Value.(hujson.Literal).String() == "templates"
			})
		}
		y.member(3, name, &tree)
	}
	y.line(1, "certificates:")
	y.file(2, "intermediate_ca", c.File("certs/intermediate_ca.crt"))
	y.file(2, "root_ca", c.File("certs/root_ca.crt"))
	if c.o.SSH {
		y.file(2, "ssh_host_ca", c.File("certs/ssh_host_ca_key.pub"))
		y.file(2, "ssh_user_ca", c.File("certs/ssh_user_ca_key.pub"))
	}
	y.line(1, "secrets:")
	y.line(2, "# Both passwords in base64: printf %%s \"$PASSWORD\" | base64")
	y.line(2, "ca_password: null")
	y.line(2, "provisioner_password: null")
	y.line(2, "x509:")
	y.file(3, "intermediate_ca_key", c.File("secrets/intermediate_ca_key"))
	y.file(3, "root_ca_key", c.File("secrets/root_ca_key"))
	if c.o.SSH {
		y.line(2, "ssh:")
		y.file(3, "host_ca_key", c.File("secrets/ssh_host_ca_key"))
		y.file(3, "user_ca_key", c.File("secrets/ssh_user_ca_key"))
	}
	return y.String(), nil
}

// yaml writes the little YAML that values need. A JSON string is a YAML string as well.
type yaml struct{ strings.Builder }

func (y *yaml) line(level int, format string, args ...any) {
	y.WriteString(strings.Repeat("  ", level))
	fmt.Fprintf(y, format, args...)
	y.WriteByte('\n')
}

// file writes a text as a literal block; a file that was not made is null.
func (y *yaml) file(level int, key string, f *File) {
	if f == nil {
		y.line(level, "%s: null", key)
		return
	}
	y.line(level, "%s: |", key)
	for line := range strings.Lines(strings.TrimRight(string(f.Data), "\n")) {
		y.line(level+1, "%s", strings.TrimRight(line, "\n"))
	}
}

func (y *yaml) member(level int, key string, v *hujson.Value) {
	switch value := v.Value.(type) {
	case *hujson.Object:
		if len(value.Members) == 0 {
			y.line(level, "%s: {}", key)
			return
		}
		y.line(level, "%s:", key)
		y.members(level+1, value)
	case *hujson.Array:
		if len(value.Elements) == 0 {
			y.line(level, "%s: []", key)
			return
		}
		y.line(level, "%s:", key)
		for i := range value.Elements {
			y.element(level+1, &value.Elements[i])
		}
	default:
		y.line(level, "%s: %s", key, standard(v))
	}
}

func (y *yaml) members(level int, o *hujson.Object) {
	for i := range o.Members {
		y.member(level, o.Members[i].Name.Value.(hujson.Literal).String(), &o.Members[i].Value)
	}
}

func (y *yaml) element(level int, v *hujson.Value) {
	o, ok := v.Value.(*hujson.Object)
	if !ok || len(o.Members) == 0 {
		y.line(level, "- %s", standard(v)) // what nests deeper stands in JSON, which is YAML too
		return
	}
	inner := &yaml{}
	inner.members(level+1, o)
	text := inner.String()
	lead := strings.Repeat("  ", level+1)
	y.WriteString(strings.Repeat("  ", level) + "- " + strings.TrimPrefix(text, lead))
}
