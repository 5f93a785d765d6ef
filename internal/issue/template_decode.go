package issue

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// certificateJSON is what a template writes: the certificate without its public key.
// Members match in any case, as existing templates have it.
type certificateJSON struct {
	Version               int                  `json:"version"` // ignored: always 3
	Subject               Subject              `json:"subject"`
	RawSubject            []byte               `json:"rawSubject"` // DER, wins over subject
	Issuer                Subject              `json:"issuer"`     // ignored: the issuer knows its name
	SerialNumber          *serialNumber        `json:"serialNumber"`
	DNSNames              texts                `json:"dnsNames"`
	EmailAddresses        texts                `json:"emailAddresses"`
	IPAddresses           texts                `json:"ipAddresses"`
	URIs                  texts                `json:"uris"`
	SANs                  []SAN                `json:"sans"`
	NotBefore             time.Time            `json:"notBefore"`
	NotAfter              time.Time            `json:"notAfter"`
	Extensions            []ExtensionJSON      `json:"extensions"`
	KeyUsage              KeyUsage             `json:"keyUsage"`
	ExtKeyUsage           purposes             `json:"extKeyUsage"`
	UnknownExtKeyUsage    objectIDs            `json:"unknownExtKeyUsage"`
	SubjectKeyID          []byte               `json:"subjectKeyId"`
	AuthorityKeyID        []byte               `json:"authorityKeyId"`
	OCSPServer            texts                `json:"ocspServer"`
	IssuingCertificateURL texts                `json:"issuingCertificateURL"`
	CRLDistributionPoints texts                `json:"crlDistributionPoints"`
	PolicyIdentifiers     policyIDs            `json:"policyIdentifiers"`
	BasicConstraints      *basicConstraints    `json:"basicConstraints"`
	NameConstraints       *nameConstraintsJSON `json:"nameConstraints"`
	SignatureAlgorithm    signatureAlgorithm   `json:"signatureAlgorithm"`
}

// ExtensionJSON is an extension as templates see and write it.
type ExtensionJSON struct {
	ID       objectID `json:"id"`
	Critical bool     `json:"critical"`
	Value    []byte   `json:"value"`
}

// nameConstraintsJSON is RFC 5280, Section 4.2.1.10.
type nameConstraintsJSON struct {
	Critical                bool  `json:"critical"`
	PermittedDNSDomains     texts `json:"permittedDNSDomains"`
	ExcludedDNSDomains      texts `json:"excludedDNSDomains"`
	PermittedIPRanges       texts `json:"permittedIPRanges"`
	ExcludedIPRanges        texts `json:"excludedIPRanges"`
	PermittedEmailAddresses texts `json:"permittedEmailAddresses"`
	ExcludedEmailAddresses  texts `json:"excludedEmailAddresses"`
	PermittedURIDomains     texts `json:"permittedURIDomains"`
	ExcludedURIDomains      texts `json:"excludedURIDomains"`
}

// serialNumber reads a number of 64 bits, or a text with a base prefix.
type serialNumber struct{ n *big.Int }

// UnmarshalJSON reads "0x1f", "0b11", "0o17", "017", "31" or 31.
func (s *serialNumber) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		var n int64
		if err := json.Unmarshal(data, &n); err != nil {
			return err
		}
		s.n = big.NewInt(n)
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	if len(text) > 256 {
		return errors.New("the serialNumber is too long")
	}
	n, ok := new(big.Int).SetString(text, 0)
	if !ok {
		return fmt.Errorf("the serialNumber %q is no number", text)
	}
	s.n = n
	return nil
}

// objectIDs takes an OID or a list of them.
type objectIDs []asn1.ObjectIdentifier

// UnmarshalJSON reads a dotted text or a list of them.
func (o *objectIDs) UnmarshalJSON(data []byte) error {
	var list texts
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*o = nil
	for _, s := range list {
		oid, err := parseOID(s)
		if err != nil {
			return err
		}
		*o = append(*o, oid)
	}
	return nil
}

// policyIDs are certificate policies, whose arcs may be of any size.
type policyIDs []x509.OID

// UnmarshalJSON reads a dotted text or a list of them.
func (p *policyIDs) UnmarshalJSON(data []byte) error {
	var list texts
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*p = nil
	for _, s := range list {
		oid, err := x509.ParseOID(s)
		if err != nil || len(s) > 1024 {
			return fmt.Errorf("%q is no object identifier", clipWords(s))
		}
		*p = append(*p, oid)
	}
	return nil
}

// decodeOutput reads what a template wrote into v: exactly one JSON object.
func decodeOutput(name string, out []byte, strict bool, v any) error {
	dec := json.NewDecoder(bytes.NewReader(out))
	if strict {
		dec.DisallowUnknownFields()
	}
	complain := func(offset int64, err error) error {
		line, column := position(string(out), int(offset))
		return unusable(&TemplateError{Template: name, Stage: "output", Line: line, Column: column,
			cause: fmt.Errorf("%w (byte %d, near %s)", err, offset, masked(out, offset))})
	}
	if first := bytes.TrimSpace(out); len(first) == 0 || first[0] != '{' {
		return complain(0, errors.New("the output is no JSON object"))
	}
	if err := dec.Decode(v); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return complain(max(syntax.Offset-1, 0), err)
		}
		return complain(badMember(out, v), err)
	}
	end := dec.InputOffset()
	if rest := bytes.TrimSpace(out[end:]); len(rest) > 0 {
		return complain(int64(len(out)-len(rest)), errors.New("something follows the JSON object"))
	}
	return nil
}

// badMember finds the value that does not decode; the errors of encoding/json tell only
// where it is inside its member.
func badMember(out []byte, v any) int64 {
	dec := json.NewDecoder(bytes.NewReader(out))
	if _, err := dec.Token(); err != nil {
		return 0
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			break
		}
		alone, err := json.Marshal(map[string]json.RawMessage{fmt.Sprint(name): value})
		if err != nil {
			break
		}
		if err := json.Unmarshal(alone, reflect.New(reflect.TypeOf(v).Elem()).Interface()); err != nil {
			return dec.InputOffset() - int64(len(value))
		}
	}
	return dec.InputOffset()
}

// masked shows the structure of the output around an offset. Letters and digits, which may
// be somebody's data, are hidden.
func masked(out []byte, offset int64) string {
	from, to := max(offset-20, 0), min(offset+10, int64(len(out)))
	part := strings.Map(func(r rune) rune {
		if strings.ContainsRune("{}[]\":, \\<>", r) {
			return r
		}
		return '*'
	}, string(out[min(from, to):to]))
	return fmt.Sprintf("%q", part)
}

// certificate turns the JSON into a certificate to be signed. Refusals that concern the
// requester are faults; other errors are the template's.
func (c *certificateJSON) certificate(opts *TemplateOptions) (*x509.Certificate, error) {
	subject, err := c.Subject.name()
	if err != nil {
		return nil, err
	}
	if err := refuseNoValue("subject", c.Subject.texts()); err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		Subject:               subject,
		RawSubject:            c.RawSubject,
		NotBefore:             c.NotBefore,
		NotAfter:              c.NotAfter,
		KeyUsage:              x509.KeyUsage(c.KeyUsage),
		ExtKeyUsage:           c.ExtKeyUsage.known,
		UnknownExtKeyUsage:    slices.Concat(c.ExtKeyUsage.unknown, []asn1.ObjectIdentifier(c.UnknownExtKeyUsage)),
		SubjectKeyId:          c.SubjectKeyID,
		AuthorityKeyId:        c.AuthorityKeyID,
		OCSPServer:            c.OCSPServer,
		IssuingCertificateURL: c.IssuingCertificateURL,
		CRLDistributionPoints: c.CRLDistributionPoints,
		Policies:              c.PolicyIdentifiers,
		SignatureAlgorithm:    x509.SignatureAlgorithm(c.SignatureAlgorithm),
	}
	for _, step := range []func(*x509.Certificate, *TemplateOptions) error{
		c.addRawSubject, c.addSerial, c.addBasicConstraints, c.addNameConstraints, c.addNames, c.addExtensions, c.addPurposes,
	} {
		if err := step(cert, opts); err != nil {
			return nil, err
		}
	}
	return cert, nil
}

func (c *certificateJSON) addRawSubject(cert *x509.Certificate, _ *TemplateOptions) error {
	if len(c.RawSubject) == 0 {
		return nil
	}
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.RawSubject, &rdns); err != nil || len(rest) > 0 {
		return errors.New("rawSubject is no distinguished name")
	}
	cert.Subject = pkix.Name{}
	cert.Subject.FillFromRDNSequence(&rdns)
	return nil
}

func (c *certificateJSON) addSerial(cert *x509.Certificate, opts *TemplateOptions) error {
	if c.SerialNumber == nil || c.SerialNumber.n == nil {
		return nil
	}
	n := c.SerialNumber.n
	switch {
	case !opts.AllowSerial:
		return fault.New(fault.Denied, "the certificate template sets a serial number, which the provisioner does not allow (allowSerial)")
	case n.Sign() <= 0 || n.BitLen() > 159: // RFC 5280, Section 4.1.2.2: positive, 20 octets
		return fault.New(fault.Denied, "the certificate template sets a serial number that is not between 1 and 2^159-1")
	}
	cert.SerialNumber = n
	return nil
}

func (c *certificateJSON) addBasicConstraints(cert *x509.Certificate, _ *TemplateOptions) error {
	bc := c.BasicConstraints
	if bc == nil {
		return nil
	}
	cert.BasicConstraintsValid, cert.IsCA, cert.MaxPathLen = true, bc.IsCA, -1
	switch {
	case bc.MaxPathLen < -1:
		return fmt.Errorf("maxPathLen is %d; -1 is no limit", bc.MaxPathLen)
	case bc.IsCA:
		// Not set is zero: who wants a CA below a CA must say so.
		cert.MaxPathLen, cert.MaxPathLenZero = bc.MaxPathLen, bc.MaxPathLen == 0
	}
	return nil
}

func (c *certificateJSON) addNameConstraints(cert *x509.Certificate, _ *TemplateOptions) error {
	nc := c.NameConstraints
	if nc == nil {
		return nil
	}
	cert.PermittedDNSDomainsCritical = nc.Critical
	cert.PermittedDNSDomains, cert.ExcludedDNSDomains = nc.PermittedDNSDomains, nc.ExcludedDNSDomains
	cert.PermittedEmailAddresses, cert.ExcludedEmailAddresses = nc.PermittedEmailAddresses, nc.ExcludedEmailAddresses
	cert.PermittedURIDomains, cert.ExcludedURIDomains = nc.PermittedURIDomains, nc.ExcludedURIDomains
	var err error
	if cert.PermittedIPRanges, err = ipRanges(nc.PermittedIPRanges); err != nil {
		return err
	}
	cert.ExcludedIPRanges, err = ipRanges(nc.ExcludedIPRanges)
	return err
}

func ipRanges(list []string) ([]*net.IPNet, error) {
	var out []*net.IPNet
	for _, s := range list {
		_, block, err := net.ParseCIDR(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no address block such as 10.0.0.0/8", clipWords(s))
		}
		out = append(out, block)
	}
	return out, nil
}

// addNames adds the subject alternative names, unless the extension is given raw.
func (c *certificateJSON) addNames(cert *x509.Certificate, opts *TemplateOptions) error {
	if slices.ContainsFunc(c.Extensions, func(e ExtensionJSON) bool { return oidSubjectAltName.Equal(asn1.ObjectIdentifier(e.ID)) }) {
		return nil
	}
	s := sanNames{compat: opts.HardwareModuleNameCompat}
	for _, list := range []struct {
		tag   int
		names texts
	}{{tagDNS, c.DNSNames}, {tagEmail, c.EmailAddresses}, {tagIP, c.IPAddresses}, {tagURI, c.URIs}} {
		if err := refuseNoValue("subject alternative names", list.names); err != nil {
			return err
		}
		for _, name := range list.names {
			if name == "" {
				continue
			}
			if err := s.addBasic(list.tag, name); err != nil {
				return err
			}
		}
	}
	for i := range c.SANs {
		if err := s.add(&c.SANs[i]); err != nil {
			return err
		}
	}
	if !s.extended {
		cert.DNSNames, cert.EmailAddresses = s.names.DNS, s.names.Emails
		cert.IPAddresses, cert.URIs = s.names.IPs, s.names.URIs
		return nil
	}
	ext, err := s.extension()
	if err != nil {
		return err
	}
	cert.ExtraExtensions = append(cert.ExtraExtensions, ext)
	return nil
}

// addExtensions adds the raw extensions, each once. The provisioner extension is the CA's
// own and left out.
func (c *certificateJSON) addExtensions(cert *x509.Certificate, _ *TemplateOptions) error {
	seen := map[string]bool{}
	for _, e := range c.Extensions {
		oid := asn1.ObjectIdentifier(e.ID)
		if len(oid) == 0 || oid.Equal(OIDProvisioner) {
			continue
		}
		if seen[oid.String()] {
			return fmt.Errorf("the extension %s stands twice", oid)
		}
		seen[oid.String()] = true
		if err := oneElement(e.Value); err != nil {
			return fmt.Errorf("the value of the extension %s: %w", oid, err)
		}
		cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oid, Critical: e.Critical, Value: e.Value})
	}
	return nil
}

var (
	oidExtKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// addPurposes makes timeStamping critical where it stands alone: RFC 3161, Section 2.3.
func (c *certificateJSON) addPurposes(cert *x509.Certificate, _ *TemplateOptions) error {
	alone := len(cert.ExtKeyUsage) == 1 && cert.ExtKeyUsage[0] == x509.ExtKeyUsageTimeStamping && len(cert.UnknownExtKeyUsage) == 0
	if !alone || hasExtension(cert.ExtraExtensions, oidExtKeyUsage) {
		return nil
	}
	der, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	if err != nil {
		return err
	}
	cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oidExtKeyUsage, Critical: true, Value: der})
	return nil
}
