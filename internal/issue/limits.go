package issue

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// Limits bound what certificates may be, whatever a template or a request says. The zero
// value bounds nothing.
type Limits struct {
	MaxNames    int                     // subject alternative names; 0: any number
	Purposes    []asn1.ObjectIdentifier // extended key usages that are allowed, and one must be there; nil: any
	NoWildcards bool
	Keys        []KeyLimit // one of them must fit; nil: any key that CheckKey takes
}

// KeyLimit is a kind of subject key.
type KeyLimit struct {
	Kind string // RSA, EC or OKP
	Bits int    // at least, for RSA; exactly, for EC; 0: any
}

// ParseKeyLimit reads RSA, RSA-3072 (that many bits or more), EC, EC-P-256 or Ed25519.
func ParseKeyLimit(text string) (KeyLimit, error) {
	kind, size, sized := strings.Cut(text, "-")
	switch upper := strings.ToUpper(kind); {
	case upper == "ED25519" && !sized:
		return KeyLimit{Kind: "OKP"}, nil
	case (upper == "RSA" || upper == "EC") && !sized:
		return KeyLimit{Kind: upper}, nil
	case upper == "RSA":
		if bits, err := strconv.Atoi(size); err == nil && bits > 0 {
			return KeyLimit{upper, bits}, nil
		}
	case upper == "EC":
		if bits := map[string]int{"P-256": 256, "P-384": 384, "P-521": 521}[strings.ToUpper(size)]; bits > 0 {
			return KeyLimit{upper, bits}, nil
		}
	}
	return KeyLimit{}, fault.New(fault.Invalid, "%q is no kind of key; it is RSA, RSA-3072, EC, EC-P-256, EC-P-384, EC-P-521 or Ed25519", clipWords(text))
}

// ParsePurpose reads the name of an extended key usage, or its OID.
func ParsePurpose(text string) (asn1.ObjectIdentifier, error) {
	for _, u := range extKeyUsages {
		if usageKey(u.name) == usageKey(text) {
			return u.oid, nil
		}
	}
	if oid, ok := namedPurposes[usageKey(text)]; ok {
		return oid, nil
	}
	oid, err := parseOID(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no extended key usage; give a name such as serverAuth, or an OID", clipWords(text))
	}
	return oid, nil
}

// check looks at a settled certificate and its names.
func (l *Limits) check(cert *x509.Certificate, names allNames) error {
	if l == nil {
		return nil
	}
	if n := len(names.Strings()) + len(names.Other); l.MaxNames > 0 && n > l.MaxNames {
		return fault.New(fault.Denied, "the certificate would have %d names; the provisioner allows %d (maxSANs)", n, l.MaxNames)
	}
	if l.NoWildcards {
		for _, name := range append(names.DNS[:len(names.DNS):len(names.DNS)], cert.Subject.CommonName) {
			if strings.HasPrefix(name, "*.") || name == "*" {
				return fault.New(fault.Denied, "the provisioner allows no wildcards, which %s is (forbidWildcards)", quoted([]string{name}))
			}
		}
	}
	if err := l.checkKey(cert); err != nil {
		return &Refusal{OfKey, err}
	}
	return l.checkPurposes(cert)
}

func (l *Limits) checkKey(cert *x509.Certificate) error {
	if l.Keys == nil {
		return nil
	}
	kind, bits := describeKey(cert.PublicKey)
	for _, k := range l.Keys {
		if k.Kind == kind && (k.Bits == 0 || k.Bits == bits || kind == "RSA" && bits > k.Bits) {
			return nil
		}
	}
	return fault.New(fault.Denied, "the provisioner takes no %s keys of %d bits (keyTypes)", kind, bits)
}

func (l *Limits) checkPurposes(cert *x509.Certificate) error {
	if l.Purposes == nil {
		return nil
	}
	oids, err := purposesOf(cert)
	if err != nil {
		return err
	}
	if len(oids) == 0 {
		return fault.New(fault.Denied, "the certificate would be good for any purpose, which the provisioner does not allow (allowedEKU)")
	}
next:
	for _, oid := range oids {
		for _, allowed := range l.Purposes {
			if oid.Equal(allowed) {
				continue next
			}
		}
		return fault.New(fault.Denied, "the certificate would be good for the purpose %s, which the provisioner does not allow (allowedEKU)", oid)
	}
	return nil
}

// purposesOf lists the extended key usages as they will be signed.
func purposesOf(cert *x509.Certificate) ([]asn1.ObjectIdentifier, error) {
	var oids []asn1.ObjectIdentifier
	for _, ext := range cert.ExtraExtensions {
		if ext.Id.Equal(oidExtKeyUsage) {
			if rest, err := asn1.Unmarshal(ext.Value, &oids); err != nil || len(rest) > 0 {
				return nil, fault.New(fault.Denied, "the extKeyUsage extension cannot be read")
			}
			return oids, nil
		}
	}
	for _, usage := range cert.ExtKeyUsage {
		known := false
		for _, u := range extKeyUsages {
			if u.usage == usage {
				oids, known = append(oids, u.oid), true
			}
		}
		if !known {
			return nil, fmt.Errorf("the purpose %d has no number", usage)
		}
	}
	return append(oids, cert.UnknownExtKeyUsage...), nil
}
