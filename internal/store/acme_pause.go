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

// ACMEPauses lists the pauses that have not ended, at most limit: those of a provisioner, or of all
// if its ID is "".
func (tx *Tx) ACMEPauses(provisionerID string, now time.Time, limit int) (all []ACMEPause, err error) {
	err = tx.rows("SELECT account_id, value, provisioner_id, created_at, expires_at FROM acme_pauses WHERE expires_at > ? AND (provisioner_id = ? OR ? = '') ORDER BY account_id, value LIMIT ?",
		[]any{seconds(now), provisionerID, provisionerID, limit}, func(r *sql.Rows) error {
			p, err := scanACMEPause(r)
			all = append(all, p)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("pauses of validations: %w", err)
	}
	return all, nil
}

// ACMEPauseOf is the pause of one name of an account; the zero value if there is none.
func (tx *Tx) ACMEPauseOf(accountID, value string) (p ACMEPause, err error) {
	err = tx.rows("SELECT account_id, value, provisioner_id, created_at, expires_at FROM acme_pauses WHERE account_id = ? AND value = ?",
		[]any{accountID, value}, func(r *sql.Rows) (err error) {
			p, err = scanACMEPause(r)
			return err
		})
	if err != nil {
		return p, fmt.Errorf("pause of validations: %w", err)
	}
	return p, nil
}

func scanACMEPause(r *sql.Rows) (p ACMEPause, err error) {
	var created, expires int64
	err = r.Scan(&p.AccountID, &p.Value, &p.ProvisionerID, &created, &expires)
	p.CreatedAt, p.ExpiresAt = moment(created), moment(expires)
	return p, err
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
