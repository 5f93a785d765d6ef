package issue

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/signet-ca/signet/internal/fault"
)

// texts is a member that takes a text or a list of texts.
type texts []string

// UnmarshalJSON reads a text or a list of texts; null is none.
func (t *texts) UnmarshalJSON(data []byte) error {
	if list, ok := plainTexts(data); ok {
		*t = list
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = texts{s}
		return nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*t = list
	return nil
}

// plainTexts reads a text or a list of texts of printable ASCII without escapes, which almost
// all are. The JSON is valid already.
func plainTexts(data []byte) (list texts, ok bool) {
	if n := len(data); n >= 2 && data[0] == '[' {
		data = data[1 : n-1]
	}
	for rest := data; ; {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if len(rest) == 0 {
			return list, list != nil
		}
		if rest[0] != '"' {
			return nil, false
		}
		end := bytes.IndexByte(rest[1:], '"')
		if end < 0 {
			return nil, false
		}
		word := rest[1 : 1+end]
		if bytes.ContainsFunc(word, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) {
			return nil, false
		}
		list, rest = append(list, string(word)), rest[end+2:]
	}
}

// MarshalJSON writes a single text as such.
func (t texts) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// objectID is a dotted object identifier.
type objectID asn1.ObjectIdentifier

// UnmarshalJSON reads a dotted text.
func (o *objectID) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	oid, err := parseOID(s)
	if err != nil {
		return err
	}
	*o = objectID(oid)
	return nil
}

// MarshalJSON writes a dotted text.
func (o objectID) MarshalJSON() ([]byte, error) { return json.Marshal(o.String()) }

// String is the dotted form.
func (o objectID) String() string { return asn1.ObjectIdentifier(o).String() }

// Subject is a distinguished name as templates see and write it.
type Subject struct {
	Country            texts       `json:"country,omitempty"`
	Organization       texts       `json:"organization,omitempty"`
	OrganizationalUnit texts       `json:"organizationalUnit,omitempty"`
	Locality           texts       `json:"locality,omitempty"`
	Province           texts       `json:"province,omitempty"`
	StreetAddress      texts       `json:"streetAddress,omitempty"`
	PostalCode         texts       `json:"postalCode,omitempty"`
	SerialNumber       string      `json:"serialNumber,omitempty"`
	CommonName         string      `json:"commonName,omitempty"`
	ExtraNames         []ExtraName `json:"extraNames,omitempty"`
}

// ExtraName is an attribute of a subject that has no member of its own.
type ExtraName struct {
	Type  objectID `json:"type"`
	Value any      `json:"value"`
}

// UnmarshalJSON reads an object, or a text, which is a common name.
func (s *Subject) UnmarshalJSON(data []byte) error {
	*s = Subject{}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &s.CommonName)
	}
	type plain Subject
	return json.Unmarshal(data, (*plain)(s))
}

// SubjectOf shows a name to templates: known attributes in their members, others in
// ExtraNames.
func SubjectOf(n pkix.Name) Subject {
	s := Subject{
		Country: n.Country, Organization: n.Organization, OrganizationalUnit: n.OrganizationalUnit,
		Locality: n.Locality, Province: n.Province, StreetAddress: n.StreetAddress,
		PostalCode: n.PostalCode, SerialNumber: n.SerialNumber, CommonName: n.CommonName,
	}
	for _, attribute := range n.Names {
		if !slices.ContainsFunc(namedAttributes, attribute.Type.Equal) {
			s.ExtraNames = append(s.ExtraNames, ExtraName{objectID(attribute.Type), attribute.Value})
		}
	}
	return s
}

// namedAttributes have a member of their own in a Subject, in the order in which a subject
// is written.
var namedAttributes = []asn1.ObjectIdentifier{
	{2, 5, 4, 6}, {2, 5, 4, 8}, {2, 5, 4, 7}, {2, 5, 4, 9}, {2, 5, 4, 17},
	{2, 5, 4, 10}, {2, 5, 4, 11}, oidCommonName, {2, 5, 4, 5},
}

var (
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// name turns a subject into the form of crypto/x509.
func (s *Subject) name() (pkix.Name, error) {
	n := pkix.Name{
		Country: s.Country, Organization: s.Organization, OrganizationalUnit: s.OrganizationalUnit,
		Locality: s.Locality, Province: s.Province, StreetAddress: s.StreetAddress,
		PostalCode: s.PostalCode, SerialNumber: s.SerialNumber, CommonName: s.CommonName,
	}
	for _, extra := range s.ExtraNames {
		text, ok := extra.Value.(string)
		switch {
		case len(extra.Type) == 0:
			return n, errors.New("an entry of extraNames has no type")
		case !ok:
			return n, fmt.Errorf("the value of %s in extraNames is no text", extra.Type)
		}
		n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier(extra.Type), Value: text})
	}
	return n, nil
}

// texts lists all texts of a subject.
func (s *Subject) texts() []string {
	all := slices.Concat(s.Country, s.Organization, s.OrganizationalUnit, s.Locality, s.Province, s.StreetAddress, s.PostalCode)
	all = append(all, s.SerialNumber, s.CommonName)
	for _, extra := range s.ExtraNames {
		if text, ok := extra.Value.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// attribute is one AttributeTypeAndValue (RFC 5280, Section 4.1.2.4).
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributeSET is a RelativeDistinguishedName; encoding/asn1 writes slices of types whose
// name ends in SET as such, sorted.
type attributeSET []attribute

// EncodeSubject writes a name in one order, whatever the toolchain: C, ST, L, STREET,
// postal code, O, OU, CN, serial number, and the extra names one by one. Several values of
// one attribute share a relative distinguished name. An extra name of a type that has its
// own field replaces that field.
func EncodeSubject(n pkix.Name) ([]byte, error) { return encodeSubject(n, false) }

// encodeSubject is EncodeSubject; separate gives each value a relative distinguished name of
// its own, in the order of the values.
func encodeSubject(n pkix.Name, separate bool) ([]byte, error) {
	replaced := func(oid asn1.ObjectIdentifier) bool {
		return slices.ContainsFunc(n.ExtraNames, func(a pkix.AttributeTypeAndValue) bool { return a.Type.Equal(oid) })
	}
	single := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	values := [][]string{n.Country, n.Province, n.Locality, n.StreetAddress, n.PostalCode,
		n.Organization, n.OrganizationalUnit, single(n.CommonName), single(n.SerialNumber)}
	rdns := []attributeSET{} // an empty subject is an empty SEQUENCE
	for i, oid := range namedAttributes {
		if len(values[i]) == 0 || replaced(oid) {
			continue
		}
		var set attributeSET
		for _, value := range values[i] {
			raw, err := attributeValue(oid, value)
			if err != nil {
				return nil, err
			}
			set = append(set, attribute{oid, raw})
			if separate {
				rdns, set = append(rdns, set), nil
			}
		}
		if set != nil {
			rdns = append(rdns, set)
		}
	}
	for _, extra := range n.ExtraNames {
		raw, err := attributeValue(extra.Type, extra.Value)
		if err != nil {
			return nil, err
		}
		rdns = append(rdns, attributeSET{{extra.Type, raw}})
	}
	return asn1.Marshal(rdns)
}

// attributeValue encodes a text: PrintableString where its characters allow, else
// UTF8String; an e-mail address is an IA5String (RFC 2985, Section 5.2.1).
func attributeValue(oid asn1.ObjectIdentifier, value any) (asn1.RawValue, error) {
	var raw asn1.RawValue
	params := ""
	switch v := value.(type) {
	case asn1.RawValue:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return raw, fmt.Errorf("the subject's %s is not valid UTF-8", oid)
		}
		if oid.Equal(oidEmailAddress) {
			params = "ia5"
		}
	default:
		return raw, fmt.Errorf("the subject's %s is no text", oid)
	}
	der, err := asn1.MarshalWithParams(value, params)
	if err != nil {
		return raw, fmt.Errorf("the subject's %s cannot be encoded: %w", oid, err)
	}
	_, err = asn1.Unmarshal(der, &raw)
	return raw, err
}

var emptySubject = []byte{0x30, 0}

// settleSubject gives a certificate its final subject: RawSubject is encoded from Subject unless
// it is given, Subject is read back from it, so that rules see what relying parties will,
// and a certificate without subject marks its names critical (RFC 5280, Section 4.2.1.6).
// It returns every common name in the subject.
func settleSubject(cert *x509.Certificate) ([]string, error) {
	if len(cert.RawSubject) == 0 {
		der, err := EncodeSubject(cert.Subject)
		if err != nil {
			return nil, err
		}
		cert.RawSubject = der
	}
	var rdns pkix.RDNSequence
	rest, err := asn1.Unmarshal(cert.RawSubject, &rdns)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("the raw subject is no distinguished name")
	}
	cert.Subject = pkix.Name{}
	cert.Subject.FillFromRDNSequence(&rdns)
	for i := range cert.ExtraExtensions {
		if ext := &cert.ExtraExtensions[i]; ext.Id.Equal(oidSubjectAltName) && bytes.Equal(cert.RawSubject, emptySubject) {
			ext.Critical = true
		}
	}
	var names []string
	for _, rdn := range rdns {
		for _, a := range rdn {
			if a.Type.Equal(oidCommonName) {
				text, ok := a.Value.(string)
				if !ok {
					return nil, errors.New("a common name of the raw subject is no text")
				}
				names = append(names, text)
			}
		}
	}
	return names, nil
}

// noValue is what text/template prints for a variable that is not there.
const noValue = "<no value>"

func refuseNoValue(kind string, list []string) error {
	for _, s := range list {
		if strings.Contains(s, noValue) {
			return fault.New(fault.Denied, "the certificate template uses a value for the %s that the request does not give", kind)
		}
	}
	return nil
}
