package acme

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"hash"
	"net/http"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/strict"
)

// eabHashes are the algorithms of external account bindings (RFC 8555, Section 7.3.4).
var eabHashes = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// checkEAB checks who vouches for a new account and gives the ID of the key; "" if nobody
// has to. One that is not needed is not looked at.
func (q *request) checkEAB(raw json.RawMessage, thumbprint string) (string, error) {
	fresh, always := q.kind.NeedsEAB()
	if !fresh && !always {
		return "", nil
	}
	if raw == nil || isNull(raw) {
		return "", &problem{Type: "externalAccountRequired", Status: http.StatusForbidden,
			Detail: "new accounts need an external account binding; ask the operator of this CA for a key"}
	}
	s, alg, err := parseEAB(raw)
	if err != nil {
		return "", err
	}
	switch {
	case s.header.Nonce != nil:
		return "", malformed("the external account binding must not have a nonce")
	case s.header.KeyID == nil || *s.header.KeyID == "" || s.header.JWK != nil:
		return "", malformed("the external account binding needs the ID of its key in kid, and no jwk")
	case s.header.URL == nil || *s.header.URL != *q.body.header.URL:
		return "", malformed("the url of the external account binding is not that of the request around it")
	}
	k, err := q.eabKey(*s.header.KeyID)
	if err != nil {
		return "", err
	}
	mac := hmac.New(alg, k.Secret)
	mac.Write(s.input)
	if !hmac.Equal(mac.Sum(nil), s.signature) {
		return "", unauthorized("the external account binding is not signed with the key that its kid names")
	}
	jwk, err := keys.ParseJWK(s.payload)
	if err != nil {
		return "", malformed("the external account binding does not hold the account's key")
	}
	if inner, err := keys.Thumbprint(jwk.Key); err != nil || inner != thumbprint {
		return "", malformed("the external account binding is for another key than that of the account")
	}
	return k.ID, nil
}

func (q *request) eabKey(id string) (*store.ACMEKey, error) {
	refused := unauthorized("the external account binding key is not known, or not for this provisioner")
	if len(id) > 255 {
		return nil, refused
	}
	var k *store.ACMEKey
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		k, err = tx.ACMEKey(id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, refused
	case err != nil:
		return nil, err
	case k.ProvisionerID != q.p.ID:
		return nil, refused
	case k.AccountID != "" || len(k.Secret) == 0:
		return nil, unauthorized("the external account binding key has been used for an account already; each is good for one")
	}
	if k.Secret, err = q.state.Vault.Open(k.Secret, ca.SealedKey(k)); err != nil {
		q.log.ErrorContext(q.ctx, "external account binding key cannot be opened", "act", "acme.account", "subject", k.ID, "err", err)
		return nil, &problem{Type: "serverInternal", Status: http.StatusInternalServerError,
			Detail: "the CA cannot open the external account binding key " + k.ID + "; its operator finds the reason in the server's log, or makes you another key"}
	}
	return k, nil
}

// parseEAB takes a binding apart: a flattened JWS with a MAC instead of a signature.
func parseEAB(raw json.RawMessage) (*signed, func() hash.Hash, error) {
	var outer struct {
		Protected  string          `json:"protected"`
		Payload    string          `json:"payload"`
		Signature  string          `json:"signature"`
		Header     json.RawMessage `json:"header"`
		Signatures json.RawMessage `json:"signatures"`
	}
	if err := strict.Decode(raw, &outer); err != nil {
		return nil, nil, err
	}
	s := &signed{input: []byte(outer.Protected + "." + outer.Payload)}
	header, err := fromBase64(outer.Protected)
	payload, also := fromBase64(outer.Payload)
	mac, too := fromBase64(outer.Signature)
	if err = errors.Join(err, also, too); err != nil || outer.Signatures != nil || outer.Header != nil {
		return nil, nil, malformed("the external account binding is no flattened JWS")
	}
	s.payload, s.signature = payload, mac
	if err := strict.Decode(header, &s.header); err != nil {
		return nil, nil, err
	}
	alg := eabHashes[s.header.Algorithm]
	if alg == nil || s.header.Critical != nil || s.header.Base64 != nil {
		return nil, nil, malformed("the external account binding has to be made with HS256, HS384 or HS512")
	}
	return s, alg, nil
}

// eabPolicy is what the key that vouched for an account says about names; nil: nothing.
func (q *request) eabPolicy() (*policy.X509, error) {
	if q.account.EAB == "" {
		return nil, nil
	}
	var k *store.ACMEKey
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		k, err = tx.ACMEKey(q.account.EAB)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil || len(k.Policy) == 0 {
		return nil, err
	}
	var c policy.Config
	if err := json.Unmarshal(k.Policy, &c); err != nil {
		return nil, err
	}
	return policy.NewX509(c.X509)
}

func (q *request) requestID() string { return ca.RequestID(q.ctx) }
