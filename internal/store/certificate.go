package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Name is one name that a certificate carries.
type Name struct {
	Kind  string // cn, dns, ip, email, uri, principal or other
	Value string
}

// Certificate is the record of one certificate that was issued.
type Certificate struct {
	ID     int64  // place in lists, given by the store; rises with time
	Serial string // lower-case hex without leading zeros, for SSH as well
	Type   string // x509, ssh-user or ssh-host

	ProvisionerID, ProvisionerName, ProvisionerType string

	Subject     string // who asked
	KeyID       string // fingerprint of the certified key
	IssuerKeyID string // fingerprint of the key that signed
	Names       []Name

	NotBefore, NotAfter, IssuedAt time.Time // kept to the second, in UTC

	Raw         []byte // DER, or the SSH wire form
	RenewedFrom string // serial of the predecessor; "" if there is none
	RA          []byte // JSON of the registration authority's data; nil if there is none
}

// renews is the kind under which a predecessor's serial is kept among the names: renewals
// pay for that index, not every certificate.
const renews = "renews"

// AddCertificate records a certificate; ErrExists if its serial is taken. It sets c.ID.
func (tx *Tx) AddCertificate(c *Certificate) error {
	class, err := c.check()
	if err != nil {
		return fmt.Errorf("record certificate: %w", err)
	}
	names, err := json.Marshal(c.Names)
	if err != nil {
		return fmt.Errorf("record certificate %s: %w", c.Serial, err)
	}
	c.ID = tx.store.nextID()
	err = tx.insert(certificatesTable, c.ID, class, c.Serial, c.Type,
		c.ProvisionerID, text(c.ProvisionerName), text(c.ProvisionerType),
		text(c.Subject), text(c.KeyID), text(c.IssuerKeyID), text(string(names)),
		seconds(c.NotBefore), seconds(c.NotAfter), seconds(c.IssuedAt), c.Raw, c.RenewedFrom, c.RA)
	if err != nil {
		return fmt.Errorf("record certificate %s: %w", c.Serial, err)
	}
	for _, n := range distinct(c.Names) {
		if err := tx.insert(namesTable, n.Value, n.Kind, c.ID); err != nil {
			return fmt.Errorf("record names of certificate %s: %w", c.Serial, err)
		}
	}
	if c.RenewedFrom != "" {
		if err := tx.insert(namesTable, c.RenewedFrom, renews, c.ID); err != nil {
			return fmt.Errorf("record predecessor of certificate %s: %w", c.Serial, err)
		}
	}
	return nil
}

// check finds what no database could store, and the space its serial lives in.
func (c *Certificate) check() (string, error) {
	cl, err := class(c.Type)
	if err == nil && c.Type == "ssh" {
		err = errors.New("type ssh does not say whether user or host")
	}
	if c.RenewedFrom != "" {
		err = errors.Join(err, serialNumber(c.RenewedFrom))
	}
	for _, n := range c.Names {
		if err = errors.Join(err, key("kind of name", n.Kind, 16)); n.Kind == renews {
			err = errors.Join(err, fmt.Errorf("kind of name %q is the store's own", n.Kind))
		}
	}
	if len(c.Raw) == 0 {
		err = errors.Join(err, errors.New("the certificate itself is missing"))
	}
	return cl, errors.Join(err, serialNumber(c.Serial), key("provisioner ID", c.ProvisionerID, 512))
}

// distinct is the names in the form we search them by, each once.
func distinct(names []Name) []Name {
	out := make([]Name, 0, len(names))
	seen := make(map[Name]bool, len(names))
	for _, n := range names {
		n.Value = searched(n)
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// searched is a name as its index holds it: lower-case where case means nothing (RFC 4343
// for DNS), and a digest where a name outgrows what an index can hold.
func searched(n Name) string {
	v := text(n.Value)
	if n.Kind == "dns" {
		v = strings.ToLower(v)
	}
	if len(v) > 255 {
		sum := sha256.Sum256([]byte(v))
		v = "sha256:" + hex.EncodeToString(sum[:])
	}
	return v
}

const certificateColumns = `c.id, c.serial, c.type, c.provisioner_id, c.provisioner_name,
	c.provisioner_type, c.subject, c.key_id, c.issuer_key_id, c.names,
	c.not_before, c.not_after, c.issued_at, c.raw, c.renewed_from, c.ra`

// scanCertificate reads certificateColumns.
func scanCertificate(scan func(...any) error) (*Certificate, error) {
	var c Certificate
	var names string
	var notBefore, notAfter, issuedAt int64
	err := scan(&c.ID, &c.Serial, &c.Type, &c.ProvisionerID, &c.ProvisionerName, &c.ProvisionerType,
		&c.Subject, &c.KeyID, &c.IssuerKeyID, &names, &notBefore, &notAfter, &issuedAt,
		&c.Raw, &c.RenewedFrom, &c.RA)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(names), &c.Names); err != nil {
		return nil, fmt.Errorf("names of certificate %s in the database: %w", c.Serial, err)
	}
	c.NotBefore, c.NotAfter, c.IssuedAt = moment(notBefore), moment(notAfter), moment(issuedAt)
	return &c, nil
}

// Origin is the part of a certificate's record that says who issued it and when it ends: the rest
// of what is returned is empty. It is for questions that are asked often: a change that asks
// may still be written together with others, and is then run again when the answer is known.
func (tx *Tx) Origin(typ, serial string) (*Certificate, error) {
	class, err := class(typ)
	if err != nil {
		return nil, err
	}
	if tx.recording != nil {
		c, err := tx.recording.origin(subject{class, serial})
		if err != nil {
			return nil, fmt.Errorf("origin of certificate %s: %w", serial, err)
		}
		return c, nil
	}
	var notAfter int64
	c := &Certificate{Serial: serial}
	err = tx.row("SELECT provisioner_id, provisioner_name, not_after FROM certificates WHERE serial = ? AND class = ?",
		[]any{serial, class}, &c.ProvisionerID, &c.ProvisionerName, &notAfter)
	if err != nil {
		return nil, fmt.Errorf("origin of certificate %s: %w", serial, err)
	}
	c.NotAfter = moment(notAfter)
	return c, nil
}

// UnrevokedCertificate finds one like [Tx.Certificate], and is ErrStale if it was revoked: one
// question instead of two. A revocation counts whether or not the certificate is on record.
func (tx *Tx) UnrevokedCertificate(typ, serial string) (*Certificate, error) {
	class, err := class(typ)
	if err != nil {
		return nil, err
	}
	var c *Certificate
	var revoked int64
	err = tx.rows("SELECT "+certificateColumns+", (SELECT count(*) FROM revocations r WHERE r.class = c.class AND r.serial = c.serial) FROM certificates c WHERE c.serial = ? AND c.class = ?",
		[]any{serial, class}, func(r *sql.Rows) (err error) {
			c, err = scanCertificate(func(dest ...any) error { return r.Scan(append(dest, &revoked)...) })
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", serial, err)
	}
	if c == nil {
		if err := tx.Unrevoked(typ, serial); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("certificate %s: %w", serial, ErrNotFound)
	}
	if revoked > 0 {
		return nil, ErrStale
	}
	return c, nil
}

// Certificate finds one by serial; typ is x509 or ssh, which number apart.
func (tx *Tx) Certificate(typ, serial string) (*Certificate, error) {
	class, err := class(typ)
	if err != nil {
		return nil, err
	}
	var c *Certificate
	err = tx.rows("SELECT "+certificateColumns+" FROM certificates c WHERE c.serial = ? AND c.class = ?",
		[]any{serial, class}, func(r *sql.Rows) (err error) {
			c, err = scanCertificate(r.Scan)
			return err
		})
	if err == nil && c == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", serial, err)
	}
	return c, nil
}
