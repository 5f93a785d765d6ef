package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var sqliteDialect = dialect{
	open:  openSQLite,
	goose: goose.DialectSQLite3,
	local: true,
	// IMMEDIATE takes the write lock at once: a transaction that begins by reading could
	// not get it later if another process wrote meanwhile.
	begin:     "BEGIN IMMEDIATE",
	snapshot:  []string{"BEGIN"}, // a reader of a write-ahead log sees one state
	size:      "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
	checks:    "PRAGMA integrity_check(50)",
	vacuum:    []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA optimize"},
	skip:      " ON CONFLICT DO NOTHING",
	duplicate: func(error) bool { return false },
	again:     func(error) bool { return false }, // busy_timeout waits inside SQLite
	lost:      func(error) bool { return false },
	words:     sqliteWords,
	advice:    sqliteAdvice,
	types: map[string]string{
		"id": "INTEGER", "int": "INTEGER", "text": "TEXT", "blob": "BLOB",
		"key16": "TEXT", "key255": "TEXT", "key512": "TEXT",
		"rows": "STRICT", "clustered": "STRICT, WITHOUT ROWID", "on_certificates": "",
	},
}

var memoryDialect = func() dialect {
	d := sqliteDialect
	d.open = openMemory
	d.volatile = true
	return d
}()

// sqlitePath is the file that a dataSource means: itself, or signet.db in a folder. What
// does not exist yet is a folder if it has no extension.
func sqlitePath(dataSource string) (string, error) {
	if dataSource == "" {
		return "", errors.New("database type sqlite needs a dataSource: the path of a file, or of a folder that holds signet.db")
	}
	path, err := filepath.Abs(dataSource)
	if err != nil {
		return "", fmt.Errorf("database %s: %w", dataSource, err)
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir(), strings.HasSuffix(dataSource, "/"),
		errors.Is(err, fs.ErrNotExist) && filepath.Ext(path) == "":
		path = filepath.Join(path, "signet.db")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("open database %s: %w", path, err)
	}
	return path, nil
}

func openSQLite(ctx context.Context, d *dialect, c Config) (*database, error) {
	path, err := sqlitePath(c.DataSource)
	if err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	// SQLite decodes the path of a URI, so that a ? in it is not the start of options.
	file := (&url.URL{Scheme: "file", Path: path}).String()
	base, err := openSQLiteURI(file, path, "")
	if err != nil {
		return nil, err
	}
	if err := useLog(ctx, base); err != nil {
		base.close()
		return nil, fmt.Errorf("open database %s: %w", path, d.advise(err))
	}
	return base, nil
}

// logPatience is how long a start waits for others that start on the same file.
const logPatience = 10 * time.Second

// useLog switches to the write-ahead log. Of servers that start on one new file at once only
// one can; SQLite answers the others at once that the file is busy, whatever its timeout.
func useLog(ctx context.Context, base *database) error {
	var mode string
	for deadline := time.Now().Add(logPatience); ; {
		err := base.write.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		switch code := sqliteCode(err); {
		case err == nil && mode != "wal":
			return fmt.Errorf("its file system does not support a write-ahead log (journal mode is %q): use a local disk", mode)
		case (code != sqlite3.SQLITE_BUSY && code != sqlite3.SQLITE_LOCKED) || time.Now().After(deadline):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10*time.Millisecond + mathrand.N(40*time.Millisecond)):
		}
	}
}

// createPrivate makes the file and its folder, readable by their owner alone; SQLite gives
// the files it puts beside it the same mode. A file that exists is not even opened: closing
// it would drop the locks that SQLite holds for another Store of this process.
func createPrivate(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		if !info.Mode().IsRegular() {
			return errors.New("it is not a regular file")
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems can't flush a folder and say so; the file is there all the same.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// openMemory opens a database of its own for each Store: readers and writer share it by a
// name that nobody else has.
func openMemory(_ context.Context, _ *dialect, _ Config) (*database, error) {
	return openSQLiteURI("file:/signet-"+rand.Text(), "in memory", "memdb")
}

// openSQLiteURI opens it twice: for the one writer, and for readers, who can't change it.
func openSQLiteURI(uri, name, vfs string) (*database, error) {
	open := func(lock string, pragmas ...string) (*sql.DB, error) {
		options := url.Values{"_txlock": {lock}, "_pragma": append([]string{
			"busy_timeout(10000)", "foreign_keys(1)", "trusted_schema(0)", "temp_store(memory)",
		}, pragmas...)}
		if vfs != "" {
			options.Set("vfs", vfs)
		}
		connector, err := sqlite.NewConnector(uri + "?" + options.Encode())
		if err != nil {
			return nil, fmt.Errorf("open database %s: %w", name, err)
		}
		return sql.OpenDB(connector), nil
	}
	// FULL flushes the log at each commit; NORMAL could lose the last ones in a power cut.
	write, err := open("immediate", "synchronous(FULL)", "cache_size(-8192)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)")
	if err != nil {
		return nil, err
	}
	read, err := open("deferred", "query_only(1)", "cache_size(-2048)")
	if err != nil {
		return nil, err
	}
	return &database{name: name, read: read, write: write}, nil
}

// sqliteCode is the primary result code of an error, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// sqliteWords is for callers of the CA.
func sqliteWords(err error) string {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL:
		return "the CA's database is out of disk space; nothing was issued or changed: free some space and try again"
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return "the CA can't write to its disk; nothing was issued or changed: try again when its operator has seen to it"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "the CA's database is locked by another program; nothing was issued or changed: try again"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return "the CA's database is read-only; nothing was issued or changed: its operator has to make it writable"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "the CA's database is damaged: its operator has to restore it from a backup"
	case sqlite3.SQLITE_ERROR:
		if said := err.Error(); strings.Contains(said, "no such table") || strings.Contains(said, "no such column") {
			return foreignWords
		}
	}
	return ""
}

// sqliteAdvice is for the operator at start.
func sqliteAdvice(err error) string {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL:
		return "the disk is full: free some space"
	case sqlite3.SQLITE_IOERR:
		return "the disk can't be read or written: look at its space, quota and health"
	case sqlite3.SQLITE_CANTOPEN:
		return "the file or one beside it (-wal, -shm) can't be opened: the user who runs this needs to read and write it and its folder"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another program holds it locked: stop that one, a backup for example"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return "it is read-only: the user who runs this needs to write the file and its folder, on a file system mounted read-write"
	case sqlite3.SQLITE_NOTADB:
		return "the file is no SQLite database: point dataSource to another one, or to a folder"
	case sqlite3.SQLITE_CORRUPT:
		return "the file is damaged: restore it from a backup"
	}
	return ""
}
