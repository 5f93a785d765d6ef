package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/store"
)

func quietly(string, int64) {}

// filled writes one of everything, with the values that databases differ on.
func filled(t *testing.T, s *store.Store) {
	t.Helper()
	at := time.Unix(1_700_000_000, 0).UTC()
	for i := range 150 {
		update(t, s, func(tx *store.Tx) error {
			c := certificate(i+1, dns(fmt.Sprintf("Host%d.example.com", i)), store.Name{Kind: "other", Value: strings.Repeat("ü", 200)})
			c.Raw = bytes.Repeat([]byte{0, 0xff, byte(i)}, 300)
			if i%2 == 1 {
				c.RA, c.RenewedFrom = []byte(`{"a":"\u0000"}`), fmt.Sprintf("%x", i)
			}
			return errors.Join(tx.AddCertificate(c), tx.Spend(store.Spent{Key: fmt.Sprint("k", i), SpentAt: at}),
				tx.AddAudit(store.Audit{At: at, Act: "sign", Detail: "\"quoted\"\n<&>\u2028 ü"}))
		})
	}
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.Revoke(&store.Revocation{Serial: "a", Type: "x509", ReasonCode: 1, RevokedAt: at}),
			tx.PutCRL(&store.CRL{Issuer: "i", Number: 3, ThisUpdate: at, NextUpdate: at, DER: []byte{1, 0, 255}}, -1), tx.Bump("revocations"))
	})
}

// backupOf is a backup without its head, which tells when and from what it was made.
func backupOf(t *testing.T, s *store.Store) (all, records string) {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Backup(t.Context(), &b, quietly); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(b.String(), "\n")
	end := strings.LastIndex(rest, `{"rows":`)
	return b.String(), rest[:end]
}

func TestBackupOfAnyDatabaseIsRestoredIntoAnyOther(t *testing.T) {
	t.Parallel()
	for _, from := range shared() {
		for _, to := range shared() {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				one, two := open(t, from.fresh(t)), open(t, to.fresh(t))
				filled(t, one)
				all, records := backupOf(t, one)
				rows, err := two.Restore(t.Context(), strings.NewReader(all), quietly)
				if err != nil {
					t.Fatal(err)
				}
				if rows["certificates"] != 150 || rows["audit"] != 150 || rows["crls"] != 1 {
					t.Errorf("restored %v", rows)
				}
				_, again := backupOf(t, two)
				if diff := cmp.Diff(strings.Split(records, "\n"), strings.Split(again, "\n")); diff != "" {
					t.Errorf("the copy differs:\n%.2000s", diff)
				}
				if problems, _, err := two.Check(t.Context(), quietly); err != nil || len(problems) > 0 {
					t.Errorf("check of the copy: %v, %v", problems, err)
				}
				add(t, two, certificate(1000))
				if _, err := two.Restore(t.Context(), strings.NewReader(all), quietly); err == nil || !strings.Contains(err.Error(), "holds records already") {
					t.Errorf("a second restore: %v", err)
				}
			})
		}
	}
}

// The backup must be of one moment: whoever has a certificate in it has its proof too.
func TestBackupIsConsistentWhileOthersWrite(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, b.fresh(t))
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan bool)
			begun := make(chan bool, 1)
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					var serial string
					if err := s.Update(ctx, issuance(&serial)); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
					select {
					case begun <- true:
					default:
					}
				}
			}()
			for range 5 {
				<-begun
				var w bytes.Buffer
				rows, err := s.Backup(t.Context(), &w, quietly)
				if err != nil {
					t.Fatal(err)
				}
				if rows["certificates"] == 0 || rows["certificates"] != rows["spent_proofs"] || rows["certificates"] != rows["audit"] {
					t.Errorf("issuances are written whole, the backup has %v", rows)
				}
			}
			stop()
			<-ended
		})
	}
}

func TestDamagedBackupRestoresNothing(t *testing.T) {
	t.Parallel()
	source := open(t, local()[0].fresh(t))
	filled(t, source)
	good, _ := backupOf(t, source)
	lines := strings.SplitAfter(good, "\n")
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, b.fresh(t))
			for name, test := range map[string]struct{ text, says string }{
				"empty":            {"", "cut off"},
				"something else":   {"PK\x03\x04\n", "no backup"},
				"cut off":          {good[:len(good)/2], "cut off"},
				"without its end":  {strings.Join(lines[:len(lines)-2], ""), "cut off"},
				"a row less":       {strings.Join(append(append([]string{}, lines[:5]...), lines[6:]...), ""), "checksum"},
				"a bit flipped":    {strings.Replace(good, "Host7.", "Host8.", 1), ""},
				"a newer format":   {strings.Replace(good, `"signetBackup":1`, `"signetBackup":2`, 1), "newer program"},
				"a strange table":  {strings.Replace(good, `"table":"audit"`, `"table":"users"`, 1), "not known"},
				"a strange column": {strings.Replace(good, `"serial","type"`, `"serial) --","type"`, 1), "not known"},
			} {
				_, err := s.Restore(t.Context(), strings.NewReader(test.text), quietly)
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, records := backupOf(t, s); strings.Contains(records, "[") && strings.Count(records, "\n[") > 0 {
				t.Errorf("rows were left behind: %.300s", records)
			}
			if _, err := s.Restore(t.Context(), strings.NewReader(good), quietly); err != nil {
				t.Errorf("the whole one afterwards: %v", err)
			}
		})
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte("{\"signetBackup\":1,\"schema\":2}\n{\"table\":\"crls\",\"columns\":[\"issuer\",\"number\",\"this_update\",\"next_update\",\"der\"]}\n[\"i\",1,2,3,\"AQ==\"]\n"))
	f.Add([]byte("{\"signetBackup\":1}\n[1]\n{\"rows\":{}}\n"))
	f.Add([]byte("null\n"))
	s, err := store.Open(f.Context(), store.Config{Type: "memory"}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := s.Restore(t.Context(), bytes.NewReader(data), quietly); err == nil && !bytes.Contains(data, []byte("sha256")) {
			t.Error("restored without a checksum")
		}
	})
}

func TestCheckFindsWhatDoesNotAgree(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			s := open(t, c)
			filled(t, s)
			alter(t, c, "UPDATE certificates SET names = '[' WHERE serial = '"+certificate(1).Serial+"'")
			alter(t, c, "DELETE FROM certificates WHERE serial = '"+certificate(2).Serial+"'")
			problems, _, err := s.Check(t.Context(), quietly)
			said := strings.Join(problems, "\n")
			if err != nil || !strings.Contains(said, "names can't be read") || !strings.Contains(said, "belong to no certificate") {
				t.Errorf("found %q, %v", said, err)
			}
		})
	}
}

func TestStatsAndVacuum(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, b.fresh(t))
			filled(t, s)
			if err := s.Vacuum(t.Context()); err != nil {
				t.Error(err)
			}
			st, err := s.Stats(t.Context(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			schema, err := s.Schema(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			size, err := s.Size(t.Context())
			if err != nil || size <= 0 || st.Bytes <= 0 || st.Rows["certificates"] != 150 || st.Schema != schema || st.Type != b.name {
				t.Errorf("got %+v, %d, %v", st, size, err)
			}
		})
	}
}

func TestRetentionRemovesOnlyWhatIsPastIt(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		now := time.Unix(1_800_000_000, 0)
		day := 24 * time.Hour
		for i := range 450 { // more than one commit removes
			update(t, s, func(tx *store.Tx) error {
				c := certificate(i+1, dns("a.example.com"))
				c.NotAfter = now.Add(-10 * day)
				if i%3 == 0 {
					c.NotAfter, c.RenewedFrom = now.Add(-2*day), "b"
				}
				return errors.Join(tx.AddCertificate(c), tx.AddAudit(store.Audit{At: c.NotAfter, Act: "sign"}))
			})
		}
		update(t, s, func(tx *store.Tx) error {
			return tx.Revoke(&store.Revocation{Serial: certificate(2).Serial, Type: "x509", RevokedAt: now.Add(-100 * day), ExpiresAt: now.Add(-10 * day)})
		})
		left := func() (certs, audits int) {
			view(t, s, func(tx *store.Tx) error {
				certs = len(collect(t, tx.Certificates(store.Query{Name: dns("a.example.com")})))
				audits = len(collect(t, tx.Audits(time.Time{}, time.Time{})))
				return nil
			})
			return certs, audits
		}
		if n, err := s.Retain(t.Context(), now, store.Retention{}); n != 0 || err != nil {
			t.Errorf("without bounds %d were removed: %v", n, err)
		}
		if n, err := s.Retain(t.Context(), now, store.Retention{Audit: 5 * day}); n != 300 || err != nil {
			t.Errorf("audit: %d, %v", n, err)
		}
		if n, err := s.Retain(t.Context(), now, store.Retention{Expired: 5 * day}); n != 300 || err != nil {
			t.Errorf("certificates: %d, %v", n, err)
		}
		if certs, audits := left(); certs != 150 || audits != 150 {
			t.Errorf("%d certificates and %d audit entries are left", certs, audits)
		}
		view(t, s, func(tx *store.Tx) error {
			_, err := tx.Revocation("x509", certificate(2).Serial)
			return err
		})
		if problems, _, err := s.Check(t.Context(), quietly); err != nil || len(problems) > 0 {
			t.Errorf("check afterwards: %v, %v", problems, err)
		}
	})
}
