package store

import (
	"fmt"
	"time"
)

// ACMECertificate says who ordered a certificate.
type ACMECertificate struct {
	Serial     string
	AccountID  string
	OrderID    string
	ReplacedBy string // ID of the order that replaces it; "": none
	RemoveAt   time.Time
}

var acmeCertificatesTable = &table{"acme_certificates", []string{"serial", "account_id", "order_id", "replaced_by", "remove_at"}}

func (tx *Tx) insertACMECertificate(c *ACMECertificate) error {
	if err := tx.insert(acmeCertificatesTable, c.Serial, c.AccountID, c.OrderID, c.ReplacedBy, seconds(c.RemoveAt)); err != nil {
		return fmt.Errorf("record the account of certificate %s: %w", c.Serial, err)
	}
	return nil
}

// ACMECertificate finds out who ordered a certificate.
func (tx *Tx) ACMECertificate(serial string) (*ACMECertificate, error) {
	c := &ACMECertificate{Serial: serial}
	var remove int64
	err := tx.row("SELECT account_id, order_id, replaced_by, remove_at FROM acme_certificates WHERE serial = ?", []any{serial},
		&c.AccountID, &c.OrderID, &c.ReplacedBy, &remove)
	if err != nil {
		return nil, fmt.Errorf("account of certificate %s: %w", serial, err)
	}
	c.RemoveAt = moment(remove)
	return c, nil
}

// ReplaceACMECertificate notes that an order replaces a certificate; ErrStale if another
// order than the one that was read does by now.
func (tx *Tx) ReplaceACMECertificate(c *ACMECertificate, orderID string) error {
	return tx.expect("replace certificate "+c.Serial, "UPDATE acme_certificates SET replaced_by = ? WHERE serial = ? AND replaced_by = ?", orderID, c.Serial, c.ReplacedBy)
}
