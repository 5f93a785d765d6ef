package issue

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
)

// SignRequest makes a signing request for what cert describes: its subject, its names, and
// as requested extensions its constraints, usages and raw extensions. The request is signed
// by the subject key. It returns DER.
func SignRequest(cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	extensions, err := requested(cert)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: cert.RawSubject, Subject: cert.Subject,
		SignatureAlgorithm: cert.SignatureAlgorithm, ExtraExtensions: extensions,
	}, key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the signing request of %q can't be made", cert.Subject)
	}
	return der, nil
}

// requested lists the extensions to ask for: basic constraints, extended key usage, key
// usage, names, then the raw ones, which replace those made from members.
func requested(cert *x509.Certificate) ([]pkix.Extension, error) {
	var list []pkix.Extension
	if cert.BasicConstraintsValid {
		list = append(list, basicConstraintsOf(cert))
	}
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 {
		ext, err := extKeyUsageOf(cert)
		if err != nil {
			return nil, err
		}
		list = append(list, ext)
	}
	if cert.KeyUsage != 0 {
		list = append(list, keyUsageOf(cert.KeyUsage))
	}
	if names := CertificateNames(cert); !names.Empty() {
		if err := checkForms(cert.Subject.CommonName, names); err != nil {
			return nil, err
		}
		value, err := names.marshal()
		if err != nil {
			return nil, err
		}
		nameless := len(cert.RawSubject) <= 2 && len(cert.Subject.ToRDNSequence()) == 0
		// RFC 5280, Section 4.2.1.6: critical where there is no subject.
		list = append(list, pkix.Extension{Id: oidSubjectAltName, Critical: nameless, Value: value})
	}
	kept := list[:0]
	for _, ext := range list {
		if !hasExtension(cert.ExtraExtensions, ext.Id) {
			kept = append(kept, ext)
		}
	}
	return append(kept, cert.ExtraExtensions...), nil
}

func basicConstraintsOf(cert *x509.Certificate) pkix.Extension {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if !cert.IsCA {
			return
		}
		b.AddASN1Boolean(true)
		if cert.MaxPathLen > 0 || cert.MaxPathLenZero {
			b.AddASN1Int64(int64(cert.MaxPathLen))
		}
	})
	return pkix.Extension{Id: oidBasicConstraints, Critical: true, Value: b.BytesOrPanic()}
}

func extKeyUsageOf(cert *x509.Certificate) (pkix.Extension, error) {
	var ids []asn1.ObjectIdentifier
	for _, usage := range cert.ExtKeyUsage {
		i := slices.IndexFunc(extKeyUsages, func(u extKeyUsage) bool { return u.usage == usage })
		if i < 0 {
			return pkix.Extension{}, fault.New(fault.Invalid, "the extended key usage %d is not known", usage)
		}
		ids = append(ids, extKeyUsages[i].oid)
	}
	value, err := asn1.Marshal(append(ids, cert.UnknownExtKeyUsage...))
	return pkix.Extension{Id: oidExtKeyUsage, Value: value}, err
}

// keyUsageOf encodes key usages: RFC 5280, Section 4.2.1.3, bit 0 is the first one.
func keyUsageOf(usage x509.KeyUsage) pkix.Extension {
	var bits [2]byte
	length := 0
	for i := range 9 {
		if usage&(1<<i) != 0 {
			bits[i/8] |= 0x80 >> (i % 8)
			length = i + 1
		}
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(uint8((8 - length%8) % 8))
		b.AddBytes(bits[:(length+7)/8])
	})
	return pkix.Extension{Id: oidKeyUsage, Critical: true, Value: b.BytesOrPanic()}
}

// marshal encodes names as a subject alternative name extension's value: DNS names, e-mail
// addresses, IP addresses, URIs.
func (n Names) marshal() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		add := func(tag uint8, value []byte) {
			b.AddASN1(cbasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
		}
		for _, s := range n.DNS {
			add(2, []byte(s))
		}
		for _, s := range n.Emails {
			add(1, []byte(s))
		}
		for _, ip := range n.IPs {
			if v4 := ip.To4(); v4 != nil {
				ip = v4
			}
			add(7, ip)
		}
		for _, s := range n.uriStrings() {
			add(6, []byte(s))
		}
	})
	return b.Bytes()
}
