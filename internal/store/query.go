package store

import (
	"database/sql"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"
)

// Query says which certificates to list. The zero value of a field asks for nothing; all
// that is asked must hold.
type Query struct {
	Type          string    // x509, ssh (both), ssh-user or ssh-host
	Name          Name      // carries this name
	ProvisionerID string    // issued through this provisioner
	RenewedFrom   string    // is the successor of this serial
	ExpiresFrom   time.Time // NotAfter at this time or later
	ExpiresBefore time.Time // NotAfter before this time

	// Newest turns the order round. It is by issuance, or by NotAfter if a bound on that
	// is asked for.
	Newest bool
	// After goes on behind this certificate of an earlier list; nil starts at its head.
	// Only its ID and NotAfter are looked at.
	After *Certificate
	// Limit ends the list; 0: it goes to the end.
	Limit int
}

// pageRows is how many records a list holds in memory at a time.
const pageRows = 200

// Certificates lists what q asks for. It reads page by page: a certificate that is
// recorded while the list is walked may show or not, none shows twice.
func (tx *Tx) Certificates(q Query) iter.Seq2[*Certificate, error] {
	return func(yield func(*Certificate, error) bool) {
		for left := q.Limit; ; {
			rows := pageRows
			if q.Limit > 0 {
				rows = min(rows, left)
			}
			page, err := tx.certificatePage(q, rows)
			if err != nil {
				yield(nil, fmt.Errorf("list certificates: %w", err))
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
				q.After = c
			}
			left -= len(page)
			if len(page) < rows || (q.Limit > 0 && left <= 0) {
				return
			}
		}
	}
}

func (tx *Tx) certificatePage(q Query, rows int) ([]*Certificate, error) {
	query, args, err := q.sql()
	if err != nil {
		return nil, err
	}
	page := make([]*Certificate, 0, rows)
	err = tx.rows(query, append(args, rows), func(r *sql.Rows) error {
		c, err := scanCertificate(r.Scan)
		page = append(page, c)
		return err
	})
	return page, err
}

// sql writes the query of one page. One condition leads: it has an index that also brings
// the rows in order, so that a page costs the same however many certificates there are.
// There are few shapes of it, so each is prepared once.
func (q *Query) sql() (string, []any, error) {
	l := listing{from: "certificates c", id: "c.id"}
	name, renewedFrom := q.Name, q.RenewedFrom
	if renewedFrom != "" && name == (Name{}) {
		name, renewedFrom = Name{renews, renewedFrom}, ""
	}
	if name != (Name{}) {
		l.from, l.id = "certificate_names n JOIN certificates c ON c.id = n.certificate_id", "n.certificate_id"
		l.and("n.value = ? AND n.kind = ?", searched(name), name.Kind)
		l.led = true
	}
	byExpiry := !q.ExpiresFrom.IsZero() || !q.ExpiresBefore.IsZero()
	if byExpiry {
		l.window(q)
		l.led = true
	} else if q.After != nil {
		l.and(l.id+q.beyond()+"?", q.After.ID)
	}
	l.equal("c.renewed_from", renewedFrom)
	l.equal("c.provisioner_id", q.ProvisionerID)
	if q.Type != "" {
		class, err := class(q.Type)
		if err != nil {
			return "", nil, err
		}
		l.equal("c.class", class)
		if q.Type != class {
			l.equal("c.type", q.Type)
		}
	}
	down := ""
	if q.Newest {
		down = " DESC"
	}
	order := l.id + down
	if byExpiry {
		order = "c.not_after" + down + ", " + order
	}
	cond := ""
	if len(l.where) > 0 {
		cond = " WHERE " + strings.Join(l.where, " AND ")
	}
	return "SELECT " + certificateColumns + " FROM " + l.from + cond + " ORDER BY " + order + " LIMIT ?", l.args, nil
}

// beyond compares a place in the list with the one where a page ended.
func (q *Query) beyond() string {
	if q.Newest {
		return " < "
	}
	return " > "
}

// listing is a query in the making.
type listing struct {
	from  string
	id    string // the column that orders
	where []string
	args  []any
	led   bool // a condition leads
}

func (l *listing) and(cond string, args ...any) {
	l.where, l.args = append(l.where, cond), append(l.args, args...)
}

// equal asks for a value. If another condition leads, COALESCE hides the column from the
// planner, which would else prefer this index and sort all that it finds.
func (l *listing) equal(column, value string) {
	switch {
	case value == "":
	case l.led:
		l.and("COALESCE("+column+", '') = ?", value)
	default:
		l.and(column+" = ?", value)
		l.led = true
	}
}

// window bounds NotAfter. The place where the last page ended is one of the bounds, or
// each page would walk over all before it.
func (l *listing) window(q *Query) {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	if !q.ExpiresFrom.IsZero() {
		low = seconds(q.ExpiresFrom)
	}
	if !q.ExpiresBefore.IsZero() {
		high = seconds(q.ExpiresBefore) - 1
	}
	if q.After == nil {
		l.and("c.not_after >= ? AND c.not_after <= ?", low, high)
		return
	}
	at := seconds(q.After.NotAfter)
	if q.Newest {
		high = min(high, at)
	} else {
		low = max(low, at)
	}
	l.and("c.not_after >= ? AND c.not_after <= ? AND (c.not_after <> ? OR "+l.id+q.beyond()+"?)", low, high, at, q.After.ID)
}
