package truststore_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/truststore"
)

func newRoot(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// store is a trust store in a directory, which remembers the programs it would have run.
func store(t *testing.T, dir string) (*truststore.Store, *[]string) {
	t.Helper()
	var ran []string
	s := &truststore.Store{Root: t.TempDir(), Run: func(_ context.Context, _ []byte, program string, args ...string) error {
		ran = append(ran, strings.Join(append([]string{program}, args...), " "))
		return nil
	}}
	if dir != "" {
		if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s, &ran
}

// TestInstall proves for each family of distributions where the file goes, what is run, and
// that it all can be undone.
func TestInstall(t *testing.T) {
	t.Parallel()
	for dir, x := range map[string]struct{ ending, refresh string }{
		"/usr/local/share/ca-certificates":          {".crt", "update-ca-certificates"},
		"/etc/pki/ca-trust/source/anchors":          {".pem", "update-ca-trust extract"},
		"/etc/ca-certificates/trust-source/anchors": {".crt", "trust extract-compat"},
		"/usr/share/pki/trust/anchors":              {".pem", "update-ca-certificates"},
	} {
		s, ran := store(t, dir)
		cert := newRoot(t, "../My Root/CA")
		where, err := s.Install(t.Context(), cert, "")
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(where) != filepath.Join(s.Root, dir) || filepath.Ext(where) != x.ending || !strings.Contains(where, "My_Root_CA") {
			t.Errorf("%s: installed as %s", dir, where)
		}
		data, err := os.ReadFile(where)
		if block, _ := pem.Decode(data); err != nil || !cmp.Equal(block.Bytes, cert.Raw) {
			t.Errorf("%s: %v", dir, err)
		}
		if again, err := s.Install(t.Context(), cert, ""); err != nil || again != where {
			t.Errorf("%s: the second time %s, %v", dir, again, err)
		}
		if _, err := s.Uninstall(t.Context(), newRoot(t, "other")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: another certificate: %v", dir, err)
		}
		if was, err := s.Uninstall(t.Context(), cert); err != nil || was != where {
			t.Errorf("%s: removed %s, %v", dir, was, err)
		}
		if diff := cmp.Diff([]string{x.refresh, x.refresh, x.refresh}, *ran); diff != "" {
			t.Error(diff)
		}
	}
}

func TestUnknownSystem(t *testing.T) {
	t.Parallel()
	s, _ := store(t, "")
	if _, err := s.Install(t.Context(), newRoot(t, "x"), ""); !errors.Is(err, truststore.ErrUnknown) {
		t.Error(err)
	}
}

func TestPrefixNamesTheFile(t *testing.T) {
	t.Parallel()
	s, _ := store(t, "/usr/local/share/ca-certificates")
	where, err := s.Install(t.Context(), newRoot(t, strings.Repeat("x", 500)), "corp-")
	if name := filepath.Base(where); err != nil || !strings.HasPrefix(name, "corp-xx") || len(name) > 200 {
		t.Error(where, err)
	}
}
