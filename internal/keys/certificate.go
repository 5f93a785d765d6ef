package keys

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"github.com/signet-ca/signet/internal/fault"
)

// ReadCertificates reads the certificates in the file at path, see ParseCertificates.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readFile(path, maxBundle)
	if err != nil {
		return nil, fmt.Errorf("read certificates %s: %w", path, err)
	}
	certs, err := ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read certificates %s: %w", path, err)
	}
	return certs, nil
}

// ParseCertificates reads a PEM bundle in its order, or DER. Blocks with another label are
// skipped, and so are blocks with headers. Finding no certificate at all is an error.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxBundle {
		return nil, fault.New(fault.TooLarge, "the certificates are larger than %d MiB", maxBundle>>20)
	}
	if block, _ := pem.Decode(data); block == nil {
		if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
			return certs, nil
		}
		return nil, fault.New(fault.Invalid, "no certificate found: neither PEM nor DER")
	}
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.New(fault.Invalid, "certificate %d is malformed: %v", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fault.New(fault.Invalid, "no certificate found among the PEM blocks")
	}
	return certs, nil
}

// EncodeCertificates writes certificates as PEM, one after the other.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer never fails
	}
	return out.Bytes()
}

// ParseCSR reads a PKCS#10 request from PEM, whatever the label of its first block, or from
// DER. Its signature is for the caller to check.
func ParseCSR(data []byte) (*x509.CertificateRequest, error) {
	if len(data) > maxFile {
		return nil, fault.New(fault.TooLarge, "the certificate request is larger than %d KiB", maxFile>>10)
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(data)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the certificate request is malformed: %v", err)
	}
	return csr, nil
}

// EncodeCSR writes the DER of a request as PEM.
func EncodeCSR(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// CertificateFingerprint is the SHA-256 of the certificate, lower-case hex.
func CertificateFingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
