package issue

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"time"

	"golang.org/x/crypto/ssh"
)

// writtenLeaf is what a template would have written to get the default leaf.
func writtenLeaf(cert *x509.Certificate) *certificateJSON {
	return &certificateJSON{
		Subject: SubjectOf(cert.Subject), SANs: SANsOf(CertificateNames(cert)), KeyUsage: KeyUsage(cert.KeyUsage),
		ExtKeyUsage: purposes{known: cert.ExtKeyUsage}, CRLDistributionPoints: cert.CRLDistributionPoints,
	}
}

// RequestOutline is a certificate request as webhooks are told of it.
func RequestOutline(r *x509.CertificateRequest) (any, error) {
	key, err := x509.MarshalPKIXPublicKey(r.PublicKey)
	if err != nil {
		return nil, err
	}
	return struct {
		*Request
		DNSNames           []string `json:"dnsNames"` // always a list here
		EmailAddresses     []string `json:"emailAddresses"`
		PublicKey          []byte   `json:"publicKey"`
		PublicKeyAlgorithm string   `json:"publicKeyAlgorithm"`
		Raw                []byte   `json:"raw"`
	}{requestView(r), r.DNSNames, r.EmailAddresses, key, r.PublicKeyAlgorithm.String(), r.Raw}, nil
}

// outline is a certificate as webhooks are told of it: what its template wrote, key and
// validity. The names are those before encoding; the whole truth is in the to-be-signed
// certificate that goes along.
type outline struct {
	Version               int                  `json:"version"`
	Subject               Subject              `json:"subject"`
	RawSubject            []byte               `json:"rawSubject"`
	Issuer                Subject              `json:"issuer"`
	SerialNumber          *string              `json:"serialNumber"`
	DNSNames              []string             `json:"dnsNames"`
	EmailAddresses        []string             `json:"emailAddresses"`
	IPAddresses           []string             `json:"ipAddresses"`
	URIs                  []string             `json:"uris"`
	SANs                  []SAN                `json:"sans"`
	Extensions            []ExtensionJSON      `json:"extensions"`
	KeyUsage              KeyUsage             `json:"keyUsage"`
	ExtKeyUsage           ExtKeyUsage          `json:"extKeyUsage"`
	UnknownExtKeyUsage    []objectID           `json:"unknownExtKeyUsage"`
	SubjectKeyID          []byte               `json:"subjectKeyId"`
	AuthorityKeyID        []byte               `json:"authorityKeyId"`
	OCSPServer            []string             `json:"ocspServer"`
	IssuingCertificateURL []string             `json:"issuingCertificateURL"`
	CRLDistributionPoints []string             `json:"crlDistributionPoints"`
	PolicyIdentifiers     []string             `json:"policyIdentifiers"`
	BasicConstraints      *basicConstraints    `json:"basicConstraints"`
	NameConstraints       *nameConstraintsJSON `json:"nameConstraints"`
	SignatureAlgorithm    string               `json:"signatureAlgorithm"`
	PublicKey             []byte               `json:"publicKey"`
	PublicKeyAlgorithm    string               `json:"publicKeyAlgorithm"`
	NotBefore             time.Time            `json:"notBefore"`
	NotAfter              time.Time            `json:"notAfter"`
	Raw                   []byte               `json:"raw"`
}

// Outline is the certificate as webhooks are told of it.
func (c *CheckedX509) Outline() (any, error) {
	key, err := x509.MarshalPKIXPublicKey(c.cert.PublicKey)
	if err != nil {
		return nil, err
	}
	w := c.written
	if w == nil {
		w = writtenLeaf(c.cert)
	}
	o := &outline{
		Subject: w.Subject, RawSubject: w.RawSubject, Issuer: w.Issuer,
		DNSNames: w.DNSNames, EmailAddresses: w.EmailAddresses, IPAddresses: w.IPAddresses, URIs: w.URIs, SANs: w.SANs,
		Extensions: w.Extensions, KeyUsage: w.KeyUsage, ExtKeyUsage: w.ExtKeyUsage.known,
		SubjectKeyID: w.SubjectKeyID, AuthorityKeyID: w.AuthorityKeyID,
		OCSPServer: w.OCSPServer, IssuingCertificateURL: w.IssuingCertificateURL, CRLDistributionPoints: w.CRLDistributionPoints,
		BasicConstraints: w.BasicConstraints, NameConstraints: w.NameConstraints,
		PublicKey: key, PublicKeyAlgorithm: algorithmOf(c.cert.PublicKey).String(), NotBefore: c.cert.NotBefore, NotAfter: c.cert.NotAfter,
	}
	if w.SerialNumber != nil {
		serial := c.cert.SerialNumber.String()
		o.SerialNumber = &serial
	}
	for _, oid := range c.cert.UnknownExtKeyUsage {
		o.UnknownExtKeyUsage = append(o.UnknownExtKeyUsage, objectID(oid))
	}
	for _, p := range w.PolicyIdentifiers {
		o.PolicyIdentifiers = append(o.PolicyIdentifiers, p.String())
	}
	if alg := x509.SignatureAlgorithm(w.SignatureAlgorithm); alg != 0 {
		o.SignatureAlgorithm = alg.String()
	}
	return o, nil
}

func algorithmOf(pub crypto.PublicKey) x509.PublicKeyAlgorithm {
	switch pub.(type) {
	case *rsa.PublicKey:
		return x509.RSA
	case *ecdsa.PublicKey:
		return x509.ECDSA
	}
	return x509.Ed25519
}

// SSHRequestOutline is a request as webhooks are told of it.
func SSHRequestOutline(ask *SSHAsk) any {
	return struct {
		PublicKey  string   `json:"publicKey"`
		Type       string   `json:"type"`
		KeyID      string   `json:"keyID"`
		Principals []string `json:"principals"`
	}{wireKey(ask.Key), ask.Type, ask.KeyID, ask.Principals}
}

// Outline is the certificate as webhooks are told of it.
func (c *CheckedSSH) Outline() any {
	return struct {
		Nonce           []byte            `json:"nonce"`
		Serial          uint64            `json:"serial"`
		Type            string            `json:"type"`
		KeyID           string            `json:"keyId"`
		Principals      []string          `json:"principals"`
		CriticalOptions map[string]string `json:"criticalOptions"`
		Extensions      map[string]string `json:"extensions"`
		Reserved        []byte            `json:"reserved"`
		PublicKey       string            `json:"publicKey"`
		SignatureKey    []byte            `json:"signatureKey"` // not signed yet
		ValidBefore     uint64            `json:"validBefore"`
		ValidAfter      uint64            `json:"validAfter"`
	}{
		Nonce: c.cert.Nonce, Serial: c.cert.Serial, Type: c.Type(), KeyID: c.cert.KeyId, Principals: c.cert.ValidPrincipals,
		CriticalOptions: c.cert.CriticalOptions, Extensions: c.cert.Extensions, Reserved: c.cert.Reserved,
		PublicKey: wireKey(c.cert.Key), ValidBefore: c.cert.ValidBefore, ValidAfter: c.cert.ValidAfter,
	}
}

func wireKey(key ssh.PublicKey) string { return base64.StdEncoding.EncodeToString(key.Marshal()) }
