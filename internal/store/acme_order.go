package store

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ACMEIdentifier is a name that an ACME client wants certified.
type ACMEIdentifier struct {
	Type     string `json:"type"` // dns or ip
	Value    string `json:"value"`
	Ancestor string `json:"ancestorDomain,omitempty"` // the domain to prove instead (RFC 9444)
}

// States of orders as they are kept. That an order is ready, or can't become so any more,
// follows from its authorizations.
const (
	ACMEPending = "pending"
	ACMEValid   = "valid"
	ACMEInvalid = "invalid"
)

// ACMEOrder is a wish for a certificate (RFC 8555, Section 7.1.3).
type ACMEOrder struct {
	ID             string
	Seq            int64 // place in lists, given by the store; rises with time
	AccountID      string
	ProvisionerID  string
	Status         string // one of the states above
	Identifiers    []ACMEIdentifier
	Authorizations []string // their IDs, in the order of the identifiers

	NotBefore, NotAfter time.Time // as they were asked for; zero: not at all
	Profile             string    // "": the provisioner's own
	Replaces            string    // certID of the predecessor (RFC 9773); "": none
	Problem             []byte    // why it is invalid, JSON; nil: nobody said
	Serial              string    // of the certificate; "" before there is one

	CreatedAt, ExpiresAt time.Time
	RemoveAt             time.Time // nobody needs it after that
}

var acmeOrdersTable = &table{"acme_orders", []string{"id", "seq", "account_id", "provisioner_id", "status", "identifiers", "authorizations",
	"not_before", "not_after", "profile", "replaces", "problem", "serial", "created_at", "expires_at", "remove_at"}}

// AddACMEOrder records an order with the authorizations that are new with it. It sets o.Seq.
func (tx *Tx) AddACMEOrder(o *ACMEOrder, authzs []*ACMEAuthz) error {
	identifiers, err := json.Marshal(o.Identifiers)
	ids, also := json.Marshal(o.Authorizations)
	if err = errors.Join(err, also, key("profile", o.Profile, 255), key("replaced certificate", o.Replaces, 255)); err != nil {
		return fmt.Errorf("record ACME order: %w", err)
	}
	o.Seq = tx.store.nextID()
	err = tx.insert(acmeOrdersTable, o.ID, o.Seq, o.AccountID, o.ProvisionerID, o.Status, text(string(identifiers)), string(ids),
		seconds(o.NotBefore), seconds(o.NotAfter), o.Profile, o.Replaces, string(o.Problem), o.Serial,
		seconds(o.CreatedAt), seconds(o.ExpiresAt), seconds(o.RemoveAt))
	if err != nil {
		return fmt.Errorf("record ACME order: %w", err)
	}
	for _, a := range authzs {
		if err := tx.AddACMEAuthz(a); err != nil {
			return err
		}
	}
	return nil
}

const acmeOrderColumns = `id, seq, account_id, provisioner_id, status, identifiers, authorizations,
	not_before, not_after, profile, replaces, problem, serial, created_at, expires_at, remove_at`

func scanACMEOrder(scan func(...any) error) (*ACMEOrder, error) {
	var o ACMEOrder
	var identifiers, ids, problem string
	var notBefore, notAfter, created, expires, remove int64
	err := scan(&o.ID, &o.Seq, &o.AccountID, &o.ProvisionerID, &o.Status, &identifiers, &ids,
		&notBefore, &notAfter, &o.Profile, &o.Replaces, &problem, &o.Serial, &created, &expires, &remove)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.Unmarshal([]byte(identifiers), &o.Identifiers), json.Unmarshal([]byte(ids), &o.Authorizations)); err != nil {
		return nil, fmt.Errorf("ACME order %s in the database: %w", o.ID, err)
	}
	if problem != "" {
		o.Problem = []byte(problem)
	}
	o.NotBefore, o.NotAfter = moment(notBefore), moment(notAfter)
	o.CreatedAt, o.ExpiresAt, o.RemoveAt = moment(created), moment(expires), moment(remove)
	return &o, nil
}

// ACMEOrder finds an order by its ID.
func (tx *Tx) ACMEOrder(id string) (*ACMEOrder, error) {
	var o *ACMEOrder
	err := tx.rows("SELECT "+acmeOrderColumns+" FROM acme_orders WHERE id = ?", []any{id}, func(r *sql.Rows) (err error) {
		o, err = scanACMEOrder(r.Scan)
		return err
	})
	if err == nil && o == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("ACME order: %w", err)
	}
	return o, nil
}

// ACMEOrders lists the orders of an account that are not invalid, the newest first, from
// below a place on; 0: from the newest.
func (tx *Tx) ACMEOrders(accountID string, below int64, limit int) ([]*ACMEOrder, error) {
	return tx.acmeOrdersIn(accountID, below, limit, ACMEPending, ACMEValid)
}

// AllACMEOrders lists the orders of an account, the newest first, also those that failed.
func (tx *Tx) AllACMEOrders(accountID string, limit int) ([]*ACMEOrder, error) {
	return tx.acmeOrdersIn(accountID, 0, limit, ACMEPending, ACMEValid, ACMEInvalid)
}

func (tx *Tx) acmeOrdersIn(accountID string, below int64, limit int, statuses ...string) ([]*ACMEOrder, error) {
	if below == 0 {
		below = 1<<63 - 1
	}
	var all []*ACMEOrder
	for _, status := range statuses { // each in the order of the index
		err := tx.rows("SELECT "+acmeOrderColumns+" FROM acme_orders WHERE account_id = ? AND status = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
			[]any{accountID, status, below, limit}, func(r *sql.Rows) error {
				o, err := scanACMEOrder(r.Scan)
				all = append(all, o)
				return err
			})
		if err != nil {
			return nil, fmt.Errorf("list ACME orders: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b *ACMEOrder) int { return cmp.Compare(b.Seq, a.Seq) })
	return all[:min(limit, len(all))], nil
}

// WaitingACMEOrders lists the orders of an account that wait for something, the newest first.
func (tx *Tx) WaitingACMEOrders(accountID string, now time.Time, limit int) (all []*ACMEOrder, err error) {
	err = tx.rows("SELECT "+acmeOrderColumns+" FROM acme_orders WHERE account_id = ? AND status = 'pending' AND expires_at > ? ORDER BY seq DESC LIMIT ?",
		[]any{accountID, seconds(now), limit}, func(r *sql.Rows) error {
			o, err := scanACMEOrder(r.Scan)
			all = append(all, o)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list waiting ACME orders: %w", err)
	}
	return all, nil
}

// PendingACMEOrders counts the orders of an account that wait for something, up to a number
// from which on it does not matter how many there are.
func (tx *Tx) PendingACMEOrders(accountID string, now time.Time, most int) (n int, err error) {
	err = tx.row(`SELECT count(*) FROM (SELECT 1 FROM acme_orders WHERE account_id = ? AND status = 'pending' AND expires_at > ?
		ORDER BY seq DESC LIMIT ?) AS waiting`, []any{accountID, seconds(now), most}, &n)
	if err != nil {
		return 0, fmt.Errorf("count pending ACME orders: %w", err)
	}
	return n, nil
}

// FailACMEOrder ends a pending order, with a problem in JSON or nil.
func (tx *Tx) FailACMEOrder(id string, problem []byte) error {
	return tx.expect("end ACME order", "UPDATE acme_orders SET status = 'invalid', problem = ? WHERE id = ? AND status = 'pending'", string(problem), id)
}

// FulfilACMEOrder gives a pending order its certificate, the only one it will ever have:
// ErrStale if it has one, or was ended.
func (tx *Tx) FulfilACMEOrder(o *ACMEOrder, serial string, removeAt time.Time) error {
	err := tx.expect("fulfil ACME order", "UPDATE acme_orders SET status = 'valid', serial = ?, remove_at = ? WHERE id = ? AND status = 'pending'",
		serial, seconds(removeAt), o.ID)
	if err != nil {
		return err
	}
	return tx.insertACMECertificate(&ACMECertificate{Serial: serial, AccountID: o.AccountID, OrderID: o.ID, RemoveAt: removeAt})
}
