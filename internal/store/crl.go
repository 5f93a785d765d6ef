package store

import (
	"fmt"
	"time"
)

// CRL is the revocation list of one issuing key, as it was last signed.
type CRL struct {
	Issuer     string // fingerprint of the issuing key
	Number     int64  // RFC 5280, Section 5.2.3: rises with each list
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
}

// CRL finds the last list of an issuer.
func (tx *Tx) CRL(issuer string) (*CRL, error) {
	c := CRL{Issuer: issuer}
	var this, next int64
	err := tx.row("SELECT number, this_update, next_update, der FROM crls WHERE issuer = ?",
		[]any{issuer}, &c.Number, &this, &next, &c.DER)
	if err != nil {
		return nil, fmt.Errorf("CRL of %s: %w", issuer, err)
	}
	c.ThisUpdate, c.NextUpdate = moment(this), moment(next)
	return &c, nil
}

// PutCRL replaces the list with number previous, or writes the first one if previous is
// -1. ErrStale if another list is there: of two servers that sign at once, one wins.
func (tx *Tx) PutCRL(c *CRL, previous int64) error {
	if err := key("issuer of CRL", c.Issuer, 255); err != nil {
		return err
	}
	var n int64
	var err error
	if previous < 0 {
		n, err = tx.exec("INSERT INTO crls (issuer, number, this_update, next_update, der) VALUES (?, ?, ?, ?, ?)"+
			tx.store.dialect.skip, c.Issuer, c.Number, seconds(c.ThisUpdate), seconds(c.NextUpdate), c.DER)
	} else {
		n, err = tx.exec("UPDATE crls SET number = ?, this_update = ?, next_update = ?, der = ? WHERE issuer = ? AND number = ?",
			c.Number, seconds(c.ThisUpdate), seconds(c.NextUpdate), c.DER, c.Issuer, previous)
	}
	if err == ErrExists || (err == nil && n == 0) {
		err = ErrStale
	}
	if err != nil {
		return fmt.Errorf("store CRL of %s: %w", c.Issuer, err)
	}
	return nil
}
