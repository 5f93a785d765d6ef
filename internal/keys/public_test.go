package keys_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// selfSigned makes a certificate over key.
func selfSigned(t testing.TB, key crypto.Signer, name string) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "r"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestPublicKeysComeBack(t *testing.T) {
	t.Parallel()
	for kind, key := range made() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			pkix, err := keys.EncodePublic(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(pkix)
			jwk, err := keys.NewJWK(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			jwkJSON, err := keys.MarshalJWK(jwk)
			if err != nil {
				t.Fatal(err)
			}
			private, err := keys.NewPrivateJWK(key)
			if err != nil {
				t.Fatal(err)
			}
			privateJSON, err := keys.MarshalJWK(private)
			if err != nil {
				t.Fatal(err)
			}
			sshKey, err := keys.SSHPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			forms := map[string][]byte{
				"PEM": pkix, "DER": block.Bytes, "JWK": jwkJSON, "private JWK": privateJSON,
				"SSH":              ssh.MarshalAuthorizedKey(sshKey),
				"certificate":      keys.EncodeCertificates(selfSigned(t, key, "c")),
				"certificate DER":  selfSigned(t, key, "c").Raw,
				"request":          keys.EncodeCSR(request(t, key)),
				"request DER":      request(t, key),
				"text before PEM":  append([]byte("# a key\n"), pkix...),
				"old request name": bytes.ReplaceAll(keys.EncodeCSR(request(t, key)), []byte("CERTIFICATE REQ"), []byte("NEW CERTIFICATE REQ")),
			}
			if rsaKey, ok := key.Public().(*rsa.PublicKey); ok {
				der := x509.MarshalPKCS1PublicKey(rsaKey)
				forms["PKCS#1 DER"] = der
				forms["PKCS#1"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
			}
			for form, data := range forms {
				back, err := keys.ParsePublic(data)
				if err != nil || !keys.SamePublicKey(back, key.Public()) {
					t.Errorf("%s: %v", form, err)
				}
			}
		})
	}
}

func TestParsePublicRefuses(t *testing.T) {
	t.Parallel()
	private, err := keys.EncodePrivate(made()["EC P-256"])
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"nothing":             "",
		"text":                "hello",
		"a private key":       string(private),
		"rubbish as key":      "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"rubbish certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"a shared secret":     `{"kty":"oct","k":"c2VjcmV0"}`,
		"a huge file":         strings.Repeat("x", 2<<20),
		"an encrypted JWK":    katJWE,
	} {
		_, err := keys.ParsePublic([]byte(in))
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesOfPublicKeys(t *testing.T) {
	t.Parallel()
	pub, err := keys.ParsePublic([]byte(katJWK))
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.PublicKeyID(pub)
	if err != nil || len(id) != 64 || strings.ToLower(id) != id {
		t.Errorf("PublicKeyID %q, %v", id, err)
	}
	// The standard library makes the same identifier for a CA that names none.
	c := selfSigned(t, made()["RSA"], "c")
	ski, err := keys.SubjectKeyID(c.PublicKey)
	if err != nil || len(ski) != 20 {
		t.Errorf("SubjectKeyID %x, %v", ski, err)
	}
	if keys.SamePublicKey(pub, nil) || keys.SamePublicKey(nil, pub) || keys.SamePublicKey(nil, nil) ||
		keys.SamePublicKey([]byte("a"), []byte("a")) || keys.SamePublicKey(pub, c.PublicKey) {
		t.Error("different keys are the same")
	}
	for _, key := range made() {
		if !keys.SamePublicKey(key.Public(), key.Public()) {
			t.Error("a key is not the same as itself")
		}
	}
}

func TestParseCertificates(t *testing.T) {
	t.Parallel()
	a, b := selfSigned(t, made()["EC P-256"], "a"), selfSigned(t, made()["Ed25519"], "b")
	two := keys.EncodeCertificates(a, b)
	key, err := keys.EncodePrivate(made()["EC P-256"])
	if err != nil {
		t.Fatal(err)
	}
	headed := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"A": "b"}, Bytes: []byte("x")})
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"a bundle in its order":         {two, "a b"},
		"text between":                  {slices.Concat([]byte("subject=a\n"), two, []byte("\ntrailing")), "a b"},
		"other labels are skipped":      {slices.Concat(key, two), "a b"},
		"a block with headers is too":   {slices.Concat(headed, two), "a b"},
		"DER":                           {a.Raw, "a"},
		"DER of two":                    {slices.Concat(b.Raw, a.Raw), "b a"},
		"nothing":                       {nil, ""},
		"text":                          {[]byte("hello"), ""},
		"no certificate among blocks":   {key, ""},
		"a block with headers alone":    {headed, ""},
		"a broken one after a good one": {slices.Concat(two, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), ""},
		"cut DER":                       {a.Raw[:100], ""},
	} {
		certs, err := keys.ParseCertificates(c.in)
		var names []string
		for _, c := range certs {
			names = append(names, c.Subject.CommonName)
		}
		if got := strings.Join(names, " "); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseCSR(t *testing.T) {
	t.Parallel()
	der := request(t, made()["EC P-256"])
	for name, in := range map[string][]byte{
		"PEM": keys.EncodeCSR(der), "DER": der,
		"any label": pem.EncodeToMemory(&pem.Block{Type: "COSMIC", Bytes: der}),
	} {
		if csr, err := keys.ParseCSR(in); err != nil || csr.Subject.CommonName != "r" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string][]byte{
		"nothing": nil, "text": []byte("x"), "cut": der[:50], "trailing": append(slices.Clone(der), 0),
		"huge": make([]byte, 2<<20),
	} {
		_, err := keys.ParseCSR(in)
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	pictures, err := keys.FormatFingerprint(all, "emoji")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[rune]bool{}
	for _, r := range pictures {
		seen[r] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d different pictures for 256 bytes", len(seen))
	}
	digest := []byte{0xfb, 0xff, 0x00}
	for format, want := range map[string]string{
		"": "fbff00", "hex": "fbff00", "base64": "+/8A", "base64-url": "-_8A", "base64-raw": "+/8A", "base64-url-raw": "-_8A",
	} {
		if got, err := keys.FormatFingerprint(digest, format); err != nil || got != want {
			t.Errorf("%q: %s, %v", format, got, err)
		}
	}
	if got, _ := keys.FormatFingerprint(digest[:1], "base64"); got != "+w==" {
		t.Error(got)
	}
	if got, _ := keys.FormatFingerprint(digest[:1], "base64-url-raw"); got != "-w" {
		t.Error(got)
	}
	if _, err := keys.FormatFingerprint(digest, "octal"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	want := strings.Repeat("0a", 32)
	for _, in := range []string{want, strings.ToUpper(want), strings.TrimSuffix(strings.Repeat("0A:", 32), ":"), " " + want + "\n"} {
		if got, err := keys.ParseFingerprint(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0a", want + "00", strings.Repeat("zz", 32)} {
		if _, err := keys.ParseFingerprint(in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestRandomStrings(t *testing.T) {
	t.Parallel()
	if a, b := keys.RandomHex(64), keys.RandomHex(64); len(a) != 128 || a == b {
		t.Errorf("%q %q", a, b)
	} else if _, err := hex.DecodeString(a); err != nil {
		t.Error(err)
	}
	seen := map[rune]bool{}
	for _, r := range keys.RandomAlphanumeric(100_000) {
		seen[r] = true
	}
	if len(seen) != 62 || len(keys.RandomAlphanumeric(32)) != 32 || keys.RandomAlphanumeric(0) != "" {
		t.Errorf("%d different characters", len(seen))
	}
}
