package issue

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/bits"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/keys"
)

// crypto/x509's CreateCertificate encodes by reflection and then verifies the signature it
// has just made: useful with a keeper of keys that is far away, but a fifth of the cost of
// an issuance with an ECDSA key in this process. The usual leaf is put together here
// instead, byte for byte as crypto/x509 would (a test compares them); every other
// certificate, and every other key, goes the long way.

// scheme is how a key in this process signs.
type scheme struct {
	hash crypto.Hash
	oid  asn1.ObjectIdentifier // of the signature, which has no parameters (RFC 5758, RFC 8410)
}

// schemeOf is the one that crypto/x509 chooses for a key, nil if we leave the key to it. RSA
// is left: a fault in its computation gives the key away, and checking it is cheap.
func schemeOf(signer crypto.Signer) *scheme {
	switch k := signer.(type) {
	case ed25519.PrivateKey:
		return &scheme{0, asn1.ObjectIdentifier{1, 3, 101, 112}}
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return &scheme{crypto.SHA256, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
		case elliptic.P384():
			return &scheme{crypto.SHA384, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}
		case elliptic.P521():
			return &scheme{crypto.SHA512, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}}
		}
	}
	return nil
}

func (s *scheme) sign(signer crypto.Signer, message []byte) ([]byte, error) {
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	return signer.Sign(rand.Reader, message, s.hash)
}

// assemble signs a certificate whose whole content we know how to write; nil if it holds
// something else.
func (l *Local) assemble(c *x509.Certificate) ([]byte, error) {
	if l.scheme == nil || !plainLeaf(c) {
		return nil, nil
	}
	tbs, err := l.toBeSigned(c)
	if err != nil {
		return nil, nil // crypto/x509 says why
	}
	signature, err := l.scheme.sign(l.signer, tbs)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(tbs)+128))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		l.scheme.add(b)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// plainLeaf reports whether toBeSigned knows everything that the certificate sets.
func plainLeaf(c *x509.Certificate) bool {
	for _, u := range c.ExtKeyUsage {
		if purposeOIDs[u] == nil {
			return false
		}
	}
	for _, list := range [][]string{c.DNSNames, c.EmailAddresses} {
		if slices.ContainsFunc(list, notASCII) {
			return false
		}
	}
	return c.SignatureAlgorithm == 0 && c.KeyUsage>>9 == 0 && len(c.RawSubject) > 0 && !c.BasicConstraintsValid && !c.IsCA &&
		c.SerialNumber != nil && c.SerialNumber.Sign() > 0 && len(c.UnknownExtKeyUsage) == 0 && len(c.OCSPServer) == 0 && len(c.IssuingCertificateURL) == 0 &&
		len(c.URIs) == 0 && len(c.Policies) == 0 && len(c.PolicyIdentifiers) == 0 && !constrained(c) && year(c.NotBefore) && year(c.NotAfter)
}

func constrained(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
}

// year: UTCTime is for 1950 to 2049 (RFC 5280, Section 4.1.2.5.1); we write no other.
func year(t time.Time) bool { return t.UTC().Year() >= 1950 && t.UTC().Year() < 2050 }

func notASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return true
		}
	}
	return false
}

var oidCRLPoints = asn1.ObjectIdentifier{2, 5, 29, 31}

var purposeOIDs = map[x509.ExtKeyUsage]asn1.ObjectIdentifier{
	x509.ExtKeyUsageServerAuth: {1, 3, 6, 1, 5, 5, 7, 3, 1},
	x509.ExtKeyUsageClientAuth: {1, 3, 6, 1, 5, 5, 7, 3, 2},
}

// toBeSigned is the TBSCertificate (RFC 5280, Section 4.1).
func (l *Local) toBeSigned(c *x509.Certificate) ([]byte, error) {
	key, err := keys.MarshalPublic(c.PublicKey)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 1024))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
		b.AddASN1BigInt(c.SerialNumber)
		l.scheme.add(b)
		b.AddBytes(l.chain[0].RawSubject)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1UTCTime(c.NotBefore.UTC())
			b.AddASN1UTCTime(c.NotAfter.UTC())
		})
		b.AddBytes(c.RawSubject)
		b.AddBytes(key)
		b.AddASN1(cbasn1.Tag(3).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { l.addExtensions(b, c) })
		})
	})
	return b.Bytes()
}

func (s *scheme) add(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(s.oid) })
}

// addExtensions keeps the order of crypto/x509.
func (l *Local) addExtensions(b *cryptobyte.Builder, c *x509.Certificate) {
	wanted := func(id asn1.ObjectIdentifier) bool { return !hasExtension(c.ExtraExtensions, id) } // those come as they are
	if c.KeyUsage != 0 && wanted(oidKeyUsage) {
		addExtensionTo(b, oidKeyUsage, true, func(b *cryptobyte.Builder) { addUsage(b, c.KeyUsage) })
	}
	if len(c.ExtKeyUsage) > 0 && wanted(oidExtKeyUsage) {
		addExtensionTo(b, oidExtKeyUsage, false, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, u := range c.ExtKeyUsage {
					b.AddASN1ObjectIdentifier(purposeOIDs[u])
				}
			})
		})
	}
	if len(c.SubjectKeyId) > 0 && wanted(oidSubjectKeyID) {
		addExtensionTo(b, oidSubjectKeyID, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(c.SubjectKeyId) })
	}
	authority := c.AuthorityKeyId
	if own := l.chain[0].SubjectKeyId; len(own) > 0 && !bytes.Equal(l.chain[0].RawSubject, c.RawSubject) {
		authority = own
	}
	if len(authority) > 0 && wanted(oidAuthorityKeyID) {
		addExtensionTo(b, oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addTagged(b, 0, authority) })
		})
	}
	if len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) > 0 && wanted(oidSubjectAltName) {
		critical := bytes.Equal(c.RawSubject, emptySubject)
		addExtensionTo(b, oidSubjectAltName, critical, func(b *cryptobyte.Builder) { addSANs(b, c) })
	}
	if len(c.CRLDistributionPoints) > 0 && wanted(oidCRLPoints) {
		addExtensionTo(b, oidCRLPoints, false, func(b *cryptobyte.Builder) { addCRLPoints(b, c.CRLDistributionPoints) })
	}
	for i := range c.ExtraExtensions {
		ext := &c.ExtraExtensions[i]
		addExtensionTo(b, ext.Id, ext.Critical, func(b *cryptobyte.Builder) { b.AddBytes(ext.Value) })
	}
}

func addExtensionTo(b *cryptobyte.Builder, id asn1.ObjectIdentifier, critical bool, value func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if critical { // FALSE is the default, which DER leaves out
			b.AddASN1Boolean(true)
		}
		b.AddASN1(cbasn1.OCTET_STRING, value)
	})
}

func addTagged(b *cryptobyte.Builder, tag uint8, value []byte) {
	b.AddASN1(cbasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

// addUsage writes a named bit list, without the zeros at its end (X.690, Section 11.2.2).
func addUsage(b *cryptobyte.Builder, usage x509.KeyUsage) {
	value := []byte{bits.Reverse8(uint8(usage)), bits.Reverse8(uint8(usage >> 8))}
	if value[1] == 0 {
		value = value[:1]
	}
	unused := uint8(bits.TrailingZeros8(value[len(value)-1]))
	b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(unused)
		b.AddBytes(value)
	})
}

// addSANs writes GeneralNames (RFC 5280, Section 4.2.1.6).
func addSANs(b *cryptobyte.Builder, c *x509.Certificate) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range c.DNSNames {
			addTagged(b, 2, []byte(name))
		}
		for _, address := range c.EmailAddresses {
			addTagged(b, 1, []byte(address))
		}
		for _, ip := range c.IPAddresses {
			short := ip.To4()
			if short == nil {
				short = ip
			}
			addTagged(b, 7, short)
		}
	})
}

// addCRLPoints writes one distribution point for each address (RFC 5280, Section 4.2.1.13).
func addCRLPoints(b *cryptobyte.Builder, urls []string) {
	zero := cbasn1.Tag(0).Constructed().ContextSpecific()
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, url := range urls {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(zero, func(b *cryptobyte.Builder) {
					b.AddASN1(zero, func(b *cryptobyte.Builder) { addTagged(b, 6, []byte(url)) })
				})
			})
		}
	})
}
