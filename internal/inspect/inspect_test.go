package inspect_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/inspect"
)

var update = flag.Bool("update", false, "rewrite the golden texts")

func block(t testing.TB, name string) *pem.Block {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(data)
	if b == nil {
		t.Fatalf("%s holds no PEM", name)
	}
	return b
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}

func asJSON(t *testing.T, v any, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	for name, proves := range map[string]string{
		"leaf":    "a certificate of a step CA, with provisioner and SCT",
		"ca":      "an intermediate made by itself",
		"odd":     "every extension OpenSSL can make",
		"ed25519": "an Ed25519 key",
		"strange": "no subject, no key usage, an extension that can't be decoded, one without value",
	} {
		t.Run(proves, func(t *testing.T) {
			c, err := x509.ParseCertificate(block(t, name+".pem").Bytes)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", inspect.CertificateText(c))
			golden(t, name+".short", inspect.CertificateShort(c))
			value, err := inspect.CertificateJSON(c)
			golden(t, name+".json", asJSON(t, value, err))
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	r, err := x509.ParseCertificateRequest(block(t, "request.pem").Bytes)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "request.txt", inspect.RequestText(r))
	golden(t, "request.short", inspect.RequestShort(r))
	value, err := inspect.RequestJSON(r)
	golden(t, "request.json", asJSON(t, value, err))

	r.Signature[len(r.Signature)-1] ^= 1
	if text := inspect.RequestText(r); !strings.Contains(text, "Self-signature: not valid") {
		t.Error("a request whose signature was bent is shown as valid")
	}
}

func TestRevocationLists(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]inspect.Verdict{
		"list":      {Checked: true, Valid: true},
		"empty.crl": {Checked: true, Reason: "the issuer is another one"},
	} {
		l, err := x509.ParseRevocationList(block(t, name+".pem").Bytes)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", inspect.ListText(l, verdict))
		golden(t, name+".json", asJSON(t, inspect.ListJSON(l, verdict), nil))
	}
}

// TestControlCharacters proves that a name can't write to the terminal.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	c, err := x509.ParseCertificate(block(t, "leaf.pem").Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c.Subject.CommonName = "\x1b[2Jboss\r\nfake"
	c.DNSNames = []string{"a\x07"}
	if text := inspect.CertificateShort(c); strings.ContainsAny(text, "\x1b\x07\r") {
		t.Errorf("control characters reach the terminal: %q", text)
	}
}

// FuzzCertificate proves that whatever parses can be shown, in every form and on one line
// where a line is meant.
func FuzzCertificate(f *testing.F) {
	for _, name := range []string{"leaf.pem", "ca.pem", "odd.pem", "ed25519.pem", "strange.pem", "request.pem", "list.pem"} {
		f.Add(block(f, name).Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if c, err := x509.ParseCertificate(der); err == nil {
			check(t, inspect.CertificateText(c))
			check(t, inspect.CertificateShort(c))
			if v, err := inspect.CertificateJSON(c); err == nil {
				asJSON(t, v, nil)
			}
			_, _ = inspect.LintCertificate(c)
		}
		if r, err := x509.ParseCertificateRequest(der); err == nil {
			check(t, inspect.RequestText(r))
			check(t, inspect.RequestShort(r))
			if v, err := inspect.RequestJSON(r); err == nil {
				asJSON(t, v, nil)
			}
		}
		if l, err := x509.ParseRevocationList(der); err == nil {
			check(t, inspect.ListText(l, inspect.Verdict{}))
			asJSON(t, inspect.ListJSON(l, inspect.Verdict{}), nil)
		}
	})
}

func check(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if r < 0x20 && r != '\n' || r == 0x7f {
			t.Fatalf("control character %q in %q", r, text)
		}
	}
}
