package store_test

import (
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/signet-ca/signet/internal/store"
)

// backend makes empty databases of one kind.
type backend struct {
	name  string
	fresh func(t testing.TB) store.Config
}

func backends() []backend { return append(local(), remote()...) }

// shared are the kinds that several servers can open at once.
func shared() []backend { return append(local()[:1], remote()...) }

// local are the kinds without a server behind them.
func local() []backend {
	return []backend{
		{"sqlite", func(t testing.TB) store.Config {
			return store.Config{Type: "sqlite", DataSource: filepath.Join(t.TempDir(), "signet.db")}
		}},
		{"memory", func(testing.TB) store.Config { return store.Config{Type: "memory"} }},
	}
}

// everywhere runs a test on an empty store of each kind.
func everywhere(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Parallel()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, b.fresh(t)))
		})
	}
}

func open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open %s: %v", c.Type, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close %s: %v", c.Type, err)
		}
	})
	return s
}

// execute does to a database file what no exported verb does.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 10000"); err != nil { // a server may be writing
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
