package issue

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
)

// checkStrict refuses a request that asks for something the certificate would not have: names
// of any kind, attributes of the subject, usages, further extensions. The certificate is
// settled. Without this rule such wishes are left out silently, as far as the template does
// not copy them.
func checkStrict(r *x509.CertificateRequest, cert *x509.Certificate) error {
	refuse := func(what string) error {
		return fault.New(fault.Denied, "the certificate request asks for %s, which the certificate would not have; leave it out of the request (strictCSR)", what)
	}
	if missing := missingAttribute(r.Subject, cert.Subject); missing != "" {
		return refuse(missing)
	}
	asked, err := requestedNames(r)
	if err != nil {
		return err
	}
	given, err := certificateNames(cert)
	if err != nil {
		return err
	}
	for _, name := range asked {
		if !given[name.key()] {
			return refuse("the " + name.String())
		}
	}
	for _, ext := range r.Extensions {
		if ext.Id.Equal(oidSubjectAltName) || hasUsage(cert, ext) {
			continue
		}
		return refuse("the extension " + extensionName(ext.Id))
	}
	return nil
}

// missingAttribute names an attribute of one subject that the other lacks.
func missingAttribute(asked, given pkix.Name) string {
	for _, a := range asked.Names {
		found := false
		for _, g := range given.Names {
			found = found || a.Type.Equal(g.Type) && fmt.Sprint(a.Value) == fmt.Sprint(g.Value)
		}
		if !found {
			return "the subject's " + a.Type.String() + " " + quoted([]string{fmt.Sprint(a.Value)})
		}
	}
	return ""
}

// rawName is one GeneralName.
type rawName struct {
	tag   int
	value []byte // without tag and length
}

// key compares names: those that are host names or addresses of mail in any case.
func (n rawName) key() string {
	if n.tag == tagDNS || n.tag == tagEmail {
		return fmt.Sprint(n.tag, strings.ToLower(string(n.value)))
	}
	return fmt.Sprint(n.tag, string(n.value))
}

func (n rawName) String() string {
	switch n.tag {
	case tagDNS, tagEmail, tagURI:
		return sanTags[n.tag] + " " + quoted([]string{string(n.value)})
	}
	return sanTags[n.tag]
}

func requestedNames(r *x509.CertificateRequest) ([]rawName, error) {
	for _, ext := range r.Extensions {
		if ext.Id.Equal(oidSubjectAltName) {
			return rawNames(ext.Value)
		}
	}
	return nil, nil
}

// certificateNames are the names of a to-be-signed certificate, however they are given.
func certificateNames(cert *x509.Certificate) (map[string]bool, error) {
	given := map[string]bool{}
	for _, ext := range cert.ExtraExtensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		all, err := rawNames(ext.Value)
		for _, n := range all {
			given[n.key()] = true
		}
		return given, err
	}
	add := func(tag int, value []byte) { given[rawName{tag, value}.key()] = true }
	for _, s := range cert.DNSNames {
		add(tagDNS, []byte(s))
	}
	for _, s := range cert.EmailAddresses {
		add(tagEmail, []byte(s))
	}
	for _, u := range cert.URIs {
		add(tagURI, []byte(u.String()))
	}
	for _, ip := range cert.IPAddresses {
		if v4 := ip.To4(); v4 != nil {
			add(tagIP, v4)
			continue
		}
		add(tagIP, ip)
	}
	return given, nil
}

func rawNames(der []byte) ([]rawName, error) {
	if _, err := decodeSAN(der); err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var seq, value cryptobyte.String
	var tag cbasn1.Tag
	var all []rawName
	for in.ReadASN1(&seq, cbasn1.SEQUENCE); seq.ReadAnyASN1(&value, &tag); {
		n := rawName{int(tag & 0x1f), value}
		if n.tag == tagIP && len(value) == 16 && bytes.HasPrefix(value, v4InV6) {
			n.value = value[12:] // the same address in its other form
		}
		all = append(all, n)
	}
	return all, nil
}

var v4InV6 = []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}

// hasUsage reports whether the certificate has what a requested extension asks for: usages
// and purposes at least, anything else byte for byte.
func hasUsage(cert *x509.Certificate, ext pkix.Extension) bool {
	for _, own := range cert.ExtraExtensions {
		if own.Id.Equal(ext.Id) {
			return bytes.Equal(own.Value, ext.Value)
		}
	}
	switch {
	case ext.Id.Equal(oidKeyUsage):
		bits, err := keyUsageBits(ext.Value)
		return err == nil && bits&^cert.KeyUsage == 0
	case ext.Id.Equal(oidExtKeyUsage):
		return hasPurposes(cert, ext.Value)
	case ext.Id.Equal(oidBasicConstraints):
		ca, _, err := readBasicConstraints(ext.Value)
		return err == nil && !ca && !cert.IsCA // a leaf without the extension is none either
	}
	return false
}

func hasPurposes(cert *x509.Certificate, der []byte) bool {
	var asked []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(der, &asked); err != nil || len(rest) > 0 {
		return false
	}
	own, err := purposesOf(cert)
	if err != nil {
		return false
	}
	given := map[string]bool{}
	for _, oid := range own {
		given[oid.String()] = true
	}
	for _, oid := range asked {
		if !given[oid.String()] {
			return false
		}
	}
	return true
}

// extensionName is the name of an extension that requests are likely to carry, else its
// number.
func extensionName(oid asn1.ObjectIdentifier) string {
	switch {
	case oid.Equal(oidKeyUsage):
		return "keyUsage"
	case oid.Equal(oidExtKeyUsage):
		return "extKeyUsage"
	case oid.Equal(oidBasicConstraints):
		return "basicConstraints"
	}
	return oid.String()
}
