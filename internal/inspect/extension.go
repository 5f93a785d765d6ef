package inspect

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// extension says how an extension is called and how its value is shown, line by line.
// A decoder gives false for a value that is not what the standard says.
type extension struct {
	title string
	lines func(cryptobyte.String) ([]string, bool)
}

// extensions are those we can decode; the rest is shown in hex.
var extensions = map[string]extension{
	// RFC 5280, Section 4.2.1
	"2.5.29.9":  {"X509v3 Subject Directory Attributes", anyValue},
	"2.5.29.14": {"X509v3 Subject Key Identifier", subjectKeyID},
	"2.5.29.15": {"X509v3 Key Usage", keyUsage},
	"2.5.29.17": {"X509v3 Subject Alternative Name", generalNamesLine},
	"2.5.29.18": {"X509v3 Issuer Alternative Name", generalNamesLine},
	"2.5.29.19": {"X509v3 Basic Constraints", basicConstraints},
	"2.5.29.30": {"X509v3 Name Constraints", nameConstraints},
	"2.5.29.31": {"X509v3 CRL Distribution Points", distributionPoints},
	"2.5.29.32": {"X509v3 Certificate Policies", policies},
	"2.5.29.33": {"X509v3 Policy Mappings", anyValue},
	"2.5.29.35": {"X509v3 Authority Key Identifier", authorityKeyID},
	"2.5.29.36": {"X509v3 Policy Constraints", policyConstraints},
	"2.5.29.37": {"X509v3 Extended Key Usage", extendedKeyUsage},
	"2.5.29.46": {"X509v3 Freshest CRL", distributionPoints},
	"2.5.29.54": {"X509v3 Inhibit Any Policy", integerLine("")},
	// RFC 5280, Section 4.2.2
	"1.3.6.1.5.5.7.1.1":  {"Authority Information Access", informationAccess},
	"1.3.6.1.5.5.7.1.11": {"Subject Information Access", informationAccess},
	// RFC 5280, Section 5.2 and 5.3
	"2.5.29.20": {"X509v3 CRL Number", integerLine("")},
	"2.5.29.21": {"X509v3 CRL Reason Code", reasonCode},
	"2.5.29.24": {"X509v3 Invalidity Date", anyValue},
	"2.5.29.27": {"X509v3 Delta CRL Indicator", integerLine("Base CRL Number: ")},
	"2.5.29.28": {"X509v3 Issuing Distribution Point", issuingDistributionPoint},
	"2.5.29.29": {"X509v3 Certificate Issuer", generalNamesLine},
	// RFC 7633, RFC 6960, RFC 6962, Microsoft, Netscape
	"1.3.6.1.5.5.7.1.24":      {"TLS Feature", tlsFeature},
	"1.3.6.1.5.5.7.48.1.5":    {"OCSP No Check", anyValue},
	"1.3.6.1.4.1.11129.2.4.2": {"CT Precertificate SCTs", sctList},
	"1.3.6.1.4.1.11129.2.4.3": {"CT Precertificate Poison", anyValue},
	"1.3.6.1.4.1.311.20.2":    {"Microsoft Certificate Template Name", anyValue},
	"1.3.6.1.4.1.311.21.7":    {"Microsoft Certificate Template", anyValue},
	"2.16.840.1.113730.1.13":  {"Netscape Comment", anyValue},
	// step
	"1.3.6.1.4.1.37476.9000.64.1": {"X509v3 Step Provisioner", stepProvisioner},
	"1.3.6.1.4.1.37476.9000.64.2": {"X509v3 Step Managed Endpoint", anyValue},
	"1.3.6.1.4.1.37476.9000.64.4": {"X509v3 Step Device", stepDevice},
}

// extensions shows all extensions in the order of their encoding.
func (s *sheet) extensions(depth int, list []pkix.Extension) {
	for _, ext := range list {
		known, ok := extensions[ext.Id.String()]
		title := known.title
		if !ok {
			title = ext.Id.String()
		}
		critical := ""
		if ext.Critical {
			critical = " critical"
		}
		s.line(depth, "%s:%s", title, critical)
		if ok {
			if lines, good := known.lines(ext.Value); good {
				for _, line := range lines {
					s.line(depth+1, "%s", line)
				}
				continue
			}
		}
		s.hex(strings.Repeat(indent, depth+1), ext.Value, 16)
	}
}

func one(format string, args ...any) ([]string, bool) {
	return []string{fmt.Sprintf(format, args...)}, true
}

func subjectKeyID(in cryptobyte.String) ([]string, bool) {
	var id cryptobyte.String
	if !in.ReadASN1(&id, asn1.OCTET_STRING) || !in.Empty() {
		return nil, false
	}
	return one("%s", colons(id, "%02X"))
}

var keyUsages = []string{"Digital Signature", "Content Commitment", "Key Encipherment", "Data Encipherment",
	"Key Agreement", "Certificate Sign", "CRL Sign", "Encipher Only", "Decipher Only"}

func keyUsage(in cryptobyte.String) ([]string, bool) {
	names, ok := flagNames(&in, asn1.BIT_STRING, keyUsages)
	if !ok || !in.Empty() {
		return nil, false
	}
	return one("%s", strings.Join(names, ", "))
}

// flagNames names the bits that are set in a BIT STRING, whatever its tag.
func flagNames(in *cryptobyte.String, tag asn1.Tag, all []string) ([]string, bool) {
	var bits cryptobyte.String
	var padding uint8
	if !in.ReadASN1(&bits, tag) || !bits.ReadUint8(&padding) || padding > 7 {
		return nil, false
	}
	var names []string
	for i := range 8*len(bits) - int(padding) {
		if bits[i/8]&(0x80>>(i%8)) == 0 {
			continue
		}
		if i < len(all) {
			names = append(names, all[i])
		} else {
			names = append(names, fmt.Sprintf("bit %d", i))
		}
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return names, true
}

func basicConstraints(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	ca := false
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || seq.PeekASN1Tag(asn1.BOOLEAN) && !seq.ReadASN1Boolean(&ca) {
		return nil, false
	}
	text := "CA:FALSE"
	if ca {
		text = "CA:TRUE"
	}
	if seq.PeekASN1Tag(asn1.INTEGER) {
		length := new(big.Int)
		if !seq.ReadASN1Integer(length) {
			return nil, false
		}
		text += ", pathlen:" + length.String()
	}
	return []string{text}, seq.Empty()
}

// extKeyUsages are named as people know them; others show their OID.
var extKeyUsages = map[string]string{
	"2.5.29.37.0":             "Any",
	"1.3.6.1.5.5.7.3.1":       "Server Authentication",
	"1.3.6.1.5.5.7.3.2":       "Client Authentication",
	"1.3.6.1.5.5.7.3.3":       "Code Signing",
	"1.3.6.1.5.5.7.3.4":       "Email Protection",
	"1.3.6.1.5.5.7.3.5":       "IPSec End System",
	"1.3.6.1.5.5.7.3.6":       "IPSec Tunnel",
	"1.3.6.1.5.5.7.3.7":       "IPSec User",
	"1.3.6.1.5.5.7.3.8":       "Time Stamping",
	"1.3.6.1.5.5.7.3.9":       "OCSP Signing",
	"1.3.6.1.5.2.3.4":         "Kerberos Client Authentication",
	"1.3.6.1.5.2.3.5":         "Kerberos KDC",
	"1.3.6.1.4.1.311.10.3.3":  "Microsoft Server Gated Crypto",
	"2.16.840.1.113730.4.1":   "Netscape Server Gated Crypto",
	"1.3.6.1.4.1.311.2.1.22":  "Microsoft Commercial Code Signing",
	"1.3.6.1.4.1.311.61.1.1":  "Microsoft Kernel Code Signing",
	"1.3.6.1.4.1.311.20.2.2":  "Microsoft Smartcard Logon",
	"1.3.6.1.4.1.11129.2.4.4": "CT Precertificate Signing",
}

func extendedKeyUsage(in cryptobyte.String) ([]string, bool) {
	ids, ok := readOIDs(&in)
	if !ok || !in.Empty() {
		return nil, false
	}
	for i, id := range ids {
		if name, known := extKeyUsages[id]; known {
			ids[i] = name
		}
	}
	return one("%s", strings.Join(ids, ", "))
}

func readOIDs(in *cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) {
		return nil, false
	}
	ids := []string{}
	for !seq.Empty() {
		id, ok := readOID(&seq)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// dotted decodes the content of an OBJECT IDENTIFIER.
func dotted(body []byte) (string, bool) {
	var id x509.OID
	if err := id.UnmarshalBinary(body); err != nil {
		return "", false
	}
	return id.String(), true
}

func authorityKeyID(in cryptobyte.String) ([]string, bool) {
	var seq, id, names, serial cryptobyte.String
	var hasID, hasNames, hasSerial bool
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadOptionalASN1(&id, &hasID, asn1.Tag(0).ContextSpecific()) ||
		!seq.ReadOptionalASN1(&names, &hasNames, asn1.Tag(1).ContextSpecific().Constructed()) ||
		!seq.ReadOptionalASN1(&serial, &hasSerial, asn1.Tag(2).ContextSpecific()) {
		return nil, false
	}
	lines := []string{}
	if hasID {
		lines = append(lines, "keyid:"+colons(id, "%02X"))
	}
	if hasNames {
		list, ok := generalNames(names)
		if !ok {
			return nil, false
		}
		lines = append(lines, list...)
	}
	if hasSerial {
		lines = append(lines, "serial:"+colons(serial, "%02X"))
	}
	return lines, seq.Empty()
}

func integerLine(label string) func(cryptobyte.String) ([]string, bool) {
	return func(in cryptobyte.String) ([]string, bool) {
		n := new(big.Int)
		if !in.ReadASN1Integer(n) || !in.Empty() {
			return nil, false
		}
		return one("%s%s", label, n)
	}
}

func policyConstraints(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	lines := []string{}
	for i, label := range []string{"Require Explicit Policy", "Inhibit Policy Mapping"} {
		var value cryptobyte.String
		var present bool
		if !seq.ReadOptionalASN1(&value, &present, asn1.Tag(i).ContextSpecific()) {
			return nil, false
		}
		if present {
			lines = append(lines, fmt.Sprintf("%s:%s", label, new(big.Int).SetBytes(value)))
		}
	}
	return lines, seq.Empty()
}

func policies(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	lines := []string{}
	for !seq.Empty() {
		var info, qualifiers cryptobyte.String
		if !seq.ReadASN1(&info, asn1.SEQUENCE) {
			return nil, false
		}
		id, ok := readOID(&info)
		if !ok {
			return nil, false
		}
		lines = append(lines, "Policy: "+id)
		if info.Empty() {
			continue
		}
		if !info.ReadASN1(&qualifiers, asn1.SEQUENCE) {
			return nil, false
		}
		for !qualifiers.Empty() {
			line, ok := policyQualifier(&qualifiers)
			if !ok {
				return nil, false
			}
			lines = append(lines, line)
		}
	}
	return lines, true
}

// policyQualifier reads a qualifier of RFC 5280, Section 4.2.1.4.
func policyQualifier(in *cryptobyte.String) (string, bool) {
	var info, value cryptobyte.String
	var tag asn1.Tag
	if !in.ReadASN1(&info, asn1.SEQUENCE) {
		return "", false
	}
	id, ok := readOID(&info)
	if !ok || !info.ReadAnyASN1(&value, &tag) {
		return "", false
	}
	switch id {
	case "1.3.6.1.5.5.7.2.1":
		if text, ok := asn1Text(tag, value); ok {
			return "  CPS: " + plain(text), true
		}
	case "1.3.6.1.5.5.7.2.2":
		return "  User Notice: " + strings.Join(texts(value, 0), " "), true
	}
	return "  " + id + ": " + hex.EncodeToString(value), true
}

func tlsFeature(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	names := []string{}
	for !seq.Empty() {
		var n int
		if !seq.ReadASN1Integer(&n) {
			return nil, false
		}
		switch n { // numbers of TLS extensions
		case 5:
			names = append(names, "status_request")
		case 17:
			names = append(names, "status_request_v2")
		default:
			names = append(names, fmt.Sprint(n))
		}
	}
	return one("%s", strings.Join(names, ", "))
}
