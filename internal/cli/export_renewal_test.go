package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"os"
	"time"

	"github.com/signet-ca/signet/internal/keys"
)

// What tests of the renewal need from inside.

type Schedule struct{ ExpiresIn, Period time.Duration }

func (s Schedule) Wait(notBefore, notAfter, now time.Time, random func(time.Duration) time.Duration) time.Duration {
	return schedule{s.ExpiresIn, s.Period}.wait(notBefore, notAfter, now, random)
}

func (s Schedule) Due(notAfter, now time.Time, random func(time.Duration) time.Duration) bool {
	return schedule{s.ExpiresIn, s.Period}.due(notAfter, now, random)
}

func (s Schedule) Check(validity time.Duration) error {
	return schedule{s.ExpiresIn, s.Period}.check(validity)
}

func Backoff(failures int, random func(time.Duration) time.Duration) time.Duration {
	return backoff(failures, random)
}

// Daemon is a renewal daemon whose CA and hook are functions.
type Daemon struct {
	Schedule Schedule
	Replace  func(context.Context) (notBefore, notAfter time.Time, err error)
	After    func(context.Context) error
	Advise   func() (due, again time.Time, err error)
	Hurry    <-chan os.Signal
	Now      func() time.Time
	Stdout   io.Writer
	Stderr   io.Writer
}

func (d *Daemon) Run(ctx context.Context, notBefore, notAfter time.Time) {
	inner := newDaemon(d.Stdout, d.Stderr)
	inner.act, inner.done = "renewal", "renewed"
	inner.schedule = schedule{d.Schedule.ExpiresIn, d.Schedule.Period}
	inner.random = func(time.Duration) time.Duration { return 0 }
	inner.now, inner.hurry, inner.after = d.Now, d.Hurry, d.After
	inner.replace = func(ctx context.Context) (fresh, error) {
		b, a, err := d.Replace(ctx)
		return fresh{"web", b, a}, err
	}
	if d.Advise != nil {
		inner.advise = func(context.Context) (*advice, error) {
			due, again, err := d.Advise()
			return &advice{due, again}, err
		}
	}
	inner.run(ctx, fresh{"web", notBefore, notAfter})
}

var (
	SplitCommand = splitCommand
	ParseReason  = parseReason
	ParseSerial  = parseSerial
)

// WritePair stores a certificate and its key.
func WritePair(crtFile, keyFile string, chain []*x509.Certificate, key crypto.Signer) error {
	return (&pair{crtFile: crtFile, keyFile: keyFile, chain: chain, key: key}).store()
}

// ReadPair reads a pair back, finishing what was interrupted.
func ReadPair(crtFile, keyFile string) ([]*x509.Certificate, crypto.Signer, error) {
	p, err := readPair(crtFile, keyFile, keys.NoPassword)
	if err != nil {
		return nil, nil, err
	}
	return p.chain, p.key, nil
}

// StoredKey is where a new key waits for its certificate.
func StoredKey(keyFile string) string { return (&pair{keyFile: keyFile}).storedKey() }
