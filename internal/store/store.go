// Package store keeps the CA's records: certificates and their names, spent proofs,
// revocations, audit entries, CRLs. It owns every line of SQL.
//
// A change is one function given to [Store.Update]; it returns when what it wrote is on
// stable storage. Changes that wait at the same time share one commit (see group.go), so
// durability costs one disk flush for all of them.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

var (
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrExists: a record with this identity is there already: a serial used twice, a
	// proof spent before, a certificate revoked before.
	ErrExists = errors.New("record exists already")
	// ErrStale: the record is not in the state that the change expected.
	ErrStale = errors.New("record has changed in between")
)

// Config says where the records live.
type Config struct {
	Type       string // sqlite, postgresql, mysql or memory; case does not matter
	DataSource string // a file or folder for sqlite, a DSN for servers, nothing for memory
	Database   string // name on a server, created when missing; "" takes the DSN's
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	dialect *dialect
	log     *slog.Logger
	base    *database
	readers *pool
	queue   *queue
	writer  *writer
	id      string // tells this open store apart from the other servers'
	observe func(act string, took time.Duration, err error)
	lastID  atomic.Int64
	close   func() error // once
}

// Option is what an opener wants different.
type Option func(*options)

type options struct {
	noMigrate bool
	existing  bool
	observe   func(act string, took time.Duration, err error)
}

// NoMigrate refuses a database whose schema is older than this program's, instead of
// bringing it up to date.
func NoMigrate() Option { return func(o *options) { o.noMigrate = true } }

// Existing refuses to create a file that is not there, for those who only look.
func Existing() Option { return func(o *options) { o.existing = true } }

// Observe is told of each View and Update ("read", "write"): how long it took, with the
// wait for its turn, and how it ended. It is called from many goroutines.
func Observe(f func(act string, took time.Duration, err error)) Option {
	return func(o *options) { o.observe = f }
}

// Open opens the database, creating it when it is missing, and brings its schema up to
// this program's version. A schema one version newer is taken as it is, so that servers
// can be upgraded one after the other; one newer than that is refused.
func Open(ctx context.Context, c Config, log *slog.Logger, opts ...Option) (*Store, error) {
	var o options
	for _, set := range opts {
		set(&o)
	}
	d, ok := dialects[strings.ToLower(c.Type)]
	if !ok {
		return nil, fmt.Errorf("database type %q is not known: use sqlite, postgresql, mysql or memory", c.Type)
	}
	if o.existing && d == &sqliteDialect {
		path, err := sqlitePath(c.DataSource)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, fmt.Errorf("there is no database yet, the server creates it at its first start: %w", err)
		}
	}
	base, err := d.open(ctx, d, c)
	if err != nil {
		return nil, err
	}
	if base.warning != "" {
		log.Warn("database "+base.name+": "+base.warning, "act", "open")
	}
	note, err := migrate(ctx, d, base, o.noMigrate)
	if err != nil {
		base.close()
		return nil, err
	}
	if note != "" {
		log.Warn("database "+base.name+": "+note, "act", "open")
	}
	s := &Store{
		dialect: d,
		log:     log,
		base:    base,
		readers: newPool(d, base.read),
		queue:   newQueue(),
		id:      rand.Text(),
		observe: o.observe,
	}
	s.writer = newWriter(s)
	s.close = sync.OnceValue(s.shut)
	go s.writer.run()
	if err := s.update(ctx, beat); err != nil {
		s.Close()
		return nil, fmt.Errorf("write to database %s: %w", base.name, d.advise(base.redact(err)))
	}
	return s, nil
}

// Close lets the changes that wait finish, then closes the database. Later calls are
// refused.
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	s.queue.close()
	<-s.writer.stopped
	s.readers.close()
	return s.base.close()
}

// Durable reports whether records survive the process: all but those of type memory do.
func (s *Store) Durable() bool { return !s.dialect.volatile }

// Ping reports whether the database can be read and written now.
func (s *Store) Ping(ctx context.Context) error { return s.Update(ctx, beat) }

// beat is a change that leaves a trace, as a database that is full must be found so.
func beat(tx *Tx) error {
	n, err := tx.exec("UPDATE heartbeat SET beat = ? WHERE id = 1", time.Now().UnixNano())
	if err == nil && n == 0 {
		return errors.New("the database lacks its heartbeat row: it was altered by hand")
	}
	if err != nil {
		return err
	}
	return tx.versionFits()
}

// versionFits finds a schema that was changed under a running server.
func (tx *Tx) versionFits() error {
	var have int64
	if err := tx.row("SELECT max(version_id) FROM goose_db_version", nil, &have); err != nil {
		return fmt.Errorf("look at the version of the schema: %w", err)
	}
	if have > schemaVersion+1 || have < schemaVersion {
		return fault.New(fault.Unavailable, "the CA's database has schema version %d, this server works with %d and %d: run a program that fits", have, schemaVersion, schemaVersion+1)
	}
	return nil
}

// View runs read, which sees everything committed before. Each of its reads stands for
// itself: a commit between two of them shows in the second. It must not call View again,
// which may wait for this one.
func (s *Store) View(ctx context.Context, read func(*Tx) error) error {
	if s.observe == nil {
		return s.view(ctx, read)
	}
	began := time.Now()
	err := s.view(ctx, read)
	s.observe("read", time.Since(began), err)
	return err
}

func (s *Store) view(ctx context.Context, read func(*Tx) error) error {
	ss, err := s.readers.take(ctx)
	if err != nil {
		return s.explain(ctx, "read", err)
	}
	defer s.readers.put(ss)
	asked := ctx
	if s.dialect.local {
		// A query in this process takes microseconds; two goroutines that wait for its
		// caller to give up would take longer.
		asked = context.WithoutCancel(ctx)
	}
	tx := &Tx{ctx: asked, session: ss, store: s}
	err = read(tx)
	if tx.broken != nil {
		ss.lost = ss.lost || s.dialect.lost(tx.broken)
		if err == nil {
			err = tx.broken
		}
	}
	return s.explain(ctx, "read", err)
}

// explain gives a failure of the database words for the caller: an answer that tells what
// to do, and nothing about paths or hosts. Other errors pass unchanged.
func (s *Store) explain(ctx context.Context, act string, err error) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	if gone := ctx.Err(); gone != nil && errors.Is(err, gone) {
		return err // the caller gave up; the database may be well
	}
	words := s.dialect.words(err)
	if words == "" {
		return err
	}
	cause := fmt.Errorf("%s database %s: %w", act, s.base.name, s.base.redact(err))
	return fault.Wrap(cause, fault.Unavailable, "%s", words)
}

// nextID is a number for a new row: 52 bits of microseconds and 11 bits to tell servers
// apart that share the database. It rises within a process, so that rows land at the end
// of their table; uniqueness is the database's to enforce.
func (s *Store) nextID() int64 {
	for {
		last := s.lastID.Load()
		id := time.Now().UnixMicro()<<11 | s.base.salt()
		if id <= last {
			id = last + 1
		}
		if s.lastID.CompareAndSwap(last, id) {
			return id
		}
	}
}
