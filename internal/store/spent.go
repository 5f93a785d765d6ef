package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Spent is a proof that was used up.
type Spent struct {
	Key           string // hash of what identifies the proof; never a token
	ProvisionerID string
	SpentAt       time.Time
	ExpiresAt     time.Time // from then on it can't be replayed; zero: remembered for ever
}

// Spend uses up a proof; ErrExists if it was spent before.
func (tx *Tx) Spend(p Spent) error {
	if p.Key == "" {
		return fmt.Errorf("spend proof: it has no key")
	}
	if err := key("key of proof", p.Key, 255); err != nil {
		return err
	}
	if err := key("provisioner ID", p.ProvisionerID, 512); err != nil {
		return err
	}
	err := tx.insert(spentTable, p.Key, p.ProvisionerID, seconds(p.SpentAt), seconds(p.ExpiresAt))
	if err != nil {
		return fmt.Errorf("spend proof: %w", err)
	}
	return nil
}

// IsSpent tells whether a proof was spent. To decide on it, Spend: another server may
// spend it in between.
func (tx *Tx) IsSpent(key string) (bool, error) {
	var n int64
	if err := tx.row("SELECT count(*) FROM spent_proofs WHERE proof = ?", []any{key}, &n); err != nil {
		return false, fmt.Errorf("look for spent proof: %w", err)
	}
	return n > 0, nil
}

// sweepRows is about how many rows one commit removes: few enough that issuances which
// wait for it hardly notice.
const sweepRows = 200

// Sweep removes the spent proofs that expired before now, and tells how many. Between its
// small commits other changes have their turn.
func (s *Store) Sweep(ctx context.Context, now time.Time) (n int64, err error) {
	for {
		var removed int64
		err := s.Update(ctx, func(tx *Tx) (err error) {
			removed, err = tx.sweep(seconds(now))
			return err
		})
		n += removed
		if err != nil {
			return n, fmt.Errorf("sweep spent proofs: %w", err)
		}
		if removed == 0 {
			return n, nil
		}
	}
}

// sweep removes those that expired first. Looking for the end of the range, then deleting
// the range, walks one index on every database; a subquery does not.
func (tx *Tx) sweep(end int64) (int64, error) {
	never := seconds(time.Time{})
	err := tx.row(`SELECT expires_at + 1 FROM spent_proofs WHERE expires_at > ? AND expires_at < ?
		ORDER BY expires_at LIMIT 1 OFFSET ?`, []any{never, end, sweepRows - 1}, &end)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	return tx.exec("DELETE FROM spent_proofs WHERE expires_at > ? AND expires_at < ?", never, end)
}
