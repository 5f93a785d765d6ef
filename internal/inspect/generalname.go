package inspect

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// generalNamesLine shows a SEQUENCE OF GeneralName on one line.
func generalNamesLine(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	list, ok := generalNames(seq)
	if !ok {
		return nil, false
	}
	return one("%s", strings.Join(list, ", "))
}

// generalNames shows every GeneralName (RFC 5280, Section 4.2.1.6) in the content of a
// sequence.
func generalNames(seq cryptobyte.String) ([]string, bool) {
	list := []string{}
	for !seq.Empty() {
		name, ok := generalName(&seq)
		if !ok {
			return nil, false
		}
		list = append(list, name)
	}
	return list, true
}

func generalName(in *cryptobyte.String) (string, bool) {
	var value cryptobyte.String
	var tag asn1.Tag
	if !in.ReadAnyASN1(&value, &tag) {
		return "", false
	}
	if tag&0x80 == 0 {
		return "", false
	}
	switch tag & 0x1f {
	case 0:
		return otherName(value)
	case 1:
		return "email:" + plain(string(value)), true
	case 2:
		return "DNS:" + plain(string(value)), true
	case 3:
		return "X400Name:" + hex.EncodeToString(value), true
	case 4:
		return "DirName:" + distinguishedName(value), true
	case 5:
		return "EdiPartyName:" + hex.EncodeToString(value), true
	case 6:
		return "URI:" + plain(string(value)), true
	case 7:
		return "IP Address:" + address(value), true
	case 8:
		if id, ok := dotted(value); ok {
			return "Registered ID:" + id, true
		}
	}
	return "", false
}

// address shows an IP address, or an address and its mask as name constraints have it.
func address(b []byte) string {
	switch len(b) {
	case net.IPv4len, net.IPv6len:
		return net.IP(b).String()
	case 2 * net.IPv4len, 2 * net.IPv6len:
		half := len(b) / 2
		ip, mask := net.IP(b[:half]), net.IPMask(b[half:])
		if ones, bits := mask.Size(); bits != 0 {
			return fmt.Sprintf("%s/%d", ip, ones)
		}
		return fmt.Sprintf("%s/%s", ip, net.IP(mask))
	}
	return "#" + hex.EncodeToString(b)
}

// otherName shows the kinds of otherName that certificates of devices and people carry.
func otherName(in cryptobyte.String) (string, bool) {
	id, ok := readOID(&in)
	var value cryptobyte.String
	if !ok || !in.ReadASN1(&value, asn1.Tag(0).ContextSpecific().Constructed()) {
		return "", false
	}
	show := map[string]func(cryptobyte.String) (string, bool){
		"1.3.6.1.5.5.7.8.3":      permanentIdentifier,
		"1.3.6.1.5.5.7.8.4":      hardwareModuleName,
		"1.3.6.1.4.1.311.20.2.3": userPrincipalName,
	}[id]
	if show != nil {
		if text, ok := show(value); ok {
			return text, true
		}
	}
	return "otherName:" + id + ":" + strings.Join(texts(value, 0), " "), true
}

// permanentIdentifier is RFC 4043: SEQUENCE { UTF8String OPTIONAL, OID OPTIONAL }.
func permanentIdentifier(in cryptobyte.String) (string, bool) {
	var seq, text cryptobyte.String
	var has bool
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadOptionalASN1(&text, &has, asn1.UTF8String) {
		return "", false
	}
	var parts []string
	if has {
		parts = append(parts, "Identifier: "+plain(string(text)))
	}
	if !seq.Empty() {
		id, ok := readOID(&seq)
		if !ok {
			return "", false
		}
		parts = append(parts, "Assigner: "+id)
	}
	return "Permanent Identifier:{" + strings.Join(parts, ", ") + "}", seq.Empty()
}

// hardwareModuleName is RFC 4108: SEQUENCE { OID, OCTET STRING }. Some writers tag the
// serial number [4] instead.
func hardwareModuleName(in cryptobyte.String) (string, bool) {
	var seq, serial cryptobyte.String
	var tag asn1.Tag
	if !in.ReadASN1(&seq, asn1.SEQUENCE) {
		return "", false
	}
	id, ok := readOID(&seq)
	if !ok || !seq.ReadAnyASN1(&serial, &tag) || tag != asn1.OCTET_STRING && tag != asn1.Tag(4).ContextSpecific() {
		return "", false
	}
	return fmt.Sprintf("Hardware Module Name:{Type: %s, Serial Number: %s}", id, colons(serial, "%02X")), seq.Empty()
}

func userPrincipalName(in cryptobyte.String) (string, bool) {
	var text cryptobyte.String
	if !in.ReadASN1(&text, asn1.UTF8String) {
		return "", false
	}
	return "UPN:" + plain(string(text)), in.Empty()
}

func nameConstraints(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	lines := []string{}
	for i, label := range []string{"Permitted:", "Excluded:"} {
		var trees cryptobyte.String
		var present bool
		if !seq.ReadOptionalASN1(&trees, &present, asn1.Tag(i).ContextSpecific().Constructed()) {
			return nil, false
		}
		if !present {
			continue
		}
		lines = append(lines, label)
		for !trees.Empty() {
			var tree cryptobyte.String
			if !trees.ReadASN1(&tree, asn1.SEQUENCE) {
				return nil, false
			}
			name, ok := generalName(&tree)
			if !ok {
				return nil, false
			}
			lines = append(lines, "  "+strings.Replace(name, "IP Address:", "IP:", 1))
		}
	}
	return lines, seq.Empty()
}

// accessMethods of RFC 5280, Sections 4.2.2.1 and 4.2.2.2.
var accessMethods = map[string]string{
	"1.3.6.1.5.5.7.48.1": "OCSP",
	"1.3.6.1.5.5.7.48.2": "CA Issuers",
	"1.3.6.1.5.5.7.48.3": "Time Stamping",
	"1.3.6.1.5.5.7.48.5": "CA Repository",
}

func informationAccess(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	lines := []string{}
	for !seq.Empty() {
		var access cryptobyte.String
		if !seq.ReadASN1(&access, asn1.SEQUENCE) {
			return nil, false
		}
		method, ok := readOID(&access)
		if !ok {
			return nil, false
		}
		name, ok := generalName(&access)
		if !ok {
			return nil, false
		}
		if known := accessMethods[method]; known != "" {
			method = known
		}
		lines = append(lines, method+" - "+name)
	}
	return lines, true
}

// reasonFlags are the bits of ReasonFlags (RFC 5280, Section 4.2.1.13).
var reasonFlags = []string{"Unused", "Key Compromise", "CA Compromise", "Affiliation Changed", "Superseded",
	"Cessation Of Operation", "Certificate Hold", "Privilege Withdrawn", "AA Compromise"}

func distributionPoints(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	lines := []string{}
	for !seq.Empty() {
		var point, issuer cryptobyte.String
		var hasIssuer bool
		if !seq.ReadASN1(&point, asn1.SEQUENCE) {
			return nil, false
		}
		names, ok := distributionPointName(&point)
		if !ok {
			return nil, false
		}
		lines = append(lines, names...)
		if point.PeekASN1Tag(asn1.Tag(1).ContextSpecific()) {
			reasons, ok := flagNames(&point, asn1.Tag(1).ContextSpecific(), reasonFlags)
			if !ok {
				return nil, false
			}
			lines = append(lines, "Reasons: "+strings.Join(reasons, ", "))
		}
		if !point.ReadOptionalASN1(&issuer, &hasIssuer, asn1.Tag(2).ContextSpecific().Constructed()) {
			return nil, false
		}
		if hasIssuer {
			list, ok := generalNames(issuer)
			if !ok {
				return nil, false
			}
			lines = append(lines, "CRL Issuer: "+strings.Join(list, ", "))
		}
	}
	return lines, true
}

// distributionPointName reads [0] { fullName [0] | nameRelativeToCRLIssuer [1] }.
func distributionPointName(point *cryptobyte.String) ([]string, bool) {
	var name, full cryptobyte.String
	var present, isFull bool
	if !point.ReadOptionalASN1(&name, &present, asn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, false
	}
	if !present {
		return nil, true
	}
	if !name.ReadOptionalASN1(&full, &isFull, asn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, false
	}
	if !isFull {
		return []string{"Relative Name: #" + hex.EncodeToString(name)}, true
	}
	list, ok := generalNames(full)
	if !ok {
		return nil, false
	}
	lines := []string{"Full Name:"}
	for _, n := range list {
		lines = append(lines, "  "+n)
	}
	return lines, true
}
