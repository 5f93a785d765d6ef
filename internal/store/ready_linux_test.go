package store_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	ca "github.com/signet-ca/signet/internal/server"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// These tests look at whole servers, from outside, while their database misbehaves.

func TestServerIsReadyAgainWhenItsDatabaseComesBack(t *testing.T) {
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
			database, err := test.start()
			if err != nil {
				t.Fatal(err)
			}
			a := newAuthority(t)
			m := a.member(t, store.Config{Type: name, DataSource: test.source(database, "signet")})

			database.stop()
			err = ca.Run(t.Context(), m.options(slog.New(slog.DiscardHandler)))
			if err == nil || !strings.Contains(err.Error(), "can't be reached") || strings.Contains(err.Error(), password) {
				t.Errorf("a start without the database said %v", err)
			}
			restart(t, database)
			m.serve(t)
			a.until(t, m, http.StatusOK, `"ready":true`)
			client := a.client(t, m.address)
			token := a.Token("a.example.com", testca.SANs("a.example.com"))

			database.stop()
			a.until(t, m, http.StatusServiceUnavailable, "can't reach its database")
			_, err = client.Sign(t.Context(), a.ask(t, token, "a.example.com"))
			if statusOf(err) != http.StatusServiceUnavailable || strings.Contains(err.Error(), database.dir) {
				t.Errorf("a request without the database was answered %v", err)
			}
			restart(t, database)
			a.until(t, m, http.StatusOK, `"ready":true`)
			if _, err := client.Sign(t.Context(), a.ask(t, token, "a.example.com")); err != nil {
				t.Errorf("the token that was refused meanwhile: %v", err)
			}
		})
	}
}

func restart(t *testing.T, database *server) {
	t.Helper()
	if err := database.start(); err != nil {
		t.Fatal(err)
	}
}

func TestServerIsNotReadyOnADatabaseThatTakesNoChanges(t *testing.T) {
	t.Parallel()
	database, err := startPostgres() // its own, since the setting is the whole server's
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	c := store.Config{Type: "postgresql", DataSource: database.postgresSource("ignored"), Database: "signet"}
	m := a.member(t, c)
	m.serve(t)
	a.until(t, m, http.StatusOK, "")
	executeRemote(t, c, "ALTER SYSTEM SET default_transaction_read_only = on")
	executeRemote(t, c, "SELECT pg_reload_conf()")
	a.until(t, m, http.StatusServiceUnavailable, "takes no changes")
	token := a.Token("a.example.com", testca.SANs("a.example.com"))
	client := a.client(t, m.address)
	if _, err := client.Sign(t.Context(), a.ask(t, token, "a.example.com")); statusOf(err) != http.StatusServiceUnavailable {
		t.Errorf("a request was answered %v", err)
	}
	executeRemote(t, c, "ALTER SYSTEM RESET default_transaction_read_only")
	executeRemote(t, c, "SELECT pg_reload_conf()")
	a.until(t, m, http.StatusOK, "")
	if _, err := client.Sign(t.Context(), a.ask(t, token, "a.example.com")); err != nil {
		t.Error(err)
	}
}

func TestServerIsNotReadyOnASchemaThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			a := newAuthority(t)
			m := a.member(t, c)
			m.serve(t)
			a.until(t, m, http.StatusOK, "")
			applied := map[string]string{"sqlite": "1"}[c.Type]
			if applied == "" {
				applied = "true"
			}
			alter(t, c, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, "+applied+")")
			a.until(t, m, http.StatusServiceUnavailable, "schema version 99")
			alter(t, c, "DELETE FROM goose_db_version WHERE version_id = 99")
			a.until(t, m, http.StatusOK, "")
		})
	}
}

func TestSecondAuthorityOnADatabaseIsNotReady(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			first, second := newAuthority(t), newAuthority(t)
			one, two := first.member(t, c), second.member(t, c)
			stop := one.serve(t)
			first.until(t, one, http.StatusOK, "")
			two.serve(t)
			second.until(t, two, http.StatusServiceUnavailable, "another issuing key")
			first.until(t, one, http.StatusOK, "another issuing key") // warned, and not taken down
			stop()
			second.until(t, two, http.StatusOK, "")
		})
	}
}
