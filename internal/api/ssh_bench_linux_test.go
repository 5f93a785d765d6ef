package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// BenchmarkSSHBesideX509 shows what a certificate takes of the processor on /ssh/sign beside one on
// /sign: the same kind of token, keys of the same kind, and its record. Both sides take turns.
func BenchmarkSSHBesideX509(b *testing.B) {
	office := testca.New(b, func(s *testca.Setup) { s.SSH = true })
	handler := office.Handler()
	key := testca.P256(b)
	csr, wire := testca.CSR(b, key, "ann"), testca.Wire(testca.SSHKey(b, key))
	var spent [2]time.Duration
	const block = 64
	round := func(side int, path string, body func() map[string]any) {
		texts := make([]string, block)
		for i := range texts {
			text, err := json.Marshal(body())
			if err != nil {
				b.Fatal(err)
			}
			texts[i] = string(text)
		}
		before := processorTime(b)
		for _, text := range texts {
			post(b, handler, path, text)
		}
		spent[side] += processorTime(b) - before
	}
	n := 0
	for b.Loop() {
		round(0, "/sign", func() map[string]any { return map[string]any{"csr": csr, "ott": office.Token("ann")} })
		round(1, "/ssh/sign", func() map[string]any {
			return map[string]any{"publicKey": wire, "ott": office.SSHToken("ann", map[string]any{"certType": "user", "principals": []string{"ann"}}), "certType": "user", "keyID": "ann", "principals": []string{"ann"}}
		})
		n += block
	}
	for i, name := range []string{"x509-cpu-µs", "ssh-cpu-µs"} {
		b.ReportMetric(float64(spent[i].Nanoseconds())/1000/float64(n), name)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSSHRevocationList is how long the list of 100,000 revoked certificates takes from
// the database to its bytes.
func BenchmarkSSHRevocationList(b *testing.B) {
	office := testca.New(b, func(s *testca.Setup) { s.SSH, s.Durable = true, true })
	now := time.Now()
	for range 100 {
		err := office.Store.Update(b.Context(), func(tx *store.Tx) error {
			for range 1000 {
				r := &store.Revocation{Serial: fmt.Sprintf("%x", rand.Uint64()|1), Type: "ssh-user", RevokedAt: now, ExpiresAt: now.Add(time.Hour)}
				if err := tx.Revoke(r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	size := 0
	for b.Loop() {
		office.Reload(func(s *testca.Setup) { s.SSH = true }) // whose list is not made yet
		list, err := office.Office.SSHKRL(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		size = len(list)
	}
	b.ReportMetric(float64(size), "bytes")
}
