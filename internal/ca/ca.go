// Package ca admits proofs, issues, renews, revokes and publishes. It says in which order
// things happen; whether a proof is good, a certificate allowed or a row written is decided
// elsewhere.
//
// Nothing leaves before it is written down: one transaction spends the proof and records the
// certificate and its audit entry, and only after its durable commit does the caller get it.
package ca

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
)

// CA is one certificate authority on one store.
type CA struct {
	store      *store.Store
	log        *slog.Logger
	started    time.Time // kept across reloads: tokens made before one stay good
	state      atomic.Pointer[State]
	observe    func(Event)
	sealKick   chan struct{} // asks for secrets to be sealed anew
	crlKick    chan struct{} // asks the publisher for a fresh revocation list
	publishing sync.Mutex    // one revocation list at a time
	shown      shownCRL
}

// State is everything that comes from configuration: one immutable snapshot, built and
// checked before it is swapped in.
type State struct {
	Roots        []*x509.Certificate // published, and anchors of client certificates
	Federated    []*x509.Certificate // published only
	Issuer       *issue.Local
	Previous     []*x509.Certificate // earlier issuing certificates whose leaves may still be renewed
	Authority    *issue.Authority
	Provisioners *provisioner.List
	Audiences    *provisioner.Audiences
	Claims       provisioner.Resolved // authority-wide, for renewals no provisioner answers for
	Unrecorded   Unrecorded           // renewal of certificates without a record
	SSH          *SSHState            // nil: no SSH certificate authority
	Retention    store.Retention      // of records that nothing needs any more
	CRL          *CRLSettings         // nil: no revocation list is made
	Hidden       bool                 // do not show the provisioners to strangers
	DNSNames     []string             // of the CA's own server certificate
	CommonName   string               // of the CA's own server certificate
	Vault        *keys.Vault          // seals secrets in the database; nil: nothing does
}

// Unrecorded says what becomes of a renewal whose certificate has no record. The zero value
// is the default: the provisioner extension in the certificate decides.
type Unrecorded uint8

const (
	UnrecordedExtension Unrecorded = iota // the extension names the provisioner; none: refused
	UnrecordedNever                       // always refused
	UnrecordedAlways                      // allowed under the authority's claims even without an extension
)

// Event tells an observer of one finished act, for metrics.
type Event struct {
	Act         string // "x509_signed", "x509_renewed", "x509_rekeyed", "x509_revoked", "x509_rejected", "x509_webhook_enriched", "x509_webhook_authorized"; the same with "ssh"; "template_failed"; "acme_order", "acme_challenge", "acme_nonce_refused", "acme_limited"
	Provisioner string // name, "" if unknown
	Success     bool
	Type        string // of SSH certificates: "user", "host" or "unknown"; of failed templates: "run", "limit" or "output"; of ACME: the new status, the challenge type, the limit

	Took time.Duration // of ACME challenges: the validation
}

// Options are what a CA is made of besides its state.
type Options struct {
	Store   *store.Store
	Log     *slog.Logger
	Started time.Time   // when the process started
	Observe func(Event) // may be nil
}

// New makes a CA on a store with its first state.
func New(o Options, first *State) *CA {
	c := &CA{store: o.Store, log: o.Log, started: o.Started, observe: o.Observe, crlKick: make(chan struct{}, 1), sealKick: make(chan struct{}, 1)}
	if c.observe == nil {
		c.observe = func(Event) {}
	}
	c.state.Store(first)
	return c
}

// Swap replaces the state at once. Requests under way finish on the old one.
func (c *CA) Swap(next *State) {
	next.Vault = next.Vault.Also(c.state.Load().Vault) // other servers may still seal as before
	c.state.Store(next)
	c.kickCRL()
	select {
	case c.sealKick <- struct{}{}:
	default:
	}
}

// State is the current snapshot.
func (c *CA) State() *State { return c.state.Load() }

// Tell passes an event of a door to whoever observes the CA.
func (c *CA) Tell(e Event) { c.observe(e) }

// Store is where the CA writes down what it does.
func (c *CA) Store() *store.Store { return c.store }

type requestIDKey struct{}

// WithRequestID puts the ID of a request into its context, for audit entries and logs.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the ID of the request a context belongs to; "" if it has none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
