package issue

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"time"
)

// X509Data are the facts from which the variables of an X.509 template are made.
type X509Data struct {
	Subject   pkix.Name
	Names     Names
	Token     map[string]any           // verified claims; nil if there was no token
	Chain     []*x509.Certificate      // behind the proof, its leaf first; nil if there was none
	Variables map[string]any           // further variables by name, for instance Provisioner or Client
	Constants json.RawMessage          // templateData of the configuration; replaces variables of the same name
	User      json.RawMessage          // templateData of the request; only where Custom
	Custom    bool                     // the operator configured a template
	Webhooks  map[string]any           // answers by name of the webhook
	Request   *x509.CertificateRequest // as asked for, and as little to be trusted
	SharedKey bool                     // the public key need not be copied: the template never names it, so cannot reach into it
	Now       time.Time
}

// Map makes the variables of one run. Nothing in them is shared with anybody else.
func (d *X509Data) Map() (map[string]any, error) {
	vars := map[string]any{
		"Subject": SubjectOf(d.Subject),
		"SANs":    SANsOf(d.Names),
		"Now":     d.Now,
	}
	if d.Token != nil {
		vars["Token"] = cloneJSON(d.Token)
	}
	if len(d.Chain) > 0 {
		chain := make([]*x509.Certificate, len(d.Chain))
		for i, c := range d.Chain {
			again, err := x509.ParseCertificate(c.Raw)
			if err != nil {
				return nil, fmt.Errorf("read the certificate behind the proof again: %w", err)
			}
			chain[i] = again
		}
		vars["AuthorizationCrt"], vars["AuthorizationChain"] = chain[0], chain
	}
	for name, v := range d.Variables {
		vars[name] = cloneJSON(v)
	}
	if err := addConfigured(vars, d.Constants, d.Webhooks); err != nil {
		return nil, err
	}
	insecure := insecureVariables(d.Custom, d.User)
	if d.Request != nil {
		view := requestView(d.Request)
		if !d.SharedKey {
			view.PublicKey = clonePublicKey(view.PublicKey)
		}
		insecure["CR"] = view
	}
	vars["Insecure"] = insecure
	return vars, nil
}

// addConfigured adds templateData, which replaces whole variables, and what webhooks said.
func addConfigured(vars map[string]any, constants json.RawMessage, webhooks map[string]any) error {
	own, err := TemplateData(constants)
	if err != nil {
		return err
	}
	for name, v := range own {
		vars[name] = v
	}
	if len(webhooks) == 0 {
		return nil
	}
	answers, ok := vars["Webhooks"].(map[string]any)
	if !ok {
		answers = map[string]any{}
	}
	for name, v := range webhooks {
		answers[name] = cloneJSON(v)
	}
	vars["Webhooks"] = answers
	return nil
}

// TemplateData reads the member templateData of a configuration, an object or nothing.
func TemplateData(data json.RawMessage) (map[string]any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	var own map[string]any
	if err := json.Unmarshal(data, &own); err != nil {
		return nil, fmt.Errorf("read templateData, which must be an object: %w", err)
	}
	return own, nil
}

// OverriddenVariables lists the variables of templateData that replace facts about the
// proof, which is allowed and worth a warning.
func OverriddenVariables(own map[string]any) []string {
	var names []string
	for _, name := range []string{"Subject", "SANs", "Token", "Principals", "Type", "KeyID", "AuthorizationCrt", "Webhooks", "Insecure"} {
		if _, ok := own[name]; ok {
			names = append(names, name)
		}
	}
	return names
}

// insecureVariables are what the requester says. A templateData that is no object counts
// as an empty one; a default template sees none.
func insecureVariables(custom bool, user json.RawMessage) map[string]any {
	insecure := map[string]any{}
	if custom && len(bytes.TrimSpace(user)) > 0 {
		own := map[string]any{}
		if err := json.Unmarshal(user, &own); err != nil || own == nil {
			own = map[string]any{}
		}
		insecure["User"] = own
	}
	return insecure
}

// cloneJSON copies what JSON decodes to; other values stay as they are.
func cloneJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = cloneJSON(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = cloneJSON(inner)
		}
		return out
	case []string:
		return slices.Clone(v)
	}
	return v
}

// Request is a certificate request as templates see it, .Insecure.CR.
type Request struct {
	Version            int               `json:"version"`
	Subject            Subject           `json:"subject"`
	RawSubject         []byte            `json:"rawSubject"`
	DNSNames           texts             `json:"dnsNames"`
	EmailAddresses     texts             `json:"emailAddresses"`
	IPAddresses        []net.IP          `json:"ipAddresses"`
	URIs               uriList           `json:"uris"`
	SANs               []SAN             `json:"sans"` // always nil: names are in their lists
	Extensions         []ExtensionJSON   `json:"extensions"`
	KeyUsage           KeyUsage          `json:"keyUsage"`
	ExtKeyUsage        ExtKeyUsage       `json:"extKeyUsage"`
	UnknownExtKeyUsage []objectID        `json:"unknownExtKeyUsage"`
	BasicConstraints   *basicConstraints `json:"basicConstraints"`
	SignatureAlgorithm noAlgorithm       `json:"signatureAlgorithm"`

	PublicKey          crypto.PublicKey        `json:"-"`
	PublicKeyAlgorithm x509.PublicKeyAlgorithm `json:"-"`
	Signature          []byte                  `json:"-"`
	KeyType            string                  `json:"-"` // RSA, EC or OKP
	KeyBits            int                     `json:"-"`
	Fingerprint        string                  `json:"-"` // SHA-256 of the request's DER, hex
}

// uriList writes itself as texts.
type uriList []*url.URL

// MarshalJSON writes a list of texts.
func (l uriList) MarshalJSON() ([]byte, error) { return json.Marshal(Names{URIs: l}.uriStrings()) }

// noAlgorithm is the signature algorithm of a request, which says nothing about the
// certificate.
type noAlgorithm int

// MarshalJSON writes an empty text.
func (noAlgorithm) MarshalJSON() ([]byte, error) { return []byte(`""`), nil }

// requestView shows a request. What templates can change of it is a copy, but for the public
// key, which costs most.
func requestView(r *x509.CertificateRequest) *Request {
	v := &Request{
		Version: r.Version, Subject: SubjectOf(r.Subject), RawSubject: slices.Clone(r.RawSubject),
		DNSNames: slices.Clone(r.DNSNames), EmailAddresses: slices.Clone(r.EmailAddresses),
		IPAddresses: slices.Clone(r.IPAddresses), URIs: slices.Clone(r.URIs),
		PublicKey: r.PublicKey, PublicKeyAlgorithm: r.PublicKeyAlgorithm,
		Signature: slices.Clone(r.Signature),
	}
	sum := sha256.Sum256(r.Raw)
	v.Fingerprint = hex.EncodeToString(sum[:])
	v.KeyType, v.KeyBits = describeKey(r.PublicKey)
	for _, ext := range r.Extensions {
		critical := ext.Critical || ext.Id.Equal(oidSubjectAltName) && bytes.Equal(r.RawSubject, emptySubject)
		v.Extensions = append(v.Extensions, ExtensionJSON{objectID(ext.Id), critical, slices.Clone(ext.Value)})
		v.readExtension(ext)
	}
	return v
}

// readExtension decodes the extensions that have members of their own; one that cannot be
// read is left out there.
func (v *Request) readExtension(ext pkix.Extension) {
	switch {
	case ext.Id.Equal(oidKeyUsage):
		if bits, err := keyUsageBits(ext.Value); err == nil {
			v.KeyUsage = KeyUsage(bits)
		}
	case ext.Id.Equal(oidExtKeyUsage):
		var oids []asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(ext.Value, &oids); err != nil || len(rest) > 0 {
			return
		}
		for _, oid := range oids {
			if i := slices.IndexFunc(extKeyUsages, func(u extKeyUsage) bool { return u.oid.Equal(oid) }); i >= 0 {
				v.ExtKeyUsage = append(v.ExtKeyUsage, extKeyUsages[i].usage)
			} else {
				v.UnknownExtKeyUsage = append(v.UnknownExtKeyUsage, objectID(oid))
			}
		}
	case ext.Id.Equal(oidBasicConstraints):
		if ca, pathLen, err := readBasicConstraints(ext.Value); err == nil {
			v.BasicConstraints = &basicConstraints{IsCA: ca, MaxPathLen: pathLen}
		}
	}
}

func describeKey(pub crypto.PublicKey) (kind string, bits int) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "EC", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "OKP", 8 * len(k)
	}
	return "", 0
}

func clonePublicKey(pub crypto.PublicKey) crypto.PublicKey {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return &rsa.PublicKey{N: new(big.Int).Set(k.N), E: k.E}
	case *ecdsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			return nil
		}
		again, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil
		}
		return again
	case ed25519.PublicKey:
		return slices.Clone(k)
	}
	return nil
}
