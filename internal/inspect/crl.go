package inspect

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Reasons are the names of revocation reasons (RFC 5280, Section 5.3.1) by their number.
var Reasons = []string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
	"cessationOfOperation", "certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}

// ReasonName is the name of a reason for revocation.
func ReasonName(code int) string {
	if code >= 0 && code < len(Reasons) && Reasons[code] != "" {
		return Reasons[code]
	}
	return fmt.Sprintf("reason %d", code)
}

func reasonCode(in cryptobyte.String) ([]string, bool) {
	var code int
	if !in.ReadASN1Enum(&code) || !in.Empty() {
		return nil, false
	}
	return one("%s", ReasonName(code))
}

// issuingDistributionPoint is RFC 5280, Section 5.2.5.
func issuingDistributionPoint(in cryptobyte.String) ([]string, bool) {
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	lines, ok := distributionPointName(&seq)
	if !ok {
		return nil, false
	}
	labels := map[asn1.Tag]string{1: "Only User Certificates", 2: "Only CA Certificates", 4: "Indirect CRL", 5: "Only Attribute Certificates"}
	for !seq.Empty() {
		var value cryptobyte.String
		var tag asn1.Tag
		if !seq.ReadAnyASN1(&value, &tag) {
			return nil, false
		}
		if label := labels[tag&0x1f]; label != "" && len(value) == 1 {
			if value[0] != 0 {
				lines = append(lines, label)
			}
			continue
		}
		lines = append(lines, "Only Some Reasons: "+hex.EncodeToString(value))
	}
	return lines, true
}

// Verdict is what a check of a revocation list's signature came to.
type Verdict struct {
	Checked bool // false: there was no certificate of the issuer to check with
	Valid   bool
	Reason  string // why it is not valid
}

func (v Verdict) String() string {
	switch {
	case !v.Checked:
		return "not checked"
	case v.Valid:
		return "valid"
	}
	return "not valid: " + v.Reason
}

// ListText shows all of a certificate revocation list.
func ListText(l *x509.RevocationList, verdict Verdict) string {
	var s sheet
	s.line(0, "Certificate Revocation List (CRL):")
	s.line(1, "Data:")
	s.line(2, "Version: 2 (0x1)")
	s.line(1, "Signature Algorithm: %s", signatureName(l.SignatureAlgorithm))
	s.line(2, "Issuer: %s", distinguishedName(l.RawIssuer))
	s.line(2, "Last Update: %s", moment(l.ThisUpdate))
	next := "none"
	if !l.NextUpdate.IsZero() {
		next = moment(l.NextUpdate)
	}
	s.line(2, "Next Update: %s", next)
	if len(l.Extensions) > 0 {
		s.line(2, "CRL Extensions:")
		s.extensions(3, l.Extensions)
	}
	if len(l.RevokedCertificateEntries) == 0 {
		s.line(0, "No Revoked Certificates.")
	} else {
		s.line(0, "Revoked Certificates:")
	}
	for _, entry := range l.RevokedCertificateEntries {
		s.line(1, "Serial Number: %s (%#x)", entry.SerialNumber, entry.SerialNumber)
		s.line(2, "Revocation Date: %s", moment(entry.RevocationTime))
		if len(entry.Extensions) > 0 {
			s.line(2, "CRL Entry Extensions:")
			s.extensions(3, entry.Extensions)
		}
	}
	s.signature(signatureName(l.SignatureAlgorithm), l.Signature)
	s.line(1, "Signature: %s", verdict)
	return s.b.String()
}

// List is a certificate revocation list as JSON.
type List struct {
	Version            int                 `json:"version" help:"always 2"`
	SignatureAlgorithm Algorithm           `json:"signature_algorithm" help:"how the list is signed"`
	Issuer             map[string][]string `json:"issuer" help:"name of the issuer: lists of values by attribute"`
	IssuerDN           string              `json:"issuer_dn" help:"name of the issuer on one line"`
	ThisUpdate         time.Time           `json:"this_update" help:"when the list was made, RFC 3339"`
	NextUpdate         *time.Time          `json:"next_update,omitempty" help:"when the next list is due, RFC 3339"`
	Number             string              `json:"crl_number,omitempty" help:"number of the list, decimal"`
	AuthorityKeyID     string              `json:"authority_key_id,omitempty" help:"identifier of the signing key, hex"`
	Revoked            []Revoked           `json:"revoked_certificates" help:"what is revoked"`
	Signature          ListSignature       `json:"signature" help:"the signature and what a check of it came to"`
	SHA256             string              `json:"fingerprint_sha256" help:"SHA-256 of the list's DER, hex"`
}

// Algorithm is a name and an object identifier.
type Algorithm struct {
	Name string `json:"name" help:"as Go calls it"`
	OID  string `json:"oid" help:"dotted decimal"`
}

// Revoked is an entry of a list.
type Revoked struct {
	SerialNumber string    `json:"serial_number" help:"decimal"`
	RevokedAt    time.Time `json:"revocation_time" help:"RFC 3339"`
	Reason       string    `json:"reason,omitempty" help:"reason by the name of RFC 5280, if one is given"`
	ReasonCode   int       `json:"reason_code" help:"number of the reason; 0 is unspecified"`
}

// ListSignature is the signature of a list.
type ListSignature struct {
	Algorithm Algorithm `json:"signature_algorithm" help:"how the list is signed"`
	Value     []byte    `json:"value" help:"the signature, base64"`
	Valid     *bool     `json:"valid,omitempty" help:"whether it is the issuer's; missing if there was no certificate of the issuer"`
	Reason    string    `json:"reason,omitempty" help:"why it is not valid"`
}

// ListJSON is a revocation list as the value that --json prints.
func ListJSON(l *x509.RevocationList, verdict Verdict) *List {
	algorithm := Algorithm{Name: signatureName(l.SignatureAlgorithm), OID: listAlgorithm(l.Raw)}
	out := &List{
		Version: 2, SignatureAlgorithm: algorithm,
		Issuer: attributeLists(l.RawIssuer), IssuerDN: distinguishedName(l.RawIssuer),
		ThisUpdate: l.ThisUpdate.UTC(), AuthorityKeyID: hex.EncodeToString(l.AuthorityKeyId),
		Revoked:   []Revoked{},
		Signature: ListSignature{Algorithm: algorithm, Value: l.Signature, Reason: verdict.Reason},
		SHA256:    sha256Hex(l.Raw),
	}
	if !l.NextUpdate.IsZero() {
		next := l.NextUpdate.UTC()
		out.NextUpdate = &next
	}
	if l.Number != nil {
		out.Number = l.Number.String()
	}
	if verdict.Checked {
		out.Signature.Valid = &verdict.Valid
	}
	for _, entry := range l.RevokedCertificateEntries {
		r := Revoked{SerialNumber: new(big.Int).Set(entry.SerialNumber).String(), RevokedAt: entry.RevocationTime.UTC(), ReasonCode: entry.ReasonCode}
		if slices.ContainsFunc(entry.Extensions, isReasonCode) {
			r.Reason = ReasonName(entry.ReasonCode)
		}
		out.Revoked = append(out.Revoked, r)
	}
	return out
}

func isReasonCode(ext pkix.Extension) bool { return ext.Id.String() == "2.5.29.21" }
