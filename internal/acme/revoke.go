package acme

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// reasons are the words of reason codes (RFC 5280, Section 5.3.1).
var reasons = map[int]string{0: "unspecified", 1: "key compromised", 2: "CA compromised", 3: "affiliation changed", 4: "superseded",
	5: "cessation of operation", 6: "certificate hold", 9: "privilege withdrawn", 10: "AA compromised"}

// revoke revokes a certificate (RFC 8555, Section 7.6) for the account that ordered it, for
// whoever holds its key, or for an account that controls all its names.
func (q *request) revoke() error {
	var ask struct {
		Certificate string `json:"certificate"`
		Reason      *int   `json:"reason"`
	}
	if err := q.body.read(&ask); err != nil {
		return err
	}
	der, err := fromBase64(ask.Certificate)
	if err != nil {
		return malformed("certificate is not base64url without padding")
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return malformed("certificate is not a certificate in DER")
	}
	serial := ca.SerialHex(leaf.SerialNumber)
	record, revoked, err := q.recorded(serial)
	if err != nil {
		return err
	}
	if !bytes.Equal(record.Raw, der) {
		return malformed("this CA has another certificate with that serial number")
	}
	if p := q.state.Provisioners.ByID(record.ProvisionerID); p != nil && p.ID != q.p.ID {
		if _, ok := p.Kind().(*provisioner.ACME); !ok {
			return unauthorized("the certificate was not issued by ACME, so it cannot be revoked here")
		}
	}
	by, err := q.mayRevoke(leaf, record)
	if err != nil {
		return err
	}
	if revoked {
		return alreadyRevoked()
	}
	code := 0
	if ask.Reason != nil {
		code = *ask.Reason
	}
	if _, known := reasons[code]; !known || ca.CheckReason(code) != nil {
		return &problem{Type: "badRevocationReason", Status: http.StatusBadRequest, Detail: "the reason " + itoa(code) + " is not one of 0 to 6, 9 and 10 (RFC 5280, Section 5.3.1)"}
	}
	err = q.ca.RevokeEarned(q.ctx, q.p, leaf, by, ca.RevokeAsk{ReasonCode: code, Reason: reasons[code], Compromised: code == 1 && q.body.key != nil})
	if errors.Is(err, store.ErrExists) {
		return alreadyRevoked()
	}
	if fault.Is(err, fault.Unproven) {
		return unauthorized("%s", faultText(err))
	}
	if err != nil {
		return err
	}
	q.w.Header().Set("Content-Length", "0")
	q.w.WriteHeader(http.StatusOK)
	return nil
}

func alreadyRevoked() *problem {
	return &problem{Type: "alreadyRevoked", Status: http.StatusBadRequest, Detail: "the certificate is revoked already"}
}

// recorded reads what we know of a certificate.
func (q *request) recorded(serial string) (c *store.Certificate, revoked bool, err error) {
	err = q.store.View(q.ctx, func(tx *store.Tx) error {
		if c, err = tx.Certificate("x509", serial); err != nil {
			return err
		}
		_, err := tx.Revocation("x509", serial)
		revoked = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return c, revoked, found("certificate", err)
}

// mayRevoke finds out by what right a certificate is revoked, and says who does it.
func (q *request) mayRevoke(leaf *x509.Certificate, record *store.Certificate) (by string, err error) {
	if q.body.key != nil {
		if keys.SamePublicKey(q.body.key, leaf.PublicKey) {
			return "the certificate's key", nil
		}
		return "", unauthorized("the key that signed the request is not that of the certificate; to revoke by an account, sign with kid")
	}
	mine, err := q.ordered(record)
	if err != nil {
		return "", err
	}
	if !mine {
		if mine, err = q.controls(leaf); err != nil {
			return "", err
		}
	}
	if !mine {
		return "", unauthorized("the account neither ordered the certificate nor holds authorizations for all its names")
	}
	return "acme account " + q.account.ID, nil
}

// lineage is how many renewals are walked back to the order that a certificate came from.
const lineage = 1000

// ordered reports whether the account ordered a certificate, or one that it was renewed
// from.
func (q *request) ordered(record *store.Certificate) (mine bool, err error) {
	err = q.store.View(q.ctx, func(tx *store.Tx) error {
		serial, from := record.Serial, record.RenewedFrom
		for range lineage {
			c, err := tx.ACMECertificate(serial)
			if err == nil {
				mine = c.AccountID == q.account.ID
				return nil
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if from == "" {
				return nil
			}
			before, err := tx.Certificate("x509", from)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			serial, from = before.Serial, before.RenewedFrom
		}
		return nil
	})
	return mine, err
}

// controls reports whether the account holds valid authorizations for every name of a
// certificate.
func (q *request) controls(leaf *x509.Certificate) (bool, error) {
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 || len(leaf.EmailAddresses)+len(leaf.URIs) > 0 {
		return false, nil
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	all := true
	err := q.store.View(q.ctx, func(tx *store.Tx) error {
		for _, name := range names {
			value, wildcard := strings.CutPrefix(strings.ToLower(name), "*.")
			list, err := tx.ACMEAuthzsOf(q.account.ID, value)
			if err != nil {
				return err
			}
			all = all && slices.ContainsFunc(list, func(a *store.ACMEAuthz) bool {
				return a.ProvisionerID == q.p.ID && a.Status == "valid" && a.ExpiresAt.After(q.now) && a.Wildcard == wildcard &&
					(a.Type == "ip") == (net.ParseIP(value) != nil)
			})
		}
		return nil
	})
	return all, err
}
