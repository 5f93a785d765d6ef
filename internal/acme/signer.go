package acme

import (
	"crypto"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

// findSigner finds the key a request is signed with, and checks the signature: the key of
// an account (kid), or one that came along (jwk), never both (RFC 8555, Section 6.2).
func (q *request) findSigner(by signer) error {
	h := &q.body.header
	if (h.JWK != nil) == (h.KeyID != nil) {
		return malformed("the protected header needs either kid or jwk, and never both")
	}
	if h.JWK != nil {
		if by == byAccount {
			return malformed("this request is signed with the key of an account: the protected header needs kid, not jwk")
		}
		return q.signedByKey()
	}
	if by == byKey {
		return malformed("this request is signed with a key that comes along: the protected header needs jwk, not kid")
	}
	if err := q.findAccount(*h.KeyID); err != nil {
		return err
	}
	pub, err := q.keys.of(q.account)
	if err != nil {
		return err
	}
	return q.body.verify(pub)
}

// signedByKey checks the signature by the key that came along.
func (q *request) signedByKey() error {
	pub, err := parseKey(q.body.header.JWK, q.body.header.Algorithm)
	if err != nil {
		return err
	}
	q.body.key = pub
	return q.body.verify(pub)
}

// findAccount finds the account that a kid names: one of this provisioner, by exactly the
// URL that it was given, and alive.
func (q *request) findAccount(kid string) error {
	id := kid[strings.LastIndexByte(kid, '/')+1:]
	unknown := &problem{Type: "accountDoesNotExist", Status: http.StatusBadRequest, Detail: "there is no account at the URL in kid; make one with new-account"}
	if !isID(id) {
		return unknown
	}
	account := q.accounts.get(id, q.now)
	if account == nil {
		err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
			account, err = tx.ACMEAccount(id)
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			return unknown
		}
		if err != nil {
			return err
		}
		q.accounts.put(account, q.now)
	}
	if account.ProvisionerID != q.p.ID || !q.sameURL(account.URL, kid) {
		return unauthorized("the account in kid is not one of this provisioner")
	}
	q.account = account
	if err := alive(account); err != nil {
		return err
	}
	if _, always := q.kind.NeedsEAB(); always && account.EAB == "" {
		return unauthorized("this CA serves only accounts with an external account binding, and this account has none; make a new account with one")
	}
	return nil
}

func alive(a *store.ACMEAccount) error {
	if a.Status != "valid" {
		return unauthorized("the account is %s", a.Status)
	}
	return nil
}

// accountCache keeps accounts for a moment, since one order brings several requests. What
// this server changes is forgotten at once; of what another changes it hears within
// accountLife.
type accountCache struct {
	mu    sync.RWMutex
	known map[string]knownAccount
}

type knownAccount struct {
	*store.ACMEAccount
	read time.Time
}

const (
	accountLife      = time.Second
	accountCacheSize = 10000
)

// get gives an account that nobody must change; nil if it has to be read.
func (c *accountCache) get(id string, now time.Time) *store.ACMEAccount {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if k, ok := c.known[id]; ok && now.Sub(k.read) < accountLife {
		return k.ACMEAccount
	}
	return nil
}

// put remembers an account that was read after a moment.
func (c *accountCache) put(a *store.ACMEAccount, read time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= accountCacheSize {
		c.known = map[string]knownAccount{}
	}
	c.known[a.ID] = knownAccount{a, read}
}

// forget is called after a change.
func (c *accountCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, id)
}

// keyCache keeps keys of accounts parsed. An account's key may change, so it is found by
// the account and the key's thumbprint.
type keyCache struct {
	mu   sync.RWMutex
	keys map[[2]string]crypto.PublicKey
}

const keyCacheSize = 10000

func (c *keyCache) of(a *store.ACMEAccount) (crypto.PublicKey, error) {
	id := [2]string{a.ID, a.Thumbprint}
	c.mu.RLock()
	pub := c.keys[id]
	c.mu.RUnlock()
	if pub != nil {
		return pub, nil
	}
	pub, err := x509.ParsePKIXPublicKey(a.Key)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil || len(c.keys) >= keyCacheSize {
		c.keys = map[[2]string]crypto.PublicKey{}
	}
	c.keys[id] = pub
	return pub, nil
}

// identity is a public key as accounts keep it.
func identity(pub crypto.PublicKey) (thumbprint string, der []byte, err error) {
	if thumbprint, err = keys.Thumbprint(pub); err != nil {
		return "", nil, err
	}
	der, err = keys.MarshalPublic(pub)
	return thumbprint, der, err
}
