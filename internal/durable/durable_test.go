package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/durable"
)

func TestWriteFileSetsContentAndMode(t *testing.T) {
	t.Parallel()
	for _, perm := range []fs.FileMode{0o600, 0o644, 0o666} {
		path := filepath.Join(t.TempDir(), "file")
		for _, content := range []string{"a longer first content", "second"} {
			if err := durable.WriteFile(path, []byte(content), perm); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != content {
				t.Fatalf("read back %q, %v; want %q", got, err, content)
			}
			st, err := os.Stat(path)
			if err != nil || st.Mode().Perm() != perm {
				t.Fatalf("mode %v, %v; want %v", st.Mode().Perm(), err, perm)
			}
		}
		leftOnly(t, filepath.Dir(path), "file")
	}
}

func TestWriteFileFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"standing", "dangling"} {
		target, link := filepath.Join(dir, name), filepath.Join(dir, name+".link")
		if name == "standing" {
			if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(name, link); err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFile(link, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Lstat(link); err != nil || st.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: the link was replaced: %v %v", name, st.Mode(), err)
		}
		if got, err := os.ReadFile(target); err != nil || string(got) != "new" {
			t.Errorf("%s: target holds %q, %v", name, got, err)
		}
	}
}

func TestWriteFileWritesThroughDevices(t *testing.T) {
	t.Parallel()
	if err := durable.WriteFile(os.DevNull, []byte("gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Fatalf("%s became %v, %v", os.DevNull, st.Mode(), err)
	}
}

func TestWriteFileNamesThePathAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, path := range map[string]string{
		"directory missing":   filepath.Join(dir, "missing", "file"),
		"path is a folder":    dir,
		"parent is no folder": filepath.Join(dir, "plain", "file"),
	} {
		if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := durable.WriteFile(path, []byte("x"), 0o600)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v does not name %s", name, err, path)
		}
	}
	leftOnly(t, dir, "plain")
}

// leftOnly fails if a temporary file stayed behind.
func leftOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("folder holds %v, %v; want %s alone", entries, err, name)
	}
}
