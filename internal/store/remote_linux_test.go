package store_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

func TestDatabaseServerThatGoesAwayIsFoundAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start  func() (*server, error)
		source func(*server, string) string
	}{
		"postgresql": {startPostgres, (*server).postgresSource},
		"mysql":      {startMariaDB, (*server).mariadbSource},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := test.start()
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, store.Config{Type: name, DataSource: test.source(server, "signet")})
			known := func(n int) func(*store.Tx) error {
				return func(tx *store.Tx) error {
					_, err := tx.Certificate("x509", certificate(n).Serial)
					return err
				}
			}
			add(t, s, certificate(1))
			view(t, s, known(1))
			answered := issueUntil(t, s, 200, server.stop)
			unavailable(t, s, server)
			if err := server.start(); err != nil {
				t.Fatal(err)
			}
			add(t, s, certificate(3)) // a change finds the new server at once
			// Readers notice a connection that broke by the first one to use it.
			for range 20 {
				if err = s.View(t.Context(), known(1)); err == nil {
					break
				}
			}
			if err != nil {
				t.Error(err)
			}
			view(t, s, func(tx *store.Tx) error {
				for _, serial := range answered {
					if err := whole(tx, serial); err != nil {
						t.Errorf("certificate %s was answered: %v", serial, err)
					}
				}
				return known(3)(tx)
			})
		})
	}
}

// unavailable checks that every verb is answered so, and tells callers nothing about
// where the database is.
func unavailable(t *testing.T, s *store.Store, server *server) {
	t.Helper()
	for range 3 {
		for verb, err := range map[string]error{
			"Update": s.Update(t.Context(), func(tx *store.Tx) error { return tx.AddCertificate(certificate(2)) }),
			"View":   s.View(t.Context(), inTurn),
			"Ping":   s.Ping(t.Context()),
		} {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s without a server: %v", verb, err)
			} else if said := fault.Of(err).Message; strings.Contains(said, server.dir) || strings.Contains(said, password) {
				t.Errorf("%s without a server tells callers %q", verb, said)
			}
		}
	}
}

// issueUntil writes from many goroutines, takes the server away once some certificates
// were answered, and returns all that were. Each goroutine ends with its first error.
func issueUntil(t *testing.T, s *store.Store, n int, stop func()) (answered []string) {
	t.Helper()
	answers := make(chan string)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				var serial string
				if err := s.Update(t.Context(), issuance(&serial)); err != nil {
					if !fault.Is(err, fault.Unavailable) {
						t.Errorf("while the server goes away: %v", err)
					}
					return
				}
				answers <- serial
			}
		})
	}
	go func() { wg.Wait(); close(answers) }()
	for serial := range answers {
		if answered = append(answered, serial); len(answered) == n {
			stop()
		}
	}
	return answered
}

func TestOpenSaysWhatIsWrongWithAServerAndKeepsItsPassword(t *testing.T) {
	t.Parallel()
	pg, my := postgres(t), mariadb(t)
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, test := range map[string]struct {
		c    store.Config
		says string
	}{
		"PostgreSQL without a source":   {store.Config{Type: "postgresql"}, "dataSource"},
		"PostgreSQL, garbled":           {store.Config{Type: "postgresql", DataSource: "postgresql://u:" + password + "@h:x/%"}, "not understood"},
		"PostgreSQL, unknown user":      {store.Config{Type: "postgresql", DataSource: strings.Replace(pg.postgresSource("x"), "//signet:", "//ann:", 1)}, "user or password"},
		"PostgreSQL, away":              {store.Config{Type: "postgresql", DataSource: strings.ReplaceAll(pg.postgresSource("x"), strings.ReplaceAll(pg.dir, "/", "%2F"), nowhere)}, "can't be reached"},
		"PostgreSQL, TLS where is none": {store.Config{Type: "postgresql", DataSource: "host=127.0.0.1 port=1 sslmode=verify-full user=u password=" + password}, "can't be reached"},
		"MySQL without a source":        {store.Config{Type: "mysql"}, "dataSource"},
		"MySQL, garbled":                {store.Config{Type: "mysql", DataSource: "u:" + password + "@tcp(h"}, "not understood"},
		"MySQL without a database":      {store.Config{Type: "mysql", DataSource: my.mariadbSource("")}, "name of a database"},
		"MySQL, unknown user":           {store.Config{Type: "mysql", DataSource: "ann" + my.mariadbSource("x")}, "user or password"},
		"MySQL, unknown TLS setting":    {store.Config{Type: "mysql", DataSource: my.mariadbSource("x?tls=none-such")}, "none-such"},
		"MySQL, away":                   {store.Config{Type: "mysql", DataSource: "u:" + password + "@unix(" + nowhere + ")/x"}, "can't be reached"},
	} {
		s, err := store.Open(t.Context(), test.c, slog.New(slog.DiscardHandler))
		switch {
		case err == nil:
			s.Close()
			t.Errorf("%s: opened", name)
		case !strings.Contains(err.Error(), test.says):
			t.Errorf("%s: %q does not say %q", name, err, test.says)
		case strings.Contains(err.Error(), "canary"):
			t.Errorf("%s: %q shows the password", name, err)
		}
	}
}

func TestSchemaOfANewerProgramIsRefusedOnEveryServer(t *testing.T) {
	t.Parallel()
	for _, b := range remote() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			s := open(t, c)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			executeRemote(t, c, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
			s, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler))
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "newer program") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestMigrationThatWasCutOffIsFinished(t *testing.T) {
	t.Parallel()
	older := backend{"mysql without IF EXISTS of an index", func(t testing.TB) store.Config {
		s := mysql(t)
		return store.Config{Type: "mysql", DataSource: s.mariadbSource("ignored"), Database: s.database()}
	}}
	for _, b := range append(shared(), older) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			s := open(t, c)
			add(t, s, certificate(1))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			run := func(statement string) {
				if c.Type == "sqlite" {
					execute(t, c.DataSource, statement)
				} else {
					executeRemote(t, c, statement)
				}
			}
			run("DELETE FROM goose_db_version WHERE version_id > 0")
			run("DROP TABLE audit")
			run("DELETE FROM heartbeat")
			s = open(t, c)
			run("CREATE INDEX certificates_by_class ON certificates (class, id)") // a migration dropped it, and does so again
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			run("DELETE FROM goose_db_version WHERE version_id > 5")
			s = open(t, c)
			run("CREATE INDEX certificates_by_class ON certificates (class, id)")
			update(t, s, func(tx *store.Tx) error { return tx.AddAudit(store.Audit{Act: "sign"}) })
			view(t, s, func(tx *store.Tx) error {
				_, err := tx.Certificate("x509", certificate(1).Serial)
				return err
			})
		})
	}
}

func TestServersAreReachedByTLS(t *testing.T) {
	t.Parallel()
	pg, my := postgres(t), mariadb(t)
	pgSource := func(mode, roots string) store.Config {
		return store.Config{Type: "postgresql", Database: pg.database(), DataSource: fmt.Sprintf(
			"host=localhost port=%d user=signet password='%s' sslmode=%s sslrootcert=%s", pg.port, password, mode, roots)}
	}
	mySource := func(options string) store.Config {
		return store.Config{Type: "mysql", Database: my.database(), DataSource: fmt.Sprintf(
			"signet:%s@tcp(localhost:%d)/?%s", password, my.port, options)}
	}
	escaped := url.QueryEscape(my.dir + "/ca.pem")
	for name, test := range map[string]struct {
		c    store.Config
		says string // "" if it must work
	}{
		"PostgreSQL, its own root":     {pgSource("verify-full", pg.dir+"/ca.pem"), ""},
		"PostgreSQL, another root":     {pgSource("verify-full", my.dir+"/ca.pem"), "can't be reached"},
		"MariaDB, its own root":        {mySource("ssl-ca=" + escaped), ""},
		"MariaDB, unverified":          {mySource("tls=skip-verify"), ""},
		"MariaDB, the system's roots":  {mySource("tls=true"), "certificate"},
		"MariaDB, another root":        {mySource("ssl-ca=" + url.QueryEscape(pg.dir+"/ca.pem")), "certificate"},
		"MariaDB, no such file":        {mySource("ssl-ca=%2Fnone.pem"), "/none.pem"},
		"MariaDB, a key for no client": {mySource("ssl-ca=" + escaped + "&ssl-key=%2Fnone.pem"), "ssl-key"},
		"MariaDB, roots without a PEM": {mySource("ssl-ca=" + url.QueryEscape(my.dir+"/key.pem")), "no PEM"},
	} {
		s, err := store.Open(t.Context(), test.c, slog.New(slog.DiscardHandler))
		if err == nil {
			s.Close()
		}
		if (err == nil) != (test.says == "") || (err != nil && !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
