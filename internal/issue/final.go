package issue

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/policy"
)

// allNames are the names of a certificate including those of kinds we only know to exist.
type allNames struct {
	Names
	Other []string // kinds without a rule of ours, by their tag: "otherName", "directoryName", …
}

// finalNames decodes the names of a to-be-signed certificate, from its raw subject
// alternative name extension if there is one: rules must see what relying parties will.
func finalNames(cert *x509.Certificate) (allNames, error) {
	for _, ext := range cert.ExtraExtensions {
		if ext.Id.Equal(oidSubjectAltName) {
			return decodeSAN(ext.Value)
		}
	}
	return allNames{Names: CertificateNames(cert)}, nil
}

// sanTags names the choices of GeneralName (RFC 5280, Section 4.2.1.6).
var sanTags = [...]string{"otherName", "rfc822Name", "dNSName", "x400Address", "directoryName",
	"ediPartyName", "uniformResourceIdentifier", "iPAddress", "registeredID"}

// nameTag is the one tag of a kind of name: context-specific, and constructed for the kinds
// with a structure. Other readers ignore a name with another form of it.
func nameTag(number int) cbasn1.Tag {
	tag := cbasn1.Tag(number).ContextSpecific()
	switch number {
	case 0, 3, 4, 5:
		return tag.Constructed()
	}
	return tag
}

// decodeSAN reads a subject alternative name extension, every kind of name in it.
func decodeSAN(der []byte) (allNames, error) {
	var all allNames
	bad := func(why string) (allNames, error) {
		return all, fault.New(fault.Invalid, "the subject alternative names cannot be read: %s", why)
	}
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return bad("not one sequence")
	}
	for !seq.Empty() {
		var value cryptobyte.String
		var tag cbasn1.Tag
		if !seq.ReadAnyASN1(&value, &tag) {
			return bad("a name is cut off")
		}
		number := int(tag & 0x1f)
		if number >= len(sanTags) || tag != nameTag(number) {
			return bad(fmt.Sprintf("a name with the unknown tag %#x", uint8(tag)))
		}
		if text := number == 1 || number == 2 || number == 6; text && !isASCII(value) {
			return bad("a " + sanTags[number] + " that is not ASCII")
		}
		switch number {
		case 1:
			all.Emails = append(all.Emails, string(value))
		case 2:
			all.DNS = append(all.DNS, string(value))
		case 6:
			u, err := url.Parse(string(value))
			if err != nil {
				return bad("a URI that is none")
			}
			all.URIs = append(all.URIs, u)
		case 7:
			if len(value) != net.IPv4len && len(value) != net.IPv6len {
				return bad("an IP address of a length that no address has")
			}
			all.IPs = append(all.IPs, net.IP(value))
		default:
			all.Other = append(all.Other, sanTags[number])
		}
	}
	return all, nil
}

func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c > 0x7f })
}

// otherNames lists the kinds of names in a request that crypto/x509 does not show.
func otherNames(exts []pkix.Extension) ([]string, error) {
	for _, ext := range exts {
		if ext.Id.Equal(oidSubjectAltName) {
			all, err := decodeSAN(ext.Value)
			return all.Other, err
		}
	}
	return nil, nil
}

func hasExtension(exts []pkix.Extension, id asn1.ObjectIdentifier) bool {
	for _, ext := range exts {
		if ext.Id.Equal(id) {
			return true
		}
	}
	return false
}

// checkNames is the last look at the names: their form, the name constraints of our own
// issuers, then the rules of the provisioner and of the whole CA.
func checkNames(p *Profile, commonNames []string, names allNames) error {
	if len(commonNames) == 0 {
		commonNames = []string{""}
	}
	for _, cn := range commonNames {
		if err := checkForms(cn, names.Names); err != nil {
			return err
		}
	}
	if err := checkConstraints(p.Authority, names.Names); err != nil {
		return err
	}
	if p.Policy == nil && p.Authority.Policy == nil {
		return nil
	}
	n := policy.Names{DNS: names.DNS, IPs: names.IPs, Emails: names.Emails, URIs: names.uriStrings(), Other: names.Other}
	for _, n.CommonName = range commonNames {
		if err := p.Policy.Check(n); err != nil {
			return err
		}
		if err := p.Authority.Policy.Check(n); err != nil {
			return err
		}
	}
	return nil
}
