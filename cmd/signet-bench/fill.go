package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
)

// fill puts n certificates into the new database, as a year of issuing would have.
func (t *target) fill(ctx context.Context, n int) error {
	s, err := store.Open(ctx, store.Config{Type: "sqlite", DataSource: filepath.Join(t.dir, "db")}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer s.Close()
	const writers, together = 8, 100
	var wg sync.WaitGroup
	errs := make([]error, writers)
	begin := time.Now().AddDate(-1, 0, 0)
	for w := range writers {
		wg.Go(func() {
			for from := w * together; from < n && errs[w] == nil; from += writers * together {
				errs[w] = s.Update(ctx, func(tx *store.Tx) error {
					for i := from; i < min(from+together, n); i++ {
						if err := addStored(tx, begin.Add(time.Duration(i)*(365*24*time.Hour/time.Duration(n))), i); err != nil {
							return err
						}
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("fill the database: %w", err)
		}
	}
	return nil
}

func addStored(tx *store.Tx, at time.Time, i int) error {
	raw := make([]byte, 620)
	_, _ = rand.Read(raw) // crypto/rand never fails
	host := "host" + strconv.Itoa(i) + ".bench.internal"
	c := &store.Certificate{
		Serial: fmt.Sprintf("%012x%s", at.UnixMilli(), keys.RandomHex(14))[1:], Type: "x509",
		ProvisionerID: provisionerName + ":stored", ProvisionerName: provisionerName, ProvisionerType: "JWK", Subject: host,
		KeyID: keys.RandomHex(32), IssuerKeyID: keys.RandomHex(32), Names: []store.Name{{Kind: "cn", Value: host}, {Kind: "dns", Value: host}},
		NotBefore: at, NotAfter: at.Add(24 * time.Hour), IssuedAt: at, Raw: raw,
	}
	if err := tx.AddCertificate(c); err != nil {
		return err
	}
	return tx.AddAudit(store.Audit{At: at, Act: "x509.sign", Provisioner: provisionerName, Subject: host, Serial: c.Serial, RequestID: keys.RandomHex(16)})
}
