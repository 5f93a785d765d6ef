package durable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/signet-ca/signet/internal/durable"
)

func TestStreamLeavesTheOldFileUntilTheNewOneIsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write := func(text string, fails error) error {
		return durable.Stream(path, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, fails)
		})
	}
	if err := write("old", nil); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := write("half of the n", broken); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	leftOnly(t, dir, "f")
	if data, err := os.ReadFile(path); err != nil || string(data) != "old" {
		t.Errorf("after a failure the file holds %q, %v", data, err)
	}
	if err := write("new", nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 3 {
		t.Errorf("got %v, %v", info, err)
	}
}
