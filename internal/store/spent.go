package store

import (
	"context"
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
	err := tx.insert("INSERT INTO spent_proofs (proof, provisioner_id, spent_at, expires_at) VALUES (?, ?, ?, ?)",
		p.Key, p.ProvisionerID, seconds(p.SpentAt), seconds(p.ExpiresAt))
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

// sweepRows is how many rows one commit removes: few enough that issuances which wait for
// it hardly notice.
const sweepRows = 200

// Sweep removes the spent proofs that expired before now, and tells how many. Between its
// small commits other changes have their turn.
func (s *Store) Sweep(ctx context.Context, now time.Time) (n int64, err error) {
	for {
		var removed int64
		err := s.Update(ctx, func(tx *Tx) (err error) {
			// The inner SELECT has a name because MySQL takes no LIMIT right inside IN.
			removed, err = tx.exec(`DELETE FROM spent_proofs WHERE proof IN (SELECT proof FROM
				(SELECT proof FROM spent_proofs WHERE expires_at > ? AND expires_at < ?
				ORDER BY expires_at LIMIT ?) due)`, seconds(time.Time{}), seconds(now), sweepRows)
			return err
		})
		if err != nil {
			return n, fmt.Errorf("sweep spent proofs: %w", err)
		}
		n += removed
		if removed < sweepRows {
			return n, nil
		}
	}
}
