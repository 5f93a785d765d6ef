package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

// fill writes to a database until nothing more goes in, frees space, and writes again.
// Nothing that was acknowledged may be missing then.
func fill(s *store.Store, free func() error) error {
	var mu sync.Mutex
	var answered []string
	issue := func() error {
		var serial string
		err := s.Update(context.Background(), issuance(&serial))
		if err == nil {
			mu.Lock()
			answered = append(answered, serial)
			mu.Unlock()
		}
		return err
	}
	failures := make(chan error, 8)
	for range cap(failures) {
		go func() {
			err := error(nil)
			for range 100_000 {
				if err = issue(); err != nil {
					break
				}
			}
			failures <- err
		}()
	}
	for range cap(failures) {
		err := <-failures
		if !fault.Is(err, fault.Unavailable) || strings.Contains(fault.Of(err).Message, "/") {
			return fmt.Errorf("a full disk was answered %v", err)
		}
	}
	if len(answered) == 0 {
		return errors.New("the disk was full from the start")
	}
	if err := free(); err != nil {
		return err
	}
	for range 50 {
		if err := issue(); err != nil {
			return fmt.Errorf("with space again: %w", err)
		}
	}
	if err := s.Ping(context.Background()); err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	return s.View(context.Background(), func(tx *store.Tx) error {
		for _, serial := range answered {
			if err := whole(tx, serial); err != nil {
				return fmt.Errorf("certificate %s was answered: %w", serial, err)
			}
		}
		return nil
	})
}

// fillBelowLimit is a process whose files can't grow past a limit, which it then lifts.
// It stands in for a full disk where none can be mounted.
func fillBelowLimit() error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := store.Open(context.Background(), configOfRole(), slog.Default())
	if err != nil {
		return err
	}
	defer s.Close()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: was.Max}); err != nil {
		return err
	}
	return fill(s, func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) })
}

func TestFullDiskLosesNothingAndRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Logf("no small disk can be mounted here (%v): limiting the size of files instead", err)
		limitedFiles(t, dir)
		return
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, store.Config{Type: "sqlite", DataSource: filepath.Join(dir, "signet.db")})
	defer s.Close()
	if err := fill(s, func() error { return os.Remove(ballast) }); err != nil {
		t.Error(err)
	}
	// A start on a full disk says so.
	if err := os.WriteFile(ballast, make([]byte, 48<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk could not be filled: %v", err)
	}
	_, err := store.Open(t.Context(), store.Config{Type: "sqlite", DataSource: filepath.Join(dir, "new.db")}, slog.Default())
	if err == nil || !strings.Contains(err.Error(), "new.db") || !strings.Contains(err.Error(), "space") {
		t.Errorf("a start on a full disk says %v", err)
	}
}

func TestFileThatCannotGrowLosesNothingAndRecovers(t *testing.T) {
	t.Parallel()
	limitedFiles(t, t.TempDir())
}

func limitedFiles(t *testing.T, dir string) {
	cmd := process(t, "fill", store.Config{Type: "sqlite", DataSource: filepath.Join(dir, "limited.db")})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// openAndSay opens a database and says how it went.
func openAndSay() error {
	s, err := store.Open(context.Background(), configOfRole(), slog.Default())
	if err != nil {
		return err
	}
	return s.Close()
}

// asNobody takes the rights of root from a process, which no file mode can keep out.
func asNobody(cmd *exec.Cmd) {
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

func TestOpenSaysWhichRightIsMissing(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "signet-rights")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := open(t, store.Config{Type: "sqlite", DataSource: filepath.Join(dir, "signet.db")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{"": 0o555, "closed": 0, "signet.db": 0o444} {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, says := range map[string]string{
		"signet.db":        "needs to",
		"new.db":           "permission denied",
		"closed/signet.db": "permission denied",
	} {
		path := filepath.Join(dir, name)
		cmd := process(t, "open", store.Config{Type: "sqlite", DataSource: path})
		asNobody(cmd)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), path) || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
