package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ACMERenewal asks for certificates to be renewed early.
type ACMERenewal struct {
	Scope       string    // *, provisioner:ID, issuer:KEY or serial:HEX
	Explanation string    // URL of a page that says why; "": none
	CreatedAt   time.Time // certificates issued until then are meant
}

var (
	acmeRenewalsTable    = &table{"acme_renewals", []string{"scope", "explanation", "created_at"}}
	compromisedKeysTable = &table{"compromised_keys", []string{"key_id", "created_at"}}
)

// SetACMERenewal asks for early renewals, in place of what was asked before for the scope.
func (tx *Tx) SetACMERenewal(r ACMERenewal) error {
	if err := key("scope", r.Scope, 255); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM acme_renewals WHERE scope = ?", r.Scope)
	if err == nil {
		err = tx.insert(acmeRenewalsTable, r.Scope, text(r.Explanation), seconds(r.CreatedAt))
	}
	if err != nil {
		return fmt.Errorf("ask for early renewals: %w", err)
	}
	return nil
}

// RemoveACMERenewal takes that back; ErrNotFound if nobody asked.
func (tx *Tx) RemoveACMERenewal(scope string) error {
	n, err := tx.exec("DELETE FROM acme_renewals WHERE scope = ?", scope)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("take early renewals back: %w", err)
	}
	return nil
}

// ACMERenewal finds out whether a certificate should be renewed early; ErrNotFound if not.
func (tx *Tx) ACMERenewal(c *Certificate) (*ACMERenewal, error) {
	var found *ACMERenewal
	err := tx.rows("SELECT scope, explanation, created_at FROM acme_renewals WHERE scope IN (?, ?, ?, ?) AND created_at >= ? ORDER BY created_at",
		[]any{"*", "provisioner:" + c.ProvisionerID, "issuer:" + c.IssuerKeyID, "serial:" + c.Serial, seconds(c.IssuedAt)},
		func(r *sql.Rows) error {
			var one ACMERenewal
			var created int64
			err := r.Scan(&one.Scope, &one.Explanation, &created)
			one.CreatedAt = moment(created)
			found = &one
			return err
		})
	if err == nil && found == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("early renewal of certificate %s: %w", c.Serial, err)
	}
	return found, nil
}

// CompromiseKey notes that somebody else has a key. To say it twice does no harm.
func (tx *Tx) CompromiseKey(keyID string, now time.Time) error {
	if err := tx.insert(compromisedKeysTable, keyID, seconds(now)); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("record compromised key: %w", err)
	}
	return nil
}

// IsCompromised tells whether a key's holder said so.
func (tx *Tx) IsCompromised(keyID string) (bool, error) {
	var n int64
	if err := tx.row("SELECT count(*) FROM compromised_keys WHERE key_id = ?", []any{keyID}, &n); err != nil {
		return false, fmt.Errorf("look for compromised key: %w", err)
	}
	return n > 0, nil
}

// ACMEAccounts lists the accounts of a provisioner, from behind a thumbprint on.
func (tx *Tx) ACMEAccounts(provisionerID, after string, limit int) (all []*ACMEAccount, err error) {
	var thumbprints []string
	err = tx.rows("SELECT thumbprint FROM acme_accounts WHERE provisioner_id = ? AND thumbprint > ? ORDER BY thumbprint LIMIT ?",
		[]any{provisionerID, after, limit}, func(r *sql.Rows) error {
			var one string
			err := r.Scan(&one)
			thumbprints = append(thumbprints, one)
			return err
		})
	for _, one := range thumbprints {
		if err != nil {
			break
		}
		var a *ACMEAccount
		if a, err = tx.ACMEAccountByKey(provisionerID, one); err == nil {
			all = append(all, a)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list ACME accounts: %w", err)
	}
	return all, nil
}
