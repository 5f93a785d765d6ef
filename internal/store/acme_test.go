package store_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/store"
)

func at(s int64) time.Time { return time.Unix(1_900_000_000+s, 0).UTC() }

func acmeAccount(n int) *store.ACMEAccount {
	return &store.ACMEAccount{ID: fmt.Sprintf("account%d", n), ProvisionerID: "acme/acme", Thumbprint: fmt.Sprintf("thumb%d", n), Key: []byte{1, byte(n)},
		Contacts: []string{"mailto:ä@b.example"}, Status: "valid", URL: "https://ca/acme/acme/account/x", CreatedAt: at(1)}
}

func acmeRows(n int, account string) (*store.ACMEOrder, *store.ACMEAuthz) {
	id := fmt.Sprintf("%09dorder", n) // IDs begin with the time
	o := &store.ACMEOrder{ID: id, AccountID: account, ProvisionerID: "acme/acme", Status: store.ACMEPending,
		Identifiers: []store.ACMEIdentifier{{Type: "dns", Value: "a.example"}}, Authorizations: []string{id + "authz"}, CreatedAt: at(0), ExpiresAt: at(100), RemoveAt: at(200), NotAfter: at(50)}
	a := &store.ACMEAuthz{ID: id + "authz", AccountID: account, ProvisionerID: "acme/acme", OrderID: id, Type: "dns", Value: "a.example", Wildcard: true,
		Status: "pending", Challenges: []store.ACMEChallenge{{ID: "c1", Type: "http-01", Token: "t", Status: "pending"}}, CreatedAt: at(0), ExpiresAt: at(100)}
	return o, a
}

func change(t *testing.T, s *store.Store, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func refuses(t *testing.T, s *store.Store, want error, f func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestACMERecords(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		a := acmeAccount(1)
		change(t, s, func(tx *store.Tx) error { return tx.AddACMEAccount(a) })
		twin := acmeAccount(2)
		twin.Thumbprint = a.Thumbprint
		refuses(t, s, store.ErrExists, func(tx *store.Tx) error { return tx.AddACMEAccount(twin) })
		o, z := acmeRows(1, a.ID)
		change(t, s, func(tx *store.Tx) error { return tx.AddACMEOrder(o, []*store.ACMEAuthz{z}) })
		look := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := s.View(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		look(func(tx *store.Tx) error {
			gotA, err1 := tx.ACMEAccount(a.ID)
			byKey, err2 := tx.ACMEAccountByKey("acme/acme", a.Thumbprint)
			gotO, err3 := tx.ACMEOrder(o.ID)
			gotZ, err4 := tx.ACMEAuthz(z.ID)
			if d := cmp.Diff(a, gotA) + cmp.Diff(a, byKey) + cmp.Diff(o, gotO) + cmp.Diff(z, gotZ); d != "" {
				t.Error(d)
			}
			return errors.Join(err1, err2, err3, err4)
		})

		// A change names the state that it expects.
		changed := *z
		changed.Status = "valid"
		change(t, s, func(tx *store.Tx) error { return tx.SetACMEAuthz(&changed) })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.SetACMEAuthz(&changed) })
		change(t, s, func(tx *store.Tx) error { return tx.FulfilACMEOrder(o, "abc", at(500)) })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.FulfilACMEOrder(o, "abd", at(500)) })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.FailACMEOrder(o.ID, []byte("{}")) })
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { _, err := tx.ACMECertificate("abd"); return err })
		look(func(tx *store.Tx) error {
			c, err := tx.ACMECertificate("abc")
			if d := cmp.Diff(&store.ACMECertificate{Serial: "abc", AccountID: a.ID, OrderID: o.ID, RemoveAt: at(500)}, c); d != "" {
				t.Error(d)
			}
			return err
		})
		c := &store.ACMECertificate{Serial: "abc"}
		change(t, s, func(tx *store.Tx) error { return tx.ReplaceACMECertificate(c, "next") })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.ReplaceACMECertificate(c, "other") })

		// Of two who take one key one gets it, and its secret goes.
		k := &store.ACMEKey{ID: "k1", ProvisionerID: "acme/acme", Reference: "web", Secret: []byte("secret"), Policy: []byte(`{"x509":{}}`), CreatedAt: at(1)}
		change(t, s, func(tx *store.Tx) error { return tx.AddACMEKey(k) })
		refuses(t, s, store.ErrExists, func(tx *store.Tx) error {
			return tx.AddACMEKey(&store.ACMEKey{ID: "k2", ProvisionerID: "acme/acme", Reference: "web", CreatedAt: at(1)})
		})
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.BindACMEKey("k1", a.ID, at(2)) })
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, store.ErrStale) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		look(func(tx *store.Tx) error {
			got, err := tx.ACMEKey("k1")
			if won.Load() != 1 || got.Secret != nil || got.AccountID != a.ID || !got.BoundAt.Equal(at(2)) {
				t.Errorf("%d took the key, %+v", won.Load(), got)
			}
			return err
		})
		refuses(t, s, store.ErrNotFound, func(tx *store.Tx) error { return tx.RemoveACMEKey("acme/other", "k1") })
		change(t, s, func(tx *store.Tx) error { return tx.RemoveACMEKey("acme/acme", "k1") })

		// Nonces and their keys.
		change(t, s, func(tx *store.Tx) error { return tx.UseACMENonce(at(0), "n") })
		refuses(t, s, store.ErrExists, func(tx *store.Tx) error { return tx.UseACMENonce(at(0), "n") })
		change(t, s, func(tx *store.Tx) error { return tx.AddACMENonceKey(5, []byte("key")) })
		refuses(t, s, store.ErrExists, func(tx *store.Tx) error { return tx.AddACMENonceKey(5, []byte("other")) })

		// Authorizations for no order are counted while they wait, and only as far as asked.
		for i := range 3 {
			_, z := acmeRows(50+i, a.ID)
			z.OrderID = ""
			if i == 2 {
				z.Status = "valid"
			}
			change(t, s, func(tx *store.Tx) error { return tx.AddACMEAuthz(z) })
		}
		look(func(tx *store.Tx) error {
			two, err := tx.PendingACMEPreauthzs(a.ID, at(0), 10)
			one, also := tx.PendingACMEPreauthzs(a.ID, at(0), 1)
			none, too := tx.PendingACMEPreauthzs(a.ID, at(101), 10)
			if two != 2 || one != 1 || none != 0 {
				t.Errorf("%d, %d and %d authorizations wait", two, one, none)
			}
			return errors.Join(err, also, too)
		})

		// The end of an account takes its pending orders along.
		o2, z2 := acmeRows(2, a.ID)
		change(t, s, func(tx *store.Tx) error { return tx.AddACMEOrder(o2, []*store.ACMEAuthz{z2}) })
		change(t, s, func(tx *store.Tx) error { return tx.RekeyACMEAccount(a, "newthumb", []byte{9}) })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.RekeyACMEAccount(a, "newerthumb", []byte{9}) })
		change(t, s, func(tx *store.Tx) error { return tx.EndACMEAccount(a.ID, "deactivated") })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.EndACMEAccount(a.ID, "deactivated") })
		refuses(t, s, store.ErrStale, func(tx *store.Tx) error { return tx.SetACMEContacts(a.ID, nil) })
		look(func(tx *store.Tx) error {
			got, err := tx.ACMEOrder(o2.ID)
			n, also := tx.PendingACMEOrders(a.ID, at(0), 10)
			if got.Status != store.ACMEInvalid || n != 0 {
				t.Errorf("%s, %d pending", got.Status, n)
			}
			return errors.Join(err, also)
		})
	})
}

// sweepVariable is how many ended orders the sweep removes.
const sweepVariable = "SIGNET_ACME_SWEEP"

// Orders that ended long ago are removed in small steps: somebody who makes an order
// meanwhile hardly notices. The long form says how long they waited.
func TestACMESweep(t *testing.T) {
	n := 3000
	if text := os.Getenv(sweepVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", sweepVariable, err)
		}
	} else {
		t.Parallel()
	}
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			s := open(t, b.fresh(t))
			filling := time.Now()
			fillACME(t, s, n)
			filled := time.Since(filling)
			swept := make(chan error, 1)
			var removed int64
			began := time.Now()
			go func() {
				var err error
				removed, err = s.SweepACME(t.Context(), at(1000))
				swept <- err
			}()
			var longest time.Duration
			made := 0
			for done := false; !done; {
				select {
				case err := <-swept:
					if err != nil {
						t.Fatal(err)
					}
					done = true
				default:
				}
				o, z := acmeRows(10_000_000+made, "live")
				o.ExpiresAt, o.RemoveAt, z.ExpiresAt = at(10_000), at(10_000), at(10_000)
				start := time.Now()
				change(t, s, func(tx *store.Tx) error { return tx.AddACMEOrder(o, []*store.ACMEAuthz{z}) })
				longest = max(longest, time.Since(start))
				made++
			}
			t.Logf("%s: %d rows written in %v and removed in %v; %d orders made meanwhile, the slowest in %v", b.name, 3*n, filled, time.Since(began), made, longest)
			if removed != int64(3*n) {
				t.Errorf("%d rows removed, want %d", removed, 3*n)
			}
			err := s.View(t.Context(), func(tx *store.Tx) error {
				left, err := tx.PendingACMEOrders("live", at(0), made+1)
				if left != made {
					t.Errorf("%d of %d living orders are left", left, made)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// fillACME writes ended orders with their authorizations and nonces.
func fillACME(t *testing.T, s *store.Store, n int) {
	t.Helper()
	const each = 1000
	work := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for from := range work {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					for i := from; i < min(from+each, n); i++ {
						o, z := acmeRows(i, "old")
						if err := errors.Join(tx.AddACMEOrder(o, []*store.ACMEAuthz{z}), tx.UseACMENonce(at(int64(i/100-1_000_000)), fmt.Sprint(i))); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for from := 0; from < n; from += each {
		work <- from
	}
	close(work)
	wg.Wait()
}
