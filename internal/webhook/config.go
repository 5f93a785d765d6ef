// Package webhook asks the operator's servers about certificates: signed calls before one is
// drafted, which add data for its template, and before it is signed, which may forbid it.
package webhook

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// Kinds of webhooks.
const (
	Enriching     = "ENRICHING"     // before the template: allows and gives data
	Authorizing   = "AUTHORIZING"   // before the signature: allows
	SCEPChallenge = "SCEPCHALLENGE" // instead of a SCEP challenge: allows and gives data
	Notifying     = "NOTIFYING"     // after a SCEP answer: only told
	ACME          = "ACME"          // before an ACME account or order is made, and after a name was proven: allows
)

// Kinds of certificates a webhook is asked about.
const (
	All  = "ALL"
	X509 = "X509"
	SSH  = "SSH"
)

// Config is one webhook as configured.
type Config struct {
	ID                   string      `json:"id,omitempty" help:"sent along as X-Smallstep-Webhook-ID"`
	Name                 string      `json:"name" help:"unique name; templates find the answer under .Webhooks.NAME" required:"true"`
	URL                  string      `json:"url" help:"https address that is asked; after the host it may be a template over the data of the certificate's" required:"true"`
	Kind                 string      `json:"kind" help:"ENRICHING, AUTHORIZING, ACME, SCEPCHALLENGE or NOTIFYING, in any case" default:"ENRICHING"`
	CertType             string      `json:"certType,omitempty" help:"kind of certificates it is asked about: ALL, X509 or SSH" default:"ALL"`
	DisableTLSClientAuth bool        `json:"disableTLSClientAuth,omitempty" help:"present no TLS client certificate even if the server asks for one"`
	Secret               keys.Secret `json:"secret,omitempty" help:"key of the signature in X-Smallstep-Signature, base64 of at least 16 bytes"`
	BearerToken          keys.Secret `json:"bearerToken,omitempty" help:"sent as Authorization: Bearer"`
	BasicAuth            *BasicAuth  `json:"basicAuth,omitempty" help:"sent as Authorization: Basic"`
	AllowUnsigned        bool        `json:"allowUnsigned,omitempty" help:"call without a secret, so that the server cannot tell who asks"`
}

// BasicAuth is a user name and a password (RFC 7617).
type BasicAuth struct {
	Username string      `json:"username" help:"user name"`
	Password keys.Secret `json:"password" help:"password"`
}

// minSecret is the shortest key of a signature, in bytes: half of what HMAC-SHA256 can use.
const minSecret = 16

// normalize brings kind and certificate type into their canonical form and checks all that
// needs no secret.
func (c Config) normalize() (Config, error) {
	refuse := func(format string, args ...any) (Config, error) {
		return c, fault.New(fault.Invalid, "webhook "+format, args...)
	}
	if c.Name == "" {
		return refuse("without a name; templates find its answer by it")
	}
	if c.Kind = strings.ToUpper(c.Kind); c.Kind == "" {
		c.Kind = Enriching
	}
	if c.CertType = strings.ToUpper(c.CertType); c.CertType == "" {
		c.CertType = All
	}
	switch c.Kind {
	case Enriching, Authorizing, SCEPChallenge, Notifying, ACME:
	default:
		return refuse("%q: the kind %q is not known; it is ENRICHING, AUTHORIZING, ACME, SCEPCHALLENGE or NOTIFYING", c.Name, c.Kind)
	}
	switch c.CertType {
	case All, X509, SSH:
	default:
		return refuse("%q: the certType %q is not known; it is ALL, X509 or SSH", c.Name, c.CertType)
	}
	// What stands before the first action must already say where calls go.
	fixed, _, _ := strings.Cut(c.URL, "{{")
	u, err := url.Parse(fixed)
	switch {
	case err != nil:
		return refuse("%q: its url cannot be read; a template may only stand after the host", c.Name)
	case u.Scheme != "https":
		return refuse("%q: its url must begin with https://", c.Name)
	case u.Host == "" || strings.Contains(c.URL, "{{") && u.Path == "" && u.RawQuery == "":
		return refuse("%q: its url names no host; a template may only stand after it", c.Name)
	case u.User != nil || u.Fragment != "":
		return refuse("%q: its url must hold neither user nor fragment; use bearerToken or basicAuth", c.Name)
	case c.BearerToken != "" && c.BasicAuth != nil:
		return refuse("%q has both bearerToken and basicAuth; choose one", c.Name)
	case c.Secret == "" && !c.AllowUnsigned:
		return refuse("%q has no secret, so its server could not tell who asks; set secret, or allowUnsigned to true", c.Name)
	}
	return c, nil
}

// key is the key of the signature; nil if there is none.
func (c *Config) key() ([]byte, error) {
	if c.Secret == "" {
		return nil, nil
	}
	text, err := c.Secret.Reveal()
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < minSecret {
		return nil, fault.New(fault.Invalid, "webhook %q: its secret must be base64 of at least %d bytes", c.Name, minSecret)
	}
	return key, nil
}

// authorization is the header that proves who asks; "" if there is none.
func (c *Config) authorization() (string, error) {
	if c.BearerToken != "" {
		token, err := c.BearerToken.Reveal()
		if err != nil {
			return "", err
		}
		return "Bearer " + string(token), nil
	}
	if c.BasicAuth != nil {
		password, err := c.BasicAuth.Password.Reveal()
		if err != nil {
			return "", err
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.BasicAuth.Username+":"+string(password))), nil
	}
	return "", nil
}
