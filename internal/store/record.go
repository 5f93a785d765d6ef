package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Most changes only add rows: an issuance adds a spent proof, a certificate, its names, an
// audit entry. Such a change is first run by its own caller, in parallel with others,
// against a Tx that takes the rows down and touches no database. The writer then adds the
// rows of a whole group with a few statements of many rows each. If one of them exists
// already, the group is halved until the change that brought it is alone; that one is run
// again in its turn, as a change that reads is in the first place, and gets its error from
// the database itself.

// table is one that rows are added to.
type table struct {
	name    string
	columns []string
}

var (
	certificatesTable = &table{"certificates", []string{"id", "class", "serial", "type",
		"provisioner_id", "provisioner_name", "provisioner_type", "subject", "key_id", "issuer_key_id", "names",
		"not_before", "not_after", "issued_at", "raw", "renewed_from", "ra"}}
	namesTable       = &table{"certificate_names", []string{"value", "kind", "certificate_id"}}
	spentTable       = &table{"spent_proofs", []string{"proof", "provisioner_id", "spent_at", "expires_at"}}
	revocationsTable = &table{"revocations", []string{"class", "serial", "type", "provisioner_id", "reason_code", "reason",
		"revoked_at", "expires_at", "proof", "mtls", "acme", "revoked_by"}}
	auditTable = &table{"audit", []string{"id", "at", "act", "provisioner", "subject", "serial", "request_id", "detail"}}
)

// order is the one in which every server adds rows, so that two of them can't each wait
// for the other. What can conflict comes first, to be found before more is written.
var order = [...]*table{spentTable, acmeNoncesTable, revocationsTable, acmeAccountsTable, acmeKeysTable, acmeNonceKeysTable,
	acmeRenewalsTable, compromisedKeysTable, acmeOrdersTable, acmeAuthzsTable, certificatesTable, namesTable, acmeCertificatesTable, auditTable}

// insert is the statement that adds so many rows.
func (t *table) insert(rows int) string {
	marks := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	return "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " +
		marks + strings.Repeat(", "+marks, rows-1)
}

const (
	statementRows  = 64      // most rows in one statement
	statementBytes = 1 << 20 // about the most it carries: servers bound the size of a packet
)

// row is one that a change wants to add.
type row struct {
	table *table
	args  []any
}

func (r *row) size() int {
	n := 0
	for _, a := range r.args {
		switch a := a.(type) {
		case string:
			n += len(a)
		case []byte:
			n += len(a)
		default:
			n += 8
		}
	}
	return n
}

// recording is what a change did in the run that touches no database.
type recording struct {
	rows      []row
	unrevoked []subject // certificates that must not be revoked when the rows are added
	exact     bool      // it did something else than add rows: only a turn of its own tells the outcome
}

// subject is what a revocation is of.
type subject struct{ class, serial string }

// errTurn ends the recording of a change that needs the database.
var errTurn = errors.New("this change has to wait for its turn")

// record runs a change without the database. It returns nil if that can't tell what
// the change does.
func (s *Store) record(ctx context.Context, change func(*Tx) error) (done *recording) {
	rec := &recording{}
	defer func() {
		if recover() != nil {
			done = nil // it will panic again in its turn, and be answered there
		}
	}()
	err := change(&Tx{ctx: ctx, store: s, write: true, recording: rec})
	if err != nil || rec.exact || len(rec.rows) == 0 {
		return nil
	}
	return rec
}

// errConflict is a row that exists already, brought by one of several changes.
var errConflict = errors.New("one of these rows exists already")

// addRecorded adds the rows of recorded changes. A change that can't be done this way is
// run in its turn.
func (w *writer) addRecorded(ctx context.Context, group []*pending) error {
	if len(group) == 0 {
		return nil
	}
	if err := w.session.command(ctx, "SAVEPOINT step"); err != nil {
		return err
	}
	err := w.addRows(ctx, group)
	if err != nil {
		if w.spoiled(err) {
			return err
		}
		if err := errors.Join(w.session.command(ctx, "ROLLBACK TO SAVEPOINT step")); err != nil {
			return err
		}
	}
	if err := w.session.command(ctx, "RELEASE SAVEPOINT step"); err != nil {
		return err
	}
	switch {
	case err == nil:
		for _, p := range group {
			p.err = nil
		}
		return nil
	case len(group) == 1:
		return w.turn(ctx, group[0])
	}
	half := len(group) / 2
	if err := w.addRecorded(ctx, group[:half]); err != nil {
		return err
	}
	return w.addRecorded(ctx, group[half:])
}

// addRows writes the rows of a group, table by table.
func (w *writer) addRows(ctx context.Context, group []*pending) error {
	for _, t := range order {
		rows := w.rows[:0]
		for _, p := range group {
			for i := range p.rec.rows {
				if p.rec.rows[i].table == t {
					rows = append(rows, &p.rec.rows[i])
				}
			}
		}
		w.rows = rows
		for len(rows) > 0 {
			n := chunk(rows)
			if err := w.addChunk(ctx, t, rows[:n]); err != nil {
				return err
			}
			rows = rows[n:]
		}
		if t == revocationsTable { // those of this group count as well
			if err := w.lookRevoked(ctx, group); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookRevoked finds out whether any of the certificates that must not be revoked is.
func (w *writer) lookRevoked(ctx context.Context, group []*pending) error {
	var all []subject
	for _, p := range group {
		all = append(all, p.rec.unrevoked...)
	}
	for len(all) > 0 {
		n := 1
		for n*2 <= min(len(all), statementRows) {
			n *= 2
		}
		args := w.args[:0]
		for _, s := range all[:n] {
			args = append(args, s.class, s.serial)
		}
		w.args = args
		st, err := w.session.stmt(ctx, "SELECT count(*) FROM revocations WHERE "+strings.Repeat("(class = ? AND serial = ?) OR ", n-1)+"(class = ? AND serial = ?)")
		if err != nil {
			return err
		}
		var revoked int64
		if err := st.QueryRowContext(ctx, args...).Scan(&revoked); err != nil {
			return fmt.Errorf("look for revocations: %w", err)
		}
		if revoked > 0 {
			return errConflict
		}
		all = all[n:]
	}
	return nil
}

// chunk is how many rows the next statement takes: a power of two, so that few different
// statements need preparing.
func chunk(rows []*row) int {
	n, size := 0, 0
	for n < min(len(rows), statementRows) {
		if size += rows[n].size(); size > statementBytes && n > 0 {
			break
		}
		n++
	}
	power := 1
	for power*2 <= n {
		power *= 2
	}
	return power
}

func (w *writer) addChunk(ctx context.Context, t *table, rows []*row) error {
	st, err := w.session.insertion(ctx, t, len(rows))
	if err != nil {
		return err
	}
	args := w.args[:0]
	for _, r := range rows {
		args = append(args, r.args...)
	}
	w.args = args
	res, err := st.ExecContext(ctx, args...)
	clear(args) // the buffer must not keep certificates alive
	if err != nil {
		if w.store.dialect.duplicate(err) {
			return errConflict
		}
		return fmt.Errorf("add to %s: %w", t.name, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != int64(len(rows)) {
		return errors.Join(errConflict, err)
	}
	return nil
}

// insertion is the prepared statement that adds so many rows to a table.
type insertion struct {
	table *table
	rows  int
}

func (ss *session) insertion(ctx context.Context, t *table, rows int) (*sql.Stmt, error) {
	key := insertion{t, rows}
	if st, ok := ss.insertions[key]; ok {
		return st, nil
	}
	st, err := ss.conn.PrepareContext(ctx, ss.dialect.bind(t.insert(rows)+ss.dialect.skip))
	if err != nil {
		return nil, err
	}
	ss.insertions[key] = st
	return st, nil
}
