package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// dialect is what one database does its own way. SQL is written once, with ? for
// arguments; what differs is a field here.
type dialect struct {
	open     func(ctx context.Context, d *dialect, c Config) (*database, error)
	goose    goose.Dialect
	numbered bool              // arguments are $1, $2 ... instead of ?
	volatile bool              // records die with the process
	local    bool              // the database runs inside this process
	timeout  time.Duration     // bound on one group of changes; 0: none, nothing is far away
	begin    string            // starts a transaction that will write
	snapshot []string          // start a transaction that sees one state, and writes nothing
	size     string            // query of the bytes that tables and indexes take
	checks   string            // has the database check itself; the last column says ok; "" if it can't
	vacuum   []string          // give free space back
	skip     string            // ends an INSERT that passes over a row which exists
	types    map[string]string // words of the migration files

	duplicate func(error) bool   // a row with this key exists
	again     func(error) bool   // the transaction lost a race and may be run again
	lost      func(error) bool   // the connection is of no more use
	words     func(error) string // what to tell a caller; "" for our own mistakes
	advice    func(error) string // what to tell the operator at start; "" for nothing special

	// pipeline begins a transaction and runs statements in it, all in one round trip: errConflict
	// if one does not touch, or find, as many rows as it has to. nil: the driver can't.
	pipeline func(ctx context.Context, conn *sql.Conn, list []statement, texts []string) error

	// exclusive keeps other servers out while the schema is changed.
	exclusive func(ctx context.Context, db *sql.DB) (release func() error, err error)
}

// dialects is every type of database we open, by its name in the configuration.
var dialects = map[string]*dialect{
	"sqlite":     &sqliteDialect,
	"postgresql": &postgresDialect,
	"mysql":      &mysqlDialect,
	"memory":     &memoryDialect,
}

// database is an open database, before the store puts its own order on it.
type database struct {
	name   string  // path, or user@host/name: for errors and logs
	read   *sql.DB // for View
	write  *sql.DB // for the one writer and migrations
	secret string  // password inside the DSN, kept out of errors

	warning string // what the operator should know; "" for nothing
	noIfNew bool   // an index can't be created IF NOT EXISTS, nor dropped IF EXISTS
}

// salt tells rows of servers apart that are born in the same microsecond.
func (b *database) salt() int64 { return rand.Int64N(1 << 11) }

func (b *database) close() error {
	err := b.write.Close()
	if b.read != b.write {
		err = errors.Join(b.read.Close(), err)
	}
	return err
}

// redact keeps the password of a DSN out of an error that a driver made.
func (b *database) redact(err error) error {
	if err == nil || b.secret == "" {
		return err
	}
	text := err.Error()
	for _, secret := range []string{b.secret, url.QueryEscape(b.secret), url.PathEscape(b.secret)} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	if text == err.Error() {
		return err
	}
	return &redacted{text, err}
}

// redacted is an error with other words; what kind it is can still be asked.
type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.err }

// bind turns our ? into the dialect's own marks. Our SQL has no ? inside quotes.
func (d *dialect) bind(query string) string {
	if !d.numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// advise puts what the operator can do before a failure at start.
func (d *dialect) advise(err error) error {
	if words := d.advice(err); words != "" {
		return fmt.Errorf("%s: %w", words, err)
	}
	return err
}
