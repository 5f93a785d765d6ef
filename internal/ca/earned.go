package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/webhook"
)

// Earned is a grant that a protocol earned by rules of its own, without a token: an ACME
// order whose names were proven, for one.
type Earned struct {
	Provisioner *provisioner.Provisioner
	Grant       *issue.Grant
	Act         string // for the audit entry
	Detail      string // for the audit entry

	// Also is written in the commit that records the certificate, or neither is. It is how
	// the protocol uses its right up: what it returns as an error undoes the issuance. It
	// may run more than once.
	Also func(tx *store.Tx, serial string, notAfter time.Time) error
}

// IssueEarned gives the certificate that a protocol's own proof grants. A refusal carries
// the [Stage] that refused.
func (c *CA) IssueEarned(ctx context.Context, e *Earned, ask *issue.X509Ask) (*Issued, error) {
	a := &admission{state: c.state.Load(), grant: e.Grant, provisioner: e.Provisioner}
	checked, err := c.checkX509(ctx, a, ask)
	var issued *Issued
	if err == nil {
		issued, err = c.sealAndRecord(ctx, a, checked, entry{act: e.Act, detail: joinDetail(e.Detail, templateDetail(checked.Template())),
			also: func(tx *store.Tx, leaf *x509.Certificate) error {
				return e.Also(tx, SerialHex(leaf.SerialNumber), leaf.NotAfter)
			}})
	}
	c.observe(Event{Act: "x509_signed", Provisioner: e.Provisioner.Name, Success: err == nil})
	return issued, err
}

// ACMEEvent is what the operator's servers are told of an ACME client before it gets its way.
type ACMEEvent struct {
	Event       string   `json:"event"` // new-account, new-order or validated
	Account     string   `json:"account,omitempty"`
	Contacts    []string `json:"contacts,omitempty"`
	EAB         string   `json:"externalAccountKey,omitempty"`
	Identifiers any      `json:"identifiers,omitempty"`
	Challenge   string   `json:"challenge,omitempty"` // by which a name was proven
	ClientIP    string   `json:"clientIP,omitempty"`
}

// AskACME asks the webhooks of kind ACME; one that does not allow ends the request.
func (c *CA) AskACME(ctx context.Context, p *provisioner.Provisioner, e *ACMEEvent) error {
	for _, h := range p.Webhooks(webhook.ACME, webhook.All) {
		r := &webhook.Request{Timestamp: time.Now().UTC(), ProvisionerName: p.Name, RequestID: RequestID(ctx), ACME: e}
		vars := func() (map[string]any, error) {
			return map[string]any{"Provisioner": map[string]any{"Name": p.Name, "Type": p.Type}, "Event": e.Event, "Account": e.Account}, nil
		}
		if _, err := c.call(ctx, h, r, vars); err != nil {
			return err
		}
	}
	return nil
}

func joinDetail(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// HookCode is the code by which a webhook refused; "" if none did, or it gave none.
func HookCode(err error) string {
	if r, ok := errors.AsType[*webhook.Refusal](err); ok {
		return r.Code
	}
	return ""
}

// Stage says where on its way a certificate was refused, for doors whose protocol has
// different words for it. The error inside keeps its fault.
type Stage struct {
	Name string // enrich, draft, check, lint, approve
	err  error
}

func (s *Stage) Error() string { return s.err.Error() }

// Unwrap gives the refusal itself.
func (s *Stage) Unwrap() error { return s.err }

func at(stage string, err error) error {
	if err == nil {
		return nil
	}
	return &Stage{stage, err}
}
