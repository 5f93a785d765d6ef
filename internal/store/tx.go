package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Tx is what a function given to View or Update works with. It ends when that function
// returns and must not be kept.
type Tx struct {
	ctx     context.Context
	store   *Store
	session *session
	write   bool  // inside Update
	broken  error // first failure of the database itself: the change is lost, whatever it returns

	recording *recording // takes rows down; nil: they go to the database
}

// errReading is our own mistake.
var errReading = errors.New("a change was tried inside View: use Update")

// exec runs a statement and tells how many rows it touched.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if !tx.write {
		return 0, errReading
	}
	if err := tx.usable(); err != nil {
		return 0, err
	}
	st, err := tx.session.stmt(tx.ctx, query)
	if err != nil {
		return 0, tx.fail(err)
	}
	return tx.affected(st.ExecContext(tx.ctx, args...))
}

// insert adds one row; a row with the same key gives ErrExists and leaves the transaction
// usable, which a plain INSERT would not on every database.
func (tx *Tx) insert(t *table, args ...any) error {
	if !tx.write {
		return errReading
	}
	if rec := tx.recording; rec != nil {
		rec.rows = append(rec.rows, row{t, args})
		return nil
	}
	if err := tx.usable(); err != nil {
		return err
	}
	st, err := tx.session.insertion(tx.ctx, t, 1)
	if err != nil {
		return tx.fail(err)
	}
	n, err := tx.affected(st.ExecContext(tx.ctx, args...))
	if err == nil && n == 0 {
		return ErrExists
	}
	return err
}

func (tx *Tx) affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		if tx.store.dialect.duplicate(err) {
			return 0, ErrExists
		}
		return 0, tx.fail(err)
	}
	n, err := res.RowsAffected()
	return n, tx.fail(err)
}

// usable refuses what can't be recorded, and what comes after a failure of the database:
// SQLite may have ended the transaction, and would commit the rest piece by piece.
func (tx *Tx) usable() error {
	if tx.recording != nil {
		tx.recording.exact = true
		return errTurn
	}
	if tx.write {
		return tx.broken
	}
	return nil
}

// row reads the one row of a query.
func (tx *Tx) row(query string, args []any, dest ...any) error {
	if err := tx.usable(); err != nil {
		return err
	}
	st, err := tx.session.stmt(tx.ctx, query)
	if err != nil {
		return tx.fail(err)
	}
	err = st.QueryRowContext(tx.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return tx.fail(err)
}

// rows calls scan for each row of a query and is done with the connection when it
// returns: whoever walks a list may ask for other records meanwhile.
func (tx *Tx) rows(query string, args []any, scan func(*sql.Rows) error) error {
	if err := tx.usable(); err != nil {
		return err
	}
	st, err := tx.session.stmt(tx.ctx, query)
	if err != nil {
		return tx.fail(err)
	}
	rows, err := st.QueryContext(tx.ctx, args...)
	if err != nil {
		return tx.fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return tx.fail(err)
		}
	}
	return tx.fail(rows.Err())
}

// fail remembers that the database failed, so that a change which passes over the error
// is not committed half.
func (tx *Tx) fail(err error) error {
	if err != nil && tx.broken == nil {
		tx.broken = err
	}
	return err
}

// seconds is how a time is stored: UTC seconds. The zero time survives the way and back.
func seconds(t time.Time) int64 { return t.Unix() }

func moment(s int64) time.Time { return time.Unix(s, 0).UTC() }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// text makes words from outside storable everywhere: PostgreSQL refuses NUL and bytes
// that are no UTF-8, and a subject must not decide whether an issuance can be recorded.
func text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// key checks what a column with a bound and an index holds: unlike free text it is never
// bent, since two different keys must not become one.
func key(what, s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("%s of %d bytes is longer than the %d that can be stored", what, len(s), most)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%s %q is not plain UTF-8", what, s)
	}
	return nil
}

// serialNumber checks the one form in which serials are stored and compared.
func serialNumber(s string) error {
	if s == "" || len(s) > 255 || strings.Trim(s, "0123456789abcdef") != "" || (s[0] == '0' && s != "0") {
		return fmt.Errorf("serial %q is not lower-case hex without leading zeros", s)
	}
	return nil
}

// class is the space in which a serial is unique: X.509, or SSH of either type.
func class(typ string) (string, error) {
	switch typ {
	case "x509":
		return "x509", nil
	case "ssh", "ssh-user", "ssh-host":
		return "ssh", nil
	}
	return "", fmt.Errorf("certificate type %q is not one of x509, ssh, ssh-user, ssh-host", typ)
}
