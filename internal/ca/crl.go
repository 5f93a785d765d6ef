package ca

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

// RevocationList is one that was made (RFC 5280, Section 5).
type RevocationList = store.CRL

// CRLSettings say how the revocation list is made.
type CRLSettings struct {
	OnRevoke bool          // make a new list at once on each revocation
	Lifetime time.Duration // from thisUpdate to nextUpdate
	Period   time.Duration // a new list this often; at most Lifetime
	URL      string        // of the issuing distribution point
}

// listedPastExpiry is how long a revoked certificate stays on the list after its end, so
// that it is on one list issued after it (RFC 5280, Section 3.3).
const listedPastExpiry = time.Hour

// CRL is the current revocation list, made anew if the stored one has run out. It is not to be
// changed: the same one is given to many.
func (c *CA) CRL(ctx context.Context) (*RevocationList, error) {
	state := c.state.Load()
	if state.CRL == nil {
		return nil, fault.New(fault.Missing, "this CA publishes no revocation list; crl.enabled turns it on")
	}
	list, published := c.shown.get(state.Issuer.KeyID(), time.Now())
	if list != nil {
		return list, nil
	}
	stored, err := c.freshCRL(ctx, state)
	if err != nil {
		return nil, err
	}
	if stored != nil {
		return c.shown.put(stored, published, time.Now()), nil
	}
	c.publishing.Lock()
	defer c.publishing.Unlock()
	stored, err = c.freshCRL(ctx, state) // of those who waited for the lock one makes the list
	if stored != nil || err != nil {
		return stored, err
	}
	if err := c.publishLocked(ctx, state); err != nil {
		return nil, err
	}
	return c.storedCRL(ctx, state)
}

// LastCRL is the list that was made last, run out or not; nil if there is none.
func (c *CA) LastCRL(ctx context.Context) (*store.CRL, error) {
	state := c.state.Load()
	if state.CRL == nil {
		return nil, nil
	}
	return c.storedCRL(ctx, state)
}

// freshCRL is the stored list unless it has run out.
func (c *CA) freshCRL(ctx context.Context, s *State) (*store.CRL, error) {
	stored, err := c.storedCRL(ctx, s)
	if err != nil || stored == nil || !time.Now().Before(stored.NextUpdate) {
		return nil, err
	}
	return stored, nil
}

func (c *CA) storedCRL(ctx context.Context, s *State) (list *store.CRL, err error) {
	issuer := s.Issuer.KeyID()
	err = c.store.View(ctx, func(tx *store.Tx) error {
		list, err = tx.CRL(issuer)
		if errors.Is(err, store.ErrNotFound) {
			list = nil
			return nil
		}
		return err
	})
	return list, err
}

// crlTries is how often a list is made anew because another server's was stored in between.
const crlTries = 8

// PublishCRL makes the next revocation list and stores it. Another server's list that took
// its number may lack what this one was made for, so it is made again.
func (c *CA) PublishCRL(ctx context.Context) error {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	state := c.state.Load()
	if state.CRL == nil {
		return nil
	}
	return c.publishLocked(ctx, state)
}

func (c *CA) publishLocked(ctx context.Context, state *State) (err error) {
	for range crlTries {
		if err = c.publishNext(ctx, state); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return err
}

func (c *CA) publishNext(ctx context.Context, state *State) error {
	now := time.Now().UTC().Truncate(time.Second)
	previous := int64(-1)
	if last, err := c.storedCRL(ctx, state); err != nil {
		return fmt.Errorf("read the last revocation list: %w", err)
	} else if last != nil {
		previous = last.Number
	}
	entries, covers, err := c.revokedEntries(ctx, now)
	if err != nil {
		return fmt.Errorf("read the revocations: %w", err)
	}
	point, err := distributionPoint(state.CRL.URL)
	if err != nil {
		return err
	}
	next := now.Add(state.CRL.Lifetime)
	der, err := state.Issuer.SealCRL(&x509.RevocationList{
		Number: big.NewInt(previous + 1), ThisUpdate: now, NextUpdate: next,
		RevokedCertificateEntries: entries, ExtraExtensions: []pkix.Extension{point},
	})
	if err != nil {
		return err
	}
	issuer := state.Issuer.KeyID()
	list := &store.CRL{Issuer: issuer, Number: previous + 1, ThisUpdate: now, NextUpdate: next, DER: der}
	defer c.shown.replaced() // whatever became of it
	return c.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutCRL(list, previous); err != nil {
			return err
		}
		return tx.SetRevision(coveredTopic(issuer), covers)
	})
}

// revokedEntries is what belongs on a list, and the revision of the revocations that it
// holds at least: the number is read before the rows.
func (c *CA) revokedEntries(ctx context.Context, now time.Time) (entries []x509.RevocationListEntry, covers int64, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) (err error) {
		entries = nil
		if covers, err = tx.Revision(revocationsTopic); err != nil {
			return err
		}
		for r, err := range tx.Revocations("x509") {
			if err != nil {
				return err
			}
			if !r.ExpiresAt.IsZero() && now.After(r.ExpiresAt.Add(listedPastExpiry)) {
				continue
			}
			serial, ok := new(big.Int).SetString(r.Serial, 16)
			if !ok {
				return fmt.Errorf("the stored serial number %q is not hexadecimal", r.Serial)
			}
			entries = append(entries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: r.RevokedAt.UTC(), ReasonCode: r.ReasonCode})
		}
		return nil
	})
	return entries, covers, err
}

// distributionPoint is the issuing distribution point extension with one URI (RFC 5280,
// Section 5.2.5), critical as it must be.
func distributionPoint(url string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encode the distribution point %s: %w", url, err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: der}, nil
}

func (c *CA) kickCRL() {
	select {
	case c.crlKick <- struct{}{}:
	default: // one is waiting already
	}
}
