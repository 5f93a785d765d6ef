package cli_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/signet-ca/signet/internal/keys"
)

// FuzzCertificateInput proves that no file makes the commands that read certificates,
// requests and lists panic, and that nothing in it reaches the terminal as a control
// character.
func FuzzCertificateInput(f *testing.F) {
	ca := newAuthority(f)
	leaf, key := ca.make(&x509.Certificate{Subject: pkix.Name{CommonName: "a\x1b[2J"}})
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "b"}}, key)
	if err != nil {
		f.Fatal(err)
	}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	keyPEM, err := keys.EncodePrivate(secret)
	if err != nil {
		f.Fatal(err)
	}
	bundle := keys.EncodeCertificates(leaf, ca.cert)
	for _, seed := range [][]byte{
		nil, leaf.Raw, request, ca.list(nil, big.NewInt(3)), bundle, keys.EncodeCSR(request), pemCRL(ca.list(nil)), keyPEM,
		bytes.ReplaceAll(bundle, []byte("\n"), []byte("\r\n")), append([]byte("text before\n"), bundle...),
		bundle[:len(bundle)/2], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{0x30}}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"A": "b"}, Bytes: leaf.Raw}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newWorld(t)
		for _, line := range [][]string{
			{"certificate", "inspect", "--bundle"}, {"certificate", "inspect", "--short", "--bundle"}, {"certificate", "inspect", "--json", "--bundle"},
			{"certificate", "fingerprint", "--bundle"}, {"certificate", "key", "-"}, {"certificate", "needs-renewal", "-", "--bundle"},
			{"certificate", "verify", "-"}, {"crl", "inspect"}, {"certificate", "format"},
		} {
			w.stdin = string(data)
			w.run(t.Context(), line...)
			if line[1] == "format" && w.stdout.Len() > 0 {
				continue // DER
			}
			for _, out := range []string{w.stdout.String(), w.stderr.String()} {
				if i := bytes.IndexFunc([]byte(out), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
					t.Errorf("%q prints the control character %q", line, out[i])
				}
			}
		}
	})
}
