package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Most changes only add rows, or change a row that they expect to be in a certain state: an
// issuance adds a spent proof, a certificate, its names, an audit entry; one by ACME also turns
// its order valid. Such a change is first run by its own caller, in parallel with others,
// against a Tx that takes all that down and touches no database. The writer then adds the
// rows of a whole group with a few statements of many rows each. If one of them exists
// already, or a row is not in the state that was expected, the group is halved until the change
// that brought it is alone; that one is run again in its turn, as a change that reads is in the
// first place, and gets its error from the database itself.

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
	acmeRenewalsTable, compromisedKeysTable, acmePausesTable, acmeOrdersTable, acmeAuthzsTable, certificatesTable, namesTable, acmeCertificatesTable, auditTable}

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
	changes   []expected
	unrevoked []subject // certificates that must not be revoked when the rows are added
	exact     bool      // it did something else than add rows: only a turn of its own tells the outcome

	wanted []subject                // certificates whose origin it asked for and was not told
	known  map[subject]*Certificate // origins it is told; nil for what is not on record
}

// origin answers a change that asks for one, or notes that it did.
func (r *recording) origin(of subject) (*Certificate, error) {
	c, ok := r.known[of]
	switch {
	case !ok:
		r.wanted = append(r.wanted, of)
		return nil, errTurn
	case c == nil:
		return nil, ErrNotFound
	}
	return c, nil
}

// expected is a change of the one row that is in the state it names.
type expected struct {
	query string
	args  []any
}

// subject is what a revocation is of.
type subject struct{ class, serial string }

// errTurn ends the recording of a change that needs the database.
var errTurn = errors.New("this change has to wait for its turn")

// record runs a change without the database. It returns nil if that can't tell what
// the change does. If it wanted to know more than it was told, the rest means nothing.
func (s *Store) record(ctx context.Context, change func(*Tx) error, known map[subject]*Certificate) (done *recording) {
	rec := &recording{known: known}
	defer func() {
		if recover() != nil {
			done = nil // it will panic again in its turn, and be answered there
		}
	}()
	err := change(&Tx{ctx: ctx, store: s, write: true, recording: rec})
	if rec.exact || len(rec.wanted) == 0 && (err != nil || len(rec.rows)+len(rec.changes) == 0) {
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

// addRows writes what was recorded of a group, table by table, and then the changes.
func (w *writer) addRows(ctx context.Context, group []*pending) error {
	list := w.statements(group)
	defer clear(list) // the buffer must not keep certificates alive
	for i := range list {
		if err := w.perform(ctx, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// pipelined begins the transaction and does the same, and waits for the server only once.
func (w *writer) pipelined(ctx context.Context, group []*pending) error {
	list := w.statements(group)
	defer clear(list)
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = w.session.text(&list[i])
	}
	return w.store.dialect.pipeline(ctx, w.session.conn, list, texts)
}

// statement is one of those that write a group down.
type statement struct {
	query string
	table *table // rows are added to it; nil: it is one of the other kinds
	args  []any
	rows  int64 // that it has to touch; none: it counts some, and must find none
}

// statements is what writes down what was recorded of a group.
func (w *writer) statements(group []*pending) []statement {
	all := w.todo[:0]
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
			args := make([]any, 0, n*len(t.columns))
			for _, r := range rows[:n] {
				args = append(args, r.args...)
			}
			all = append(all, statement{"", t, args, int64(n)})
			rows = rows[n:]
		}
		if t == revocationsTable { // those of this group count as well
			all = lookRevoked(all, group)
		}
	}
	first := len(all)
	for _, p := range group {
		for _, c := range p.rec.changes {
			all = append(all, statement{c.query, nil, c.args, 1})
		}
	}
	// Tables are changed in the same order by every server, as rows are added, and so are rows.
	slices.SortStableFunc(all[first:], func(a, b statement) int {
		return cmp.Or(cmp.Compare(a.query, b.query), cmp.Compare(a.key(), b.key()))
	})
	w.todo = all
	return all
}

// key is the text by which a change finds its row: the first value of its condition.
func (one *statement) key() string {
	before, _, _ := strings.Cut(one.query, " WHERE ")
	if n := strings.Count(before, "?"); n < len(one.args) {
		key, _ := one.args[n].(string)
		return key
	}
	return ""
}

// lookRevoked finds out whether any of the certificates that must not be revoked is.
func lookRevoked(list []statement, group []*pending) []statement {
	var all []subject
	for _, p := range group {
		all = append(all, p.rec.unrevoked...)
	}
	for len(all) > 0 {
		n := 1
		for n*2 <= min(len(all), statementRows) {
			n *= 2
		}
		args := make([]any, 0, 2*n)
		for _, s := range all[:n] {
			args = append(args, s.class, s.serial)
		}
		query := "SELECT count(*) FROM revocations WHERE " + strings.Repeat("(class = ? AND serial = ?) OR ", n-1) + "(class = ? AND serial = ?)"
		list = append(list, statement{query, nil, args, 0})
		all = all[n:]
	}
	return list
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

// perform runs a statement; errConflict if it does not find what it has to.
func (w *writer) perform(ctx context.Context, one *statement) error {
	st, err := w.session.prepared(ctx, one)
	if err != nil {
		return err
	}
	if one.rows == 0 {
		var found int64
		if err := st.QueryRowContext(ctx, one.args...).Scan(&found); err != nil {
			return fmt.Errorf("look for revocations: %w", err)
		}
		if found > 0 {
			return errConflict
		}
		return nil
	}
	res, err := st.ExecContext(ctx, one.args...)
	if err != nil {
		if w.store.dialect.duplicate(err) {
			return errConflict
		}
		return fmt.Errorf("write %s: %w", one.what(), err)
	}
	if n, err := res.RowsAffected(); err != nil || n != one.rows {
		return errors.Join(errConflict, err)
	}
	return nil
}

// what says in an error what was written.
func (one *statement) what() string {
	if one.table != nil {
		return "to " + one.table.name
	}
	return "a change"
}

// text is the statement as the server wants it.
func (ss *session) text(one *statement) string {
	key := textKey{one.query, one.table, one.rows}
	s, ok := ss.texts[key]
	if !ok {
		if s = one.query; one.table != nil {
			s = one.table.insert(int(one.rows)) + ss.dialect.skip
		}
		s = ss.dialect.bind(s)
		ss.texts[key] = s
	}
	return s
}

// textKey is all that the text of a statement depends on.
type textKey struct {
	query string
	table *table
	rows  int64
}

func (ss *session) prepared(ctx context.Context, one *statement) (*sql.Stmt, error) {
	if one.table != nil {
		return ss.insertion(ctx, one.table, int(one.rows))
	}
	return ss.stmt(ctx, one.query)
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
