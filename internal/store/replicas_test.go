package store_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

// alter does to a closed or open database what no exported verb does.
func alter(t *testing.T, c store.Config, statement string) {
	t.Helper()
	if c.Type == "sqlite" {
		execute(t, c.DataSource, statement)
		return
	}
	executeRemote(t, c, statement)
}

// replicas runs a test with two stores open on one database of each kind.
func replicas(t *testing.T, test func(t *testing.T, c store.Config, one, two *store.Store)) {
	t.Helper()
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			test(t, c, open(t, c), open(t, c))
		})
	}
}

func TestJobIsDoneByOneServer(t *testing.T) {
	replicas(t, func(t *testing.T, _ store.Config, one, two *store.Store) {
		var done atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			for _, s := range []*store.Store{one, two} {
				wg.Go(func() {
					_, err := s.RunJob(t.Context(), store.Job{Name: "sweep", Every: time.Hour}, func(context.Context) error {
						done.Add(1)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if n := done.Load(); n != 1 {
			t.Errorf("done %d times within its hour", n)
		}
	})
}

func TestJobThatFailedIsStillDue(t *testing.T) {
	replicas(t, func(t *testing.T, _ store.Config, one, two *store.Store) {
		job := store.Job{Name: "sweep", Every: time.Hour}
		broken := errors.New("broken")
		if ran, err := one.RunJob(t.Context(), job, func(context.Context) error { return broken }); !ran || !errors.Is(err, broken) {
			t.Errorf("got %v, %v", ran, err)
		}
		if ran, err := two.RunJob(t.Context(), job, func(context.Context) error { return nil }); !ran || err != nil {
			t.Errorf("got %v, %v", ran, err)
		}
		if ran, err := one.RunJob(t.Context(), job, func(context.Context) error { return nil }); ran || err != nil {
			t.Errorf("after the other server did it: %v, %v", ran, err)
		}
	})
}

func TestLeaseOfAKilledHolderExpires(t *testing.T) {
	replicas(t, func(t *testing.T, c store.Config, one, two *store.Store) {
		job := store.Job{Name: "crl", Lease: time.Hour}
		mine := func(s *store.Store) bool {
			ran, err := s.RunJob(t.Context(), job, func(context.Context) error { return nil })
			if err != nil {
				t.Error(err)
			}
			return ran
		}
		if !mine(one) || !mine(two) {
			t.Error("a job that is always due was not done")
		}
		// A killed holder leaves just this row behind.
		alter(t, c, "UPDATE leases SET holder = 'killed', expires_at = 9999999999999")
		if mine(one) {
			t.Error("done while another server held the lease")
		}
		alter(t, c, "UPDATE leases SET expires_at = 1")
		if !mine(two) {
			t.Error("not done after the lease of the killed holder had expired")
		}
	})
}

func TestJobEndsWhenItsLeaseIsLost(t *testing.T) {
	replicas(t, func(t *testing.T, c store.Config, one, _ *store.Store) {
		ran, err := one.RunJob(t.Context(), store.Job{Name: "crl", Lease: 300 * time.Millisecond}, func(ctx context.Context) error {
			alter(t, c, "UPDATE leases SET holder = 'another'")
			<-ctx.Done()
			return nil
		})
		if !ran || err == nil {
			t.Errorf("got %v, %v", ran, err)
		}
	})
}

func TestRevisionWakesTheOtherServers(t *testing.T) {
	replicas(t, func(t *testing.T, _ store.Config, one, two *store.Store) {
		ctx, stop := context.WithCancel(t.Context())
		heard := make(chan int64)
		go two.Watch(ctx, "policy", func(n int64) { heard <- n })
		if n := <-heard; n != 0 {
			t.Errorf("starts at %d", n)
		}
		for want := int64(1); want <= 2; want++ {
			update(t, one, func(tx *store.Tx) error { return tx.Bump("policy") })
			if n := <-heard; n != want {
				t.Errorf("heard %d, not %d", n, want)
			}
		}
		stop()
		update(t, one, func(tx *store.Tx) error {
			return errors.Join(tx.SetRevision("covered", 7), tx.SetRevision("covered", 5))
		})
		view(t, two, func(tx *store.Tx) error {
			n, err := tx.Revision("covered")
			if n != 7 {
				t.Errorf("a revision went back to %d", n)
			}
			return err
		})
	})
}

func TestConcurrentChangesEachRaiseTheRevision(t *testing.T) {
	replicas(t, func(t *testing.T, _ store.Config, one, two *store.Store) {
		var wg sync.WaitGroup
		for range 10 {
			for _, s := range []*store.Store{one, two} {
				wg.Go(func() {
					if err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.Bump("policy") }); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		view(t, one, func(tx *store.Tx) error {
			n, err := tx.Revision("policy")
			if n != 20 {
				t.Errorf("20 changes gave revision %d", n)
			}
			return err
		})
	})
}

func TestServersOfAnotherAuthorityAreFound(t *testing.T) {
	replicas(t, func(t *testing.T, c store.Config, one, two *store.Store) {
		early, late := time.Now().Add(-time.Minute), time.Now()
		a := store.Server{Host: "a", IssuerKeyID: "key a", StartedAt: early}
		for name, test := range map[string]struct {
			b              store.Server
			older, younger int
		}{
			"same key":                 {store.Server{IssuerKeyID: "key a", StartedAt: late}, 0, 0},
			"another key":              {store.Server{IssuerKeyID: "key b", StartedAt: late}, 1, 0},
			"another key, there first": {store.Server{IssuerKeyID: "key b", StartedAt: early.Add(-time.Hour)}, 0, 1},
			"the key that follows":     {store.Server{IssuerKeyID: "key b", Knows: []string{"key a"}, StartedAt: late}, 0, 0},
		} {
			alter(t, c, "DELETE FROM servers")
			for _, err := range []error{one.Announce(t.Context(), a), two.Announce(t.Context(), test.b)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			older, younger, err := two.Strangers(t.Context(), test.b)
			if err != nil || len(older) != test.older || len(younger) != test.younger {
				t.Errorf("%s: %d older, %d younger, %v", name, len(older), len(younger), err)
			}
		}
		alter(t, c, "UPDATE servers SET seen_at = 1")
		view(t, one, func(tx *store.Tx) error {
			all, err := tx.Servers(time.Now())
			if len(all) > 0 {
				t.Errorf("servers that are gone are listed: %v", all)
			}
			return err
		})
	})
}

func TestServerSignsOffWhenItStops(t *testing.T) {
	replicas(t, func(t *testing.T, _ store.Config, one, two *store.Store) {
		hosts := func() (hosts []string) {
			view(t, two, func(tx *store.Tx) error {
				all, err := tx.Servers(time.Now())
				for _, s := range all {
					hosts = append(hosts, s.Host)
				}
				return err
			})
			return hosts
		}
		ctx, stop := context.WithCancel(t.Context())
		asked, ended := make(chan bool, 8), make(chan bool)
		go func() {
			defer close(ended)
			one.Attend(ctx, func() store.Server { asked <- true; return store.Server{Host: "a"} }, func(err error) { t.Error(err) })
		}()
		<-asked
		for !slices.Contains(hosts(), "a") {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		<-ended
		if slices.Contains(hosts(), "a") {
			t.Error("still listed")
		}
	})
}

func TestSchemaOneVersionNewerIsTakenAndTwoAreRefused(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			applied := "true"
			if c.Type == "sqlite" {
				applied = "1"
			}
			newer := func(version string) {
				alter(t, c, "INSERT INTO goose_db_version (version_id, is_applied) VALUES ("+version+", "+applied+")")
			}
			first := open(t, c)
			version, err := first.Schema(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			newer(strconv.FormatInt(version+1, 10))
			var said strings.Builder
			s, err := store.Open(t.Context(), c, slog.New(slog.NewTextHandler(&said, nil)))
			if err != nil {
				t.Fatal(err)
			}
			add(t, s, certificate(1))
			if err := errors.Join(s.Ping(t.Context()), s.Close(), first.Ping(t.Context())); err != nil {
				t.Error(err)
			}
			if !strings.Contains(said.String(), "upgrade this server") {
				t.Errorf("the log says %q", &said)
			}
			newer(strconv.FormatInt(version+2, 10))
			s, err = store.Open(t.Context(), c, slog.New(slog.DiscardHandler))
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "newer program") {
				t.Errorf("two versions newer: %v", err)
			}
			if err := first.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
				t.Errorf("a server that runs while the schema is made two versions newer is ready: %v", err)
			}
		})
	}
}

func TestMigrationThatIsDueCanBeForbidden(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			refused := func() {
				t.Helper()
				s, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler), store.NoMigrate())
				if err == nil {
					s.Close()
				}
				if err == nil || !strings.Contains(err.Error(), "migration is due") {
					t.Errorf("got %v", err)
				}
			}
			refused()
			s := open(t, c)
			add(t, s, certificate(1))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			alter(t, c, "DELETE FROM goose_db_version WHERE version_id > 1")
			for _, table := range []string{"leases", "revisions", "servers"} {
				alter(t, c, "DROP TABLE "+table)
			}
			refused()
			if err := open(t, c).Ping(t.Context()); err != nil { // migrates
				t.Error(err)
			}
			s, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler), store.NoMigrate())
			if err != nil {
				t.Fatal(err)
			}
			view(t, s, func(tx *store.Tx) error {
				_, err := tx.Certificate("x509", certificate(1).Serial)
				return err
			})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMissingTableIsAnsweredAsUnavailable(t *testing.T) {
	replicas(t, func(t *testing.T, c store.Config, one, _ *store.Store) {
		alter(t, c, "DROP TABLE audit")
		err := one.Update(t.Context(), func(tx *store.Tx) error { return tx.AddAudit(store.Audit{Act: "sign"}) })
		if !fault.Is(err, fault.Unavailable) || strings.Contains(fault.Of(err).Message, "audit") {
			t.Errorf("got %v", err)
		}
	})
}

func TestServerThatDoesNotMigrateNeedsNoRightOverTheSchema(t *testing.T) {
	t.Parallel()
	pg := postgres(t)
	c := store.Config{Type: "postgresql", DataSource: pg.postgresSource("ignored"), Database: pg.database()}
	open(t, c) // migrates, as the owner
	alter(t, c, "CREATE ROLE clerk LOGIN PASSWORD '"+password+"'")
	alter(t, c, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk")
	c.DataSource = strings.Replace(c.DataSource, "//signet:", "//clerk:", 1)
	s, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler), store.NoMigrate())
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, certificate(1))
	update(t, s, func(tx *store.Tx) error { return tx.Bump("revocations") })
	if _, err := s.RunJob(t.Context(), store.Job{Name: "sweep"}, func(ctx context.Context) error { _, err := s.Sweep(ctx, time.Now()); return err }); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
