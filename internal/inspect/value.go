package inspect

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// anyValue shows what is in a value whose structure we don't name.
func anyValue(in cryptobyte.String) ([]string, bool) {
	if !wellFormed(in, 0) {
		return nil, false
	}
	return one("%s", strings.Join(texts(in, 0), " "))
}

// maxDepth bounds how deep unknown structures are followed.
const maxDepth = 8

// wellFormed reports whether in is a row of whole DER elements.
func wellFormed(in cryptobyte.String, depth int) bool {
	for !in.Empty() {
		var value cryptobyte.String
		var tag asn1.Tag
		if !in.ReadAnyASN1(&value, &tag) {
			return false
		}
		if tag&0x20 != 0 && depth < maxDepth && !wellFormed(value, depth+1) {
			return false
		}
	}
	return true
}

// texts shows the leaves of an unknown structure: strings, numbers and identifiers as
// such, the rest in hex.
func texts(in cryptobyte.String, depth int) []string {
	out := []string{}
	for !in.Empty() {
		var value, element cryptobyte.String
		var tag asn1.Tag
		whole := in
		if !in.ReadAnyASN1Element(&element, &tag) || !cryptobyteValue(element, &value) {
			return append(out, hex.EncodeToString(whole))
		}
		switch {
		case tag&0x20 != 0 && depth < maxDepth:
			out = append(out, texts(value, depth+1)...)
		case tag == asn1.INTEGER || tag == asn1.ENUM:
			n := new(big.Int)
			if retag(element, asn1.INTEGER).ReadASN1Integer(n) {
				out = append(out, n.String())
			}
		case tag == asn1.OBJECT_IDENTIFIER:
			id, _ := dotted(value)
			out = append(out, id)
		case tag == asn1.BOOLEAN:
			out = append(out, strings.ToUpper(fmt.Sprint(len(value) == 1 && value[0] != 0)))
		case tag == asn1.NULL:
			out = append(out, "NULL")
		case tag == asn1.GeneralizedTime || tag == asn1.UTCTime:
			out = append(out, plain(string(value)))
		default:
			if text, ok := asn1Text(tag, value); ok {
				out = append(out, plain(text))
			} else {
				out = append(out, hex.EncodeToString(value))
			}
		}
	}
	return out
}

func cryptobyteValue(element cryptobyte.String, value *cryptobyte.String) bool {
	var tag asn1.Tag
	return element.ReadAnyASN1(value, &tag)
}

// retag gives an element another tag of one byte.
func retag(element cryptobyte.String, tag asn1.Tag) *cryptobyte.String {
	copied := append(cryptobyte.String{uint8(tag)}, element[1:]...)
	return &copied
}

// provisionerTypes are the names of the numbers in the provisioner extension.
var provisionerTypes = []string{"", "JWK", "OIDC", "GCP", "AWS", "Azure", "ACME", "X5C", "K8sSA", "SSHPOP", "SCEP", "Nebula"}

// ProvisionerType names the type in a provisioner extension.
func ProvisionerType(number int) string {
	if number > 0 && number < len(provisionerTypes) {
		return provisionerTypes[number]
	}
	return fmt.Sprintf("%d (unknown)", number)
}

// stepProvisioner is SEQUENCE { type INTEGER, name OCTET STRING, credentialID OCTET STRING,
// keyValuePairs SEQUENCE OF string OPTIONAL }.
func stepProvisioner(in cryptobyte.String) ([]string, bool) {
	var seq, name, credential, pairs cryptobyte.String
	var number int
	var hasPairs bool
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1Integer(&number) ||
		!seq.ReadASN1(&name, asn1.OCTET_STRING) || !seq.ReadASN1(&credential, asn1.OCTET_STRING) ||
		!seq.ReadOptionalASN1(&pairs, &hasPairs, asn1.SEQUENCE) || !seq.Empty() {
		return nil, false
	}
	lines := []string{"Type: " + ProvisionerType(number), "Name: " + plain(string(name))}
	if len(credential) > 0 {
		lines = append(lines, "CredentialID: "+plain(string(credential)))
	}
	if !hasPairs {
		return lines, true
	}
	lines = append(lines, "KeyValuePairs:")
	list := texts(pairs, 0)
	for i := 0; i < len(list); i += 2 {
		if i+1 < len(list) {
			lines = append(lines, "  "+list[i]+": "+list[i+1])
		} else {
			lines = append(lines, "  "+list[i])
		}
	}
	return lines, true
}

// stepDevice is SEQUENCE { deviceID string }.
func stepDevice(in cryptobyte.String) ([]string, bool) {
	lines, ok := anyValue(in)
	if ok && len(lines) == 1 {
		lines[0] = "Device ID: " + lines[0]
	}
	return lines, ok
}

// sctList is RFC 6962, Section 3.3: an OCTET STRING around lists of bytes with lengths.
func sctList(in cryptobyte.String) ([]string, bool) {
	var octets, list cryptobyte.String
	if !in.ReadASN1(&octets, asn1.OCTET_STRING) || !in.Empty() || !octets.ReadUint16LengthPrefixed(&list) || !octets.Empty() {
		return nil, false
	}
	lines := []string{}
	for !list.Empty() {
		var sct cryptobyte.String
		if !list.ReadUint16LengthPrefixed(&sct) {
			return nil, false
		}
		shown, ok := signedTimestamp(sct)
		if !ok {
			return nil, false
		}
		lines = append(lines, shown...)
	}
	return lines, true
}

// signedTimestamp is RFC 6962, Section 3.2.
func signedTimestamp(sct cryptobyte.String) ([]string, bool) {
	var version, hash, algorithm uint8
	var logID, stamp []byte
	var extensions, signature cryptobyte.String
	if !sct.ReadUint8(&version) || !sct.ReadBytes(&logID, 32) || !sct.ReadBytes(&stamp, 8) ||
		!sct.ReadUint16LengthPrefixed(&extensions) || !sct.ReadUint8(&hash) || !sct.ReadUint8(&algorithm) ||
		!sct.ReadUint16LengthPrefixed(&signature) || !sct.Empty() {
		return nil, false
	}
	at := time.UnixMilli(int64(binary.BigEndian.Uint64(stamp) & (1<<62 - 1)))
	lines := []string{
		fmt.Sprintf("SCT [v%d]:", int(version)+1),
		"  LogID: " + colons(logID, "%02X"),
		"  Timestamp: " + at.UTC().Format("Jan 2 15:04:05.000 2006 MST"),
	}
	if len(extensions) > 0 {
		lines = append(lines, "  Extensions: "+hex.EncodeToString(extensions))
	}
	return append(lines, "  Signature: "+sctSignature(hash, algorithm), "    "+colons(signature, "%02X")), true
}

// sctSignature names a SignatureAndHashAlgorithm (RFC 5246, Section 7.4.1.4.1).
func sctSignature(hash, algorithm uint8) string {
	hashes := []string{"none", "MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"}
	algorithms := []string{"anonymous", "RSA", "DSA", "ECDSA"}
	if int(hash) < len(hashes) && int(algorithm) < len(algorithms) {
		return algorithms[algorithm] + "-" + hashes[hash]
	}
	return fmt.Sprintf("%d-%d", algorithm, hash)
}
