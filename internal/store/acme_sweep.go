package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// acmeNonceLife is how long used nonces are kept: longer than any is accepted.
const acmeNonceLife = 3 * time.Hour

// acmeKeyLife is for how many days the keys of nonces are kept.
const acmeKeyLife = 3

// SweepACME removes orders, authorizations and nonces that nobody needs any more, and tells
// how many rows. Between its small commits other changes have their turn.
func (s *Store) SweepACME(ctx context.Context, now time.Time) (n int64, err error) {
	for _, remove := range []func(*Tx, time.Time) (int64, error){
		func(tx *Tx, now time.Time) (int64, error) {
			return tx.removeRange("acme_orders", "remove_at", seconds(now))
		},
		func(tx *Tx, now time.Time) (int64, error) {
			return tx.removeRange("acme_authzs", "expires_at", seconds(now))
		},
		func(tx *Tx, now time.Time) (int64, error) {
			return tx.removeRange("acme_certificates", "remove_at", seconds(now))
		},
		func(tx *Tx, now time.Time) (int64, error) {
			return tx.removeRange("acme_nonces", "made_at", seconds(now.Add(-acmeNonceLife)))
		},
		func(tx *Tx, now time.Time) (int64, error) {
			return tx.removeRange("acme_nonce_keys", "day", now.Unix()/86400-acmeKeyLife)
		},
	} {
		for removed := int64(-1); removed != 0; n += removed {
			err := s.Update(ctx, func(tx *Tx) (err error) {
				removed, err = remove(tx, now)
				return err
			})
			if err != nil {
				return n, fmt.Errorf("sweep ACME records: %w", err)
			}
		}
	}
	return n, nil
}

// removeRange removes about sweepRows of the rows whose time is before end, the oldest
// first. Looking for the end of the range, then deleting it, walks one index on every
// database.
func (tx *Tx) removeRange(table, column string, end int64) (int64, error) {
	err := tx.row("SELECT "+column+" + 1 FROM "+table+" WHERE "+column+" < ? ORDER BY "+column+" LIMIT 1 OFFSET ?", []any{end, sweepRows - 1}, &end)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	return tx.exec("DELETE FROM "+table+" WHERE "+column+" < ?", end)
}
