package issue

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHTemplate drafts SSH certificates from data. It is immutable and used by all requests
// at once.
type SSHTemplate struct {
	engine *engine
	opts   TemplateOptions
	known  func(*Grant, *SSHAsk) (*sshCertificateJSON, error) // as in X509Template
}

// CompileSSHTemplate reads a template as configured: literal text if it starts with "{",
// else standard base64 of it. Complaints name line and column.
func CompileSSHTemplate(name, text string) (*SSHTemplate, error) {
	return TemplateOptions{}.CompileSSH(name, text)
}

// CompileSSH is CompileSSHTemplate with options.
func (o TemplateOptions) CompileSSH(name, text string) (*SSHTemplate, error) {
	text, err := o.decode(name, text)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(name, text, o.functions(sshFunctions()), &o)
	if err != nil {
		return nil, err
	}
	return &SSHTemplate{engine: e, opts: o}, nil
}

// Draft runs the template and gives the certificate to be signed, without key. A time that
// the template leaves open is zero. The data belongs to the run. Refusals are as those of
// X509Template.Draft.
func (t *SSHTemplate) Draft(data map[string]any) (*ssh.Certificate, error) {
	out, err := t.Render(data)
	if err != nil {
		return nil, err
	}
	var c sshCertificateJSON
	if err := decodeOutput(t.engine.name, out, t.opts.Strict, &c); err != nil {
		return nil, err
	}
	return t.finish(&c)
}

// finish makes the certificate of what was written.
func (t *SSHTemplate) finish(c *sshCertificateJSON) (*ssh.Certificate, error) {
	cert, err := c.certificate()
	if err != nil {
		return nil, t.engine.complainOfCertificate(err)
	}
	return cert, nil
}

// Render runs the template and gives its JSON.
func (t *SSHTemplate) Render(data map[string]any) ([]byte, error) {
	return t.engine.run(data, runLimits)
}

// CheckMembers does what X509Template.CheckMembers does.
func (t *SSHTemplate) CheckMembers(out []byte) error {
	return decodeOutput(t.engine.name, out, true, new(sshCertificateJSON))
}

// Name is the name under which the template was compiled.
func (t *SSHTemplate) Name() string { return t.engine.name }

// Hash is the SHA-256 of the text in hex, for audit records.
func (t *SSHTemplate) Hash() string { return t.engine.hash() }

// Lint warns as X509Template.Lint does.
func (t *SSHTemplate) Lint() []string { return t.engine.lint() }

// sshCertificateJSON is what a template writes: the certificate without key and signature.
type sshCertificateJSON struct {
	Type            sshType           `json:"type"`
	KeyID           string            `json:"keyId"`
	Principals      []string          `json:"principals"`
	ValidAfter      time.Time         `json:"validAfter"`
	ValidBefore     time.Time         `json:"validBefore"`
	Serial          uint64            `json:"serial"` // 0: drawn at random
	Nonce           []byte            `json:"nonce"`  // empty: drawn at random
	CriticalOptions map[string]string `json:"criticalOptions"`
	Extensions      map[string]string `json:"extensions"`
	Reserved        []byte            `json:"reserved"`
}

// sshType is "user" or "host", in any case.
type sshType uint32

// UnmarshalJSON reads by name.
func (k *sshType) UnmarshalJSON(data []byte) error {
	var name string
	if err := json.Unmarshal(data, &name); err != nil {
		return err
	}
	switch strings.ToLower(name) {
	case "user":
		*k = ssh.UserCert
	case "host":
		*k = ssh.HostCert
	default:
		return fmt.Errorf("%q is no type of SSH certificate; it is user or host", clipWords(name))
	}
	return nil
}

func (c *sshCertificateJSON) certificate() (*ssh.Certificate, error) {
	if c.Type == 0 {
		return nil, errors.New("the type is missing; it is user or host")
	}
	if err := refuseNoValue("key ID or principals", append([]string{c.KeyID}, c.Principals...)); err != nil {
		return nil, err
	}
	cert := &ssh.Certificate{
		CertType: uint32(c.Type), KeyId: c.KeyID, ValidPrincipals: c.Principals,
		Serial: c.Serial, Nonce: c.Nonce, Reserved: c.Reserved,
		Permissions: ssh.Permissions{CriticalOptions: c.CriticalOptions, Extensions: c.Extensions},
	}
	for _, bound := range []struct {
		t  time.Time
		to *uint64
	}{{c.ValidAfter, &cert.ValidAfter}, {c.ValidBefore, &cert.ValidBefore}} {
		switch {
		case bound.t.IsZero():
		case bound.t.Unix() < 0:
			return nil, errors.New("an SSH certificate cannot be valid before 1970")
		default:
			*bound.to = uint64(bound.t.Unix())
		}
	}
	return cert, nil
}

// SSHWarnings are what OpenSSH would do with a certificate that its author hardly wanted:
// for those who try a template.
func SSHWarnings(c *ssh.Certificate) []string {
	var warnings []string
	known := []string{"force-command", "source-address", "verify-required"}
	for option := range c.CriticalOptions {
		if !strings.Contains(option, "@") && !slices.Contains(known, option) {
			warnings = append(warnings, fmt.Sprintf("servers refuse the certificate: they do not know the critical option %q", option))
		}
	}
	for extension := range c.Extensions {
		if slices.Contains(known, extension) {
			warnings = append(warnings, fmt.Sprintf("servers ignore %s among the extensions; it is a critical option", extension))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// SSHData are the facts from which the variables of an SSH template are made.
type SSHData struct {
	Right     *SSHRight
	Ask       *SSHAsk
	Token     map[string]any  // verified claims; nil if there was no token
	Variables map[string]any  // further variables by name
	Constants json.RawMessage // templateData of the configuration; replaces variables of the same name
	User      json.RawMessage // templateData of the request; only where Custom
	Custom    bool            // the operator configured a template
	Webhooks  map[string]any  // answers by name of the webhook
	Now       time.Time
}

// SSHRequest is a request as templates see it, .Insecure.CR.
type SSHRequest struct {
	Key        ssh.PublicKey
	Type       string
	KeyID      string
	Principals []string
}

// Map makes the variables of one run. Nothing in them is shared with anybody else.
func (d *SSHData) Map() (map[string]any, error) {
	vars := map[string]any{
		"Type":            d.Right.Type,
		"KeyID":           d.Right.KeyID,
		"Principals":      slices.Clone(d.Right.Principals),
		"Extensions":      map[string]any(nil),
		"CriticalOptions": map[string]any(nil),
		"Now":             d.Now,
	}
	if d.Right.Type == "user" {
		extensions := map[string]any{}
		for _, e := range userExtensions {
			extensions[e] = ""
		}
		vars["Extensions"] = extensions
	}
	if d.Token != nil {
		vars["Token"] = cloneJSON(d.Token)
	}
	for name, v := range d.Variables {
		vars[name] = cloneJSON(v)
	}
	if err := addConfigured(vars, d.Constants, d.Webhooks); err != nil {
		return nil, err
	}
	insecure := insecureVariables(d.Custom, d.User)
	if d.Ask != nil {
		insecure["CR"] = &SSHRequest{Key: d.Ask.Key, Type: d.Ask.Type, KeyID: d.Ask.KeyID, Principals: slices.Clone(d.Ask.Principals)}
	}
	vars["Insecure"] = insecure
	return vars, nil
}
