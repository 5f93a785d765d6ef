package store

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"time"

	"github.com/signet-ca/signet/internal/fault"
)

// errClosed is for callers that come after Close.
var errClosed = fault.New(fault.Unavailable, "the CA is stopping: try again in a moment")

// session is one connection with the statements prepared on it. Statements are kept for
// the life of the connection: issuance never has SQL parsed or planned again.
type session struct {
	dialect *dialect
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt

	insertions map[insertion]*sql.Stmt
	texts      map[textKey]string // of statements that are prepared by the driver

	lost bool      // the connection is broken and will be replaced
	used time.Time // when it was last handed back
}

func openSession(ctx context.Context, d *dialect, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &session{dialect: d, conn: conn, stmts: make(map[string]*sql.Stmt), insertions: make(map[insertion]*sql.Stmt), texts: make(map[textKey]string)}, nil
}

// stmt prepares a query once. The connection outlives the context that first needed it.
func (ss *session) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := ss.stmts[query]; ok {
		return st, nil
	}
	st, err := ss.conn.PrepareContext(ctx, ss.dialect.bind(query))
	if err != nil {
		return nil, err
	}
	ss.stmts[query] = st
	return st, nil
}

// command runs BEGIN, SAVEPOINT and the like. Servers take them in one round trip without
// preparing, which some refuse for these; in our own process a prepared one is faster.
func (ss *session) command(ctx context.Context, words string) error {
	if !ss.dialect.local {
		_, err := ss.conn.ExecContext(ctx, words)
		return err
	}
	st, err := ss.stmt(ctx, words)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx)
	return err
}

// stale reports whether a server has hung up since the session was last used, so that its
// restart costs no reader an error.
func (ss *session) stale(ctx context.Context) bool {
	if ss.dialect.local || time.Since(ss.used) < time.Second {
		return false
	}
	ss.lost = ss.conn.PingContext(ctx) != nil
	return ss.lost
}

func (ss *session) close() {
	for _, st := range ss.stmts {
		st.Close()
	}
	for _, st := range ss.insertions {
		st.Close()
	}
	if ss.lost {
		// Only an ErrBadConn from Raw keeps database/sql from using the connection again.
		_ = ss.conn.Raw(func(any) error { return errBadConn })
	}
	ss.conn.Close()
}

// pool hands sessions to readers.
type pool struct {
	dialect *dialect
	db      *sql.DB
	slots   chan *session // one entry for each session we may have; nil: not opened yet
	closed  chan struct{}
}

// newPool allows as many readers as can do work at the same time, and some that wait for
// the disk.
func newPool(d *dialect, db *sql.DB) *pool {
	size := min(max(runtime.GOMAXPROCS(0), 4), 8)
	p := &pool{dialect: d, db: db, slots: make(chan *session, size), closed: make(chan struct{})}
	for range size {
		p.slots <- nil
	}
	return p
}

func (p *pool) take(ctx context.Context) (*session, error) {
	select {
	case <-p.closed:
		return nil, errClosed
	default:
	}
	var ss *session
	select {
	case ss = <-p.slots:
	case <-p.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a database connection: %w", ctx.Err())
	}
	if ss != nil && !ss.stale(ctx) {
		return ss, nil
	}
	if ss != nil {
		ss.close()
	}
	ss, err := openSession(ctx, p.dialect, p.db)
	if err != nil {
		p.slots <- nil
		return nil, err
	}
	return ss, nil
}

func (p *pool) put(ss *session) {
	ss.used = time.Now()
	if ss.lost {
		ss.close()
		ss = nil
	}
	p.slots <- ss
}

// close waits for the readers that are at work.
func (p *pool) close() {
	close(p.closed)
	for range cap(p.slots) {
		if ss := <-p.slots; ss != nil {
			ss.close()
		}
	}
}
