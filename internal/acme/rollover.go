package acme

import (
	"crypto"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/signet-ca/signet/internal/store"
)

// keyChange gives an account another key (RFC 8555, Section 7.3.5): the old key signs the
// request, the new one what is in it.
func (q *request) keyChange() error {
	c, err := parseRollover(q.body)
	if err != nil {
		return err
	}
	if was, _, err := identity(c.oldKey); err != nil || was != q.account.Thumbprint {
		return malformed("oldKey is not the key of the account")
	}
	thumbprint, der, err := identity(c.key)
	if err != nil {
		return err
	}
	if thumbprint == q.account.Thumbprint {
		return malformed("the new key is the one that the account has")
	}
	return q.rekey(thumbprint, der)
}

// rollover is what the inner message of a key change says. It is signed by the new key, and for
// the account that signed the outer one.
type rollover struct{ key, oldKey crypto.PublicKey }

func parseRollover(outer *signed) (*rollover, error) {
	if len(outer.payload) == 0 {
		return nil, malformed("the payload is empty; it has to be a message signed with the new key")
	}
	inner, err := parseSigned(outer.payload)
	if err != nil {
		return nil, err
	}
	switch {
	case inner.header.JWK == nil || inner.header.KeyID != nil:
		return nil, malformed("the inner message needs the new key in jwk, and no kid")
	case inner.header.Nonce != nil:
		return nil, malformed("the inner message must not have a nonce")
	case inner.header.URL == nil || *inner.header.URL != *outer.header.URL:
		return nil, malformed("the url of the inner message is not that of the outer one")
	}
	c := new(rollover)
	if c.key, err = parseKey(inner.header.JWK, inner.header.Algorithm); err != nil {
		return nil, err
	}
	if err := inner.verify(c.key); err != nil {
		return nil, err
	}
	var ask struct {
		Account string          `json:"account"`
		OldKey  json.RawMessage `json:"oldKey"`
	}
	if err := inner.read(&ask); err != nil {
		return nil, err
	}
	if ask.Account != *outer.header.KeyID {
		return nil, malformed("the account in the inner message is not that of the outer one")
	}
	if c.oldKey, err = parseKey(ask.OldKey, ""); err != nil {
		return nil, err
	}
	return c, nil
}

func (q *request) rekey(thumbprint string, der []byte) error {
	err := q.changing(func(tx *store.Tx) error {
		if err := tx.RekeyACMEAccount(q.account, thumbprint, der); err != nil {
			return stale(err)
		}
		return tx.AddAudit(store.Audit{At: q.now, Act: "acme.key-change", Provisioner: q.p.Name, Subject: q.account.ID, RequestID: q.requestID()})
	})
	q.accounts.forget(q.account.ID)
	if errors.Is(err, store.ErrExists) {
		p := &problem{Type: "malformed", Status: http.StatusConflict, Detail: "the new key belongs to another account"}
		if other, err := q.accountOfKey(thumbprint); err == nil && other != nil {
			p.Location = other.URL
		}
		return p
	}
	if err != nil {
		return err
	}
	q.w.Header().Set("Location", q.account.URL)
	return q.answer(http.StatusOK, q.accountJSON(q.account))
}
