package store

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

// mysqlDialect is MySQL and MariaDB.
var mysqlDialect = dialect{
	open:     openMySQL,
	goose:    goose.DialectMySQL,
	timeout:  30 * time.Second,
	begin:    "START TRANSACTION",
	snapshot: []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"},
	size:     "SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE()",
	checks:   "CHECK TABLE certificates, certificate_names, spent_proofs, revocations, audit, crls, leases, revisions, servers, heartbeat",
	vacuum:   []string{"OPTIMIZE TABLE certificates, certificate_names, spent_proofs, revocations, audit, crls, leases, revisions, servers, heartbeat"},
	// INSERT IGNORE would pass over other errors too; a duplicate spoils nothing here.
	duplicate: func(err error) bool { return mysqlCode(err) == 1062 },
	again:     func(err error) bool { return mysqlTrouble(err) == contended },
	lost:      mysqlLost,
	words:     func(err error) string { return serverWords(mysqlTrouble(err)) },
	advice:    mysqlAdvice,
	exclusive: mysqlExclusive,
	types: map[string]string{
		"id": "BIGINT", "int": "BIGINT", "blob": "LONGBLOB",
		"text": "MEDIUMTEXT CHARACTER SET utf8mb4",
		// Bytes, because every text collation takes some different keys for the same.
		"key16": "VARBINARY(16)", "key255": "VARBINARY(255)", "key512": "VARBINARY(512)",
		"rows": "ENGINE=InnoDB ROW_FORMAT=DYNAMIC", "clustered": "ENGINE=InnoDB ROW_FORMAT=DYNAMIC", "on_certificates": "ON certificates",
	},
}

func openMySQL(ctx context.Context, d *dialect, c Config) (*database, error) {
	if c.DataSource == "" {
		return nil, errors.New("database type mysql needs a dataSource, such as user:password@tcp(host:3306)/database")
	}
	cfg, err := mysql.ParseDSN(c.DataSource)
	if err != nil {
		return nil, fmt.Errorf("the dataSource of database type mysql is not understood, it looks like user:password@tcp(host:3306)/database?tls=true: %w", err)
	}
	if err := mysqlTLS(cfg); err != nil {
		return nil, fmt.Errorf("TLS settings in the dataSource of database type mysql: %w", err)
	}
	if c.Database != "" {
		cfg.DBName = c.Database
	}
	if cfg.DBName == "" {
		return nil, errors.New("database type mysql needs the name of a database: set database, or end dataSource with it")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	cfg.ClientFoundRows = true // an UPDATE that finds its row is no failure if it changes nothing
	cfg.Logger = &mysql.NopLogger{}
	base := &database{name: fmt.Sprintf("%s@%s/%s", cfg.User, cfg.Addr, cfg.DBName), secret: cfg.Passwd}
	err = ensureMySQL(ctx, cfg)
	if err == nil {
		err = tuneMySQL(ctx, cfg, base)
	}
	if err == nil {
		base.write, err = connectMySQL(cfg, cfg.DBName)
		base.read = base.write
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", base.name, d.advise(base.redact(err)))
	}
	return base, nil
}

// mysqlTLS takes the options ssl-ca, ssl-cert and ssl-key, named as MySQL's own clients
// name them: the driver knows the roots of the system and no files.
func mysqlTLS(cfg *mysql.Config) error {
	option := func(name string) string {
		v := cfg.Params[name]
		delete(cfg.Params, name)
		return v
	}
	roots, cert, key := option("ssl-ca"), option("ssl-cert"), option("ssl-key")
	if roots == "" && cert == "" && key == "" {
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if host, _, err := net.SplitHostPort(cfg.Addr); err == nil {
		t.ServerName = host
	}
	if roots != "" {
		pem, err := os.ReadFile(roots)
		if err != nil {
			return fmt.Errorf("read ssl-ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ssl-ca %s holds no PEM certificate", roots)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("read ssl-cert and ssl-key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	cfg.TLS = t
	return nil
}

func connectMySQL(cfg *mysql.Config, name string) (*sql.DB, error) {
	cfg = cfg.Clone()
	cfg.DBName = name
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// ensureMySQL creates the database if the server has none of that name.
func ensureMySQL(ctx context.Context, cfg *mysql.Config) error {
	err := onMySQL(cfg, cfg.DBName, func(db *sql.DB) error { return db.PingContext(ctx) })
	if mysqlCode(err) != 1049 {
		return err
	}
	return onMySQL(cfg, "", func(db *sql.DB) error {
		name := "`" + strings.ReplaceAll(cfg.DBName, "`", "``") + "`"
		_, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+name+" CHARACTER SET utf8mb4")
		if err != nil {
			return fmt.Errorf("the database does not exist and can't be created: %w", err)
		}
		return nil
	})
}

func onMySQL(cfg *mysql.Config, name string, do func(*sql.DB) error) error {
	db, err := connectMySQL(cfg, name)
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}

// tuneMySQL sets for our connections what the SQL here relies on.
func tuneMySQL(ctx context.Context, cfg *mysql.Config, base *database) error {
	return onMySQL(cfg, cfg.DBName, func(db *sql.DB) error {
		var isolation string // the variable's name changed between versions
		var unused any
		err := db.QueryRowContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')").Scan(&isolation, &unused)
		if err != nil {
			return err
		}
		if cfg.Params == nil {
			cfg.Params = make(map[string]string)
		}
		// REPEATABLE READ would lock the gaps between rows, and writers each other out.
		cfg.Params[isolation] = "'READ-COMMITTED'"
		cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
		cfg.Params["innodb_lock_wait_timeout"] = "5"
		var version, flush string
		if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
			return err
		}
		base.noIfNew = !strings.Contains(version, "MariaDB") && !strings.Contains(version, "TiDB")
		err = db.QueryRowContext(ctx, "SHOW VARIABLES LIKE 'innodb_flush_log_at_trx_commit'").Scan(&unused, &flush)
		if err == nil && flush != "1" {
			base.warning = "the server runs with innodb_flush_log_at_trx_commit=" + flush + ": a power cut may lose certificates that were handed out"
		}
		if errors.Is(err, sql.ErrNoRows) {
			return nil // not InnoDB, as in TiDB
		}
		return err
	})
}

// mysqlExclusive takes a lock by name, which a server that dies gives back.
func mysqlExclusive(ctx context.Context, db *sql.DB) (func() error, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var name string
	var got sql.NullInt64
	err = conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&name)
	if err == nil {
		// Such locks are the whole server's, and their names are short.
		sum := sha256.Sum256([]byte(name))
		name = "signet " + hex.EncodeToString(sum[:16])
		err = conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 60)", name).Scan(&got)
	}
	if err == nil && got.Int64 != 1 {
		err = errors.New("it took more than a minute")
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("wait for another server to finish its migration: %w", err)
	}
	return func() error {
		_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", name)
		return errors.Join(err, conn.Close())
	}, nil
}

// mysqlCode is the server's number of an error, or 0.
func mysqlCode(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

func mysqlLost(err error) bool { return oneOf(mysqlTrouble(err), away, stopping, readOnly) }

func mysqlTrouble(err error) trouble {
	switch mysqlCode(err) {
	case 0:
		for _, broken := range []error{mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrBusyBuffer} {
			if errors.Is(err, broken) {
				return away
			}
		}
		return transportTrouble(err)
	case 1205, 1213, 1020, 9007: // lock wait, deadlock, changed since read, TiDB's write conflict
		return contended
	case 1053, 1077, 1079, 1152, 1184, 1317, 1927: // shutdown, killed
		return stopping
	case 1290, 1792, 1836:
		return readOnly // after a failover this connection is to the old primary
	case 1021, 1114, 1030:
		return full
	case 1040, 1041, 1203, 1226:
		return crowded
	case 1034, 1194, 1712:
		return damaged
	case 1146, 1054, 1049:
		return foreign
	}
	return none
}

// mysqlAdvice is for the operator at start.
func mysqlAdvice(err error) string {
	switch mysqlCode(err) {
	case 1045, 1698:
		return "the server refuses user or password: look at the dataSource"
	case 1044, 1142, 1227:
		return "the user lacks a right: it needs all of them on its database, and CREATE if that is to be created"
	}
	return serverAdvice(mysqlTrouble(err))
}
