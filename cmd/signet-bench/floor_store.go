package main

import (
	"database/sql"
	"errors"
	"path/filepath"

	_ "modernc.org/sqlite" // the same database as the server's, without anything of ours
)

// write is what one request of the floor wants to be durable.
type write struct {
	proof   string // to be spent; "": none
	serial  string
	raw     []byte // to be recorded under the serial; nil: none
	current string // serial that must not be revoked; "": none
	revoke  bool   // the serial, which must be on record

	done chan error
}

const floorSchema = `CREATE TABLE spent (proof TEXT PRIMARY KEY) WITHOUT ROWID;
	CREATE TABLE certs (serial TEXT PRIMARY KEY, der BLOB);
	CREATE TABLE revoked (serial TEXT PRIMARY KEY) WITHOUT ROWID`

func (f *floor) open(dir string, group int) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(floorSchema); err != nil {
		return err
	}
	go f.gather(db, group)
	return nil
}

// commit returns when what it was given is durable.
func (f *floor) commit(w write) error {
	w.done = make(chan error, 1)
	f.writes <- w
	return <-w.done
}

// gather takes what has arrived and makes it durable together.
func (f *floor) gather(db *sql.DB, most int) {
	for first := range f.writes {
		group := []write{first}
		for more := true; more && len(group) < most; {
			select {
			case w := <-f.writes:
				group = append(group, w)
			default:
				more = false
			}
		}
		err := commitGroup(db, group)
		for _, w := range group {
			w.done <- err
		}
	}
}

func commitGroup(db *sql.DB, group []write) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after a commit
	statements := map[string]*sql.Stmt{}
	run := func(query string, args ...any) (int64, error) {
		st := statements[query]
		if st == nil {
			if st, err = tx.Prepare(query); err != nil {
				return 0, err
			}
			statements[query] = st
		}
		if query[0] == 'S' {
			var n int64
			return n, st.QueryRow(args...).Scan(&n)
		}
		_, err := st.Exec(args...)
		return 0, err
	}
	for i := range group {
		if err := group[i].run(run); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (w *write) run(run func(string, ...any) (int64, error)) error {
	if w.proof != "" {
		if _, err := run("INSERT INTO spent VALUES (?)", w.proof); err != nil {
			return err
		}
	}
	if w.current != "" {
		if _, err := run("SELECT 1 FROM revoked WHERE serial = ?", w.current); !errors.Is(err, sql.ErrNoRows) {
			return errors.Join(err, errors.New("it has been revoked"))
		}
	}
	if w.raw != nil {
		if _, err := run("INSERT INTO certs VALUES (?, ?)", w.serial, w.raw); err != nil {
			return err
		}
	}
	if w.revoke {
		if _, err := run("SELECT 1 FROM certs WHERE serial = ?", w.serial); err != nil {
			return err
		}
		if _, err := run("INSERT INTO revoked VALUES (?)", w.serial); err != nil {
			return err
		}
	}
	return nil
}
