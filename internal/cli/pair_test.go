package cli_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/cli"
	"github.com/signet-ca/signet/internal/keys"
)

// TestInterruptedPairHeals goes through every state that a crash can leave a certificate and
// its key in: reading them always gives a pair that fits, and clears up.
func TestInterruptedPairHeals(t *testing.T) {
	t.Parallel()
	root, issuer := certify(t, nil, nil, "Root", time.Hour)
	before, beforeKey := certify(t, root, issuer, "before", time.Hour)
	after, afterKey := certify(t, root, issuer, "after", time.Hour)
	pem := func(key any) []byte {
		data, err := keys.EncodePrivate(key)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	tests := map[string]struct {
		crt         *x509.Certificate
		key, stored []byte
		want        string
	}{
		"nothing was written":                       {before, pem(beforeKey), nil, "before"},
		"the new key was stored":                    {before, pem(beforeKey), pem(afterKey), "before"},
		"the certificate was replaced":              {after, pem(beforeKey), pem(afterKey), "after"},
		"the key was replaced, the stored one left": {after, pem(afterKey), pem(afterKey), "after"},
		"all was written":                           {after, pem(afterKey), nil, "after"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			crtFile, keyFile := filepath.Join(dir, "x.crt"), filepath.Join(dir, "x.key")
			write(t, crtFile, keys.EncodeCertificates(tc.crt))
			write(t, keyFile, tc.key)
			if tc.stored != nil {
				write(t, cli.StoredKey(keyFile), tc.stored)
			}
			chain, key, err := cli.ReadPair(crtFile, keyFile)
			if err != nil {
				t.Fatal(err)
			}
			if cn := chain[0].Subject.CommonName; cn != tc.want || !keys.SamePublicKey(chain[0].PublicKey, key.Public()) {
				t.Errorf("got the certificate %q", cn)
			}
			if left := files(t, dir); left != 2 {
				t.Errorf("%d files are left", left)
			}
		})
	}
}

func TestWritePairReplacesBoth(t *testing.T) {
	t.Parallel()
	root, issuer := certify(t, nil, nil, "Root", time.Hour)
	dir := t.TempDir()
	crtFile, keyFile := filepath.Join(dir, "x.crt"), filepath.Join(dir, "x.key")
	for _, name := range []string{"first", "second", "third"} {
		leaf, key := certify(t, root, issuer, name, time.Hour)
		if err := cli.WritePair(crtFile, keyFile, []*x509.Certificate{leaf, root}, key); err != nil {
			t.Fatal(err)
		}
		chain, _, err := cli.ReadPair(crtFile, keyFile)
		if err != nil || len(chain) != 2 || !chain[0].Equal(leaf) {
			t.Fatalf("%s: %v, %v", name, chain, err)
		}
		for _, file := range []string{crtFile, keyFile} {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
		}
		if left := files(t, dir); left != 2 {
			t.Errorf("%d files", left)
		}
	}
}

// TestFailedPairKeepsTheOldOne: if the certificate can't be written, the old pair stays.
func TestFailedPairKeepsTheOldOne(t *testing.T) {
	t.Parallel()
	root, issuer := certify(t, nil, nil, "Root", time.Hour)
	old, oldKey := certify(t, root, issuer, "old", time.Hour)
	next, nextKey := certify(t, root, issuer, "next", time.Hour)
	dir := t.TempDir()
	crtDir := filepath.Join(dir, "crt")
	if err := os.Mkdir(crtDir, 0o700); err != nil {
		t.Fatal(err)
	}
	crtFile, keyFile := filepath.Join(crtDir, "x.crt"), filepath.Join(dir, "x.key")
	if err := cli.WritePair(crtFile, keyFile, []*x509.Certificate{old}, oldKey); err != nil {
		t.Fatal(err)
	}
	// A link to nowhere in the way of the temporary file's directory makes the write fail.
	link := filepath.Join(dir, "link.crt")
	if err := os.Symlink(filepath.Join(dir, "gone", "x.crt"), link); err != nil {
		t.Fatal(err)
	}
	if err := cli.WritePair(link, keyFile, []*x509.Certificate{next}, nextKey); err == nil {
		t.Fatal("written through a link to nowhere")
	}
	chain, _, err := cli.ReadPair(crtFile, keyFile)
	if err != nil || !chain[0].Equal(old) {
		t.Errorf("got %v, %v", chain, err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
