package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// RenewSSH gives the successor of the host certificate that a token proves possession of.
// client, if not nil, is the X.509 identity of the same holder, which is renewed with it.
func (c *CA) RenewSSH(ctx context.Context, token string, client *x509.Certificate) (*IssuedSSH, error) {
	return c.succeedSSH(ctx, token, nil, client)
}

// RekeySSH gives the successor for a new key.
func (c *CA) RekeySSH(ctx context.Context, token string, key ssh.PublicKey, client *x509.Certificate) (*IssuedSSH, error) {
	return c.succeedSSH(ctx, token, key, client)
}

func (c *CA) succeedSSH(ctx context.Context, token string, key ssh.PublicKey, client *x509.Certificate) (*IssuedSSH, error) {
	act, event, name := provisioner.RenewSSH, "ssh_renewed", "ssh.renew"
	if key != nil {
		act, event, name = provisioner.RekeySSH, "ssh_rekeyed", "ssh.rekey"
	}
	if c.state.Load().SSH == nil {
		return nil, fault.New(fault.Unsupported, "this CA issues no SSH certificates; its configuration has no ssh keys")
	}
	a, err := c.admit(ctx, act, token)
	if err != nil {
		c.observe(Event{Act: "ssh_rejected", Provisioner: a.name()})
		return nil, err
	}
	issued, err := c.successorSSH(ctx, a, key, name)
	c.observe(Event{Act: event, Provisioner: a.provisioner.Name, Success: err == nil, Type: "host"})
	if err != nil || client == nil {
		return issued, err
	}
	identity, err := c.RenewX509(ctx, client)
	if err != nil {
		c.log.WarnContext(ctx, "identity certificate not renewed with the SSH certificate", "err", err)
		return issued, nil
	}
	issued.Identity = identity.Chain
	return issued, nil
}

func (c *CA) successorSSH(ctx context.Context, a *admission, key ssh.PublicKey, name string) (*IssuedSSH, error) {
	now, old := time.Now(), a.grant.Proof.SSH
	if old == nil {
		return nil, fault.New(fault.Unproven, "the token proves no SSH certificate")
	}
	if key == nil {
		key = old.Key
	}
	if err := c.mayRenewSSH(ctx, a, old, now); err != nil {
		return nil, err
	}
	draft, err := issue.NewSSHRenewal(a.grant, old, key, now)
	if err != nil {
		return nil, err
	}
	checked, err := draft.Check(now)
	if err != nil {
		return nil, err
	}
	w := &sshWork{CA: c, a: a, now: now}
	cert, err := w.seal(ctx, checked, sshSerial(old))
	if err != nil {
		return nil, err
	}
	return &IssuedSSH{Certificate: cert, Wire: w.records[0].Raw, Provisioner: a.provisioner}, w.commit(ctx, name, sshSerial(old))
}

// mayRenewSSH: not revoked, in time, and neither the SSHPOP provisioner nor the one that
// issued the certificate has renewal disabled or a rule against its names.
func (c *CA) mayRenewSSH(ctx context.Context, a *admission, old *ssh.Certificate, now time.Time) error {
	var record *store.Certificate
	err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		if err := refuseRevokedSSH(tx, sshSerial(old)); err != nil {
			return err
		}
		record, err = tx.Certificate("ssh", sshSerial(old))
		if errors.Is(err, store.ErrNotFound) {
			record = nil
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	profiles := []*issue.Profile{a.grant.Profile}
	if record != nil {
		a.grant.Holder = holderOf(record)
		if p := a.state.Provisioners.ByID(record.ProvisionerID); p != nil && p.Disabled() == nil {
			profiles = append(profiles, p.Profile())
		}
	}
	for _, p := range profiles {
		if p.RenewalDisabled {
			return fault.New(fault.Unproven, "renewal is disabled for the provisioner of this certificate")
		}
		if old.CertType == ssh.HostCert { // rules that came since it was issued
			if err := p.SSHPolicy.CheckHost(old.ValidPrincipals); err != nil {
				return err
			}
		}
	}
	at := uint64(max(now.Unix(), 0))
	switch {
	case at < old.ValidAfter:
		return fault.New(fault.Unproven, "the SSH certificate is not valid yet")
	case at >= old.ValidBefore && !a.grant.Profile.RenewAfterExpiry:
		return fault.New(fault.Unproven, "the SSH certificate has expired, and its provisioner does not allow renewal after expiry")
	}
	return nil
}

// RevokeSSHAsk says which SSH certificate to revoke and why.
type RevokeSSHAsk struct {
	Serial     uint64
	ReasonCode int // RFC 5280, Section 5.3.1
	Reason     string
}

// RevokeSSH revokes an SSH certificate for its holder (SSHPOP), or for the provisioner that
// issued it.
func (c *CA) RevokeSSH(ctx context.Context, token string, ask RevokeSSHAsk) error {
	a, err := c.admit(ctx, provisioner.RevokeSSH, token)
	if err != nil {
		return err
	}
	if serial := strconv.FormatUint(ask.Serial, 10); a.provisioner.NamesSerial() && a.token.Subject != serial {
		return fault.New(fault.Denied, "the token is for the serial number %q, the request for %s", a.token.Subject, serial)
	}
	err = c.revokeSSH(ctx, a, ask)
	c.observe(Event{Act: "ssh_revoked", Provisioner: a.provisioner.Name, Success: err == nil, Type: "unknown"})
	return err
}

func (c *CA) revokeSSH(ctx context.Context, a *admission, ask RevokeSSHAsk) error {
	now := time.Now().UTC()
	r := &store.Revocation{Serial: strconv.FormatUint(ask.Serial, 16), Type: "ssh", ProvisionerID: a.grant.Provisioner,
		ReasonCode: ask.ReasonCode, Reason: ask.Reason, RevokedAt: now, ProofKey: a.grant.Once.Key, By: a.grant.Subject}
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		if err := spend(tx, a.grant, now); err != nil {
			return err
		}
		if err := a.mayRevokeSSH(tx, r); err != nil {
			return err
		}
		if err := tx.Revoke(r); errors.Is(err, store.ErrExists) {
			return fault.New(fault.Invalid, "the SSH certificate with the serial number %d is already revoked", ask.Serial)
		} else if err != nil {
			return err
		}
		return tx.AddAudit(store.Audit{At: now, Act: "ssh.revoke", Provisioner: a.provisioner.Name, Subject: a.grant.Subject,
			Serial: r.Serial, RequestID: RequestID(ctx), Detail: ask.Reason})
	})
	if err != nil {
		return commitError(err)
	}
	if s := c.state.Load().SSH; s != nil {
		s.krl.drop()
	}
	c.log.InfoContext(ctx, "SSH certificate revoked", "act", "ssh.revoke", "serial", r.Serial, "provisioner", a.provisioner.Name, "subject", a.grant.Subject)
	return nil
}

func (a *admission) mayRevokeSSH(tx *store.Tx, r *store.Revocation) error {
	held := a.grant.Proof.SSH
	record, err := tx.Certificate("ssh", r.Serial)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if held != nil {
			r.Type, r.ExpiresAt = "ssh-"+issue.SSHType(held), time.Unix(int64(min(held.ValidBefore, 1<<40)), 0).UTC()
			return nil
		}
		if a.provisioner.AllowRevokeAny {
			return nil
		}
		return fault.New(fault.Missing, "there is no record of an SSH certificate with this serial number")
	case err != nil:
		return err
	}
	r.Type, r.ExpiresAt = record.Type, record.NotAfter
	if held != nil || a.provisioner.AllowRevokeAny || a.issued(record) {
		return nil // SSHPOP checked that the subject is the serial number of the certificate held
	}
	return a.notIssued("SSH certificate", "the certificate itself (SSHPOP)")
}

// SSHHosts lists the names of hosts with a certificate that is neither expired nor revoked.
func (c *CA) SSHHosts(ctx context.Context) ([]string, error) {
	var names []string
	err := c.store.View(ctx, func(tx *store.Tx) error {
		seen := map[string]bool{}
		names = nil
		for record, err := range tx.Certificates(store.Query{Type: "ssh-host", ExpiresFrom: time.Now()}) {
			if err != nil {
				return err
			}
			if refuseRevokedSSH(tx, record.Serial) != nil {
				continue
			}
			for _, n := range record.Names {
				if n.Kind == "principal" && !seen[strings.ToLower(n.Value)] {
					seen[strings.ToLower(n.Value)] = true
					names = append(names, strings.ToLower(n.Value))
				}
			}
		}
		return nil
	})
	return names, err
}

// SSHHostKnown reports whether a host certificate that is neither expired nor revoked names
// this principal.
func (c *CA) SSHHostKnown(ctx context.Context, principal string) (known bool, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		known = false
		q := store.Query{Type: "ssh-host", Name: store.Name{Kind: "principal", Value: principal}, ExpiresFrom: time.Now()}
		for record, err := range tx.Certificates(q) {
			if err != nil {
				return err
			}
			if refuseRevokedSSH(tx, record.Serial) == nil {
				known = true
				return nil
			}
		}
		return nil
	})
	return known, err
}
