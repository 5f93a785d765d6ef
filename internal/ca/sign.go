package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// Issued is what a caller gets once it is written down.
type Issued struct {
	Chain       []*x509.Certificate // leaf, then the issuing certificates, no root
	Provisioner *provisioner.Provisioner
}

// admission is a proof that was found good, and not spent yet.
type admission struct {
	state       *State
	grant       *issue.Grant
	provisioner *provisioner.Provisioner
	token       *provisioner.Token
}

// name is the provisioner's, "" if none was found.
func (a *admission) name() string {
	if a == nil || a.provisioner == nil {
		return ""
	}
	return a.provisioner.Name
}

// admit finds out who proves themselves by a token and what it grants. The proof is not
// spent: that is the last step, or strangers could burn other people's tokens.
func (c *CA) admit(ctx context.Context, act provisioner.Act, raw string) (*admission, error) {
	t, err := provisioner.ParseToken(raw, time.Now())
	if err != nil {
		return nil, err
	}
	return c.admitToken(ctx, act, t)
}

func (c *CA) admitToken(ctx context.Context, act provisioner.Act, t *provisioner.Token) (*admission, error) {
	state := c.state.Load()
	p, err := state.Provisioners.ByToken(t)
	if err != nil {
		return nil, err
	}
	g, err := p.Verify(ctx, act, t)
	if err != nil {
		return &admission{state: state, provisioner: p, token: t}, err
	}
	a := &admission{state: state, grant: g, provisioner: p, token: t}
	if g.Once.Key == "" { // may be used again, so nothing of it is remembered
		return a, nil
	}
	return a, c.checkIssuedAt(state, t)
}

// checkIssuedAt refuses tokens older than the process, but only where spent proofs are
// forgotten with it: a durable store remembers them, so restarts refuse no good token.
func (c *CA) checkIssuedAt(s *State, t *provisioner.Token) error {
	if c.store.Durable() || s.Claims.DisableIssuedAtCheck || t.IssuedAt == nil {
		return nil
	}
	if t.IssuedAt.Time().Before(c.started.Truncate(time.Second)) {
		return fault.New(fault.Unproven, "the token was made before this server started, and its memory of used tokens is not older; make a new token")
	}
	return nil
}

// SignX509 gives the certificate a token grants.
func (c *CA) SignX509(ctx context.Context, token string, ask *issue.X509Ask) (*Issued, error) {
	a, err := c.admit(ctx, provisioner.SignX509, token)
	if err != nil {
		c.observe(Event{Act: "x509_rejected", Provisioner: a.name(), Success: false})
		return nil, err
	}
	issued, err := c.issueX509(ctx, a, ask)
	c.observe(Event{Act: "x509_signed", Provisioner: a.provisioner.Name, Success: err == nil})
	return issued, err
}

func (c *CA) issueX509(ctx context.Context, a *admission, ask *issue.X509Ask) (*Issued, error) {
	checked, err := c.checkX509(ctx, a, ask)
	if err != nil {
		return nil, err
	}
	return c.sealAndRecord(ctx, a, checked, entry{act: "x509.sign", detail: templateDetail(checked.Template())})
}

// checkX509 drafts a certificate and has everybody look at it who may refuse it.
func (c *CA) checkX509(ctx context.Context, a *admission, ask *issue.X509Ask) (*issue.CheckedX509, error) {
	now := time.Now()
	ask, err := c.enrichX509(ctx, a, a.grant, ask, now)
	if err != nil {
		return nil, at("enrich", err)
	}
	draft, err := issue.NewX509(a.grant, ask, now)
	if err != nil {
		c.countTemplate(a, err)
		return nil, at("draft", err)
	}
	checked, err := draft.Check(now)
	if err != nil {
		return nil, at("check", err)
	}
	if err := c.lintX509(ctx, a, checked); err != nil {
		return nil, at("lint", err)
	}
	return checked, at("approve", c.approveX509(ctx, a, a.grant, ask, checked))
}

// countTemplate tells of a template that does not work, by where it came to grief.
func (c *CA) countTemplate(a *admission, err error) {
	if te, ok := errors.AsType[*issue.TemplateError](err); ok {
		c.observe(Event{Act: "template_failed", Provisioner: a.provisioner.Name, Type: te.Stage})
	}
}

// templateDetail notes in the audit entry by which text a certificate was made.
func templateDetail(hash string) string {
	if hash == "" {
		return ""
	}
	return "template sha256:" + hash
}

// entry is what a record says beyond the certificate itself.
type entry struct {
	act         string
	renewedFrom string
	detail      string
	also        func(*store.Tx, *x509.Certificate) error // written along with it; nil: nothing
}

// sealAndRecord signs, writes down in one durable commit, and only then hands out. Of two
// requests that race with one proof the loser's certificate is thrown away here.
func (c *CA) sealAndRecord(ctx context.Context, a *admission, checked *issue.CheckedX509, e entry) (*Issued, error) {
	chain, err := a.state.Issuer.SealX509(ctx, checked)
	if err != nil {
		return nil, err
	}
	record, err := recordOf(a, chain, checked.Names(), e)
	if err != nil {
		return nil, err
	}
	audit := store.Audit{At: record.IssuedAt, Act: e.act, Provisioner: a.provisioner.Name, Subject: a.grant.Subject,
		Serial: record.Serial, RequestID: RequestID(ctx), Detail: e.detail}
	err = c.store.Update(ctx, func(tx *store.Tx) error {
		if err := spend(tx, a.grant, record.IssuedAt); err != nil {
			return err
		}
		if err := stillGood(tx, "x509", e.renewedFrom); err != nil {
			return err
		}
		if e.also != nil {
			if err := e.also(tx, chain[0]); err != nil {
				return err
			}
		}
		if err := tx.AddCertificate(record); err != nil {
			return fmt.Errorf("record certificate %s: %w", record.Serial, err)
		}
		return tx.AddAudit(audit)
	})
	if err != nil {
		return nil, commitError(err)
	}
	c.log.InfoContext(ctx, "certificate issued", "act", e.act, "serial", record.Serial, "provisioner", a.provisioner.Name, "subject", a.grant.Subject)
	return &Issued{Chain: chain, Provisioner: a.provisioner}, nil
}

// commitError gives words to what went wrong while writing down. Nothing was handed out.
func commitError(err error) error {
	switch {
	case fault.Of(err) != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.Unavailable, "the request was given up before it could be written down; nothing was issued")
	}
	return fault.Wrap(err, fault.Internal, "the database could not write this down, so nothing was issued; try again, and tell the operator if it goes on")
}

// spend uses the proof up, inside the transaction that records what it bought.
func spend(tx *store.Tx, g *issue.Grant, now time.Time) error {
	if g.Once.Key == "" {
		return nil
	}
	err := tx.Spend(store.Spent{Key: g.Once.Key, ProvisionerID: g.Provisioner, SpentAt: now, ExpiresAt: g.Once.ExpiresAt})
	if errors.Is(err, store.ErrExists) {
		return fault.New(fault.Unproven, "the token has already been used; make a new one")
	}
	return err
}

func recordOf(a *admission, chain []*x509.Certificate, names issue.Names, e entry) (*store.Certificate, error) {
	leaf := chain[0]
	keyID, err := keys.PublicKeyID(leaf.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("identify the subject key: %w", err)
	}
	return &store.Certificate{
		Serial: SerialHex(leaf.SerialNumber), Type: "x509",
		ProvisionerID: a.grant.Provisioner, ProvisionerName: a.provisioner.Name, ProvisionerType: a.provisioner.Type,
		Subject: a.grant.Subject, KeyID: keyID, IssuerKeyID: a.state.Issuer.KeyID(), Names: append(recordNames(leaf, names), holderNames(a.grant)...),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, IssuedAt: time.Now().UTC(),
		Raw: leaf.Raw, RenewedFrom: e.renewedFrom, RA: a.grant.RA,
	}, nil
}

// holder is the kind under which the name of the credential behind a certificate is kept
// among its names: who revokes by that credential must have it.
const holder = "holder"

// holderNames is that name, if the proof has one.
func holderNames(g *issue.Grant) []store.Name {
	if g.Holder == "" {
		return nil
	}
	return []store.Name{{Kind: holder, Value: g.Holder}}
}

// holderOf is the name under which a certificate was bought; "" if it was by nobody's.
func holderOf(record *store.Certificate) string {
	i := slices.IndexFunc(record.Names, func(n store.Name) bool { return n.Kind == holder })
	if i < 0 {
		return ""
	}
	return record.Names[i].Value
}

func recordNames(leaf *x509.Certificate, n issue.Names) []store.Name {
	list := make([]store.Name, 0, 4)
	if cn := leaf.Subject.CommonName; cn != "" {
		list = append(list, store.Name{Kind: "cn", Value: cn})
	}
	for _, s := range n.DNS {
		list = append(list, store.Name{Kind: "dns", Value: s})
	}
	for _, ip := range n.IPs {
		list = append(list, store.Name{Kind: "ip", Value: ip.String()})
	}
	for _, s := range n.Emails {
		list = append(list, store.Name{Kind: "email", Value: s})
	}
	for _, u := range n.URIs {
		list = append(list, store.Name{Kind: "uri", Value: u.String()})
	}
	return list
}
