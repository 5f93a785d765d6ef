package inspect

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"

	zx509 "github.com/zmap/zcrypto/x509"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// Certificate is a certificate as JSON, in the layout of zcrypto that scripts know, with
// the provisioner of its extension added.
type Certificate struct {
	Version            int                `json:"version" help:"3 as a rule"`
	SerialNumber       string             `json:"serial_number" help:"decimal"`
	SignatureAlgorithm member             `json:"signature_algorithm" help:"name and oid"`
	Issuer             member             `json:"issuer" help:"lists of values by attribute: common_name, organization, ..."`
	IssuerDN           string             `json:"issuer_dn,omitempty" help:"issuer on one line"`
	Validity           member             `json:"validity" help:"start and end (RFC 3339), length in seconds"`
	Subject            member             `json:"subject" help:"like issuer"`
	SubjectDN          string             `json:"subject_dn,omitempty" help:"subject on one line"`
	SubjectKeyInfo     member             `json:"subject_key_info" help:"key_algorithm, ecdsa_public_key or rsa_public_key, fingerprint_sha256"`
	Extensions         map[string]member  `json:"extensions,omitempty" help:"key_usage, subject_alt_name, step_provisioner and others by name"`
	UnknownExtensions  []unknownExtension `json:"unknown_extensions,omitempty" help:"the rest: id, critical, value (base64)"`
	Signature          member             `json:"signature" help:"signature_algorithm, value (base64), valid, self_signed"`
	MD5                string             `json:"fingerprint_md5" help:"hex"`
	SHA1               string             `json:"fingerprint_sha1" help:"hex"`
	SHA256             string             `json:"fingerprint_sha256" help:"hex"`
	NoCT               string             `json:"tbs_noct_fingerprint,omitempty" help:"hex, of what is signed without Certificate Transparency"`
	SPKISubject        string             `json:"spki_subject_fingerprint,omitempty" help:"hex, of key and subject"`
	TBS                string             `json:"tbs_fingerprint,omitempty" help:"hex, of what is signed"`
	ValidationLevel    string             `json:"validation_level,omitempty" help:"DV, OV, EV or unknown, by its policies"`
	Names              []string           `json:"names,omitempty" help:"host names and URLs, sorted"`
	Redacted           bool               `json:"redacted" help:"whether a name is hidden behind ?"`
}

type unknownExtension struct {
	ID       string `json:"id" help:"object identifier"`
	Critical bool   `json:"critical" help:"whether who does not know it must refuse the certificate"`
	Value    []byte `json:"value" help:"DER, in base64"`
}

// member is an object in the layout of zcrypto, passed on as it is.
type member struct{ json.RawMessage }

// provisioner is the member step_provisioner.
type provisioner struct {
	Type         string   `json:"type"`
	Name         string   `json:"name"`
	CredentialID string   `json:"credentialID,omitempty"`
	Pairs        []string `json:"keyValuePairs,omitempty"`
}

// CertificateJSON is a certificate as the value that --json prints.
func CertificateJSON(c *x509.Certificate) (*Certificate, error) {
	out, err := layout(c.Raw)
	if err != nil {
		return nil, fmt.Errorf("show certificate %s as JSON: %w", distinguishedName(c.RawSubject), err)
	}
	p := issue.ProvisionerOf(c)
	if p == nil {
		return out, nil
	}
	text, err := json.Marshal(provisioner{ProvisionerType(p.Type), p.Name, p.CredentialID, p.Pairs})
	if err != nil {
		return nil, err
	}
	if out.Extensions == nil {
		out.Extensions = map[string]member{}
	}
	out.Extensions["step_provisioner"] = member{text}
	kept := out.UnknownExtensions[:0]
	for _, ext := range out.UnknownExtensions {
		if ext.ID != issue.OIDProvisioner.String() {
			kept = append(kept, ext)
		}
	}
	out.UnknownExtensions = kept
	return out, nil
}

// layout has zcrypto lay out a certificate. It is a library for research on certificates
// of all sorts, but nobody vouches that none of them makes it panic.
func layout(der []byte) (out *Certificate, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fault.New(fault.Invalid, "its structure is too odd for this form (%v)", r)
		}
	}()
	parsed, err := zx509.ParseCertificate(der)
	if err != nil {
		return nil, fault.New(fault.Invalid, "its structure is too odd for this form (%v)", err)
	}
	text, err := parsed.MarshalJSON()
	if err != nil {
		return nil, err
	}
	out = &Certificate{}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Request is a signing request as JSON, with the members that it shares with a certificate
// in the same layout.
type Request struct {
	Version            int                `json:"version" help:"1 as a rule"`
	SignatureAlgorithm member             `json:"signature_algorithm" help:"name and oid"`
	Subject            member             `json:"subject" help:"lists of values by attribute: common_name, organization, ..."`
	SubjectDN          string             `json:"subject_dn,omitempty" help:"subject on one line"`
	SubjectKeyInfo     member             `json:"subject_key_info" help:"key_algorithm, ecdsa_public_key or rsa_public_key, fingerprint_sha256"`
	Extensions         map[string]member  `json:"extensions,omitempty" help:"requested extensions by name"`
	UnknownExtensions  []unknownExtension `json:"unknown_extensions,omitempty" help:"the rest: id, critical, value (base64)"`
	Signature          requestSignature   `json:"signature" help:"the asker's own signature"`
	SHA256             string             `json:"fingerprint_sha256" help:"SHA-256 of the request's DER, hex"`
	Names              []string           `json:"names,omitempty" help:"host names and URLs, sorted"`
}

type requestSignature struct {
	Algorithm member `json:"signature_algorithm" help:"name and oid"`
	Value     []byte `json:"value" help:"base64"`
	Valid     bool   `json:"valid" help:"whether it fits the key in the request"`
}

// RequestJSON is a signing request as the value that --json prints.
func RequestJSON(r *x509.CertificateRequest) (*Request, error) {
	der, err := asCertificate(r)
	if err != nil {
		return nil, fmt.Errorf("show the certificate request of %s as JSON: %w", distinguishedName(r.RawSubject), err)
	}
	c, err := layout(der)
	if err != nil {
		return nil, fmt.Errorf("show the certificate request of %s as JSON: %w", distinguishedName(r.RawSubject), err)
	}
	return &Request{
		Version: r.Version + 1, SignatureAlgorithm: c.SignatureAlgorithm,
		Subject: c.Subject, SubjectDN: c.SubjectDN, SubjectKeyInfo: c.SubjectKeyInfo,
		Extensions: c.Extensions, UnknownExtensions: c.UnknownExtensions,
		Signature: requestSignature{c.SignatureAlgorithm, r.Signature, r.CheckSignature() == nil},
		SHA256:    sha256Hex(r.Raw), Names: c.Names,
	}, nil
}

// asCertificate builds the certificate that would carry what a request asks for, so that
// both are laid out alike. Its signature is the request's and means nothing.
func asCertificate(r *x509.CertificateRequest) ([]byte, error) {
	algorithm, err := requestAlgorithm(r.Raw)
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
			b.AddASN1Int64(1)
			b.AddBytes(algorithm)
			b.AddASN1(asn1.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for range 2 {
					b.AddASN1(asn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("700101000000Z")) })
				}
			})
			b.AddBytes(r.RawSubject)
			b.AddBytes(r.RawSubjectPublicKeyInfo)
			addExtensions(b, r)
		})
		b.AddBytes(algorithm)
		b.AddASN1BitString(r.Signature)
	})
	return b.Bytes()
}

func addExtensions(b *cryptobyte.Builder, r *x509.CertificateRequest) {
	if len(r.Extensions) == 0 {
		return
	}
	b.AddASN1(asn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, ext := range r.Extensions {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(ext.Id)
					if ext.Critical {
						b.AddASN1Boolean(true)
					}
					b.AddASN1OctetString(ext.Value)
				})
			}
		})
	})
}

// requestAlgorithm cuts the signature's AlgorithmIdentifier out of a request.
func requestAlgorithm(der []byte) ([]byte, error) {
	_, algorithm, ok := signedParts(der)
	if !ok {
		return nil, fault.New(fault.Invalid, "it is no signed structure")
	}
	return algorithm, nil
}

// signedParts cuts a signed structure (certificate, request, revocation list) into what is
// signed and the AlgorithmIdentifier of the signature.
func signedParts(der []byte) (signed, algorithm cryptobyte.String, ok bool) {
	in := cryptobyte.String(der)
	var outer cryptobyte.String
	ok = in.ReadASN1(&outer, asn1.SEQUENCE) && outer.ReadASN1Element(&signed, asn1.SEQUENCE) &&
		outer.ReadASN1Element(&algorithm, asn1.SEQUENCE)
	return signed, algorithm, ok
}

func listAlgorithm(der []byte) string {
	_, algorithm, ok := signedParts(der)
	var inside cryptobyte.String
	if !ok || !algorithm.ReadASN1(&inside, asn1.SEQUENCE) {
		return ""
	}
	id, _ := readOID(&inside)
	return id
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
