package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// A backup is text, one JSON value a line, the same for every database, so that one can be
// restored into another kind: a head, then for each table a line with its name and columns
// and a line for each row (numbers, text, bytes in base64, null), then an end with the
// number of rows and the SHA-256 of all lines before it.

// backupFormat is the version of that form.
const backupFormat = 1

type backupHead struct {
	Format int       `json:"signetBackup"`
	Schema int64     `json:"schema"`
	Made   time.Time `json:"made"`
	From   string    `json:"from"` // type of the database it was made of
}

type backupTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

type backupEnd struct {
	Rows   map[string]int64 `json:"rows"`
	SHA256 string           `json:"sha256"`
}

// Backup writes all records as they were at one moment, while others go on writing. It
// returns how many rows of which table.
func (s *Store) Backup(ctx context.Context, to io.Writer, progress Progress) (rows map[string]int64, err error) {
	b := &backupWriter{to: to, sum: sha256.New()}
	end := backupEnd{Rows: map[string]int64{}}
	err = s.snapshot(ctx, func(ss *session) error {
		if err := b.line(backupHead{backupFormat, schemaVersion, time.Now().UTC().Truncate(time.Second), s.dialectName()}); err != nil {
			return err
		}
		for _, t := range kept {
			if err := b.line(backupTable{t.name, t.columns}); err != nil {
				return err
			}
			end.Rows[t.name] = 0
			err := ss.walk(ctx, t.table, t.by, func(values []any) error {
				if end.Rows[t.name]++; end.Rows[t.name]%1000 == 0 {
					progress(t.name, end.Rows[t.name])
				}
				return b.line(values) // encoding/json writes []byte as base64
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("back the database up: %w", err)
	}
	end.SHA256 = hex.EncodeToString(b.sum.Sum(nil))
	if err := b.line(end); err != nil {
		return nil, fmt.Errorf("back the database up: %w", err)
	}
	return end.Rows, nil
}

type backupWriter struct {
	to  io.Writer
	sum hash.Hash
}

func (b *backupWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	b.sum.Write(text)
	if _, err := b.to.Write(text); err != nil {
		// Not wrapped: a full disk here must not be taken for one of the database.
		return fmt.Errorf("write the backup: %v", err)
	}
	return nil
}

func (s *Store) dialectName() string {
	for name, d := range dialects {
		if d == s.dialect {
			return name
		}
	}
	return ""
}

// maxBackupLine bounds one row; the largest is a revocation list.
const maxBackupLine = 512 << 20

// backupReader reads lines and sums what it has read.
type backupReader struct {
	from *bufio.Reader
	sum  hash.Hash
	line int
}

// next is one line; its hash is added only when the next one is asked for, so that the end
// can be compared with what went before it.
func (b *backupReader) next() ([]byte, error) {
	var text []byte
	for {
		part, err := b.from.ReadSlice('\n')
		text = append(text, part...)
		if len(text) > maxBackupLine {
			return nil, fmt.Errorf("line %d is longer than %d MiB", b.line+1, maxBackupLine>>20)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF {
			return nil, fmt.Errorf("it ends after line %d, before its own end: it was cut off", b.line)
		}
		if err != nil {
			return nil, fmt.Errorf("read after line %d: %v", b.line, err) // not wrapped, as in backupWriter
		}
		b.line++
		return text, nil
	}
}

// Restore brings the records of a backup into this database, which must be empty: all of
// them, or on any error none.
func (s *Store) Restore(ctx context.Context, from io.Reader, progress Progress) (rows map[string]int64, err error) {
	r := &restore{ctx: ctx, progress: progress, rows: map[string]int64{},
		in: &backupReader{from: bufio.NewReaderSize(from, 1<<16), sum: sha256.New()}}
	if err := r.head(); err != nil {
		return nil, fmt.Errorf("restore the backup: %w", err)
	}
	r.session, err = openSession(ctx, s.dialect, s.base.write)
	if err != nil {
		return nil, s.explain(ctx, "write", err)
	}
	defer r.session.close()
	err = r.session.command(ctx, s.dialect.begin)
	if err == nil {
		err = r.empty()
	}
	if err == nil {
		err = r.body()
	}
	if err == nil {
		err = r.session.command(ctx, "COMMIT")
	}
	if err != nil {
		r.session.lost = true // closing the connection undoes what it did
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = r.session.command(last, "ROLLBACK") // and this does it politely
		return nil, s.explain(ctx, "write", fmt.Errorf("restore the backup, nothing of it was written: %w", err))
	}
	return r.rows, nil
}

// restore is one under way.
type restore struct {
	ctx      context.Context
	session  *session
	in       *backupReader
	progress Progress
	rows     map[string]int64
	current  *table
	waiting  []any // arguments of rows that are not written yet
	count    int
	size     int
}

func (r *restore) head() error {
	text, err := r.in.next()
	if err != nil {
		return err
	}
	r.in.sum.Write(text)
	var h backupHead
	if err := json.Unmarshal(text, &h); err != nil || h.Format == 0 {
		return errors.New("it is no backup that `signet db backup` made")
	}
	if h.Format > backupFormat || h.Schema > schemaVersion {
		return fmt.Errorf("it has format %d of schema %d, this program knows up to %d and %d: a newer program made it, restore it with that one",
			h.Format, h.Schema, backupFormat, schemaVersion)
	}
	return nil
}

// empty refuses to mix two authorities' records, or to overwrite any.
func (r *restore) empty() error {
	for _, t := range kept {
		rows, err := r.session.conn.QueryContext(r.ctx, "SELECT 1 FROM "+t.name+" LIMIT 1")
		if err != nil {
			return err
		}
		found := rows.Next()
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if found {
			return fmt.Errorf("the database holds records already (in %s): restore into an empty one", t.name)
		}
	}
	return nil
}

func (r *restore) body() error {
	for {
		text, err := r.in.next()
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(string(text[:min(len(text), 9)]), `{"table":`):
			err = r.begin(text)
		case text[0] == '{':
			return r.end(text)
		default:
			err = r.row(text)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", r.in.line, err)
		}
		r.in.sum.Write(text)
	}
}

func (r *restore) begin(text []byte) error {
	if err := r.flush(); err != nil {
		return err
	}
	var head backupTable
	if err := json.Unmarshal(text, &head); err != nil {
		return errors.New("it is damaged")
	}
	for _, t := range kept {
		if t.name != head.Table {
			continue
		}
		known := map[string]bool{}
		for _, c := range t.columns {
			known[c] = true
		}
		for _, c := range head.Columns {
			if !known[c] {
				return fmt.Errorf("column %q of table %s is not known", c, head.Table)
			}
		}
		r.current = &table{t.name, head.Columns}
		r.rows[t.name] = 0
		return nil
	}
	return fmt.Errorf("table %q is not known", head.Table)
}

func (r *restore) row(text []byte) error {
	var values []json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil || r.current == nil || len(values) != len(r.current.columns) {
		return errors.New("it is damaged")
	}
	for i, v := range values {
		arg, err := decodeKind(kindOf(r.current.columns[i]), v)
		if err != nil {
			return fmt.Errorf("%s: %w", r.current.columns[i], err)
		}
		r.waiting = append(r.waiting, arg)
	}
	r.count++
	r.size += len(text)
	if r.rows[r.current.name]++; r.rows[r.current.name]%1000 == 0 {
		r.progress(r.current.name, r.rows[r.current.name])
	}
	if r.count == statementRows || r.size > statementBytes {
		return r.flush()
	}
	return nil
}

func decodeKind(k kind, v json.RawMessage) (any, error) {
	if string(v) == "null" {
		return nil, nil
	}
	switch k {
	case octets:
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(s)
	case whole:
		var n int64
		err := json.Unmarshal(v, &n)
		return n, err
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err
}

func (r *restore) flush() error {
	if r.count == 0 {
		return nil
	}
	query := r.session.dialect.bind(r.current.insert(r.count))
	if _, err := r.session.conn.ExecContext(r.ctx, query, r.waiting...); err != nil {
		return fmt.Errorf("write %s: %w", r.current.name, err)
	}
	r.waiting, r.count, r.size = r.waiting[:0], 0, 0
	return nil
}

func (r *restore) end(text []byte) error {
	if err := r.flush(); err != nil {
		return err
	}
	var end backupEnd
	if err := json.Unmarshal(text, &end); err != nil {
		return fmt.Errorf("line %d: it is damaged", r.in.line)
	}
	if end.SHA256 != hex.EncodeToString(r.in.sum.Sum(nil)) {
		return errors.New("its checksum is wrong: it was damaged or altered")
	}
	for table, n := range end.Rows {
		if r.rows[table] != n {
			return fmt.Errorf("it holds %d rows of %s and says %d", r.rows[table], table, n)
		}
	}
	return nil
}
