package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ACMEAccount is an account of an ACME client (RFC 8555, Section 7.1.2).
type ACMEAccount struct {
	ID            string
	ProvisionerID string
	Thumbprint    string // of the key (RFC 7638), unique for a provisioner
	Key           []byte // public, PKIX DER
	Contacts      []string
	Status        string    // valid, deactivated or revoked
	URL           string    // under which the client knows it, for good
	EAB           string    // ID of the key that vouched for it; "" if none did
	TermsAt       time.Time // when its terms were agreed to; zero: never
	CreatedAt     time.Time
}

var acmeAccountsTable = &table{"acme_accounts", []string{"id", "provisioner_id", "thumbprint", "der", "contacts", "status", "url", "eab", "terms_at", "created_at"}}

// AddACMEAccount records an account; ErrExists if its key has one already.
func (tx *Tx) AddACMEAccount(a *ACMEAccount) error {
	contacts, err := json.Marshal(a.Contacts)
	err = errors.Join(err, key("ID", a.ID, 255), key("provisioner ID", a.ProvisionerID, 512), key("thumbprint", a.Thumbprint, 255))
	if err == nil {
		err = tx.insert(acmeAccountsTable, a.ID, a.ProvisionerID, a.Thumbprint, a.Key, text(string(contacts)),
			a.Status, text(a.URL), a.EAB, seconds(a.TermsAt), seconds(a.CreatedAt))
	}
	if err != nil {
		return fmt.Errorf("record ACME account: %w", err)
	}
	return nil
}

const acmeAccountColumns = "id, provisioner_id, thumbprint, der, contacts, status, url, eab, terms_at, created_at"

// ACMEAccount finds an account by its ID.
func (tx *Tx) ACMEAccount(id string) (*ACMEAccount, error) {
	return tx.acmeAccount("id = ?", id)
}

// ACMEAccountByKey finds the account of a key at a provisioner.
func (tx *Tx) ACMEAccountByKey(provisionerID, thumbprint string) (*ACMEAccount, error) {
	return tx.acmeAccount("provisioner_id = ? AND thumbprint = ?", provisionerID, thumbprint)
}

func (tx *Tx) acmeAccount(where string, args ...any) (*ACMEAccount, error) {
	var a ACMEAccount
	var contacts string
	var terms, created int64
	err := tx.row("SELECT "+acmeAccountColumns+" FROM acme_accounts WHERE "+where, args,
		&a.ID, &a.ProvisionerID, &a.Thumbprint, &a.Key, &contacts, &a.Status, &a.URL, &a.EAB, &terms, &created)
	if err == nil {
		err = json.Unmarshal([]byte(contacts), &a.Contacts)
	}
	if err != nil {
		return nil, fmt.Errorf("ACME account: %w", err)
	}
	a.TermsAt, a.CreatedAt = moment(terms), moment(created)
	return &a, nil
}

// SetACMEContacts replaces the contacts of a valid account.
func (tx *Tx) SetACMEContacts(id string, contacts []string) error {
	list, err := json.Marshal(contacts)
	if err != nil {
		return fmt.Errorf("change contacts of ACME account: %w", err)
	}
	return tx.expect("change contacts of ACME account", "UPDATE acme_accounts SET contacts = ? WHERE id = ? AND status = 'valid'", text(string(list)), id)
}

// EndACMEAccount gives a valid account another status, and its pending orders an end.
func (tx *Tx) EndACMEAccount(id, status string) error {
	err := tx.expect("end ACME account", "UPDATE acme_accounts SET status = ? WHERE id = ? AND status = 'valid'", status, id)
	if err == nil {
		_, err = tx.exec("UPDATE acme_orders SET status = 'invalid' WHERE account_id = ? AND status = 'pending'", id)
	}
	if err != nil {
		return fmt.Errorf("end ACME account: %w", err)
	}
	return nil
}

// RekeyACMEAccount gives a valid account another key in place of the one it has: ErrExists
// if the new key has an account, ErrStale if the old one is not its key any more.
func (tx *Tx) RekeyACMEAccount(a *ACMEAccount, thumbprint string, der []byte) error {
	switch _, err := tx.ACMEAccountByKey(a.ProvisionerID, thumbprint); {
	case err == nil:
		return fmt.Errorf("change key of ACME account: %w", ErrExists)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return tx.expect("change key of ACME account", "UPDATE acme_accounts SET thumbprint = ?, der = ? WHERE id = ? AND thumbprint = ? AND status = 'valid'",
		thumbprint, der, a.ID, a.Thumbprint)
}

// expect runs a change of one row that names the state it expects; ErrStale if the row is
// in another. The last arguments say which row.
func (tx *Tx) expect(act, query string, args ...any) error {
	if rec := tx.recording; rec != nil {
		rec.changes = append(rec.changes, expected{query, args})
		return nil
	}
	n, err := tx.exec(query, args...)
	if err == nil && n == 0 {
		err = ErrStale
	}
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	return nil
}
