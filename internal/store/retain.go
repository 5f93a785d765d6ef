package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Retention says how long records are kept that nothing needs any more; zero: for ever.
type Retention struct {
	Audit   time.Duration // since the entry was made
	Expired time.Duration // certificates, since their end
}

// Retain removes the records that are older than that, in small commits between which
// other changes have their turn. Revocations always stay: without its record a revoked
// certificate could be renewed where renewal after expiry is allowed.
func (s *Store) Retain(ctx context.Context, now time.Time, r Retention) (n int64, err error) {
	for _, part := range []struct {
		keep   time.Duration
		remove func(*Tx, int64) (int64, error)
	}{{r.Audit, (*Tx).removeAudit}, {r.Expired, (*Tx).removeExpired}} {
		for removed := int64(-1); part.keep > 0 && removed != 0; n += removed {
			err := s.Update(ctx, func(tx *Tx) (err error) {
				removed, err = part.remove(tx, seconds(now.Add(-part.keep)))
				return err
			})
			if err != nil {
				return n, fmt.Errorf("remove records past their retention: %w", err)
			}
		}
	}
	return n, nil
}

// removeAudit removes the oldest entries, as sweep does.
func (tx *Tx) removeAudit(end int64) (int64, error) {
	err := tx.row("SELECT at + 1 FROM audit WHERE at < ? ORDER BY at LIMIT 1 OFFSET ?", []any{end, sweepRows - 1}, &end)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	return tx.exec("DELETE FROM audit WHERE at < ?", end)
}

// removeExpired removes the certificates that ended first, with their names.
func (tx *Tx) removeExpired(end int64) (n int64, err error) {
	for c, err := range tx.Certificates(Query{ExpiresBefore: moment(end), Limit: sweepRows}) {
		if err != nil {
			return n, err
		}
		names := distinct(c.Names)
		if c.RenewedFrom != "" {
			names = append(names, Name{renews, c.RenewedFrom})
		}
		for _, name := range names {
			if _, err := tx.exec("DELETE FROM certificate_names WHERE value = ? AND kind = ? AND certificate_id = ?", name.Value, name.Kind, c.ID); err != nil {
				return n, err
			}
		}
		if _, err := tx.exec("DELETE FROM certificates WHERE id = ?", c.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
