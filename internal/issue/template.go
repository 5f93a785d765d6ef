package issue

import (
	"crypto/x509"
	"encoding/base64"
	"maps"
	"strings"
	"text/template"

	"github.com/signet-ca/signet/internal/fault"
)

// TemplateOptions change how templates are read. The zero value is the default.
type TemplateOptions struct {
	SHA256                   string // of the only text that is accepted, hex; "": any
	Literal                  bool   // the text is never base64: it comes from a file
	AllowSerial              bool   // the template may set the serial number
	AllowGetHostByName       bool   // the function getHostByName exists
	MissingKeyError          bool   // a variable that is not there ends the run instead of printing <no value>
	AutoEscape               bool   // actions between quotes are escaped for JSON
	Strict                   bool   // an unknown member of the certificate is an error
	HardwareModuleNameCompat bool   // write hardwareModuleName as old installations do

	partials partials // named templates that it may include; nil: none
}

// X509Template drafts X.509 certificates from data. It is immutable and used by all
// requests at once.
type X509Template struct {
	engine  *engine
	opts    TemplateOptions
	allowCA bool // the operator's own text speaks of isCA

	known func(*Grant, *X509Ask) *certificateJSON // what it writes as long as no variable is replaced; nil: only a run tells
}

// CompileX509Template reads a template as configured: literal text if it starts with "{",
// else standard base64 of it. Complaints name line and column.
func CompileX509Template(name, text string) (*X509Template, error) {
	return TemplateOptions{}.CompileX509(name, text)
}

// CompileX509 is CompileX509Template with options.
func (o TemplateOptions) CompileX509(name, text string) (*X509Template, error) {
	text, err := o.decode(name, text)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(name, text, o.functions(x509Functions()), &o)
	if err != nil {
		return nil, err
	}
	// The text before it runs: nothing that a request brings can put the word there.
	return &X509Template{engine: e, opts: o, allowCA: e.names("isCA")}, nil
}

// functions adds what the options allow.
func (o TemplateOptions) functions(funcs template.FuncMap) template.FuncMap {
	if o.AllowGetHostByName {
		funcs = maps.Clone(funcs)
		funcs["getHostByName"] = lookUpHost
	}
	return funcs
}

// decode finds the text in what is configured.
func (o TemplateOptions) decode(name, text string) (string, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return "", fault.New(fault.Invalid, "template %s is empty", name)
	case o.Literal || strings.HasPrefix(trimmed, "{"):
		return text, nil
	case len(text) > 2*maxTemplateText:
		return "", fault.New(fault.Invalid, "template %s has %d bytes of base64, which is too long", name, len(text))
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(trimmed), ""))
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "template %s is neither text that starts with { nor base64", name)
	}
	return string(decoded), nil
}

// Draft runs the template and gives the certificate to be signed, without public key. The
// data belongs to the run, which may change it.
//
// A refusal by the template's fail function is fault.Invalid; by a rule about what a
// template may set, fault.Denied; a template that does not work is fault.Internal around a
// TemplateError.
func (t *X509Template) Draft(data map[string]any) (*x509.Certificate, error) {
	cert, _, err := t.draft(data)
	return cert, err
}

// draft gives what the template wrote as well.
func (t *X509Template) draft(data map[string]any) (*x509.Certificate, *certificateJSON, error) {
	out, err := t.Render(data)
	if err != nil {
		return nil, nil, err
	}
	c := new(certificateJSON)
	if err := decodeOutput(t.engine.name, out, t.opts.Strict, c); err != nil {
		return nil, nil, err
	}
	return t.finish(c)
}

// finish makes the certificate of what was written.
func (t *X509Template) finish(c *certificateJSON) (*x509.Certificate, *certificateJSON, error) {
	cert, err := c.certificate(&t.opts)
	if err != nil {
		return nil, nil, t.engine.complainOfCertificate(err)
	}
	if err := checkPower(cert, nil, t.allowCA); err != nil {
		return nil, nil, err
	}
	return cert, c, checkExtensions(cert, nil)
}

// complainOfCertificate keeps refusals and turns other errors into those of the template.
func (e *engine) complainOfCertificate(err error) error {
	if fault.Of(err) != nil {
		return err
	}
	return unusable(&TemplateError{Template: e.name, Stage: "output", cause: err})
}

// Render runs the template and gives its JSON.
func (t *X509Template) Render(data map[string]any) ([]byte, error) {
	return t.engine.run(data, runLimits)
}

// CheckMembers reports a member of the output that no certificate has: a misspelt one is
// ignored unless the template is strict.
func (t *X509Template) CheckMembers(out []byte) error {
	return decodeOutput(t.engine.name, out, true, new(certificateJSON))
}

// AllowsCA reports whether the template's own text contains isCA, without which no CA
// certificate comes from it.
func (t *X509Template) AllowsCA() bool { return t.allowCA }

// Name is the name under which the template was compiled.
func (t *X509Template) Name() string { return t.engine.name }

// Hash is the SHA-256 of the text in hex, for audit records.
func (t *X509Template) Hash() string { return t.engine.hash() }
