package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ACMEAuthz is the question whether an account controls a name (RFC 8555, Section 7.1.4).
type ACMEAuthz struct {
	ID            string
	AccountID     string
	ProvisionerID string
	OrderID       string // it was made for; "": for any to come
	Type, Value   string // of the name, without "*."
	Wildcard      bool
	Subdomains    bool   // it is good for the names below, too (RFC 9444)
	Status        string // pending, valid, invalid, deactivated
	Challenges    []ACMEChallenge

	CreatedAt, ExpiresAt time.Time
	Version              int64 // rises with each change
}

// ACMEChallenge is one way to prove control. It lives inside its authorization.
type ACMEChallenge struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Token     string          `json:"token,omitempty"`
	Status    string          `json:"status"`              // pending, processing, valid or invalid
	Validated int64           `json:"validated,omitempty"` // Unix seconds; 0: not yet
	Problem   json.RawMessage `json:"problem,omitempty"`   // what went wrong last
	Since     int64           `json:"since,omitempty"`     // Unix seconds of the first try, while processing
	Lease     int64           `json:"lease,omitempty"`     // Unix seconds until when the server that tries wants to be left alone

	ReuseUntil int64 `json:"reuseUntil,omitempty"` // Unix seconds until when a proof by a lasting record is good for later orders

	Attempts []ACMEAttempt `json:"attempts,omitempty"` // the last ones, for operators
}

// ACMEAttempt is one look at a challenge.
type ACMEAttempt struct {
	At    int64    `json:"at"`              // Unix seconds
	Took  int64    `json:"took"`            // milliseconds
	Trace []string `json:"trace,omitempty"` // what was asked, of whom, and how it answered
	Error string   `json:"error,omitempty"` // "": the name was proven
}

var acmeAuthzsTable = &table{"acme_authzs", []string{"id", "account_id", "provisioner_id", "order_id", "type", "value", "wildcard", "subdomains",
	"status", "challenges", "created_at", "expires_at", "version"}}

// AddACMEAuthz records an authorization.
func (tx *Tx) AddACMEAuthz(a *ACMEAuthz) error {
	challenges, err := json.Marshal(a.Challenges)
	err = errors.Join(err, key("name", a.Value, 255), key("type of name", a.Type, 16))
	if err == nil {
		err = tx.insert(acmeAuthzsTable, a.ID, a.AccountID, a.ProvisionerID, a.OrderID, a.Type, a.Value, flag(a.Wildcard), flag(a.Subdomains),
			a.Status, text(string(challenges)), seconds(a.CreatedAt), seconds(a.ExpiresAt), a.Version)
	}
	if err != nil {
		return fmt.Errorf("record ACME authorization: %w", err)
	}
	return nil
}

const acmeAuthzColumns = `id, account_id, provisioner_id, order_id, type, value, wildcard, subdomains,
	status, challenges, created_at, expires_at, version`

func scanACMEAuthz(scan func(...any) error) (*ACMEAuthz, error) {
	var a ACMEAuthz
	var challenges string
	var wildcard, subdomains, created, expires int64
	err := scan(&a.ID, &a.AccountID, &a.ProvisionerID, &a.OrderID, &a.Type, &a.Value, &wildcard, &subdomains,
		&a.Status, &challenges, &created, &expires, &a.Version)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(challenges), &a.Challenges); err != nil {
		return nil, fmt.Errorf("challenges of ACME authorization %s in the database: %w", a.ID, err)
	}
	a.Wildcard, a.Subdomains = wildcard != 0, subdomains != 0
	a.CreatedAt, a.ExpiresAt = moment(created), moment(expires)
	return &a, nil
}

// ACMEAuthz finds an authorization by its ID.
func (tx *Tx) ACMEAuthz(id string) (*ACMEAuthz, error) {
	all, err := tx.acmeAuthzs("id = ?", id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("ACME authorization: %w", ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// ACMEAuthzsOf lists what is known of an account's control of a name, the latest first.
func (tx *Tx) ACMEAuthzsOf(accountID, value string) ([]*ACMEAuthz, error) {
	return tx.acmeAuthzs("account_id = ? AND value = ? ORDER BY id DESC LIMIT 50", accountID, value)
}

// ACMEPreauthzsOf lists an account's authorizations for a name that were made for no order.
func (tx *Tx) ACMEPreauthzsOf(accountID, value string) ([]*ACMEAuthz, error) {
	return tx.acmeAuthzs("account_id = ? AND value = ? AND order_id = '' ORDER BY id DESC LIMIT 20", accountID, value)
}

// PendingACMEPreauthzs counts the authorizations of an account that were made for no order and wait
// to be proven, up to a number from which on it does not matter how many there are.
func (tx *Tx) PendingACMEPreauthzs(accountID string, now time.Time, most int) (n int, err error) {
	err = tx.row(`SELECT count(*) FROM (SELECT 1 FROM acme_authzs WHERE account_id = ? AND order_id = '' AND status = 'pending' AND expires_at > ?
		LIMIT ?) AS waiting`, []any{accountID, seconds(now), most}, &n)
	if err != nil {
		return 0, fmt.Errorf("count pending ACME authorizations: %w", err)
	}
	return n, nil
}

func (tx *Tx) acmeAuthzs(where string, args ...any) (all []*ACMEAuthz, err error) {
	err = tx.rows("SELECT "+acmeAuthzColumns+" FROM acme_authzs WHERE "+where, args, func(r *sql.Rows) error {
		a, err := scanACMEAuthz(r.Scan)
		all = append(all, a)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ACME authorization: %w", err)
	}
	return all, nil
}

// SetACMEAuthz writes status and challenges of an authorization that was read, and nothing that an
// index is of; ErrStale if it has changed since. a.Version stays, since a change may run twice.
func (tx *Tx) SetACMEAuthz(a *ACMEAuthz) error {
	challenges, err := json.Marshal(a.Challenges)
	if err != nil {
		return fmt.Errorf("change ACME authorization: %w", err)
	}
	return tx.expect("change ACME authorization", "UPDATE acme_authzs SET status = ?, challenges = ?, version = version + 1 WHERE id = ? AND version = ?",
		a.Status, text(string(challenges)), a.ID, a.Version)
}
