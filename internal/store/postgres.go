package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

var postgresDialect = dialect{
	open:      openPostgres,
	goose:     goose.DialectPostgres,
	numbered:  true,
	timeout:   30 * time.Second,
	begin:     "BEGIN",
	snapshot:  []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
	size:      "SELECT pg_database_size(current_database())",
	vacuum:    []string{"VACUUM (ANALYZE) certificates, certificate_names, spent_proofs, revocations, audit, crls, leases, revisions, servers, heartbeat"},
	skip:      " ON CONFLICT DO NOTHING", // an error would spoil the transaction
	duplicate: func(error) bool { return false },
	again:     func(err error) bool { return oneOf(postgresCode(err), "40001", "40P01") },
	lost:      postgresLost,
	words:     func(err error) string { return serverWords(postgresTrouble(err)) },
	advice:    postgresAdvice,
	pipeline:  postgresPipeline,
	exclusive: postgresExclusive,
	types: map[string]string{
		"id": "BIGINT", "int": "BIGINT", "text": "TEXT", "blob": "BYTEA",
		// Collation C compares bytes, as the other databases do, and is the fastest.
		"key16": `TEXT COLLATE "C"`, "key255": `TEXT COLLATE "C"`, "key512": `TEXT COLLATE "C"`,
		"rows": "", "clustered": "", "on_certificates": "",
	},
}

func openPostgres(ctx context.Context, d *dialect, c Config) (*database, error) {
	if c.DataSource == "" {
		return nil, errors.New("database type postgresql needs a dataSource, such as postgresql://user:password@host/database")
	}
	cfg, err := pgx.ParseConfig(c.DataSource)
	if err != nil {
		// The parser's own error quotes the source, password and all.
		return nil, errors.New("the dataSource of database type postgresql is not understood: it is a URL such as postgresql://user:password@host:5432/database?sslmode=verify-full, or words such as host=db user=ca dbname=ca")
	}
	if c.Database != "" {
		cfg.Database = c.Database
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = dialTimeout
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "signet"
	}
	base := &database{
		name:   fmt.Sprintf("%s@%s/%s", cfg.User, cfg.Host, cfg.Database),
		secret: cfg.Password,
	}
	err = ensurePostgres(ctx, cfg)
	if err == nil {
		err = flushPostgres(ctx, cfg, base)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", base.name, d.advise(base.redact(err)))
	}
	db := stdlib.OpenDB(*cfg)
	base.read, base.write = db, db
	return base, nil
}

// ensurePostgres creates the database if the server has none of that name.
func ensurePostgres(ctx context.Context, cfg *pgx.ConnConfig) error {
	err := onPostgres(ctx, cfg, cfg.Database, func(*pgx.Conn) error { return nil })
	if postgresCode(err) != "3D000" {
		return err
	}
	create := func(c *pgx.Conn) error {
		name := pgx.Identifier{cfg.Database}.Sanitize()
		_, err := c.Exec(ctx, "CREATE DATABASE "+name+" ENCODING 'UTF8' TEMPLATE template0")
		// Two servers that start at once both find it missing.
		if oneOf(postgresCode(err), "42P04", "23505") {
			return nil
		}
		return err
	}
	if err = onPostgres(ctx, cfg, "postgres", create); err != nil {
		err = onPostgres(ctx, cfg, "template1", create)
	}
	if err != nil {
		return fmt.Errorf("the database does not exist and can't be created: %w", err)
	}
	return nil
}

// flushPostgres sees to it that a commit is durable when it returns, and warns where only
// the operator of the server can.
func flushPostgres(ctx context.Context, cfg *pgx.ConnConfig, base *database) error {
	return onPostgres(ctx, cfg, cfg.Database, func(c *pgx.Conn) error {
		var fsync, commit string
		err := c.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('synchronous_commit')").Scan(&fsync, &commit)
		if err != nil {
			return err
		}
		if commit == "off" {
			cfg.RuntimeParams["synchronous_commit"] = "on"
		}
		if fsync == "off" {
			base.warning = "the server runs with fsync=off: a power cut may lose certificates that were handed out"
		}
		return nil
	})
}

func onPostgres(ctx context.Context, cfg *pgx.ConnConfig, name string, do func(*pgx.Conn) error) error {
	cfg = cfg.Copy()
	cfg.Database = name
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// postgresPipeline prepares each statement the first time a connection needs it.
func postgresPipeline(ctx context.Context, conn *sql.Conn, list []statement, texts []string) error {
	return conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the connection is a %T, not one of pgx", driver)
		}
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		for i := range list {
			batch.Queue(texts[i], list[i].args...)
		}
		results := c.Conn().SendBatch(ctx, batch)
		return errors.Join(postgresResults(results, list), results.Close())
	})
}

func postgresResults(results pgx.BatchResults, list []statement) error {
	if _, err := results.Exec(); err != nil {
		return err
	}
	for i := range list {
		one := &list[i]
		if one.rows == 0 {
			var found int64
			if err := results.QueryRow().Scan(&found); err != nil {
				return fmt.Errorf("look for revocations: %w", err)
			}
			if found > 0 {
				return errConflict
			}
			continue
		}
		done, err := results.Exec()
		if err != nil {
			return fmt.Errorf("write %s: %w", one.what(), err)
		}
		if done.RowsAffected() != one.rows {
			return errConflict
		}
	}
	return nil
}

// postgresExclusive takes an advisory lock, which a server that dies gives back.
func postgresExclusive(ctx context.Context, db *sql.DB) (func() error, error) {
	const lock = 0x7369676e6574 // "signet"
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("wait for another server to finish its migration: %w", err)
	}
	return func() error {
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(lock))
		return errors.Join(err, conn.Close())
	}, nil
}

// postgresCode is the SQLSTATE of an error, or "".
func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func postgresLost(err error) bool {
	// 0A000: a statement prepared before a migration that changed its result.
	return oneOf(postgresTrouble(err), away, stopping, readOnly) || postgresCode(err) == "0A000"
}

func postgresTrouble(err error) trouble {
	code := postgresCode(err)
	switch {
	case code == "":
		if _, dialing := errors.AsType[*pgconn.ConnectError](err); dialing || pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
			return away
		}
		return transportTrouble(err)
	case code == "25006":
		return readOnly // after a failover this connection is to the old primary
	case oneOf(code, "57P01", "57P02", "57P03") || code[:2] == "08":
		return stopping
	case code == "53100":
		return full
	case code[:2] == "53":
		return crowded
	case oneOf(code, "40001", "40P01", "55P03", "57014"):
		return contended
	case oneOf(code, "58030", "XX001", "XX002"):
		return damaged
	case oneOf(code, "42P01", "42703"):
		return foreign
	}
	return none
}

// postgresAdvice is for the operator at start.
func postgresAdvice(err error) string {
	switch code := postgresCode(err); {
	case oneOf(code, "28P01", "28000"):
		return "the server refuses user or password: look at the dataSource and at pg_hba.conf"
	case code == "42501":
		return "the user lacks a right: it has to own the database, or to be allowed to create one"
	default:
		return serverAdvice(postgresTrouble(err))
	}
}
