package config

import (
	"encoding/json"
	"reflect"

	"github.com/tailscale/hujson"

	"github.com/signet-ca/signet/internal/issue"
)

var (
	sshTemplatesType = reflect.TypeFor[SSHTemplates]()
	namedType        = reflect.TypeFor[*issue.TemplateConfig]()
)

// NamedTemplates are the templates of certificates that provisioners share.
func (c *Config) NamedTemplates() issue.NamedTemplates {
	var all issue.NamedTemplates
	if c.Templates != nil {
		all.X509 = c.Templates.X509
		if c.Templates.SSH != nil {
			all.SSH = c.Templates.SSH.Named
		}
	}
	return all
}

// ForClients reports whether files of clients are configured, be it none at all. Templates of
// certificates alone leave clients the built-in ones.
func (t *SSHTemplates) ForClients() bool {
	return t != nil && (t.User != nil || t.Host != nil || t.Named == nil)
}

// namedFields are the members of templates.ssh that name templates of certificates: objects,
// which lists of files for clients never are.
func namedFields(object *hujson.Object) []field {
	var all []field
	known := fieldsOf(sshTemplatesType)
	listed := func(name string) bool { _, ok := find(all, name); return ok }
	for i := range object.Members {
		m := &object.Members[i]
		name := m.Name.Value.(hujson.Literal).String()
		if _, isKnown := find(known, name); !isKnown && m.Value.Value.Kind() == '{' && !listed(name) {
			all = append(all, field{name: name, typ: namedType})
		}
	}
	return all
}

// readNamed decodes the templates of certificates in templates.ssh, which stand there beside
// the members that the type itself has.
func (c *Config) readNamed() error {
	v := c.source.values["templates.ssh"]
	if v == nil || c.Templates == nil || c.Templates.SSH == nil {
		return nil
	}
	object, ok := v.Value.(*hujson.Object)
	if !ok {
		return nil
	}
	fields := namedFields(object)
	for i := range object.Members {
		m := &object.Members[i]
		f, named := find(fields, m.Name.Value.(hujson.Literal).String())
		if !named {
			continue
		}
		t := new(issue.TemplateConfig)
		if err := json.Unmarshal(standard(&m.Value), t); err != nil {
			return err
		}
		if c.Templates.SSH.Named == nil {
			c.Templates.SSH.Named = map[string]*issue.TemplateConfig{}
		}
		c.Templates.SSH.Named[f.name] = t
	}
	return nil
}
