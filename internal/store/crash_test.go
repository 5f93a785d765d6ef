package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signet-ca/signet/internal/store"
)

// Some tests need a process of their own, to kill it or to take rights from it: they run
// this test binary again, with the name of a role in this variable.
const roleVariable = "SIGNET_STORE_TEST_ROLE"

// roles are what such a process does; arguments come from the environment too.
var roles = map[string]func() error{
	"issue": issueForever,
	"serve": serveForever,
	"fill":  fillBelowLimit,
	"open":  openAndSay,
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	stopServers()
	os.Exit(code)
}

// process prepares this binary to run in a role on a database.
func process(t *testing.T, role string, c store.Config) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "STORE_TYPE="+c.Type,
		"STORE_SOURCE="+c.DataSource, "STORE_DATABASE="+c.Database)
	return cmd
}

func configOfRole() store.Config {
	return store.Config{Type: os.Getenv("STORE_TYPE"), DataSource: os.Getenv("STORE_SOURCE"), Database: os.Getenv("STORE_DATABASE")}
}

// issueForever writes from many goroutines and prints each serial once it is durable.
func issueForever() error {
	s, err := store.Open(context.Background(), configOfRole(), slog.Default())
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				var serial string
				change := issuance(&serial)
				if err := s.Update(context.Background(), change); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				os.Stdout.WriteString(serial + "\n")
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

func TestKilledServerForgetsNothingItAnswered(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			var answered []string
			for range killings(t, b.name) {
				answered = append(answered, killed(t, c, 1+rand.IntN(200))...)
			}
			s := open(t, c)
			view(t, s, func(tx *store.Tx) error {
				for _, serial := range answered {
					if err := whole(tx, serial); err != nil {
						t.Errorf("certificate %s was answered: %v", serial, err)
					}
				}
				// What was committed but not answered must be whole as well.
				for c, err := range tx.Certificates(store.Query{}) {
					if err != nil {
						return err
					}
					if err := whole(tx, c.Serial); err != nil {
						t.Errorf("certificate %s was written: %v", c.Serial, err)
					}
				}
				return nil
			})
			t.Logf("%d certificates were answered by killed servers", len(answered))
		})
	}
}

// killings is how many servers are killed: with SQLite, which does the work inside the
// killed process, more of them.
func killings(t *testing.T, kind string) int {
	n := 10
	if kind == "sqlite" {
		n = 50
	}
	if chaosTime(t, 0) > 0 {
		n *= 10
	}
	return n
}

// killed runs a server until it has answered some certificates, kills it at once, and
// returns all it answered.
func killed(t *testing.T, c store.Config, after int) (serials []string) {
	cmd := process(t, "issue", c)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line cut short was not answered
		}
		serials = append(serials, strings.TrimSpace(line))
		if len(serials) == after {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(serials) < after {
		t.Fatalf("the server stopped by itself: %s", &complaints)
	}
	return serials
}

// whole checks that everything an issuance writes is there.
func whole(tx *store.Tx, serial string) error {
	c, err := tx.Certificate("x509", serial)
	if err != nil {
		return err
	}
	if spent, err := tx.IsSpent(proofOf(serial)); err != nil || !spent {
		return fmt.Errorf("its proof is spent: %v, %v", spent, err)
	}
	for _, n := range c.Names {
		found := false
		for other, err := range tx.Certificates(store.Query{Name: n}) {
			if err != nil {
				return err
			}
			found = found || other.Serial == serial
		}
		if !found {
			return fmt.Errorf("not found by its name %s", n.Value)
		}
	}
	return nil
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.txt")
	if err := os.WriteFile(plain, []byte(strings.Repeat("this is no database\n", 300)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	s := open(t, store.Config{Type: "sqlite", DataSource: newer})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	broken := filepath.Join(dir, "broken.db")
	s = open(t, store.Config{Type: "sqlite", DataSource: broken})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, broken, "DROP TABLE heartbeat")
	for name, test := range map[string]struct {
		c    store.Config
		says []string // each word must be in the error
	}{
		"an unknown type":            {store.Config{Type: "oracle"}, []string{`"oracle"`, "sqlite"}},
		"no type":                    {store.Config{}, []string{"sqlite"}},
		"no path":                    {store.Config{Type: "sqlite"}, []string{"dataSource"}},
		"a file that is no database": {store.Config{Type: "sqlite", DataSource: plain}, []string{plain, "no SQLite database"}},
		"a folder below a file":      {store.Config{Type: "sqlite", DataSource: plain + "/x.db"}, []string{plain, "not a directory"}},
		"a device":                   {store.Config{Type: "sqlite", DataSource: "/dev/null"}, []string{"/dev/null", "regular file"}},
		"a newer schema":             {store.Config{Type: "sqlite", DataSource: newer}, []string{newer, "9999", "newer program"}},
		"a schema altered by hand":   {store.Config{Type: "sqlite", DataSource: broken}, []string{broken, "heartbeat"}},
	} {
		s, err := store.Open(t.Context(), test.c, slog.New(slog.DiscardHandler))
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		for _, word := range test.says {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q does not say %q", name, err, word)
			}
		}
	}
}

func TestOpenTakesAnyPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for source, want := range map[string]string{
		"plain.db":                "plain.db",
		"a folder":                "a folder/signet.db",
		"trailing.d/":             "trailing.d/signet.db",
		"deep/er/x.db":            "deep/er/x.db",
		"odd ?mode=memory&#%41;'": "odd ?mode=memory&#%41;'/signet.db",
		"%2e%2e?/ü\".db":          "%2e%2e?/ü\".db",
	} {
		s := open(t, store.Config{Type: "SQLite", DataSource: dir + "/" + source})
		add(t, s, certificate(1))
		for path, perm := range map[string]os.FileMode{want: 0o600, want + "-wal": 0o600, filepath.Dir(want): 0o700} {
			info, err := os.Stat(filepath.Join(dir, path))
			if err != nil {
				t.Errorf("%q: %v", source, err)
			} else if path != "." && info.Mode().Perm() != perm {
				t.Errorf("%q: %s has mode %v", source, path, info.Mode().Perm())
			}
		}
		if !s.Durable() {
			t.Errorf("%q is not durable", source)
		}
		// The same file again, now that it exists: a second store beside the first.
		view(t, open(t, store.Config{Type: "sqlite", DataSource: dir + "/" + source}), func(tx *store.Tx) error {
			_, err := tx.Certificate("x509", certificate(1).Serial)
			return err
		})
	}
}

func TestMemoryIsForgotten(t *testing.T) {
	t.Parallel()
	one, two := open(t, store.Config{Type: "memory"}), open(t, store.Config{Type: "memory"})
	add(t, one, certificate(1))
	view(t, two, func(tx *store.Tx) error {
		if _, err := tx.Certificate("x509", certificate(1).Serial); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("one store in memory shows in another: %v", err)
		}
		return nil
	})
	if one.Durable() {
		t.Error("memory calls itself durable")
	}
}
