package ca

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/sshfiles"
	"github.com/signet-ca/signet/internal/store"
)

// SSHState is the SSH half of a state; nil where there is no SSH certificate authority.
type SSHState struct {
	User, Host         *issue.LocalSSH // sign certificates of their type; nil: that type is not issued
	UserKeys, HostKeys []ssh.PublicKey // published and trusted as ours, signing key first
	FederatedUserKeys  []ssh.PublicKey // published for federation only
	FederatedHostKeys  []ssh.PublicKey // published for federation only
	AddUserPrincipal   string          // principal of certificates that add an account
	AddUserCommand     string          // what such a certificate runs; <principal> is replaced
	HideHosts          bool            // do not list hosts
	Bastion            *Bastion        // jump host clients are told to use; nil: none
	Templates          *sshfiles.Set   // files for clients; nil: none

	krl krlCache
}

// Bastion is a jump host.
type Bastion struct {
	Hostname string `json:"hostname"`
	User     string `json:"user,omitempty"`
	Port     string `json:"port,omitempty"`
	Command  string `json:"cmd,omitempty"`
	Flags    string `json:"flags,omitempty"`
}

// SSHAsk is what somebody asks for in SSH, with its companions.
type SSHAsk struct {
	issue.SSHAsk
	AddUserKey ssh.PublicKey            // ask for a certificate that adds the account; nil: do not
	Identity   *x509.CertificateRequest // ask for an X.509 certificate of the same proof; nil: do not
}

// IssuedSSH is what a caller gets once it is written down.
type IssuedSSH struct {
	Certificate *ssh.Certificate
	Wire        []byte              // Certificate as it is written
	AddUser     *ssh.Certificate    // nil if not asked for, or if the certificate names no plain user
	Identity    []*x509.Certificate // leaf first; nil if not asked for
	Provisioner *provisioner.Provisioner
}

// signer is the key for a type of certificate.
func (s *SSHState) signer(kind string) (*issue.LocalSSH, error) {
	var l *issue.LocalSSH
	if s != nil && kind == "user" {
		l = s.User
	} else if s != nil && kind == "host" {
		l = s.Host
	}
	if l == nil {
		return nil, fault.New(fault.Unsupported, "this CA issues no SSH %s certificates; it has no key for them", kind)
	}
	return l, nil
}

// SignSSH gives the SSH certificate a token grants, and its companions, all in one commit.
func (c *CA) SignSSH(ctx context.Context, token string, ask *SSHAsk) (*IssuedSSH, error) {
	state := c.state.Load()
	if state.SSH == nil || (state.SSH.User == nil && state.SSH.Host == nil) {
		return nil, fault.New(fault.Unsupported, "this CA issues no SSH certificates; its configuration has no ssh keys")
	}
	a, err := c.admitSSH(ctx, token, ask)
	if err != nil {
		c.observe(Event{Act: "ssh_rejected", Provisioner: a.name()})
		return nil, err
	}
	issued, err := c.issueSSH(ctx, a, token, ask)
	kind := cmp.Or(ask.Type, "unknown")
	if issued != nil {
		kind = issue.SSHType(issued.Certificate)
	}
	c.observe(Event{Act: "ssh_signed", Provisioner: a.provisioner.Name, Success: err == nil, Type: kind})
	return issued, err
}

// admitSSH is admit for a token whose kind may grant one type of certificate and not another.
func (c *CA) admitSSH(ctx context.Context, raw string, ask *SSHAsk) (*admission, error) {
	t, err := provisioner.ParseToken(raw, time.Now())
	if err != nil {
		return nil, err
	}
	t.SSHType = ask.Type
	return c.admitToken(ctx, provisioner.SignSSH, t)
}

func (c *CA) issueSSH(ctx context.Context, a *admission, token string, ask *SSHAsk) (*IssuedSSH, error) {
	now := time.Now()
	ask, err := c.enrichSSH(ctx, a, ask, now)
	if err != nil {
		return nil, err
	}
	draft, err := issue.NewSSH(a.grant, &ask.SSHAsk, now)
	if err != nil {
		c.countTemplate(a, err)
		return nil, err
	}
	checked, err := draft.Check(now)
	if err != nil {
		return nil, err
	}
	w := &sshWork{CA: c, a: a, now: now, detail: templateDetail(checked.Template())}
	// Companions are checked before anything is signed, so that a bad one costs nothing.
	addUser, err := w.checkAddUser(checked, ask)
	if err != nil {
		return nil, err
	}
	identity, err := w.checkIdentity(ctx, token, draft, ask)
	if err != nil {
		return nil, err
	}
	if err := w.approve(ctx, checked, ask); err != nil {
		return nil, err
	}
	issued := &IssuedSSH{Provisioner: a.provisioner}
	if issued.Certificate, err = w.seal(ctx, checked, ""); err != nil {
		return nil, err
	}
	issued.Wire = w.records[0].Raw
	if addUser != nil {
		if issued.AddUser, err = w.seal(ctx, addUser, ""); err != nil {
			return nil, err
		}
	}
	if identity != nil {
		if issued.Identity, err = w.sealIdentity(ctx, identity); err != nil {
			return nil, err
		}
	}
	return issued, w.commit(ctx, "ssh.sign", "")
}

// sshWork gathers what one request signs and records.
type sshWork struct {
	*CA
	a       *admission
	now     time.Time
	records []*store.Certificate
	detail  string // for the audit entry
}

func (w *sshWork) checkAddUser(checked *issue.CheckedSSH, ask *SSHAsk) (*issue.CheckedSSH, error) {
	if ask.AddUserKey == nil {
		return nil, nil
	}
	s := w.a.state.SSH
	draft, err := checked.AddUserDraft(w.a.grant, ask.AddUserKey, s.AddUserPrincipal, s.AddUserCommand)
	if err != nil || draft == nil {
		return nil, err
	}
	return draft.Check(w.now)
}

// checkIdentity asks the same token what it grants in X.509, without spending it twice. The
// certificate lives exactly as long as the SSH one.
func (w *sshWork) checkIdentity(ctx context.Context, token string, d *issue.SSHDraft, ask *SSHAsk) (*issue.CheckedX509, error) {
	if ask.Identity == nil {
		return nil, nil
	}
	g, err := w.a.provisioner.Verify(ctx, provisioner.SignIdentity, w.a.token)
	if err != nil {
		return nil, err
	}
	plain := ask.Data
	plain.Webhooks = nil // those were asked about the SSH certificate
	x509Ask, err := w.enrichX509(ctx, w.a, g, &issue.X509Ask{Request: ask.Identity, Data: plain}, w.now)
	if err != nil {
		return nil, err
	}
	draft, err := issue.NewIdentity(g, d, x509Ask, w.now)
	if err != nil {
		return nil, err
	}
	checked, err := draft.Check(w.now)
	if err != nil {
		return nil, err
	}
	if err := w.lintX509(ctx, w.a, checked); err != nil {
		return nil, err
	}
	return checked, w.approveX509(ctx, w.a, g, x509Ask, checked)
}

func (w *sshWork) seal(ctx context.Context, checked *issue.CheckedSSH, renewedFrom string) (*ssh.Certificate, error) {
	signer, err := w.a.state.SSH.signer(checked.Type())
	if err != nil {
		return nil, err
	}
	cert, err := signer.SealSSH(ctx, checked)
	if err != nil {
		return nil, err
	}
	record := &store.Certificate{
		Serial: sshSerial(cert), Type: "ssh-" + checked.Type(),
		ProvisionerID: w.a.grant.Provisioner, ProvisionerName: w.a.provisioner.Name, ProvisionerType: w.a.provisioner.Type,
		Subject: cert.KeyId, KeyID: sshKeyID(cert.Key), IssuerKeyID: sshKeyID(cert.SignatureKey),
		NotBefore: time.Unix(int64(cert.ValidAfter), 0).UTC(), NotAfter: time.Unix(int64(cert.ValidBefore), 0).UTC(), IssuedAt: w.now.UTC(),
		Raw: cert.Marshal(), RenewedFrom: renewedFrom,
	}
	for _, p := range cert.ValidPrincipals {
		if cert.CertType == ssh.HostCert {
			p = strings.ToLower(p) // hosts are looked up in any case (RFC 4343)
		}
		record.Names = append(record.Names, store.Name{Kind: "principal", Value: p})
	}
	record.Names = append(record.Names, holderNames(w.a.grant)...)
	w.records = append(w.records, record)
	return cert, nil
}

func (w *sshWork) sealIdentity(ctx context.Context, checked *issue.CheckedX509) ([]*x509.Certificate, error) {
	chain, err := w.a.state.Issuer.SealX509(ctx, checked)
	if err != nil {
		return nil, err
	}
	record, err := recordOf(w.a, chain, checked.Names(), entry{})
	if err != nil {
		return nil, err
	}
	w.records = append(w.records, record)
	return chain, nil
}

// commit spends the proof and records everything in one transaction.
func (w *sshWork) commit(ctx context.Context, act, renewedFrom string) error {
	first := w.records[0]
	err := w.store.Update(ctx, func(tx *store.Tx) error {
		if err := spend(tx, w.a.grant, w.now); err != nil {
			return err
		}
		if err := stillGood(tx, "ssh", renewedFrom); err != nil {
			return err
		}
		for _, r := range w.records {
			if err := tx.AddCertificate(r); err != nil {
				return fmt.Errorf("record certificate %s: %w", r.Serial, err)
			}
		}
		return tx.AddAudit(store.Audit{At: w.now, Act: act, Provisioner: w.a.provisioner.Name, Subject: w.a.grant.Subject,
			Serial: first.Serial, RequestID: RequestID(ctx), Detail: w.detail})
	})
	if err != nil {
		return commitError(err)
	}
	w.log.InfoContext(ctx, "SSH certificate issued", "act", act, "serial", first.Serial, "provisioner", w.a.provisioner.Name, "subject", first.Subject)
	return nil
}

// sshSerial is how the store writes the serial number of an SSH certificate.
func sshSerial(c *ssh.Certificate) string { return strconv.FormatUint(c.Serial, 16) }

// sshKeyID names an SSH key: lower-case hex SHA-256 of its wire form.
func sshKeyID(key ssh.PublicKey) string {
	sum := sha256.Sum256(key.Marshal())
	return hex.EncodeToString(sum[:])
}

func refuseRevokedSSH(tx *store.Tx, serial string) error {
	if serial == "" {
		return nil
	}
	_, err := tx.Revocation("ssh", serial)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look up the revocation of %s: %w", serial, err)
	}
	return fault.New(fault.Unproven, "the SSH certificate has been revoked")
}
