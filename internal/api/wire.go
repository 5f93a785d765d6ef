package api

import (
	"bytes"
	"encoding/json"
	"encoding/pem"

	"crypto/x509"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// moment reads a time or duration of the wire: a string, "" or null for unset.
type moment struct{ issue.Moment }

func (m *moment) UnmarshalJSON(data []byte) error {
	var s *string
	if err := json.Unmarshal(data, &s); err != nil {
		return fault.New(fault.Invalid, "a time is a string: RFC 3339, or a duration such as \"8h\"")
	}
	if s == nil {
		return nil
	}
	var err error
	m.Moment, err = issue.ParseMoment(*s)
	return err
}

// request is a certificate request of the wire: PEM in a string; null, "" and "null" mean
// that there is none.
type request struct{ *x509.CertificateRequest }

func (r *request) UnmarshalJSON(data []byte) error {
	text, err := pemText(data)
	if err != nil {
		return fault.New(fault.Invalid, "csr is a string with a PEM block")
	}
	if len(text) == 0 || string(text) == "null" {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fault.New(fault.Invalid, "csr holds no PEM block")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "csr cannot be read as a PKCS #10 certificate request")
	}
	r.CertificateRequest = parsed
	return nil
}

// pemText is the content of a JSON string, nothing for null. PEM holds no escape but those of
// line ends, which are quickly undone.
func pemText(data []byte) ([]byte, error) {
	if len(data) > 1 && data[0] == '"' {
		text := bytes.ReplaceAll(data[1:len(data)-1], []byte(`\n`), []byte("\n"))
		if bytes.IndexByte(text, '\\') < 0 {
			return text, nil
		}
	}
	var s *string
	if err := json.Unmarshal(data, &s); err != nil || s == nil {
		return nil, err
	}
	return []byte(*s), nil
}

type signRequest struct {
	Request   request `json:"csr"`
	Token     string  `json:"ott"`
	NotBefore moment  `json:"notBefore"`
	NotAfter  moment  `json:"notAfter"`
	// TemplateData only matters to a provisioner with a template of its own.
	TemplateData json.RawMessage `json:"templateData"`
}

type rekeyRequest struct {
	Request request `json:"csr"`
}

type revokeRequest struct {
	Serial     string `json:"serial"`
	Token      string `json:"ott"`
	ReasonCode int    `json:"reasonCode"`
	Reason     string `json:"reason"`
	Passive    bool   `json:"passive"`
}

type signResponse struct {
	Certificate string      `json:"crt"`
	Issuer      *string     `json:"ca"`
	Chain       []string    `json:"certChain"`
	TLSOptions  *TLSOptions `json:"tlsOptions,omitempty"`
}

// TLSOptions tell clients how the CA wants its own connections to be.
type TLSOptions struct {
	CipherSuites  []string    `json:"cipherSuites"`
	MinVersion    json.Number `json:"minVersion"`
	MaxVersion    json.Number `json:"maxVersion"`
	Renegotiation bool        `json:"renegotiation"`
}

func pemOf(c *x509.Certificate) string { return string(keys.EncodeCertificates(c)) }

func pemList(certs []*x509.Certificate) []string {
	list := make([]string, len(certs))
	for i, c := range certs {
		list[i] = pemOf(c)
	}
	return list
}
