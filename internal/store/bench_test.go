package store_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// issuance is what one signature writes: a spent proof, a certificate with its names, an
// audit entry. It tells its serial, if somebody wants to know.
func issuance(serial *string) func(*store.Tx) error {
	var id [20]byte
	rand.Read(id[:])
	id[0] = id[0]&0x7f | 0x40
	now := time.Now()
	c := certificate(1, store.Name{Kind: "cn", Value: hex.EncodeToString(id[:6]) + ".example"}, dns(hex.EncodeToString(id[:6])+".example"))
	c.Serial = hex.EncodeToString(id[:])
	c.Raw = make([]byte, 700)
	rand.Read(c.Raw)
	c.KeyID, c.IssuerKeyID = hex.EncodeToString(c.Raw[:32]), "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2"
	c.NotAfter = now.Add(24 * time.Hour)
	if serial != nil {
		*serial = c.Serial
	}
	spent := store.Spent{Key: proofOf(c.Serial), ProvisionerID: "p1", SpentAt: now, ExpiresAt: now.Add(5 * time.Minute)}
	return func(tx *store.Tx) error {
		if err := tx.Spend(spent); err != nil {
			return err
		}
		if err := tx.AddCertificate(c); err != nil {
			return err
		}
		return tx.AddAudit(store.Audit{At: now, Act: "sign", Provisioner: "ops", Subject: c.Subject, Serial: c.Serial, RequestID: c.KeyID[:20]})
	}
}

// proofOf is the key of the proof behind a certificate that issuance made.
func proofOf(serial string) string {
	sum := sha256.Sum256([]byte(serial))
	return hex.EncodeToString(sum[:])
}

func BenchmarkUpdate(b *testing.B) {
	for _, be := range backends() {
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s-%d", be.name, callers), func(b *testing.B) {
				s := open(b, be.fresh(b))
				var left atomic.Int64
				left.Store(int64(b.N))
				done := make(chan error, callers)
				if err := s.Ping(b.Context()); err != nil {
					b.Fatal(err)
				}
				own, served := ownCPU(b), servedCPU(b)
				b.ResetTimer()
				for range callers {
					go func() {
						var err error
						for left.Add(-1) >= 0 && err == nil {
							err = s.Update(b.Context(), issuance(nil))
						}
						done <- err
					}()
				}
				for range callers {
					if err := <-done; err != nil {
						b.Error(err)
					}
				}
				b.StopTimer()
				perOp := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
				b.ReportMetric(perOp(ownCPU(b)-own), "cpu-us/op")
				b.ReportMetric(perOp(servedCPU(b)-served), "server-cpu-us/op")
			})
		}
	}
}
