package signet

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Certificate is a certificate as the JSON has it: a string with one PEM block. The zero
// value is null.
type Certificate struct{ *x509.Certificate }

// MarshalJSON writes the PEM as a string, or null.
func (c Certificate) MarshalJSON() ([]byte, error) {
	if c.Certificate == nil {
		return []byte("null"), nil
	}
	return json.Marshal(string(EncodePEM(c.Certificate)))
}

// UnmarshalJSON reads the first PEM block whatever its label; null leaves no certificate.
func (c *Certificate) UnmarshalJSON(data []byte) error {
	text, err := stringOrNull(data)
	if err != nil || text == nil {
		c.Certificate = nil
		return err
	}
	cert, err := parsePEM(text)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	c.Certificate = cert
	return nil
}

// CertificateRequest is a certificate signing request as the JSON has it: a string with one
// PEM block. Its signature is not checked here. The zero value is null.
type CertificateRequest struct{ *x509.CertificateRequest }

// MarshalJSON writes the PEM as a string, or null.
func (r CertificateRequest) MarshalJSON() ([]byte, error) {
	if r.CertificateRequest == nil {
		return []byte("null"), nil
	}
	return json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: r.Raw})))
}

// UnmarshalJSON reads the first PEM block whatever its label. null, "" and "null" leave no
// request: old clients send all three.
func (r *CertificateRequest) UnmarshalJSON(data []byte) error {
	r.CertificateRequest = nil
	text, err := stringOrNull(data)
	if err != nil || len(text) == 0 || string(text) == "null" {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("read certificate request: PEM is needed")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return fmt.Errorf("read certificate request: %w", err)
	}
	r.CertificateRequest = request
	return nil
}

// stringOrNull is the text of a JSON string, or nil for null.
func stringOrNull(data []byte) ([]byte, error) {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil, nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return nil, errors.New("a string with PEM is needed")
	}
	return []byte(text), nil
}

// TimeDuration is a moment as the JSON has it: a time, or a duration relative to the CA's
// clock. The zero value is unset; so is a duration of zero.
type TimeDuration struct {
	Time     time.Time
	Duration time.Duration
}

// ParseTimeDuration reads an RFC 3339 time or a Go duration such as 5m, -1m30s or 24h; ""
// is unset.
func ParseTimeDuration(s string) (TimeDuration, error) {
	if s == "" {
		return TimeDuration{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return TimeDuration{Duration: d}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return TimeDuration{}, fmt.Errorf("%.64q is neither a time such as 2030-01-31T12:00:00Z nor a duration such as 24h", s)
	}
	return TimeDuration{Time: t}, nil
}

// IsZero reports whether nothing is set.
func (t TimeDuration) IsZero() bool { return t.Time.IsZero() && t.Duration == 0 }

// At is the moment meant when it is now, or the zero time if nothing is set.
func (t TimeDuration) At(now time.Time) time.Time {
	if t.Duration != 0 {
		return now.Add(t.Duration)
	}
	return t.Time
}

// String is the form on the wire.
func (t TimeDuration) String() string {
	switch {
	case t.Duration != 0:
		return t.Duration.String()
	case t.Time.IsZero():
		return ""
	}
	return t.Time.UTC().Format(time.RFC3339)
}

// MarshalJSON writes a string, empty if nothing is set.
func (t TimeDuration) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads a string or null.
func (t *TimeDuration) UnmarshalJSON(data []byte) error {
	*t = TimeDuration{}
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errors.New("a time or a duration is needed, as a string")
	}
	parsed, err := ParseTimeDuration(text)
	*t = parsed
	return err
}

// SignRequest asks for a certificate: POST /sign.
type SignRequest struct {
	CSR          CertificateRequest `json:"csr"`
	OTT          string             `json:"ott"` // the token that proves the right
	NotBefore    TimeDuration       `json:"notBefore"`
	NotAfter     TimeDuration       `json:"notAfter"`
	TemplateData json.RawMessage    `json:"templateData,omitempty"` // an object for the provisioner's template
}

// SignResponse is a new certificate: the answer of /sign, /renew and /rekey.
type SignResponse struct {
	Leaf       Certificate   `json:"crt"`
	CA         Certificate   `json:"ca"`        // the second of the chain, or null
	Chain      []Certificate `json:"certChain"` // leaf first, without the root
	TLSOptions *TLSOptions   `json:"tlsOptions,omitempty"`
}

// Certificates is the chain, leaf first, without the root. Old CAs send no chain, only
// leaf and issuer.
func (r *SignResponse) Certificates() []*x509.Certificate {
	chain := r.Chain
	if len(chain) == 0 {
		chain = []Certificate{r.Leaf, r.CA}
	}
	var certs []*x509.Certificate
	for _, c := range chain {
		if c.Certificate != nil {
			certs = append(certs, c.Certificate)
		}
	}
	return certs
}

// Pair is the certificate with its key, as crypto/tls wants it.
func (r *SignResponse) Pair(key crypto.PrivateKey) *tls.Certificate {
	pair := &tls.Certificate{PrivateKey: key}
	for _, cert := range r.Certificates() {
		pair.Certificate = append(pair.Certificate, cert.Raw)
		if pair.Leaf == nil {
			pair.Leaf = cert
		}
	}
	return pair
}

// TLSOptions are the CA's own TLS settings, which clients may take over.
type TLSOptions struct {
	CipherSuites  []string `json:"cipherSuites"` // IANA names; for TLS 1.2 and older
	MinVersion    float64  `json:"minVersion"`   // 1.2 is TLS 1.2
	MaxVersion    float64  `json:"maxVersion"`
	Renegotiation bool     `json:"renegotiation"`
}

// RekeyRequest carries the new key: POST /rekey. Names in the request don't count.
type RekeyRequest struct {
	CSR CertificateRequest `json:"csr"`
}

// RevokeRequest revokes a certificate: POST /revoke.
type RevokeRequest struct {
	Serial     string `json:"serial"` // decimal, or hexadecimal with 0x
	OTT        string `json:"ott"`    // empty: the TLS client certificate is the proof
	ReasonCode int    `json:"reasonCode"`
	Reason     string `json:"reason"`
	Passive    bool   `json:"passive"` // must be true
}

// Status is an answer that says only that things are well.
type Status struct {
	Status string `json:"status" help:"ok if all is well"`
}

// RootResponse is the answer of /root/{fingerprint}.
type RootResponse struct {
	Root Certificate `json:"ca"`
}

// CertificatesResponse is the answer of /roots, /intermediates and /federation.
type CertificatesResponse struct {
	Certificates []Certificate `json:"crts"`
}

// ProvisionersResponse is a page of /provisioners. Each provisioner is an object with at
// least type and name.
type ProvisionersResponse struct {
	Provisioners []json.RawMessage `json:"provisioners"`
	NextCursor   string            `json:"nextCursor"` // empty on the last page
}

// EncryptedKeyResponse is the answer of /provisioners/{kid}/encrypted-key.
type EncryptedKeyResponse struct {
	Key string `json:"key"` // a JWE in compact form
}

// VersionResponse is the answer of /version.
type VersionResponse struct {
	Version                     string `json:"version"`
	RequireClientAuthentication bool   `json:"requireClientAuthentication,omitempty"`
}

// ErrorResponse is the body of every answer that is an error: what existing clients read,
// and beside it the members of RFC 9457.
type ErrorResponse struct {
	Status    int    `json:"status"`
	Message   string `json:"message"`
	Type      string `json:"type,omitempty"`
	Title     string `json:"title,omitempty"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}
