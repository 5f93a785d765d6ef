package truststore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/truststore"
)

// tools stands in for keytool and certutil: it knows what was added to which store.
type tools struct {
	held map[string]bool // store + " " + name
	ran  []string
}

func (w *tools) run(_ context.Context, _ []byte, program string, args ...string) error {
	value := func(flags ...string) string {
		for i, arg := range args[:len(args)-1] {
			if slices.Contains(flags, arg) {
				return args[i+1]
			}
		}
		return ""
	}
	w.ran = append(w.ran, filepath.Base(program)+" "+args[0])
	key := value("-keystore", "-d") + " " + value("-alias", "-n")
	switch args[0] {
	case "-importcert", "-A":
		if _, err := os.Stat(value("-file", "-i")); err != nil {
			return err
		}
		w.held[key] = true
	case "-delete", "-D":
		delete(w.held, key)
	default:
		if !w.held[key] {
			return errors.New("not there")
		}
	}
	return nil
}

func machine(t *testing.T, files ...string) (*truststore.Store, *tools) {
	t.Helper()
	w := &tools{held: map[string]bool{}}
	s := &truststore.Store{Root: t.TempDir(), JavaHome: "/usr/lib/jvm/any", UserHome: "/home/[me]", Run: w.run}
	for _, name := range files {
		path := filepath.Join(s.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s, w
}

func TestJava(t *testing.T) {
	t.Parallel()
	for _, cacerts := range []string{"/usr/lib/jvm/any/lib/security/cacerts", "/usr/lib/jvm/any/jre/lib/security/cacerts"} {
		s, w := machine(t, cacerts)
		cert := newRoot(t, "My Root")
		for range 2 { // the second time changes nothing
			where, err := s.InstallJava(t.Context(), cert, "corp-")
			if err != nil || where != filepath.Join(s.Root, cacerts) {
				t.Fatalf("installed in %s, %v", where, err)
			}
		}
		if len(w.held) != 1 {
			t.Errorf("held: %v", w.held)
		}
		for key := range w.held {
			if !strings.Contains(key, " corp-my_root_") {
				t.Errorf("held as %s", key)
			}
		}
		if _, err := s.UninstallJava(t.Context(), newRoot(t, "other"), "corp-"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another certificate: %v", err)
		}
		if _, err := s.UninstallJava(t.Context(), cert, "corp-"); err != nil || len(w.held) != 0 {
			t.Errorf("removed: %v, %v", err, w.held)
		}
		want := []string{"keytool -list", "keytool -importcert", "keytool -list", "keytool -list", "keytool -list", "keytool -delete"}
		if diff := cmp.Diff(want, w.ran); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNSS(t *testing.T) {
	t.Parallel()
	s, w := machine(t, "/home/[me]/.mozilla/firefox/a.default/cert9.db", "/home/[me]/.mozilla/firefox/a.default/cert8.db",
		"/home/[me]/.mozilla/firefox/old/cert8.db", "/home/[me]/.mozilla/firefox/Crash Reports/x", "/home/[me]/.pki/nssdb/cert9.db", "/home/m/.pki/nssdb/cert9.db")
	cert := newRoot(t, "My Root")
	home := filepath.Join(s.Root, "home", "[me]")
	want := []string{"sql:" + home + "/.mozilla/firefox/a.default", "dbm:" + home + "/.mozilla/firefox/old", "sql:" + home + "/.pki/nssdb"}
	for range 2 {
		where, err := s.InstallNSS(t.Context(), cert, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, where); diff != "" {
			t.Error(diff)
		}
	}
	if len(w.held) != 3 {
		t.Errorf("held: %v", w.held)
	}
	if _, err := s.UninstallNSS(t.Context(), newRoot(t, "other"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another certificate: %v", err)
	}
	if where, err := s.UninstallNSS(t.Context(), cert, ""); err != nil || len(where) != 3 || len(w.held) != 0 {
		t.Errorf("removed from %v: %v, %v", where, err, w.held)
	}
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	s, _ := machine(t)
	cert := newRoot(t, "My Root")
	_, javaErr := s.InstallJava(t.Context(), cert, "")
	_, javaErr2 := s.UninstallJava(t.Context(), cert, "")
	_, nssErr := s.InstallNSS(t.Context(), cert, "")
	_, nssErr2 := s.UninstallNSS(t.Context(), cert, "")
	for _, err := range []error{javaErr, javaErr2, nssErr, nssErr2} {
		if !errors.Is(err, truststore.ErrAbsent) {
			t.Error(err)
		}
	}
}
