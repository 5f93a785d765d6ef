package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// RevokeAsk says which certificate to revoke and why.
type RevokeAsk struct {
	Serial     *big.Int
	ReasonCode int // RFC 5280, Section 5.3.1
	Reason     string

	Compromised bool // the holder of the key says that somebody else has it: it is not certified again
}

// CheckReason refuses reason codes that RFC 5280 does not know: 7 is unused, and 8 only
// lifts a hold, which nothing here does.
func CheckReason(code int) error {
	if code < 0 || code > 10 || code == 7 || code == 8 {
		return fault.New(fault.Invalid, "the reason code %d is not one of 0 to 6, 9 and 10 (RFC 5280, Section 5.3.1)", code)
	}
	return nil
}

// RevokeByToken revokes a certificate for whoever holds a token of the provisioner that
// issued it.
func (c *CA) RevokeByToken(ctx context.Context, token string, ask RevokeAsk) error {
	a, err := c.admit(ctx, provisioner.RevokeX509, token)
	if err != nil {
		return err
	}
	if a.provisioner.NamesSerial() && a.token.Subject != ask.Serial.String() {
		return fault.New(fault.Denied, "the token is for the serial number %q, the request for %s", a.token.Subject, ask.Serial)
	}
	r := &store.Revocation{ProofKey: a.grant.Once.Key, By: a.grant.Subject}
	err = c.revoke(ctx, a, ask, r)
	c.observe(Event{Act: "x509_revoked", Provisioner: a.provisioner.Name, Success: err == nil})
	return err
}

// RevokeByHolder revokes the certificate whose holder proved the key in TLS.
func (c *CA) RevokeByHolder(ctx context.Context, cert *x509.Certificate, ask RevokeAsk) error {
	a := &admission{state: c.state.Load(), grant: &issue.Grant{Subject: cert.Subject.CommonName, Proof: issue.Proof{X509: cert}}}
	if cert.SerialNumber.Cmp(ask.Serial) != 0 {
		return fault.New(fault.Denied, "the client certificate has the serial number %s, the request is for %s", cert.SerialNumber, ask.Serial)
	}
	if err := ours(a.state, cert); err != nil {
		return err
	}
	r := &store.Revocation{MTLS: true, By: cert.Subject.CommonName, ExpiresAt: cert.NotAfter}
	err := c.revoke(ctx, a, ask, r)
	c.observe(Event{Act: "x509_revoked", Provisioner: "", Success: err == nil})
	return err
}

// RevokeEarned revokes a certificate of ours for a protocol that has found out by itself that
// whoever asks may have that.
func (c *CA) RevokeEarned(ctx context.Context, p *provisioner.Provisioner, cert *x509.Certificate, by string, ask RevokeAsk) error {
	a := &admission{state: c.state.Load(), provisioner: p, grant: &issue.Grant{Provisioner: p.ID, Subject: by}}
	if err := ours(a.state, cert); err != nil {
		return err
	}
	ask.Serial = cert.SerialNumber
	err := c.revoke(ctx, a, ask, &store.Revocation{ACME: true, By: by, ExpiresAt: cert.NotAfter})
	c.observe(Event{Act: "x509_revoked", Provisioner: p.Name, Success: err == nil})
	return err
}

// revoke writes the revocation down, once for each serial. Whose the certificate is never
// changes: where the certificate itself has to be read for that, it is looked at before, by as
// many requests at once as ask; else in the change, for all of its group.
func (c *CA) revoke(ctx context.Context, a *admission, ask RevokeAsk, r *store.Revocation) error {
	now := time.Now().UTC()
	r.Serial, r.Type = SerialHex(ask.Serial), "x509"
	r.ReasonCode, r.Reason, r.RevokedAt, r.ProvisionerID = ask.ReasonCode, ask.Reason, now, a.grant.Provisioner
	name := ""
	if a.provisioner != nil {
		name = a.provisioner.Name
	}
	before := a.readsWhole(r)
	if before {
		if err := c.store.View(ctx, func(tx *store.Tx) error { return a.mayRevoke(tx, r) }); err != nil {
			return commitError(err)
		}
	}
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		if !before {
			if err := a.mayRevoke(tx, r); err != nil {
				return err
			}
		}
		if err := spend(tx, a.grant, now); err != nil {
			return err
		}
		if err := tx.Revoke(r); errors.Is(err, store.ErrExists) {
			return fault.Wrap(err, fault.Invalid, "the certificate with the serial number %s is already revoked", ask.Serial)
		} else if err != nil {
			return err
		}
		if ask.Compromised {
			if err := compromise(tx, r.Serial, now); err != nil {
				return err
			}
		}
		if crl := a.state.CRL; crl != nil && crl.OnRevoke {
			// Should this server die before the list is out, another one makes it.
			if err := tx.Bump(revocationsTopic); err != nil {
				return err
			}
		}
		return tx.AddAudit(store.Audit{At: now, Act: "x509.revoke", Provisioner: name, Subject: a.grant.Subject,
			Serial: r.Serial, RequestID: RequestID(ctx), Detail: ask.Reason})
	})
	if err != nil {
		return commitError(err)
	}
	c.log.InfoContext(ctx, "certificate revoked", "act", "x509.revoke", "serial", r.Serial, "provisioner", name, "subject", a.grant.Subject)
	if crl := a.state.CRL; crl != nil && crl.OnRevoke {
		// The revocation stands whatever happens to the list; the publisher tries again.
		if err := c.PublishCRL(ctx); err != nil {
			c.log.ErrorContext(ctx, "revocation list not published", "err", err)
			c.kickCRL()
		}
	}
	return nil
}

// compromise notes the key of a certificate as somebody else's, too.
func compromise(tx *store.Tx, serial string, now time.Time) error {
	record, err := tx.Certificate("x509", serial)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.CompromiseKey(record.KeyID, now)
}

// readsWhole reports whether mayRevoke needs the certificate itself, or the holder among its names.
func (a *admission) readsWhole(r *store.Revocation) bool { return r.MTLS || a.grant.Holder != "" }

// mayRevoke: the holder of the key, the provisioner that issued the certificate, or a
// provisioner whose operator set allowRevokeAny.
func (a *admission) mayRevoke(tx *store.Tx, r *store.Revocation) error {
	find := tx.Origin
	if a.readsWhole(r) {
		find = tx.Certificate
	}
	record, err := find("x509", r.Serial)
	if errors.Is(err, store.ErrNotFound) {
		if r.MTLS || r.ACME || a.provisioner.AllowRevokeAny {
			return nil
		}
		return fault.New(fault.Missing, "there is no record of a certificate with this serial number")
	}
	if err != nil {
		return err
	}
	r.ExpiresAt = record.NotAfter
	if r.MTLS && !bytes.Equal(record.Raw, a.grant.Proof.X509.Raw) {
		return fault.New(fault.Denied, "another certificate with this serial number is on record")
	}
	if r.MTLS || r.ACME || a.provisioner.AllowRevokeAny || a.issued(record) {
		return nil
	}
	return a.notIssued("certificate", "the certificate's own key")
}

// notIssued refuses who holds no right over a certificate; else says what would be one.
func (a *admission) notIssued(what, or string) error {
	if a.grant.Holder != "" {
		return fault.New(fault.Denied, "the provisioner %q did not issue the %s to %q; use a credential of its holder, or %s", a.provisioner.Name, what, a.grant.Holder, or)
	}
	return fault.New(fault.Denied, "the %s was issued by another provisioner than %q; use a token of that one, or %s", what, a.provisioner.Name, or)
}

// issued reports whether the provisioner of the proof issued a certificate, and to the
// holder of the same credential where it tells them apart. A provisioner whose key was
// rotated has a new record ID and its old name.
func (a *admission) issued(record *store.Certificate) bool {
	if a.grant.Holder != "" && a.grant.Holder != holderOf(record) {
		return false
	}
	if record.ProvisionerID == a.provisioner.ID {
		return true
	}
	return a.state.Provisioners.ByID(record.ProvisionerID) == nil && record.ProvisionerName == a.provisioner.Name
}
