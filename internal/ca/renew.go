package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// SerialHex is how the store writes a serial number.
func SerialHex(n *big.Int) string { return n.Text(16) }

// RenewX509 gives the successor of a certificate whose holder proved the key in TLS.
func (c *CA) RenewX509(ctx context.Context, old *x509.Certificate) (*Issued, error) {
	a := &admission{state: c.state.Load(), grant: &issue.Grant{}}
	return c.succeed(ctx, a, old, nil)
}

// RekeyX509 gives the successor of a certificate for a new key. Of the request only the key
// counts; subject and names are those of the old certificate.
func (c *CA) RekeyX509(ctx context.Context, old *x509.Certificate, request *x509.CertificateRequest) (*Issued, error) {
	a := &admission{state: c.state.Load(), grant: &issue.Grant{}}
	return c.succeed(ctx, a, old, request.PublicKey)
}

// RenewByToken gives the successor of the certificate that a renew token carries; it may
// have expired.
func (c *CA) RenewByToken(ctx context.Context, raw string) (*Issued, error) {
	state := c.state.Load()
	t, err := provisioner.ParseToken(raw, time.Now())
	if err != nil {
		return nil, err
	}
	anchors := provisioner.Anchors{Roots: state.Roots, Intermediates: slices.Concat(state.Issuer.Chain(), state.Previous), Audiences: state.Audiences}
	proof, err := provisioner.VerifyRenewal(t, anchors)
	if err != nil {
		return nil, err
	}
	a := &admission{state: state, token: t, grant: &issue.Grant{Once: proof.Once}}
	return c.succeed(ctx, a, proof.Leaf, nil)
}

// succeed issues the successor: key nil keeps the old key.
func (c *CA) succeed(ctx context.Context, a *admission, old *x509.Certificate, key crypto.PublicKey) (*Issued, error) {
	act, event := "x509.renew", "x509_renewed"
	if key != nil {
		act, event = "x509.rekey", "x509_rekeyed"
	} else {
		key = old.PublicKey
	}
	issued, err := c.successor(ctx, a, old, key, act)
	name := ""
	if a.provisioner != nil {
		name = a.provisioner.Name
	}
	c.observe(Event{Act: event, Provisioner: name, Success: err == nil})
	return issued, err
}

func (c *CA) successor(ctx context.Context, a *admission, old *x509.Certificate, key crypto.PublicKey, act string) (*Issued, error) {
	now := time.Now()
	if err := c.admitOld(ctx, a, old, now); err != nil {
		return nil, err
	}
	draft, err := issue.NewRenewal(a.grant, old, key, now)
	if err != nil {
		return nil, err
	}
	checked, err := draft.Check(now)
	if err != nil {
		return nil, err
	}
	return c.sealAndRecord(ctx, a, checked, entry{act: act, renewedFrom: SerialHex(old.SerialNumber)})
}

// admitOld decides whether a certificate may have a successor: a leaf of one of our issuing
// keys, not revoked, whose provisioner is alive and allows it.
func (c *CA) admitOld(ctx context.Context, a *admission, old *x509.Certificate, now time.Time) error {
	if err := ours(a.state, old); err != nil {
		return err
	}
	record, err := c.recordFor(ctx, old)
	if err != nil {
		return err
	}
	p, profile, err := c.renewer(ctx, a.state, old, record)
	if err != nil {
		return err
	}
	if a.token != nil {
		if err := provisioner.CheckRenewalIssuer(a.token, p.Name); err != nil {
			return err
		}
	}
	a.provisioner = p
	a.grant.Provisioner, a.grant.Profile, a.grant.Subject = p.ID, profile, old.Subject.CommonName
	if record != nil {
		a.grant.RA, a.grant.Holder = record.RA, holderOf(record)
	}
	return mayRenew(profile, old, now)
}

// ours refuses certificates that none of our issuing keys signed, and CA certificates:
// sharing a root with us gives no right to a successor from us.
func ours(s *State, old *x509.Certificate) error {
	if old.IsCA {
		return fault.New(fault.Unproven, "a CA certificate cannot be renewed or revoked this way")
	}
	if !signedByUs(s, old) {
		return fault.New(fault.Unproven, "the certificate was not issued by this CA's issuing key")
	}
	return nil
}

func signedByUs(s *State, cert *x509.Certificate) bool {
	if s.Issuer.Signed(cert) {
		return true
	}
	for _, issuer := range s.Previous {
		if bytes.Equal(cert.RawIssuer, issuer.RawSubject) && cert.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}

// recordFor reads what we know of a certificate, nil if nothing, and refuses a revoked one.
func (c *CA) recordFor(ctx context.Context, old *x509.Certificate) (record *store.Certificate, err error) {
	serial := SerialHex(old.SerialNumber)
	err = c.store.View(ctx, func(tx *store.Tx) error {
		record, err = tx.UnrevokedCertificate("x509", serial)
		switch {
		case errors.Is(err, store.ErrNotFound):
			record = nil
			return nil
		case errors.Is(err, store.ErrStale):
			return errRevoked()
		}
		return err
	})
	if err == nil && record != nil && !bytes.Equal(record.Raw, old.Raw) {
		return nil, fault.New(fault.Unproven, "another certificate with this serial number is on record")
	}
	return record, err
}

// RefuseRevoked refuses a chain in which a certificate is one of ours and revoked: what it
// signs proves nothing any more.
func (c *CA) RefuseRevoked(ctx context.Context, chain []*x509.Certificate) error {
	state := c.state.Load()
	return c.store.View(ctx, func(tx *store.Tx) error {
		for _, cert := range chain {
			if !signedByUs(state, cert) {
				continue
			}
			if err := refuseRevoked(tx, SerialHex(cert.SerialNumber)); err != nil {
				return err
			}
		}
		return nil
	})
}

func refuseRevoked(tx *store.Tx, serial string) error {
	if serial == "" {
		return nil
	}
	_, err := tx.Revocation("x509", serial)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look up the revocation of %s: %w", serial, err)
	}
	return errRevoked()
}

func errRevoked() error { return fault.New(fault.Unproven, "the certificate has been revoked") }

// stillGood refuses to record the successor of a certificate that was revoked after it was
// looked at. Unlike refuseRevoked it lets many successors share one look at the database.
func stillGood(tx *store.Tx, typ, serial string) error {
	if serial == "" {
		return nil
	}
	err := tx.Unrevoked(typ, serial)
	if errors.Is(err, store.ErrStale) {
		return fault.Wrap(err, fault.Unproven, "the certificate has been revoked")
	}
	return err
}

// renewer finds the provisioner that answers for a certificate: by its record, else by the
// name in its provisioner extension, so that a rotated key keeps renewals working.
func (c *CA) renewer(ctx context.Context, s *State, old *x509.Certificate, record *store.Certificate) (*provisioner.Provisioner, *issue.Profile, error) {
	if record != nil && record.ProvisionerID != "" { // none: renewed before under renewUnrecorded
		p := s.Provisioners.ByID(record.ProvisionerID)
		if p == nil {
			p = s.Provisioners.ByName(record.ProvisionerName)
		}
		return alive(p)
	}
	if s.Unrecorded == UnrecordedNever {
		return nil, nil, fault.New(fault.Unproven, "there is no record of this certificate, and renewUnrecorded is never")
	}
	c.log.WarnContext(ctx, "renewal of a certificate without a record", "serial", SerialHex(old.SerialNumber), "subject", old.Subject.CommonName)
	if ext := issue.ProvisionerOf(old); ext != nil {
		return alive(s.Provisioners.ByName(ext.Name))
	}
	if s.Unrecorded == UnrecordedAlways {
		none := &provisioner.Provisioner{}
		return none, authorityProfile(s), nil
	}
	return nil, nil, fault.New(fault.Unproven, "there is no record of this certificate, and it names no provisioner")
}

func alive(p *provisioner.Provisioner) (*provisioner.Provisioner, *issue.Profile, error) {
	if p == nil {
		return nil, nil, fault.New(fault.Unproven, "the provisioner that issued this certificate no longer exists")
	}
	if err := p.Refusal(); err != nil {
		return nil, nil, err
	}
	return p, p.Profile(), nil
}

func authorityProfile(s *State) *issue.Profile {
	return &issue.Profile{
		Authority:        s.Authority,
		TLS:              issue.Lifetimes(s.Claims.TLS),
		RenewalDisabled:  s.Claims.DisableRenewal,
		RenewAfterExpiry: s.Claims.AllowRenewalAfterExpiry,
	}
}

func mayRenew(p *issue.Profile, old *x509.Certificate, now time.Time) error {
	switch {
	case p.RenewalDisabled:
		return fault.New(fault.Unproven, "renewal is disabled for the provisioner of this certificate")
	case now.Before(old.NotBefore):
		return fault.New(fault.Unproven, "the certificate is not valid before %s", old.NotBefore.UTC().Format(time.RFC3339))
	case now.After(old.NotAfter) && !p.RenewAfterExpiry:
		return fault.New(fault.Unproven, "the certificate expired at %s, and its provisioner does not allow renewal after expiry", old.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
