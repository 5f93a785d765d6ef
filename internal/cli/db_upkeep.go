package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// checkResult is what a check found.
type checkResult struct {
	Database string           `json:"database" help:"the database, without secrets"`
	Good     bool             `json:"good" help:"nothing is wrong"`
	Problems []string         `json:"problems" help:"what is wrong, in words; the first hundred"`
	Rows     map[string]int64 `json:"rows" help:"number of rows read of each table"`
}

func (r *checkResult) Text() string { return rowsText(r.Rows) }

func dbCheck() *command {
	var where recordsFlags
	return &command{
		short: "check the database of a CA",
		long: `Has the database check its own files where it can, reads every row, and compares what has to agree: the
			names of certificates with their index, types with classes, serial numbers with their form. Servers go on
			serving meanwhile; it takes reading the whole database. It changes nothing.`,
		examples: []example{
			{"Check the database of the home directory", "signet db check"},
			{"Check it from a script", "signet db check --json --quiet"},
		},
		exits:  []exitNote{{1, "something is wrong, or the database can't be opened"}},
		flags:  where.register,
		result: &checkResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			r := &checkResult{Problems: []string{}}
			err := where.with(ctx, env, func(s *store.Store) (err error) {
				r.Database = s.Name()
				var found []string
				found, r.Rows, err = s.Check(ctx, env.progress())
				r.Problems = append(r.Problems, found...)
				return err
			})
			if err != nil {
				return nil, err
			}
			if r.Good = len(r.Problems) == 0; r.Good {
				env.Done("Database", "%s", r.Database)
				return r, nil
			}
			for _, p := range r.Problems {
				env.Fail("Database", "%s", printable(p))
			}
			return r, exitWith(exitFailure, nil)
		},
	}
}

// statsResult is what a database holds.
type statsResult struct {
	Database string           `json:"database" help:"the database, without secrets"`
	Type     string           `json:"type" help:"sqlite, postgresql or mysql"`
	Schema   int64            `json:"schema" help:"version of the schema"`
	Bytes    int64            `json:"bytes" help:"size of tables and indexes"`
	Rows     map[string]int64 `json:"rows" help:"number of rows of each table"`
	Expired  int64            `json:"expired" help:"number of certificates past their end"`
	Servers  []serverResult   `json:"servers" help:"servers that use the database now"`
}

type serverResult struct {
	Host      string    `json:"host" help:"name of its machine"`
	Version   string    `json:"version" help:"version of its program"`
	IssuerKey string    `json:"issuerKey" help:"fingerprint of its issuing key"`
	StartedAt time.Time `json:"startedAt" help:"when it started"`
	SeenAt    time.Time `json:"seenAt" help:"when it was last seen"`
}

func (r *statsResult) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %s\n%-18s %s\n%-18s %12d\n%-18s %12d\n", "database", r.Database, "type", r.Type, "schema", r.Schema, "bytes", r.Bytes)
	b.WriteString(rowsText(r.Rows))
	fmt.Fprintf(&b, "%-18s %12d\n%-18s %12d\n", "expired", r.Expired, "servers", len(r.Servers))
	for _, s := range r.Servers {
		fmt.Fprintf(&b, "  %s, version %s, since %s\n", printable(s.Host), printable(s.Version), s.StartedAt.Format(time.RFC3339))
	}
	return b.String()
}

func dbStats() *command {
	var where recordsFlags
	return &command{
		short: "show what the database of a CA holds",
		long: `Counts the rows of each table, and shows the size of the database, the version of its schema and the servers
			that use it now. Servers go on serving meanwhile.`,
		examples: []example{
			{"Show what the database of the home directory holds", "signet db stats"},
			{"Print the number of certificates", "signet db stats --json | jq .rows.certificates"},
		},
		flags:  where.register,
		result: &statsResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			var r *statsResult
			err := where.with(ctx, env, func(s *store.Store) error {
				st, err := s.Stats(ctx, env.Now())
				if err != nil {
					return err
				}
				r = &statsResult{Database: st.Name, Type: st.Type, Schema: st.Schema, Bytes: st.Bytes, Rows: st.Rows,
					Expired: st.Expired, Servers: []serverResult{}}
				for _, v := range st.Servers {
					r.Servers = append(r.Servers, serverResult{v.Host, v.Version, v.IssuerKeyID, v.StartedAt, v.SeenAt})
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}

// sizeResult is a database before and after it was made smaller.
type sizeResult struct {
	Database string `json:"database" help:"the database, without secrets"`
	Before   int64  `json:"before" help:"bytes before"`
	After    int64  `json:"after" help:"bytes after"`
}

func (r *sizeResult) Text() string {
	return fmt.Sprintf("%d bytes before, %d after", r.Before, r.After)
}

func dbVacuum() *command {
	var where recordsFlags
	return &command{
		short: "give free space of the database of a CA back",
		long: `Removed records leave space behind that new ones fill. This gives it back to the disk, and renews what the
			database knows of its tables. It removes no record: that is for the settings signet.retention.

			On SQLite servers can't write meanwhile, and the disk needs room for a second copy: with a large database,
			stop the server. PostgreSQL makes the space free for new records; MySQL builds its tables anew.`,
		examples: []example{{"Give free space back", "signet db vacuum"}},
		flags:    where.register,
		result:   &sizeResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			r := &sizeResult{}
			err := where.with(ctx, env, func(s *store.Store) (err error) {
				r.Database = s.Name()
				if r.Before, err = s.Size(ctx); err != nil {
					return err
				}
				env.Note("working on %s; a large database takes minutes", r.Database)
				if err = s.Vacuum(ctx); err != nil {
					return err
				}
				r.After, err = s.Size(ctx)
				return err
			})
			if err != nil {
				return nil, err
			}
			env.Done("Database", "%s", r.Database)
			return r, nil
		},
	}
}

// migrateResult is the schema after a migration.
type migrateResult struct {
	Database string `json:"database" help:"the database, without secrets"`
	Schema   int64  `json:"schema" help:"version of the schema now"`
	Changed  bool   `json:"changed" help:"a migration was due"`
}

func (r *migrateResult) Text() string { return fmt.Sprintf("schema version %d", r.Schema) }

func dbMigrate() *command {
	var where recordsFlags
	return &command{
		short: "bring the database of a CA up to this program's version",
		long: `Creates the database if it is missing, and changes its schema to the version that this program needs. A
			server does the same at its start unless it is told --no-migrate. Servers one version older go on working on
			the new schema, so that they can be upgraded one after the other; there is no way back but a backup.`,
		examples: []example{{"Migrate before servers that run with --no-migrate are upgraded", "signet db migrate --ca-config /etc/signet/ca.json"}},
		flags:    where.register,
		result:   &migrateResult{},
		run: func(ctx context.Context, env *Env, _ []string) (any, error) {
			r := &migrateResult{}
			s, err := where.open(ctx, env, store.Existing(), store.NoMigrate())
			if err != nil {
				if s, err = where.open(ctx, env); err != nil {
					return nil, err
				}
				r.Changed = true
			}
			r.Database = s.Name()
			r.Schema, err = s.Schema(ctx)
			if err = errors.Join(err, s.Close()); err != nil {
				return nil, err
			}
			env.Done("Database", "%s", r.Database)
			return r, nil
		},
	}
}
