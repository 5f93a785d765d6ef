package issue

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// TemplateConfig is what options.x509 and options.ssh of a provisioner say about templates.
// Its zero value is the default template.
type TemplateConfig struct {
	Template     string          `json:"template,omitempty" help:"text of the template, or base64 of it; wins over templateFile"`
	TemplateFile string          `json:"templateFile,omitempty" help:"file of the template: absolute, ~/, ./, or below the home directory"`
	TemplateRef  string          `json:"templateRef,omitempty" help:"name of a template in templates.x509 or, for SSH, templates.ssh, in place of template and templateFile"`
	TemplateData json.RawMessage `json:"templateData,omitempty" help:"object whose members become variables of the template"`

	TemplateSHA256           string `json:"templateSha256,omitempty" help:"SHA-256 of the text of the template in hex; another text is refused"`
	MissingKey               string `json:"missingKey,omitempty" help:"error: a variable that is not there ends the request; default: it prints <no value>"`
	AutoEscape               bool   `json:"autoEscape,omitempty" help:"actions between quotes are escaped for JSON"`
	Strict                   bool   `json:"strict,omitempty" help:"an unknown member in the template's output is an error"`
	AllowSerial              bool   `json:"allowSerial,omitempty" help:"the template may set the serial number"`
	HardwareModuleNameCompat bool   `json:"hardwareModuleNameCompat,omitempty" help:"write the serial number of a hardwareModuleName with the context tag 4"`
}

// Custom reports whether there is a template, and with it the requester's templateData.
func (c *TemplateConfig) Custom() bool { return c.Template != "" || c.TemplateFile != "" }

// NamedTemplates are the templates that provisioners share, by their names.
type NamedTemplates struct{ X509, SSH map[string]*TemplateConfig }

// ResolvedX509 puts the template that TemplateRef names in its place. Members of the configuration
// that refers to it count beside those of the template, and its templateData wins by member.
func (c *TemplateConfig) ResolvedX509(all NamedTemplates) (TemplateConfig, error) {
	return c.resolved("templates.x509", all.X509)
}

// ResolvedSSH is ResolvedX509 for SSH.
func (c *TemplateConfig) ResolvedSSH(all NamedTemplates) (TemplateConfig, error) {
	return c.resolved("templates.ssh", all.SSH)
}

func (c *TemplateConfig) resolved(where string, named map[string]*TemplateConfig) (TemplateConfig, error) {
	if c.TemplateRef == "" {
		return *c, nil
	}
	if c.Custom() {
		return *c, fault.New(fault.Invalid, "templateRef stands beside a template of its own; only one of them can count")
	}
	base := named[c.TemplateRef]
	switch {
	case base == nil:
		return *c, fault.New(fault.Invalid, "templateRef names %q, which %s does not have", c.TemplateRef, where)
	case !base.Custom():
		return *c, fault.New(fault.Invalid, "the template %q in %s has neither template nor templateFile", c.TemplateRef, where)
	}
	out := *base
	out.TemplateRef = ""
	out.AutoEscape, out.Strict = base.AutoEscape || c.AutoEscape, base.Strict || c.Strict
	out.AllowSerial, out.HardwareModuleNameCompat = base.AllowSerial || c.AllowSerial, base.HardwareModuleNameCompat || c.HardwareModuleNameCompat
	if c.MissingKey != "" {
		out.MissingKey = c.MissingKey
	}
	if c.TemplateSHA256 != "" {
		out.TemplateSHA256 = c.TemplateSHA256
	}
	var err error
	out.TemplateData, err = mergeData(base.TemplateData, c.TemplateData)
	return out, err
}

// mergeData lays the members of one templateData over those of another.
func mergeData(base, over json.RawMessage) (json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	for _, data := range []json.RawMessage{base, over} {
		if len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "templateData is no JSON object")
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return json.Marshal(all)
}

// TemplatePlace is where templates of one CA live.
type TemplatePlace struct {
	Name               string                     // of the provisioner, for messages
	Home               string                     // directory below which template files are
	Named              map[string]*TemplateConfig // templates of the same kind that this one may include
	AllowGetHostByName bool                       // by the CA's configuration
	Warn               func(error)                // told of edits that cannot be used; nil tells nobody
}

// OpenX509 compiles the template and gives a function that returns it as it is at the
// moment; nil without a template. What is wrong with it is fault.Invalid.
func (c *TemplateConfig) OpenX509(p TemplatePlace) (func() *X509Template, error) {
	opts, err := c.options(p)
	if err != nil || !c.Custom() {
		return nil, err
	}
	return openTemplate(c, p, opts.CompileX509, func(path string) (*TemplateFile[*X509Template], error) {
		return OpenX509TemplateFile(path, opts, p.Warn)
	})
}

// OpenSSH is OpenX509 for SSH.
func (c *TemplateConfig) OpenSSH(p TemplatePlace) (func() *SSHTemplate, error) {
	opts, err := c.options(p)
	if err != nil || !c.Custom() {
		return nil, err
	}
	return openTemplate(c, p, opts.CompileSSH, func(path string) (*TemplateFile[*SSHTemplate], error) {
		return OpenSSHTemplateFile(path, opts, p.Warn)
	})
}

func openTemplate[T any](c *TemplateConfig, p TemplatePlace, compile func(name, text string) (T, error), open func(path string) (*TemplateFile[T], error)) (func() T, error) {
	if c.Template != "" {
		t, err := compile(p.Name, c.Template)
		if err != nil {
			return nil, err
		}
		return func() T { return t }, nil
	}
	path, err := TemplatePath(c.TemplateFile, p.Home)
	if err != nil {
		return nil, err
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return file.Current, nil
}

// options reads the members that change how a template is read, and checks templateData.
func (c *TemplateConfig) options(p TemplatePlace) (TemplateOptions, error) {
	opts := TemplateOptions{
		AllowSerial: c.AllowSerial, AllowGetHostByName: p.AllowGetHostByName, AutoEscape: c.AutoEscape,
		Strict: c.Strict, HardwareModuleNameCompat: c.HardwareModuleNameCompat, SHA256: strings.ToLower(c.TemplateSHA256),
	}
	if p.Named != nil {
		opts.partials = c.partialsOf(p)
	}
	if sum, err := hex.DecodeString(opts.SHA256); err != nil || len(sum) != sha256.Size && len(sum) != 0 {
		return opts, fault.New(fault.Invalid, "templateSha256 is no SHA-256 in hexadecimal, 64 digits")
	}
	switch c.MissingKey {
	case "", "default":
	case "error":
		opts.MissingKeyError = true
	default:
		return opts, fault.New(fault.Invalid, "missingKey is %q; it is error or default", c.MissingKey)
	}
	if _, err := TemplateData(c.TemplateData); err != nil {
		return opts, fault.Wrap(err, fault.Invalid, "templateData is no JSON object")
	}
	return opts, nil
}
