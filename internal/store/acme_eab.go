package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ACMEKey is a key by which somebody outside vouches for one new account (RFC 8555,
// Section 7.3.4).
type ACMEKey struct {
	ID            string
	ProvisionerID string
	Reference     string // the operator's name for it; "" is none
	Secret        []byte // sealed; nil once it is used up
	Policy        []byte // names that its account may ask for, JSON; nil: no rules
	AccountID     string // that it was used for; "": none yet

	CreatedAt time.Time
	BoundAt   time.Time // zero: not yet
}

var acmeKeysTable = &table{"acme_eab_keys", []string{"id", "provisioner_id", "reference", "secret", "policy", "account_id", "created_at", "bound_at"}}

// AddACMEKey records a key; ErrExists if its provisioner has one with that reference.
func (tx *Tx) AddACMEKey(k *ACMEKey) error {
	err := errors.Join(key("ID", k.ID, 255), key("provisioner ID", k.ProvisionerID, 512), key("reference", k.Reference, 255))
	if err == nil && k.Reference != "" {
		var n int64
		err = tx.row("SELECT count(*) FROM acme_eab_keys WHERE provisioner_id = ? AND reference = ?", []any{k.ProvisionerID, k.Reference}, &n)
		if n > 0 {
			err = ErrExists
		}
	}
	if err == nil {
		err = tx.insert(acmeKeysTable, k.ID, k.ProvisionerID, k.Reference, k.Secret, string(k.Policy), k.AccountID, seconds(k.CreatedAt), seconds(k.BoundAt))
	}
	if err != nil {
		return fmt.Errorf("record ACME key: %w", err)
	}
	return nil
}

// ACMEKey finds a key by its ID.
func (tx *Tx) ACMEKey(id string) (*ACMEKey, error) {
	all, err := tx.acmeKeys("id = ?", id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("ACME key: %w", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// ACMEKeys lists the keys of a provisioner in the order in which they were made, from
// behind an ID on.
func (tx *Tx) ACMEKeys(provisionerID, after string, limit int) ([]*ACMEKey, error) {
	return tx.acmeKeys("provisioner_id = ? AND id > ? ORDER BY id LIMIT ?", provisionerID, after, limit)
}

// ACMEKeyByReference finds a key of a provisioner by the operator's name for it.
func (tx *Tx) ACMEKeyByReference(provisionerID, reference string) ([]*ACMEKey, error) {
	return tx.acmeKeys("provisioner_id = ? AND reference = ? ORDER BY id", provisionerID, reference)
}

// UnusedACMEKeys lists the keys of all provisioners that nobody has used, from behind an ID on.
func (tx *Tx) UnusedACMEKeys(after string, limit int) ([]*ACMEKey, error) {
	return tx.acmeKeys("id > ? AND account_id = '' AND secret IS NOT NULL ORDER BY id LIMIT ?", after, limit)
}

// ResealACMEKey writes the secret of an unused key sealed in another way; ErrStale if the key
// has changed.
func (tx *Tx) ResealACMEKey(k *ACMEKey, sealed []byte) error {
	return tx.expect("seal ACME key", "UPDATE acme_eab_keys SET secret = ? WHERE id = ? AND account_id = '' AND secret = ?", sealed, k.ID, k.Secret)
}

func (tx *Tx) acmeKeys(where string, args ...any) (all []*ACMEKey, err error) {
	err = tx.rows("SELECT id, provisioner_id, reference, secret, policy, account_id, created_at, bound_at FROM acme_eab_keys WHERE "+where, args, func(r *sql.Rows) error {
		var k ACMEKey
		var policy string
		var created, bound int64
		err := r.Scan(&k.ID, &k.ProvisionerID, &k.Reference, &k.Secret, &policy, &k.AccountID, &created, &bound)
		if policy != "" {
			k.Policy = []byte(policy)
		}
		k.CreatedAt, k.BoundAt = moment(created), moment(bound)
		all = append(all, &k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ACME keys: %w", err)
	}
	return all, nil
}

// BindACMEKey uses a key up for an account and forgets its secret; ErrStale if it was used
// before.
func (tx *Tx) BindACMEKey(id, accountID string, now time.Time) error {
	return tx.expect("bind ACME key", "UPDATE acme_eab_keys SET account_id = ?, bound_at = ?, secret = NULL WHERE id = ? AND account_id = ''",
		accountID, seconds(now), id)
}

// RemoveACMEKey forgets a key. An account that it vouched for stays.
func (tx *Tx) RemoveACMEKey(provisionerID, id string) error {
	n, err := tx.exec("DELETE FROM acme_eab_keys WHERE id = ? AND provisioner_id = ?", id, provisionerID)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove ACME key: %w", err)
	}
	return nil
}
