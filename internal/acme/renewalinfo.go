package acme

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/store"
)

// renewalJSON says when a certificate should be renewed (RFC 9773, Section 4.2).
type renewalJSON struct {
	Window      window `json:"suggestedWindow"`
	Explanation string `json:"explanationURL,omitempty"`
}

type window struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// shortLived is below which lifetime a certificate is renewed at its half.
const shortLived = 10 * 24 * time.Hour

// suggest is when a certificate should be renewed: around two thirds of its lifetime, or
// half of a short one, within two percent of it. Where in there follows from the serial
// number, so that a fleet that was born in one hour does not renew in one. What is revoked,
// or what the operator wants renewed early, should have been renewed already.
func suggest(c *store.Certificate, early bool, now time.Time) window {
	if early {
		return window{now.Add(-time.Hour).UTC().Truncate(time.Second), now.Add(-30 * time.Minute).UTC().Truncate(time.Second)}
	}
	life := c.NotAfter.Sub(c.NotBefore)
	ideal := life / 3 * 2
	if life < shortLived {
		ideal = life / 2
	}
	sum := sha256.Sum256([]byte(c.Serial))
	spread := life / 50
	shift := time.Duration(float64(spread) * (float64(binary.BigEndian.Uint32(sum[:]))/(1<<32) - 0.5))
	middle := c.NotBefore.Add(ideal + shift)
	half := max(life/100, time.Second)
	return window{middle.Add(-half).UTC().Truncate(time.Second), middle.Add(half).UTC().Truncate(time.Second)}
}

// renewalInfo answers without a signature, about every certificate of ours.
func (q *request) renewalInfo() error {
	if err := q.limits.requests(q); err != nil {
		return err
	}
	serial, err := q.serialOf(q.r.PathValue("id"))
	if err != nil {
		return err
	}
	c, revoked, err := q.recorded(serial)
	if err != nil {
		return err
	}
	early, explanation, err := q.wanted(c)
	if err != nil {
		return err
	}
	q.w.Header().Set("Retry-After", strconv.Itoa(int(lookAgain(c, serial)/time.Second)))
	return q.answer(http.StatusOK, renewalJSON{Window: suggest(c, revoked || early, q.now), Explanation: explanation})
}

// wanted reports whether the operator wants a certificate renewed early, and where it says
// why.
func (q *request) wanted(c *store.Certificate) (early bool, explanation string, err error) {
	err = q.store.View(q.ctx, func(tx *store.Tx) error {
		r, err := tx.ACMERenewal(c)
		if err == nil {
			early, explanation = true, r.Explanation
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return early, explanation, err
}

// lookAgain is when a client should ask next: six hours give or take a fifth, and sooner for
// short-lived certificates.
func lookAgain(c *store.Certificate, serial string) time.Duration {
	sum := sha256.Sum256([]byte("again" + serial))
	d := time.Duration(float64(6*time.Hour) * (0.8 + 0.4*float64(sum[0])/255))
	return max(min(d, c.NotAfter.Sub(c.NotBefore)/10), time.Minute)
}

// serialOf reads a certID and gives the serial number. One of another issuer is not found.
func (q *request) serialOf(certID string) (string, error) {
	keyID, serial, err := splitCertID(certID)
	if err != nil {
		return "", err
	}
	if !q.state.HasIssuer(keyID) {
		return "", missing("certificate: its issuer is not this CA")
	}
	return serial, nil
}

// splitCertID takes a certID apart (RFC 9773, Section 4.1): the key identifier of the issuer and
// the serial number, as numbers are encoded.
func splitCertID(certID string) (keyID []byte, serial string, err error) {
	issuer, number, ok := strings.Cut(certID, ".")
	if !ok || len(certID) > 200 || strings.ContainsAny(certID, "\r\n") {
		return nil, "", malformed("a certificate is named by two parts in base64url with a dot in between (RFC 9773, Section 4.1)")
	}
	keyID, err = base64.RawURLEncoding.Strict().DecodeString(issuer)
	raw, also := base64.RawURLEncoding.Strict().DecodeString(number)
	if err = errors.Join(err, also); err != nil || len(keyID) == 0 || len(raw) == 0 {
		return nil, "", malformed("a part of the name of the certificate is not base64url without padding")
	}
	return keyID, ca.SerialHex(new(big.Int).SetBytes(raw)), nil
}

// replacement is the certificate that an order replaces (RFC 9773, Section 5).
type replacement struct {
	record *store.ACMECertificate
	due    bool // it is time to renew it
}

// checkReplaces looks whether an order may replace a certificate: it is one of the same
// account, shares a name with it, and nothing else replaces it yet.
func (q *request) checkReplaces(certID string, ids []store.ACMEIdentifier) (*replacement, error) {
	if certID == "" {
		return nil, nil
	}
	serial, err := q.serialOf(certID)
	if err != nil {
		return nil, err
	}
	c, revoked, err := q.recorded(serial)
	if err != nil {
		return nil, err
	}
	r := &replacement{}
	if r.due, err = q.isDue(c, revoked); err != nil {
		return nil, err
	}
	err = q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		r.record, err = tx.ACMECertificate(serial)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && r.record.AccountID != q.account.ID {
		return nil, unauthorized("the certificate to be replaced was not ordered by this account")
	}
	if err != nil {
		return nil, err
	}
	shares := slices.ContainsFunc(ids, func(id store.ACMEIdentifier) bool {
		return slices.ContainsFunc(c.Names, func(n store.Name) bool { return n.Kind == id.Type && strings.EqualFold(n.Value, id.Value) })
	})
	if !shares {
		return nil, malformed("the order shares no name with the certificate that it would replace")
	}
	return r, r.free(q)
}

// isDue reports whether it is time to renew a certificate.
func (q *request) isDue(c *store.Certificate, revoked bool) (bool, error) {
	early, _, err := q.wanted(c)
	return err == nil && !suggest(c, revoked || early, q.now).Start.After(q.now), err
}

// renewsInTime reports whether an order replaces a certificate that should be renewed by now. One
// that was revoked does not count: a client could revoke and replace without end.
func (q *request) renewsInTime(o *store.ACMEOrder) (bool, error) {
	if o.Replaces == "" {
		return false, nil
	}
	serial, err := q.serialOf(o.Replaces)
	if err != nil {
		return false, err
	}
	c, revoked, err := q.recorded(serial)
	if err != nil || revoked {
		return false, err
	}
	return q.isDue(c, false)
}

// free reports whether nothing replaces the certificate: neither did an order, nor does one
// that may still come to an end.
func (r *replacement) free(q *request) error {
	if r.record.ReplacedBy == "" {
		return nil
	}
	var s *orderState
	err := q.store.View(q.ctx, func(tx *store.Tx) error {
		o, err := tx.ACMEOrder(r.record.ReplacedBy)
		if err != nil {
			return err
		}
		s, err = readState(tx, o, q.now)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && s.status == store.ACMEInvalid {
		return nil
	}
	if err != nil {
		return err
	}
	return replaced()
}

func replaced() *problem {
	return &problem{Type: "alreadyReplaced", Status: http.StatusConflict, Detail: "another order replaces this certificate already"}
}

// claim notes that an order replaces the certificate, in the commit that makes the order.
func (r *replacement) claim(tx *store.Tx, orderID string) error {
	err := tx.ReplaceACMECertificate(r.record, orderID)
	if errors.Is(err, store.ErrStale) {
		return replaced()
	}
	return err
}
