package store

import (
	"database/sql"
	"fmt"
	"time"
)

var (
	acmeNoncesTable    = &table{"acme_nonces", []string{"made_at", "nonce"}}
	acmeNonceKeysTable = &table{"acme_nonce_keys", []string{"day", "secret"}}
)

// UseACMENonce uses a nonce up, in the transaction of what it is used for; ErrExists if it
// was used before, on whatever server.
func (tx *Tx) UseACMENonce(madeAt time.Time, nonce string) error {
	if err := key("nonce", nonce, 255); err != nil {
		return err
	}
	if err := tx.insert(acmeNoncesTable, seconds(madeAt), nonce); err != nil {
		return fmt.Errorf("use nonce: %w", err)
	}
	return nil
}

// ACMENonceKeys are the keys by which nonces are made, by their day since 1970.
func (tx *Tx) ACMENonceKeys() (map[int64][]byte, error) {
	keys := map[int64][]byte{}
	err := tx.rows("SELECT day, secret FROM acme_nonce_keys", nil, func(r *sql.Rows) error {
		var day int64
		var secret []byte
		err := r.Scan(&day, &secret)
		keys[day] = secret
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keys of nonces: %w", err)
	}
	return keys, nil
}

// AddACMENonceKey gives a day its key; ErrExists if another server has given it one.
func (tx *Tx) AddACMENonceKey(day int64, secret []byte) error {
	if err := tx.insert(acmeNonceKeysTable, day, secret); err != nil {
		return fmt.Errorf("record key of nonces: %w", err)
	}
	return nil
}
