package testca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// CSR is a certificate request in PEM for a common name and DNS names, IP addresses, e-mail
// addresses and URIs, told apart by their look. A common name of "" leaves it out.
func CSR(t testing.TB, key crypto.Signer, cn string, names ...string) string {
	t.Helper()
	return BentCSR(t, key, func(r *x509.CertificateRequest) {
		r.Subject = pkix.Name{CommonName: cn}
		for _, name := range names {
			switch {
			case net.ParseIP(name) != nil:
				r.IPAddresses = append(r.IPAddresses, net.ParseIP(name))
			case strings.Contains(name, ":"):
				u, err := url.Parse(name)
				if err != nil {
					t.Fatal(err)
				}
				r.URIs = append(r.URIs, u)
			case strings.Contains(name, "@"):
				r.EmailAddresses = append(r.EmailAddresses, name)
			default:
				r.DNSNames = append(r.DNSNames, name)
			}
		}
	})
}

// BentCSR is a certificate request in PEM made from any template.
func BentCSR(t testing.TB, key crypto.Signer, bend func(*x509.CertificateRequest)) string {
	t.Helper()
	template := new(x509.CertificateRequest)
	bend(template)
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return RequestPEM(der)
}

// RequestPEM wraps the DER of a request.
func RequestPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// DER unwraps the first PEM block.
func DER(t testing.TB, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no PEM in %.80q", text)
	}
	return block.Bytes
}

// Request parses a request in PEM.
func Request(t testing.TB, text string) *x509.CertificateRequest {
	t.Helper()
	r, err := x509.ParseCertificateRequest(DER(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Resigned gives a request another subject key than the one that signed it.
func Resigned(t testing.TB, text string, pub crypto.PublicKey) string {
	t.Helper()
	return RequestPEM(withKey(t, DER(t, text), pub))
}

// withKey puts another key into a request and keeps the signature, which then fits no more.
func withKey(t testing.TB, der []byte, pub crypto.PublicKey) []byte {
	t.Helper()
	var outer struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Attributes []asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	outer.Info.Key = asn1.RawValue{FullBytes: key}
	out, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// CAExtension is basicConstraints with CA:TRUE, as a request may carry it.
func CAExtension() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}
}

// SANExtension is a subject alternative name extension of any GeneralNames.
func SANExtension(t testing.TB, names ...asn1.RawValue) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
}

// GeneralName is one name by its tag (RFC 5280, Section 4.2.1.6).
func GeneralName(tag int, constructed bool, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: constructed, Bytes: content}
}

// LeafTemplate is a leaf to be, for Certify.
func LeafTemplate(cn string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, DNSNames: []string{cn},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}
