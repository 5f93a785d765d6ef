// Package signet is the Go client of a signet or step-ca certificate authority, and the
// JSON that both sides speak.
//
//	client, _, err := signet.BootstrapByToken(ctx, token, nil)
//	request, key, err := signet.NewRequest(token)
//	answer, err := client.Sign(ctx, request)
//	renewer, err := signet.NewRenewer(client, answer.Pair(key), nil)
//	go renewer.Run(ctx)
//	server := &http.Server{TLSConfig: renewer.ServerTLS(tls.VerifyClientCertIfGiven)}
package signet

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Fingerprint is how a root certificate is named to those who shall trust it: lower-case
// hex of the SHA-256 of its DER.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// normalizeFingerprint accepts what people copy: any case, dashes, colons.
func normalizeFingerprint(s string) (string, error) {
	clean := strings.ToLower(strings.NewReplacer("-", "", ":", "", " ", "").Replace(s))
	if raw, err := hex.DecodeString(clean); err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("fingerprint %q is not the SHA-256 of a certificate: 64 hexadecimal digits are needed", s)
	}
	return clean, nil
}

// EncodePEM writes certificates as PEM, one behind the other.
func EncodePEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, cert := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

// parsePEM reads the certificate in the first PEM block, whatever its label.
func parsePEM(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("a certificate in PEM is needed")
	}
	return x509.ParseCertificate(block.Bytes)
}
