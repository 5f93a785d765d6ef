package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// acmeNonceLife is how long used nonces are kept: longer than any is accepted.
const acmeNonceLife = 3 * time.Hour

// acmeKeyLife is for how many days the keys of nonces are kept.
const acmeKeyLife = 3

// SweepACME removes orders, authorizations and nonces that nobody needs any more, and tells
// how many rows. Between its small commits other changes have their turn.
func (s *Store) SweepACME(ctx context.Context, now time.Time) (n int64, err error) {
	for _, old := range []struct {
		table, id, time string
		before          int64
	}{
		{"acme_orders", "id", "remove_at", seconds(now)},
		{"acme_authzs", "id", "expires_at", seconds(now)},
		{"acme_certificates", "serial", "remove_at", seconds(now)},
		{"acme_nonces", "nonce", "made_at", seconds(now.Add(-acmeNonceLife))},
	} {
		for removed := int64(-1); removed != 0; n += removed {
			err := s.Update(ctx, func(tx *Tx) (err error) {
				removed, err = tx.removeOldest(old.table, old.id, old.time, old.before)
				return err
			})
			if err != nil {
				return n, fmt.Errorf("sweep ACME records: %w", err)
			}
		}
	}
	err = s.Update(ctx, func(tx *Tx) error {
		if _, err := tx.exec("DELETE FROM acme_pauses WHERE expires_at < ?", seconds(now)); err != nil {
			return err
		}
		_, err := tx.exec("DELETE FROM acme_nonce_keys WHERE day < ?", now.Unix()/86400-acmeKeyLife)
		return err
	})
	return n, err
}

// removeOldest removes at most sweepRows of the rows whose time is before end, the oldest
// first. A burst gives very many rows one and the same time, so they are named one by one,
// in a statement that always has as many places.
func (tx *Tx) removeOldest(table, id, time string, end int64) (int64, error) {
	ids := make([]any, 0, sweepRows+1)
	last := int64(0)
	err := tx.rows("SELECT "+id+", "+time+" FROM "+table+" WHERE "+time+" < ? ORDER BY "+time+" LIMIT ?", []any{end, sweepRows}, func(r *sql.Rows) error {
		var one string
		err := r.Scan(&one, &last)
		ids = append(ids, one)
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	for len(ids) < sweepRows {
		ids = append(ids, ids[0])
	}
	query := "DELETE FROM " + table + " WHERE " + id + " IN (?" + strings.Repeat(", ?", sweepRows-1) + ")"
	if table == "acme_nonces" { // whose key begins with the time
		query += " AND made_at <= ?"
		ids = append(ids, last)
	}
	return tx.exec(query, ids...)
}
