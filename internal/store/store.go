// Package store keeps the CA's records: certificates and their names, spent proofs,
// revocations, audit entries, CRLs. It owns every line of SQL.
//
// A change is one function given to [Store.Update]; it returns when what it wrote is on
// stable storage. Changes that wait at the same time share one commit (see group.go), so
// durability costs one disk flush for all of them.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	lastID  atomic.Int64
	close   func() error // once
}

// Open opens the database, creating it when it is missing, and brings its schema up to
// this program's version. It refuses one that a newer program has written.
func Open(ctx context.Context, c Config, log *slog.Logger) (*Store, error) {
	d, ok := dialects[strings.ToLower(c.Type)]
	if !ok {
		return nil, fmt.Errorf("database type %q is not known: use sqlite, postgresql, mysql or memory", c.Type)
	}
	base, err := d.open(ctx, d, c)
	if err != nil {
		return nil, err
	}
	if base.warning != "" {
		log.Warn("database "+base.name+": "+base.warning, "act", "open")
	}
	if err := migrate(ctx, d, base); err != nil {
		base.close()
		return nil, err
	}
	s := &Store{
		dialect: d,
		log:     log,
		base:    base,
		readers: newPool(d, base.read),
		queue:   newQueue(),
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
	return err
}

// View runs read, which sees everything committed before. Each of its reads stands for
// itself: a commit between two of them shows in the second. It must not call View again,
// which may wait for this one.
func (s *Store) View(ctx context.Context, read func(*Tx) error) error {
	ss, err := s.readers.take(ctx)
	if err != nil {
		return s.explain(ctx, "read", err)
	}
	defer s.readers.put(ss)
	tx := &Tx{ctx: ctx, session: ss, store: s}
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
