package issue

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
)

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// checkDirectory holds the subject and the directory names of a certificate against the name
// constraints of its issuers for distinguished names (RFC 5280, Section 4.2.1.10), which
// crypto/x509 does not read. It also refuses names of kinds that an issuer constrains and
// nobody here can compare.
func checkDirectory(a *Authority, cert *x509.Certificate) error {
	for _, issuer := range a.anchored() {
		for _, ext := range issuer.Extensions {
			if !ext.Id.Equal(oidNameConstraints) {
				continue
			}
			if err := checkDirectoryOf(issuer, ext.Value, cert); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDirectoryOf(issuer *x509.Certificate, der []byte, cert *x509.Certificate) error {
	permitted, excluded, ok := readSubtrees(der)
	if !ok {
		return fault.New(fault.Denied, "the name constraints of %q cannot be read", issuer.Subject)
	}
	names, others, err := directoryNames(cert)
	if err != nil {
		return err
	}
	for _, tree := range append(permitted[:len(permitted):len(permitted)], excluded...) {
		if tree.tag != tagDirectory && others[tree.tag] {
			return fault.New(fault.Denied, "the name constraints of %q speak of %s names, of which the certificate has one that nobody here can compare", issuer.Subject, sanTags[tree.tag])
		}
	}
	for _, name := range names {
		if within(name, excluded, foldedRDN) {
			return fault.New(fault.Denied, "a distinguished name of the certificate is excluded by the name constraints of %q", issuer.Subject)
		}
		if constrains(permitted) && !within(name, permitted, func(rdn []byte) string { return string(rdn) }) {
			return fault.New(fault.Denied, "a distinguished name of the certificate is outside the name constraints of %q", issuer.Subject)
		}
	}
	return nil
}

// subtree is one GeneralSubtree: a kind of name and, for distinguished names, its parts.
type subtree struct {
	tag  int
	rdns [][]byte
}

func readSubtrees(der []byte) (permitted, excluded []subtree, ok bool) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return nil, nil, false
	}
	for tag, list := range map[int]*[]subtree{0: &permitted, 1: &excluded} {
		rest := seq // members are optional and in order; read each from the start
		var trees cryptobyte.String
		var have bool
		if tag == 1 {
			rest.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed())
		}
		if !rest.ReadOptionalASN1(&trees, &have, cbasn1.Tag(tag).ContextSpecific().Constructed()) {
			return nil, nil, false
		}
		for !trees.Empty() {
			var tree, value cryptobyte.String
			var kind cbasn1.Tag
			if !trees.ReadASN1(&tree, cbasn1.SEQUENCE) || !tree.ReadAnyASN1(&value, &kind) || int(kind&0x1f) >= len(sanTags) {
				return nil, nil, false
			}
			s := subtree{tag: int(kind & 0x1f)}
			if s.tag == tagDirectory {
				if s.rdns, ok = readRDNs(value); !ok {
					return nil, nil, false
				}
			}
			*list = append(*list, s)
		}
	}
	return permitted, excluded, true
}

// readRDNs splits a Name into the DER of its relative distinguished names.
func readRDNs(name cryptobyte.String) (rdns [][]byte, ok bool) {
	var seq cryptobyte.String
	if !name.ReadASN1(&seq, cbasn1.SEQUENCE) {
		return nil, false
	}
	for !seq.Empty() {
		var rdn cryptobyte.String
		if !seq.ReadASN1Element(&rdn, cbasn1.SET) {
			return nil, false
		}
		rdns = append(rdns, rdn)
	}
	return rdns, true
}

// directoryNames are the subject, unless it is empty, and the directory names beside it; and
// which kinds of names that are only known to exist there are.
func directoryNames(cert *x509.Certificate) (names [][][]byte, others map[int]bool, err error) {
	others = map[int]bool{}
	if len(cert.RawSubject) > 0 && !bytes.Equal(cert.RawSubject, emptySubject) {
		rdns, ok := readRDNs(cert.RawSubject)
		if !ok {
			return nil, nil, fault.New(fault.Denied, "the subject is no distinguished name")
		}
		names = append(names, rdns)
	}
	for _, ext := range cert.ExtraExtensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		all, err := rawNames(ext.Value)
		if err != nil {
			return nil, nil, err
		}
		for _, n := range all {
			switch n.tag {
			case tagDirectory:
				rdns, ok := readRDNs(n.value)
				if !ok {
					return nil, nil, fault.New(fault.Denied, "a directory name is no distinguished name")
				}
				names = append(names, rdns)
			case tagDNS, tagEmail, tagIP, tagURI:
			default:
				others[n.tag] = true
			}
		}
	}
	return names, others, nil
}

func constrains(trees []subtree) bool {
	for _, t := range trees {
		if t.tag == tagDirectory {
			return true
		}
	}
	return false
}

// within reports whether a name begins with the parts of one of the trees.
func within(name [][]byte, trees []subtree, form func([]byte) string) bool {
next:
	for _, t := range trees {
		if t.tag != tagDirectory || len(t.rdns) > len(name) {
			continue
		}
		for i := range t.rdns {
			if form(t.rdns[i]) != form(name[i]) {
				continue next
			}
		}
		return true
	}
	return false
}

// foldedRDN is a form in which parts are the same that any reader may take for the same: by
// types and by texts without case, white space and kind of string.
func foldedRDN(rdn []byte) string {
	var pairs []struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	if _, err := asn1.UnmarshalWithParams(rdn, &pairs, "set"); err != nil {
		return string(rdn)
	}
	var b strings.Builder
	for _, p := range pairs {
		b.WriteString(p.Type.String() + "=" + strings.Join(strings.Fields(strings.ToLower(string(p.Value.Bytes))), " ") + ";")
	}
	return b.String()
}
