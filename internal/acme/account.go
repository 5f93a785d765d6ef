package acme

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
	"strings"

	"github.com/signet-ca/signet/internal/store"
)

// maxContacts is how many contacts an account may have.
const maxContacts = 10

// accountJSON is an account on the wire (RFC 8555, Section 7.1.2).
type accountJSON struct {
	Contact []string        `json:"contact,omitempty"`
	Status  string          `json:"status"`
	Terms   bool            `json:"termsOfServiceAgreed,omitempty"`
	Orders  string          `json:"orders"`
	EAB     json.RawMessage `json:"externalAccountBinding,omitempty"`
}

func (q *request) accountJSON(a *store.ACMEAccount) accountJSON {
	return accountJSON{Contact: a.Contacts, Status: a.Status, Terms: !a.TermsAt.IsZero(), Orders: q.accountURL(a.ID) + "/orders"}
}

// newAccount makes an account for the key that came along, or finds the one it has (RFC
// 8555, Section 7.3).
func (q *request) newAccount() error {
	var ask struct {
		Contact              []string        `json:"contact"`
		OnlyReturnExisting   bool            `json:"onlyReturnExisting"`
		TermsOfServiceAgreed bool            `json:"termsOfServiceAgreed"`
		EAB                  json.RawMessage `json:"externalAccountBinding"`
	}
	if err := q.body.read(&ask); err != nil {
		return err
	}
	if ask.OnlyReturnExisting {
		ask.Contact = nil // certbot sends its contacts along; they change nothing
	}
	if err := checkContacts(ask.Contact); err != nil {
		return err
	}
	thumbprint, der, err := identity(q.body.key)
	if err != nil {
		return err
	}
	if existing, err := q.accountOfKey(thumbprint); err != nil || existing != nil {
		return q.answerExisting(existing, err)
	}
	if ask.OnlyReturnExisting {
		return &problem{Type: "accountDoesNotExist", Status: http.StatusBadRequest, Detail: "there is no account with this key"}
	}
	if err := q.checkTerms(ask.TermsOfServiceAgreed); err != nil {
		return err
	}
	if err := q.limits.newAccount(q); err != nil {
		return err
	}
	binding, err := q.checkEAB(ask.EAB, thumbprint)
	if err != nil {
		return err
	}
	id := newID(q.now)
	a := &store.ACMEAccount{ID: id, ProvisionerID: q.p.ID, Thumbprint: thumbprint, Key: der, Contacts: ask.Contact, Status: "valid",
		URL: q.accountURL(id), EAB: binding, CreatedAt: q.now}
	if ask.TermsOfServiceAgreed {
		a.TermsAt = q.now
	}
	if err := q.askAccount(a); err != nil {
		return err
	}
	if err := q.recordAccount(a); errors.Is(err, store.ErrExists) { // made at the same time, by whoever has the key
		existing, err := q.accountOfKey(thumbprint)
		return q.answerExisting(existing, err)
	} else if err != nil {
		return err
	}
	q.log.InfoContext(q.ctx, "ACME account made", "act", "acme.account", "provisioner", q.p.Name, "subject", id)
	out := q.accountJSON(a)
	if binding != "" {
		out.EAB = ask.EAB
	}
	q.w.Header().Set("Location", a.URL)
	return q.answer(http.StatusCreated, out)
}

func (q *request) checkTerms(agreed bool) error {
	if !q.kind.RequireTermsAgreed || agreed {
		return nil
	}
	return &problem{Type: "userActionRequired", Status: http.StatusForbidden, Detail: "the terms of service have to be agreed to (termsOfServiceAgreed)",
		Link: "<" + q.kind.TermsOfService + `>;rel="terms-of-service"`}
}

func isNull(raw json.RawMessage) bool { return strings.TrimSpace(string(raw)) == "null" }

// recordAccount writes an account down together with the use of the key that vouched for
// it: there is no account without, and no key is used up for nothing.
func (q *request) recordAccount(a *store.ACMEAccount) error {
	return q.changing(func(tx *store.Tx) error {
		if a.EAB != "" {
			if err := tx.BindACMEKey(a.EAB, a.ID, q.now); errors.Is(err, store.ErrStale) {
				return unauthorized("the external account binding key has been used for another account already")
			} else if err != nil {
				return err
			}
		}
		if err := tx.AddACMEAccount(a); err != nil {
			return err
		}
		return tx.AddAudit(store.Audit{At: q.now, Act: "acme.account", Provisioner: q.p.Name, Subject: a.ID, RequestID: q.requestID(), Detail: eabDetail(a.EAB)})
	})
}

func eabDetail(id string) string {
	if id == "" {
		return ""
	}
	return "external account binding key " + id
}

// accountOfKey finds the account of a key at this provisioner; nil if there is none.
func (q *request) accountOfKey(thumbprint string) (a *store.ACMEAccount, err error) {
	err = q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		a, err = tx.ACMEAccountByKey(q.p.ID, thumbprint)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return a, err
}

func (q *request) answerExisting(a *store.ACMEAccount, err error) error {
	if err != nil {
		return err
	}
	if err := alive(a); err != nil {
		return err
	}
	q.w.Header().Set("Location", a.URL)
	return q.answer(http.StatusOK, q.accountJSON(a))
}

// checkContacts: RFC 8555, Section 7.3. Only mailto is taken, with one plain address.
func checkContacts(list []string) error {
	if len(list) > maxContacts {
		return &problem{Type: "invalidContact", Detail: "an account has at most " + strconv.Itoa(maxContacts) + " contacts"}
	}
	for _, c := range list {
		if c == "" {
			return malformed("a contact is empty")
		}
		address, ok := strings.CutPrefix(c, "mailto:")
		if !ok {
			return &problem{Type: "unsupportedContact", Detail: "the contact " + strconv.Quote(clip(c)) + " is not of the form mailto:you@example.com"}
		}
		plain, err := url.PathUnescape(address)
		if err == nil {
			_, err = mail.ParseAddress(plain)
		}
		if err != nil || len(c) > 320 || strings.ContainsAny(plain, ",?<>\" ") || strings.ContainsFunc(plain, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &problem{Type: "invalidContact", Detail: "the contact " + strconv.Quote(clip(c)) + " is not one plain e-mail address"}
		}
	}
	return nil
}

// ownAccount holds the account in the path against the one that signed.
func (q *request) ownAccount() error {
	if q.r.PathValue("id") != q.account.ID {
		return unauthorized("this is not the account that signed the request")
	}
	return nil
}

// accountUpdate shows an account, changes its contacts or ends it (RFC 8555, Sections 7.3.2
// and 7.3.6).
func (q *request) accountUpdate() error {
	if err := q.ownAccount(); err != nil {
		return err
	}
	a := *q.account
	if len(q.body.payload) > 0 {
		var ask struct {
			Contact *[]string `json:"contact"`
			Status  string    `json:"status"`
		}
		if err := q.body.read(&ask); err != nil {
			return err
		}
		err := q.changeAccount(&a, ask.Contact, ask.Status)
		q.accounts.forget(a.ID)
		if err != nil {
			return err
		}
	}
	q.w.Header().Set("Location", a.URL)
	return q.answer(http.StatusOK, q.accountJSON(&a))
}

func (q *request) changeAccount(a *store.ACMEAccount, contact *[]string, status string) error {
	switch {
	case contact != nil && status != "":
		return malformed("contact and status are changed one at a time")
	case status != "" && status != "deactivated":
		return malformed("the status of an account can only be set to deactivated")
	case status != "":
		a.Status = status
		return found("valid account", q.changing(func(tx *store.Tx) error {
			if err := tx.EndACMEAccount(a.ID, status); err != nil {
				return stale(err)
			}
			return tx.AddAudit(store.Audit{At: q.now, Act: "acme.deactivate", Provisioner: q.p.Name, Subject: a.ID, RequestID: q.requestID()})
		}))
	case contact != nil:
		if err := checkContacts(*contact); err != nil {
			return err
		}
		a.Contacts = *contact
		return q.changing(func(tx *store.Tx) error { return stale(tx.SetACMEContacts(a.ID, *contact)) })
	}
	return nil
}

// stale turns a state that changed in between into a refusal that says so.
func stale(err error) error {
	if errors.Is(err, store.ErrStale) {
		return &problem{Type: "malformed", Status: http.StatusConflict, Detail: "this has changed in the meantime; look at it again"}
	}
	return err
}

// ordersPage is how many orders one list shows.
const ordersPage = 100

// accountOrders lists the orders of an account (RFC 8555, Section 7.1.2.1), the newest
// first.
func (q *request) accountOrders() error {
	if err := q.ownAccount(); err != nil {
		return err
	}
	below := int64(0)
	if c := q.r.URL.Query().Get("cursor"); c != "" {
		n, err := strconv.ParseInt(c, 10, 64)
		if err != nil || n <= 0 {
			return malformed("the cursor is not one that a list of orders gave")
		}
		below = n
	}
	var list []*store.ACMEOrder
	err := q.store.View(q.ctx, func(tx *store.Tx) (err error) {
		list, err = tx.ACMEOrders(q.account.ID, below, ordersPage+1)
		return err
	})
	if err != nil {
		return err
	}
	if len(list) > ordersPage {
		list = list[:ordersPage]
		next := q.accountURL(q.account.ID) + "/orders?cursor=" + strconv.FormatInt(list[ordersPage-1].Seq, 10)
		q.w.Header().Add("Link", "<"+next+`>;rel="next"`)
	}
	out := struct {
		Orders []string `json:"orders"`
	}{make([]string, 0, len(list))}
	for _, o := range list {
		if o.Status == store.ACMEPending && !o.ExpiresAt.After(q.now) {
			continue
		}
		out.Orders = append(out.Orders, q.orderURL(o.ID))
	}
	return q.answer(http.StatusOK, out)
}
