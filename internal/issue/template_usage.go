package issue

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// keyUsages names the bits of RFC 5280, Section 4.2.1.3, in the order of their bits.
var keyUsages = []struct {
	name string
	bit  x509.KeyUsage
}{
	{"digitalSignature", x509.KeyUsageDigitalSignature},
	{"contentCommitment", x509.KeyUsageContentCommitment},
	{"keyEncipherment", x509.KeyUsageKeyEncipherment},
	{"dataEncipherment", x509.KeyUsageDataEncipherment},
	{"keyAgreement", x509.KeyUsageKeyAgreement},
	{"certSign", x509.KeyUsageCertSign},
	{"crlSign", x509.KeyUsageCRLSign},
	{"encipherOnly", x509.KeyUsageEncipherOnly},
	{"decipherOnly", x509.KeyUsageDecipherOnly},
}

// keyUsageBit finds a bit by the usageKey of its name, aliases included.
var keyUsageBit = func() map[string]x509.KeyUsage {
	bits := map[string]x509.KeyUsage{"nonrepudiation": x509.KeyUsageContentCommitment, "keycertsign": x509.KeyUsageCertSign}
	for _, u := range keyUsages {
		bits[usageKey(u.name)] = u.bit
	}
	return bits
}()

// extKeyUsage is a purpose that crypto/x509 knows.
type extKeyUsage struct {
	name  string
	usage x509.ExtKeyUsage
	oid   asn1.ObjectIdentifier
}

var extKeyUsages = []extKeyUsage{
	{"any", x509.ExtKeyUsageAny, asn1.ObjectIdentifier{2, 5, 29, 37, 0}},
	{"serverAuth", x509.ExtKeyUsageServerAuth, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}},
	{"clientAuth", x509.ExtKeyUsageClientAuth, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}},
	{"codeSigning", x509.ExtKeyUsageCodeSigning, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}},
	{"emailProtection", x509.ExtKeyUsageEmailProtection, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}},
	{"ipsecEndSystem", x509.ExtKeyUsageIPSECEndSystem, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 5}},
	{"ipsecTunnel", x509.ExtKeyUsageIPSECTunnel, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 6}},
	{"ipsecUser", x509.ExtKeyUsageIPSECUser, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 7}},
	{"timeStamping", x509.ExtKeyUsageTimeStamping, oidTimeStamping},
	{"ocspSigning", x509.ExtKeyUsageOCSPSigning, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}},
	{"microsoftServerGatedCrypto", x509.ExtKeyUsageMicrosoftServerGatedCrypto, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 3}},
	{"netscapeServerGatedCrypto", x509.ExtKeyUsageNetscapeServerGatedCrypto, asn1.ObjectIdentifier{2, 16, 840, 1, 113730, 4, 1}},
	{"microsoftCommercialCodeSigning", x509.ExtKeyUsageMicrosoftCommercialCodeSigning, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 22}},
	{"microsoftKernelCodeSigning", x509.ExtKeyUsageMicrosoftKernelCodeSigning, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 61, 1, 1}},
}

// purposeByName finds a purpose by the usageKey of its name.
var purposeByName = func() map[string]x509.ExtKeyUsage {
	names := map[string]x509.ExtKeyUsage{}
	for _, u := range extKeyUsages {
		names[usageKey(u.name)] = u.usage
	}
	return names
}()

// namedPurposes are further purposes by name.
var namedPurposes = map[string]asn1.ObjectIdentifier{
	"smartcardlogon": {1, 3, 6, 1, 4, 1, 311, 20, 2, 2},
	"kerberosclient": {1, 3, 6, 1, 5, 2, 3, 4},
	"kdc":            {1, 3, 6, 1, 5, 2, 3, 5},
}

// usageKey is the form in which names of usages are compared.
func usageKey(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// KeyUsage are key usage bits that read and write as a list of names.
type KeyUsage x509.KeyUsage

// UnmarshalJSON reads a name or a list of names.
func (k *KeyUsage) UnmarshalJSON(data []byte) error {
	var names texts
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	*k = 0
	for _, name := range names {
		bit, ok := keyUsageBit[usageKey(name)]
		if !ok {
			return fmt.Errorf("unknown keyUsage %q", name)
		}
		*k |= KeyUsage(bit)
	}
	return nil
}

// MarshalJSON writes a list of names, or null for none.
func (k KeyUsage) MarshalJSON() ([]byte, error) {
	var names []string
	for _, u := range keyUsages {
		if x509.KeyUsage(k)&u.bit != 0 {
			names = append(names, u.name)
		}
	}
	return json.Marshal(names)
}

// ExtKeyUsage are purposes that read and write as a list of names.
type ExtKeyUsage []x509.ExtKeyUsage

// MarshalJSON writes a list of names.
func (k ExtKeyUsage) MarshalJSON() ([]byte, error) {
	names := []string{}
	for _, usage := range k {
		for _, u := range extKeyUsages {
			if u.usage == usage {
				names = append(names, u.name)
			}
		}
	}
	return json.Marshal(names)
}

// purposes is the member extKeyUsage of a certificate: known purposes, and others by OID.
type purposes struct {
	known   []x509.ExtKeyUsage
	unknown []asn1.ObjectIdentifier
}

// UnmarshalJSON reads a name or OID, or a list of them.
func (p *purposes) UnmarshalJSON(data []byte) error {
	var names texts
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	*p = purposes{}
	for _, name := range names {
		key := usageKey(name)
		if usage, ok := purposeByName[key]; ok {
			p.known = append(p.known, usage)
			continue
		}
		if oid, ok := namedPurposes[key]; ok {
			p.unknown = append(p.unknown, oid)
			continue
		}
		oid, err := parseOID(name)
		if err != nil {
			return fmt.Errorf("unknown extKeyUsage %q", name)
		}
		p.unknown = append(p.unknown, oid)
	}
	return nil
}

// signatureAlgorithms names what a template may ask for.
var signatureAlgorithms = map[string]x509.SignatureAlgorithm{
	"": x509.UnknownSignatureAlgorithm,

	"SHA256-RSA": x509.SHA256WithRSA, "SHA384-RSA": x509.SHA384WithRSA, "SHA512-RSA": x509.SHA512WithRSA,
	"SHA256-RSAPSS": x509.SHA256WithRSAPSS, "SHA384-RSAPSS": x509.SHA384WithRSAPSS, "SHA512-RSAPSS": x509.SHA512WithRSAPSS,
	"ECDSA-SHA256": x509.ECDSAWithSHA256, "ECDSA-SHA384": x509.ECDSAWithSHA384, "ECDSA-SHA512": x509.ECDSAWithSHA512,
	"ED25519": x509.PureEd25519,
}

// weakAlgorithms are those whose hash or key no longer holds.
var weakAlgorithms = map[string]bool{
	"MD2-RSA": true, "MD5-RSA": true, "SHA1-RSA": true, "DSA-SHA1": true, "DSA-SHA256": true, "ECDSA-SHA1": true,
}

// signatureAlgorithm reads by name.
type signatureAlgorithm x509.SignatureAlgorithm

// UnmarshalJSON reads a name in any case.
func (a *signatureAlgorithm) UnmarshalJSON(data []byte) error {
	var name string
	if err := json.Unmarshal(data, &name); err != nil {
		return err
	}
	key := strings.ToUpper(name)
	if weakAlgorithms[key] {
		return fmt.Errorf("the signatureAlgorithm %s is too weak to sign with", name)
	}
	alg, ok := signatureAlgorithms[key]
	if !ok {
		return fmt.Errorf("unknown signatureAlgorithm %q", name)
	}
	*a = signatureAlgorithm(alg)
	return nil
}

// basicConstraints is the member of that name, and of a request.
type basicConstraints struct {
	IsCA       bool `json:"isCA"`
	MaxPathLen int  `json:"maxPathLen"`
}

// readBasicConstraints decodes RFC 5280, Section 4.2.1.9; a path length of -1 is no limit.
func readBasicConstraints(der []byte) (ca bool, pathLen int, err error) {
	bc := struct {
		IsCA    bool `asn1:"optional"`
		PathLen int  `asn1:"optional,default:-1"`
	}{}
	rest, err := asn1.Unmarshal(der, &bc)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows the sequence")
	}
	return bc.IsCA, bc.PathLen, err
}

// keyUsageBits decodes a key usage extension (RFC 5280, Section 4.2.1.3).
func keyUsageBits(der []byte) (x509.KeyUsage, error) {
	var bits asn1.BitString
	rest, err := asn1.Unmarshal(der, &bits)
	if err != nil {
		return 0, err
	}
	if len(rest) > 0 {
		return 0, errors.New("something follows the bits")
	}
	var usage x509.KeyUsage
	for i, u := range keyUsages {
		if bits.At(i) == 1 {
			usage |= u.bit
		}
	}
	return usage, nil
}
