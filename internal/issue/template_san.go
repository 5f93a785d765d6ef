package issue

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/net/idna"

	"github.com/signet-ca/signet/internal/fault"
)

// SAN is a subject alternative name as templates see and write it.
type SAN struct {
	Type      string          `json:"type"`
	Value     string          `json:"value"`
	ASN1Value json.RawMessage `json:"asn1Value,omitempty"`
}

// SANsOf lists names for templates: DNS names, addresses, e-mail addresses, URIs.
func SANsOf(n Names) []SAN {
	var sans []SAN
	add := func(kind string, list []string) {
		for _, s := range list {
			if s != "" {
				sans = append(sans, SAN{Type: kind, Value: s})
			}
		}
	}
	add("dns", n.DNS)
	add("ip", n.ipStrings())
	add("email", n.Emails)
	add("uri", n.uriStrings())
	return sans
}

// GeneralName tags of RFC 5280, Section 4.2.1.6.
const (
	tagOther        = 0
	tagEmail        = 1
	tagDNS          = 2
	tagDirectory    = 4
	tagURI          = 6
	tagIP           = 7
	tagRegisteredID = 8
)

// generalName is one encoded name.
type generalName struct {
	tag int
	der []byte // whole TLV
}

// basicTags are the kinds of names that have a list of their own.
var basicTags = map[string]int{"dns": tagDNS, "email": tagEmail, "ip": tagIP, "uri": tagURI}

// sanNames gathers the names of a certificate JSON. If only names of the basic kinds are
// there they go into names; otherwise all go into the extension, in the order in which they
// stand.
type sanNames struct {
	names    Names
	all      []generalName
	extended bool
	compat   bool     // hardwareModuleName as old installations write it
	free     []string // DNS names that are no host names
}

// addBasic adds a name of a kind that has its own list. Repetitions are dropped.
func (s *sanNames) addBasic(tag int, value string) error {
	g := generalName{tag: tag}
	var content []byte
	switch tag {
	case tagDNS:
		name, err := dnsName(value)
		if err != nil {
			// Tokens name services and people, too; only what could be misread is refused.
			if name = value; checkDNS(name) != nil {
				return fault.New(fault.Denied, "the DNS name %q cannot be certified: %s", clipWords(value), err)
			}
			s.free = append(s.free, value)
		}
		content = []byte(name)
		s.names.DNS = appendNew(s.names.DNS, name)
	case tagIP:
		ip := net.ParseIP(value)
		if ip == nil {
			return fmt.Errorf("%q is no IP address", clipWords(value))
		}
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		content = ip
		if !slices.ContainsFunc(s.names.IPs, ip.Equal) {
			s.names.IPs = append(s.names.IPs, ip)
		}
	case tagEmail:
		if !isIA5(value) {
			return fmt.Errorf("the email address %q is not ASCII", clipWords(value))
		}
		content = []byte(value)
		s.names.Emails = appendNew(s.names.Emails, value)
	case tagURI:
		u, err := url.Parse(value)
		if err != nil || !isIA5(u.String()) {
			return fmt.Errorf("%q is no URI in ASCII", clipWords(value))
		}
		content = []byte(u.String())
		if !slices.Contains(s.names.uriStrings(), u.String()) {
			s.names.URIs = append(s.names.URIs, u)
		}
	}
	der, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: content})
	if err != nil {
		return err
	}
	g.der = der
	s.all = append(s.all, g)
	return nil
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// add adds an entry of the member sans. One with neither value nor asn1Value is nothing.
func (s *sanNames) add(san *SAN) error {
	if san.Value == "" && !san.hasASN1() {
		return nil
	}
	if strings.Contains(san.Value, noValue) {
		return refuseNoValue("subject alternative names", []string{san.Value})
	}
	kind := strings.ToLower(san.Type)
	if _, basic := basicTags[kind]; san.Value == "" && (basic || kind == "" || kind == "auto") {
		return fmt.Errorf("a subject alternative name of type %q has no value", kind)
	}
	if kind == "" || kind == "auto" {
		kind = SANsOf(NamesOf([]string{san.Value}))[0].Type
	}
	if tag, ok := basicTags[kind]; ok {
		return s.addBasic(tag, san.Value)
	}
	s.extended = true
	name, err := s.encode(kind, san)
	if err != nil {
		return fmt.Errorf("subject alternative name of type %q: %w", clipWords(san.Type), err)
	}
	s.all = append(s.all, name)
	return nil
}

func (san *SAN) hasASN1() bool { return len(san.ASN1Value) > 0 && string(san.ASN1Value) != "null" }

// encode writes a name of a kind that has no list of its own.
func (s *sanNames) encode(kind string, san *SAN) (generalName, error) {
	switch kind {
	case "registeredid":
		oid, err := parseOID(san.Value)
		if err != nil {
			return generalName{}, err
		}
		return tagged(asn1.MarshalWithParams(oid, "tag:8"))(tagRegisteredID)
	case "permanentidentifier":
		der, err := permanentIdentifier(san)
		return otherName(oidPermanentIdentifier, der, err)
	case "hardwaremodulename":
		der, err := hardwareModuleName(san, s.compat)
		return otherName(oidHardwareModuleName, der, err)
	case "userprincipalname":
		der, err := asn1.MarshalWithParams(san.Value, "utf8")
		return otherName(oidUserPrincipalName, der, err)
	case "dn":
		return directoryName(san)
	case "x400address", "edipartyname":
		return generalName{}, errors.New("names of this type are not supported")
	}
	oid, err := parseOID(san.Type)
	if err != nil {
		return generalName{}, errors.New("there is no such type; use dns, ip, email, uri, an OID or another type of the documentation")
	}
	der, err := encodeText(san.Value)
	return otherName(oid, der, err)
}

var (
	oidPermanentIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3}
	oidHardwareModuleName  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}
	oidUserPrincipalName   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

func tagged(der []byte, err error) func(tag int) (generalName, error) {
	return func(tag int) (generalName, error) { return generalName{tag, der}, err }
}

// otherName wraps a value: [0] { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }.
func otherName(oid asn1.ObjectIdentifier, value []byte, err error) (generalName, error) {
	if err != nil {
		return generalName{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(tagOther).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
	})
	der, err := b.Bytes()
	return generalName{tagOther, der}, err
}

// permanentIdentifier is RFC 4043, Section 2: both members are optional.
func permanentIdentifier(san *SAN) ([]byte, error) {
	id := struct {
		Identifier string    `json:"identifier"`
		Assigner   *objectID `json:"assigner"`
	}{Identifier: san.Value}
	if san.hasASN1() {
		id.Identifier = ""
		if err := json.Unmarshal(san.ASN1Value, &id); err != nil {
			return nil, err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if id.Identifier != "" {
			b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(id.Identifier)) })
		}
		if id.Assigner != nil {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier(*id.Assigner))
		}
	})
	return b.Bytes()
}

// hardwareModuleName is RFC 4108, Section 5: the serial number is an OCTET STRING. Old
// installations wrote it with the context tag 4.
func hardwareModuleName(san *SAN, compat bool) ([]byte, error) {
	var module struct {
		Type         objectID `json:"type"`
		SerialNumber []byte   `json:"serialNumber"`
	}
	if err := json.Unmarshal(san.object(), &module); err != nil {
		return nil, err
	}
	if len(module.Type) == 0 {
		return nil, errors.New("the member type is missing")
	}
	tag := cbasn1.OCTET_STRING
	if compat {
		tag = cbasn1.Tag(4).ContextSpecific()
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier(module.Type))
		b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(module.SerialNumber) })
	})
	return b.Bytes()
}

// object is the JSON of a name that has members: asn1Value, or value read as JSON.
func (san *SAN) object() []byte {
	if san.hasASN1() {
		return san.ASN1Value
	}
	return []byte(san.Value)
}

func directoryName(san *SAN) (generalName, error) {
	var subject Subject
	if err := json.Unmarshal(san.object(), &subject); err != nil {
		return generalName{}, err
	}
	if err := refuseNoValue("subject alternative names", subject.texts()); err != nil {
		return generalName{}, err
	}
	name, err := subject.name()
	if err != nil {
		return generalName{}, err
	}
	der, err := EncodeSubject(name)
	if err != nil {
		return generalName{}, err
	}
	if len(der) == len(emptySubject) {
		return generalName{}, errors.New("the name is empty")
	}
	// A Name is a CHOICE, so its tag is explicit (X.680, Section 31.2.7).
	return tagged(asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagDirectory, IsCompound: true, Bytes: der}))(tagDirectory)
}

// extension encodes all names in the order in which they were added.
func (s *sanNames) extension() (pkix.Extension, error) {
	if len(s.free) > 0 {
		return pkix.Extension{}, fault.New(fault.Denied, "the DNS name %q cannot stand beside names of other types: it is no host name", clipWords(s.free[0]))
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range s.all {
			b.AddBytes(name.der)
		}
	})
	der, err := b.Bytes()
	return pkix.Extension{Id: oidSubjectAltName, Value: der}, err
}

// hostLookup maps international names to A-labels; dnsName checks the characters.
var hostLookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

// dnsName brings a DNS name into the form for certificates: A-labels in lower case. A
// leading wildcard label and underscores are accepted.
func dnsName(s string) (string, error) {
	if len(s) > 4*maxDNSName {
		return "", errors.New("it is too long")
	}
	rest, wildcard := strings.CutPrefix(s, "*.")
	name := strings.ToLower(rest)
	if !isIA5(rest) || strings.HasPrefix(name, "xn--") || strings.Contains(name, ".xn--") {
		ascii, err := hostLookup.ToASCII(rest)
		if err != nil {
			return "", errors.New("it is not a valid internationalized name")
		}
		name = ascii
	}
	if len(name) > maxDNSName {
		return "", errors.New("it is too long")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", errors.New("a label is empty, too long, or begins or ends with a hyphen")
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return "", errors.New("it has a character that host names do not have")
			}
		}
	}
	if wildcard {
		name = "*." + name
	}
	return name, nil
}

func isIA5(s string) bool {
	for i := range len(s) {
		if s[i] > 0x7f {
			return false
		}
	}
	return true
}
