package inspect

import (
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// attributes are the short names of RFC 4514, Section 3, and those in common use.
var attributes = map[string]string{
	"2.5.4.3":                    "CN",
	"2.5.4.4":                    "SN",
	"2.5.4.5":                    "SERIALNUMBER",
	"2.5.4.6":                    "C",
	"2.5.4.7":                    "L",
	"2.5.4.8":                    "ST",
	"2.5.4.9":                    "STREET",
	"2.5.4.10":                   "O",
	"2.5.4.11":                   "OU",
	"2.5.4.12":                   "title",
	"2.5.4.13":                   "description",
	"2.5.4.15":                   "businessCategory",
	"2.5.4.17":                   "POSTALCODE",
	"2.5.4.42":                   "GN",
	"2.5.4.43":                   "initials",
	"2.5.4.44":                   "generationQualifier",
	"2.5.4.46":                   "dnQualifier",
	"2.5.4.65":                   "pseudonym",
	"2.5.4.97":                   "organizationIdentifier",
	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "emailAddress",
	"1.3.6.1.4.1.311.60.2.1.1":   "jurisdictionL",
	"1.3.6.1.4.1.311.60.2.1.2":   "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3":   "jurisdictionC",
}

// distinguishedName writes a Name in the order of its encoding, the most general part
// first as a rule. Parts of one multi-valued RDN are joined by "+".
func distinguishedName(der []byte) string {
	in := cryptobyte.String(der)
	var name cryptobyte.String
	if !in.ReadASN1(&name, asn1.SEQUENCE) {
		return "#" + hex.EncodeToString(der)
	}
	var parts []string
	for !name.Empty() {
		var set cryptobyte.String
		if !name.ReadASN1(&set, asn1.SET) {
			return "#" + hex.EncodeToString(der)
		}
		var values []string
		for !set.Empty() {
			value, ok := attribute(&set)
			if !ok {
				return "#" + hex.EncodeToString(der)
			}
			values = append(values, value)
		}
		parts = append(parts, strings.Join(values, "+"))
	}
	return strings.Join(parts, ",")
}

func attribute(set *cryptobyte.String) (string, bool) {
	var pair, value cryptobyte.String
	var tag asn1.Tag
	if !set.ReadASN1(&pair, asn1.SEQUENCE) {
		return "", false
	}
	id, ok := readOID(&pair)
	if !ok || !pair.ReadAnyASN1(&value, &tag) {
		return "", false
	}
	if short, known := attributes[id]; known {
		id = short
	}
	if text, ok := asn1Text(tag, value); ok {
		return id + "=" + escape(text), true
	}
	return id + "=#" + hex.EncodeToString(value), true
}

// escape protects what separates the parts of a name (RFC 4514, Section 2.4).
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\\`, ",", `\,`, "+", `\+`, `"`, `\"`, ";", `\;`, "<", `\<`, ">", `\>`).Replace(s)
	if strings.HasPrefix(s, "#") || strings.HasPrefix(s, " ") {
		s = `\` + s
	}
	return plain(s)
}

// Tags of character strings that cryptobyte does not name.
const (
	tagNumericString   = asn1.Tag(18)
	tagVisibleString   = asn1.Tag(26)
	tagUniversalString = asn1.Tag(28)
	tagBMPString       = asn1.Tag(30)
)

// asn1Text decodes the character strings of ASN.1.
func asn1Text(tag asn1.Tag, value []byte) (string, bool) {
	switch tag {
	case asn1.UTF8String, asn1.PrintableString, asn1.IA5String, tagNumericString, tagVisibleString:
		return string(value), utf8.Valid(value)
	case asn1.T61String: // in practice Latin-1
		runes := make([]rune, len(value))
		for i, b := range value {
			runes[i] = rune(b)
		}
		return string(runes), true
	case tagBMPString:
		if len(value)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(value)/2)
		for i := range units {
			units[i] = uint16(value[2*i])<<8 | uint16(value[2*i+1])
		}
		return string(utf16.Decode(units)), true
	case tagUniversalString:
		if len(value)%4 != 0 {
			return "", false
		}
		runes := make([]rune, len(value)/4)
		for i := range runes {
			runes[i] = rune(value[4*i])<<24 | rune(value[4*i+1])<<16 | rune(value[4*i+2])<<8 | rune(value[4*i+3])
		}
		return string(runes), true
	}
	return "", false
}

// readOID reads an object identifier of any arc size as dotted text.
func readOID(in *cryptobyte.String) (string, bool) {
	var body cryptobyte.String
	if !in.ReadASN1(&body, asn1.OBJECT_IDENTIFIER) {
		return "", false
	}
	return dotted(body)
}

// listNames are the names of attributes as members of JSON.
var listNames = map[string]string{
	"CN": "common_name", "SERIALNUMBER": "serial_number", "C": "country", "L": "locality", "ST": "province",
	"STREET": "street_address", "O": "organization", "OU": "organizational_unit", "POSTALCODE": "postal_code",
	"DC": "domain_component", "emailAddress": "email_address", "GN": "given_name", "SN": "surname",
}

// attributeLists collects the values of a Name by attribute.
func attributeLists(der []byte) map[string][]string {
	lists := map[string][]string{}
	in := cryptobyte.String(der)
	var name, set, pair, value cryptobyte.String
	var tag asn1.Tag
	if !in.ReadASN1(&name, asn1.SEQUENCE) {
		return lists
	}
	for !name.Empty() && name.ReadASN1(&set, asn1.SET) {
		for !set.Empty() && set.ReadASN1(&pair, asn1.SEQUENCE) {
			id, ok := readOID(&pair)
			if !ok || !pair.ReadAnyASN1(&value, &tag) {
				continue
			}
			if known := listNames[attributes[id]]; known != "" {
				id = known
			}
			if text, ok := asn1Text(tag, value); ok {
				lists[id] = append(lists[id], text)
			}
		}
	}
	return lists
}
