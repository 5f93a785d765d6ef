package store

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Revocation says that a certificate is no longer to be trusted.
type Revocation struct {
	Serial        string
	Type          string // x509, ssh, ssh-user or ssh-host; serials of all SSH types are one space
	ProvisionerID string // who revoked
	ReasonCode    int    // RFC 5280, Section 5.3.1
	Reason        string // in words
	RevokedAt     time.Time
	ExpiresAt     time.Time // NotAfter of the certificate; zero if unknown
	ProofKey      string    // key of the spent proof; "" if none was
	MTLS, ACME    bool      // how it came in
	By            string    // administrator or subject
}

// Revoke records a revocation; ErrExists if the certificate was revoked before.
func (tx *Tx) Revoke(r *Revocation) error {
	class, err := class(r.Type)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if err := serialNumber(r.Serial); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if err := key("provisioner ID", r.ProvisionerID, 512); err != nil {
		return fmt.Errorf("revoke %s: %w", r.Serial, err)
	}
	if err := key("key of proof", r.ProofKey, 255); err != nil {
		return fmt.Errorf("revoke %s: %w", r.Serial, err)
	}
	err = tx.insert(revocationsTable,
		class, r.Serial, r.Type, r.ProvisionerID, r.ReasonCode, text(r.Reason),
		seconds(r.RevokedAt), seconds(r.ExpiresAt), r.ProofKey, flag(r.MTLS), flag(r.ACME), text(r.By))
	if err != nil {
		return fmt.Errorf("revoke %s: %w", r.Serial, err)
	}
	return nil
}

const revocationColumns = `serial, type, provisioner_id, reason_code, reason,
	revoked_at, expires_at, proof, mtls, acme, revoked_by`

func scanRevocation(scan func(...any) error) (*Revocation, error) {
	var r Revocation
	var revokedAt, expiresAt, mtls, acme int64
	err := scan(&r.Serial, &r.Type, &r.ProvisionerID, &r.ReasonCode, &r.Reason,
		&revokedAt, &expiresAt, &r.ProofKey, &mtls, &acme, &r.By)
	r.RevokedAt, r.ExpiresAt = moment(revokedAt), moment(expiresAt)
	r.MTLS, r.ACME = mtls != 0, acme != 0
	return &r, err
}

// Revocation finds the revocation of a certificate; typ is x509 or ssh.
func (tx *Tx) Revocation(typ, serial string) (*Revocation, error) {
	class, err := class(typ)
	if err != nil {
		return nil, err
	}
	var r *Revocation
	err = tx.rows("SELECT "+revocationColumns+" FROM revocations WHERE class = ? AND serial = ?",
		[]any{class, serial}, func(row *sql.Rows) (err error) {
			r, err = scanRevocation(row.Scan)
			return err
		})
	if err == nil && r == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("revocation of %s: %w", serial, err)
	}
	return r, nil
}

// Unrevoked is ErrStale if a certificate was revoked; typ is x509 or ssh. A change that asks
// may still be written together with others.
func (tx *Tx) Unrevoked(typ, serial string) error {
	class, err := class(typ)
	if err != nil {
		return err
	}
	if rec := tx.recording; rec != nil {
		rec.unrevoked = append(rec.unrevoked, subject{class, serial})
		return nil
	}
	_, err = tx.Revocation(typ, serial)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil:
		return ErrStale
	}
	return err
}

// Revocations lists all revocations of x509 or ssh, by serial.
func (tx *Tx) Revocations(typ string) iter.Seq2[*Revocation, error] {
	return func(yield func(*Revocation, error) bool) {
		class, err := class(typ)
		if err != nil {
			yield(nil, err)
			return
		}
		for last := ""; ; {
			page := make([]*Revocation, 0, pageRows)
			err := tx.rows("SELECT "+revocationColumns+" FROM revocations WHERE class = ? AND serial > ? ORDER BY serial LIMIT ?",
				[]any{class, last, pageRows}, func(row *sql.Rows) error {
					r, err := scanRevocation(row.Scan)
					page = append(page, r)
					return err
				})
			if err != nil {
				yield(nil, fmt.Errorf("list revocations: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				last = r.Serial
			}
			if len(page) < pageRows {
				return
			}
		}
	}
}
