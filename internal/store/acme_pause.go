package store

import (
	"database/sql"
	"fmt"
	"time"
)

// ACMEPause keeps an account from having a name validated until it ends.
type ACMEPause struct {
	AccountID     string
	Value         string // of the name
	ProvisionerID string // of the account

	CreatedAt, ExpiresAt time.Time
}

var acmePausesTable = &table{"acme_pauses", []string{"account_id", "value", "provisioner_id", "created_at", "expires_at"}}

// SetACMEPause begins a pause, in place of one that there is.
func (tx *Tx) SetACMEPause(p ACMEPause) error {
	if err := key("name", p.Value, 255); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM acme_pauses WHERE account_id = ? AND value = ?", p.AccountID, p.Value)
	if err == nil {
		err = tx.insert(acmePausesTable, p.AccountID, p.Value, p.ProvisionerID, seconds(p.CreatedAt), seconds(p.ExpiresAt))
	}
	if err != nil {
		return fmt.Errorf("pause validations: %w", err)
	}
	return nil
}

// ACMEPauses lists the pauses of all accounts that have not ended, at most limit.
func (tx *Tx) ACMEPauses(now time.Time, limit int) (all []ACMEPause, err error) {
	err = tx.rows("SELECT account_id, value, provisioner_id, created_at, expires_at FROM acme_pauses WHERE expires_at > ? ORDER BY account_id, value LIMIT ?",
		[]any{seconds(now), limit}, func(r *sql.Rows) error {
			var p ACMEPause
			var created, expires int64
			err := r.Scan(&p.AccountID, &p.Value, &p.ProvisionerID, &created, &expires)
			p.CreatedAt, p.ExpiresAt = moment(created), moment(expires)
			all = append(all, p)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("pauses of validations: %w", err)
	}
	return all, nil
}

// LiftACMEPauses ends the pauses of an account, all of them or that of one name; ErrNotFound
// if there is none.
func (tx *Tx) LiftACMEPauses(provisionerID, accountID, value string) error {
	n, err := tx.exec("DELETE FROM acme_pauses WHERE provisioner_id = ? AND account_id = ? AND (value = ? OR ? = '')", provisionerID, accountID, value, value)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("lift pause: %w", err)
	}
	return nil
}
