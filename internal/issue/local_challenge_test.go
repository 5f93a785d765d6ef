package issue_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// The attribute is written down here by hand from RFC 2985, Section 5.4.1, and RFC 2986, Section 4.1.
func TestChallengePassword(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const id = "06092a864886f70d010907"
	for _, c := range []struct {
		name      string
		key       crypto.Signer
		alg       x509.SignatureAlgorithm
		names     []string
		challenge string
		attribute string
	}{
		{"printable", testca.P256(t), 0, nil, "abc", "3012" + id + "3105" + "1303616263"},
		{"beside names", testca.P256(t), 0, []string{"a.example"}, "abc", "3012" + id + "3105" + "1303616263"},
		{"UTF-8", testca.Ed25519(t), 0, nil, "ä_", "3012" + id + "3105" + "0c03c3a45f"},
		{"RSA", weak, 0, nil, "abc", "3012" + id + "3105" + "1303616263"},
		{"PSS", weak, x509.SHA384WithRSAPSS, nil, "abc", "3012" + id + "3105" + "1303616263"},
		{"P-256 with SHA-512", testca.P256(t), x509.ECDSAWithSHA512, nil, "abc", "3012" + id + "3105" + "1303616263"},
	} {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: "x"}, DNSNames: c.names, SignatureAlgorithm: c.alg}
		der, err := issue.SignChallenged(cert, c.challenge, c.key)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		request, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := request.CheckSignature(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		attribute, err := hex.DecodeString(c.attribute)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(request.RawTBSCertificateRequest, attribute) || len(request.DNSNames) != len(c.names) {
			t.Errorf("%s: %x", c.name, request.RawTBSCertificateRequest)
		}
		if c.alg != 0 && request.SignatureAlgorithm != c.alg {
			t.Errorf("%s: signed with %s", c.name, request.SignatureAlgorithm)
		}
	}
}

func TestChallengePasswordRefusals(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{strings.Repeat("ä", 256), "secret\xff"} {
		_, err := issue.SignChallenged(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, challenge, testca.P256(t))
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), challenge) {
			t.Errorf("%q: %v", challenge, err)
		}
	}
	if _, err := issue.SignChallenged(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, strings.Repeat("ä", 255), testca.P256(t)); err != nil {
		t.Error(err)
	}
}
