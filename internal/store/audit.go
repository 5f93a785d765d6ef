package store

import (
	"database/sql"
	"fmt"
	"iter"
	"time"
)

// Audit is one entry of the record of who did what. It never holds a secret.
type Audit struct {
	ID int64 // place in the list, given by the store

	At                                                   time.Time
	Act, Provisioner, Subject, Serial, RequestID, Detail string
}

// AddAudit writes an entry down.
func (tx *Tx) AddAudit(a Audit) error {
	if err := key("act", a.Act, 255); err != nil {
		return fmt.Errorf("record audit entry: %w", err)
	}
	if err := key("serial", a.Serial, 255); err != nil {
		return fmt.Errorf("record audit entry: %w", err)
	}
	err := tx.insert(auditTable, tx.store.nextID(), seconds(a.At), a.Act, text(a.Provisioner),
		text(a.Subject), a.Serial, text(a.RequestID), text(a.Detail))
	if err != nil {
		return fmt.Errorf("record audit entry %s: %w", a.Act, err)
	}
	return nil
}

// Audits lists the entries from a time until another, in their order; zero times: no bound.
func (tx *Tx) Audits(from, until time.Time) iter.Seq2[*Audit, error] {
	return func(yield func(*Audit, error) bool) {
		at, id, end := seconds(from), int64(-1), int64(1)<<62
		if !until.IsZero() {
			end = seconds(until)
		}
		for {
			page := make([]*Audit, 0, pageRows)
			err := tx.rows(`SELECT id, at, act, provisioner, subject, serial, request_id, detail FROM audit
				WHERE at >= ? AND at < ? AND (at > ? OR id > ?) ORDER BY at, id LIMIT ?`,
				[]any{at, end, at, id, pageRows}, func(r *sql.Rows) error {
					var a Audit
					var s int64
					err := r.Scan(&a.ID, &s, &a.Act, &a.Provisioner, &a.Subject, &a.Serial, &a.RequestID, &a.Detail)
					a.At = moment(s)
					page = append(page, &a)
					return err
				})
			if err != nil {
				yield(nil, fmt.Errorf("list audit entries: %w", err))
				return
			}
			for _, a := range page {
				if !yield(a, nil) {
					return
				}
				at, id = seconds(a.At), a.ID
			}
			if len(page) < pageRows {
				return
			}
		}
	}
}
