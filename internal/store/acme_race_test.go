package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/signet-ca/signet/internal/store"
)

// Changes that expect a state are written in groups. Of those that race for one row one wins; what
// the others wanted to add is not there, and neighbours in the same commit notice nothing.
func TestACMERaceHarmsNoNeighbour(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		const rounds, rivals = 10, 6
		for round := range rounds {
			wanted, _ := acmeRows(1000*round, "account")
			own := make([]*store.ACMEOrder, rivals)
			change(t, s, func(tx *store.Tx) error {
				for i := range own {
					own[i], _ = acmeRows(1000*round+i+1, "account")
					if err := tx.AddACMEOrder(own[i], nil); err != nil {
						return err
					}
				}
				return tx.AddACMEOrder(wanted, nil)
			})
			var won atomic.Pointer[string]
			var race sync.WaitGroup
			for i := range rivals {
				race.Go(func() {
					serial := fmt.Sprintf("a%d%d", round, i)
					err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.FulfilACMEOrder(wanted, serial, at(500)) })
					switch {
					case err == nil && !won.CompareAndSwap(nil, &serial):
						t.Error("two got one order")
					case err != nil && !errors.Is(err, store.ErrStale):
						t.Error(err)
					}
				})
				race.Go(func() {
					err := s.Update(t.Context(), func(tx *store.Tx) error {
						return tx.FulfilACMEOrder(own[i], fmt.Sprintf("b%d%d", round, i), at(500))
					})
					if err != nil {
						t.Errorf("a neighbour: %v", err)
					}
				})
			}
			race.Wait()
			err := s.View(t.Context(), func(tx *store.Tx) error {
				for i := range rivals {
					serial := fmt.Sprintf("a%d%d", round, i)
					want := store.ErrNotFound
					if serial == *won.Load() {
						want = nil
					}
					if _, err := tx.ACMECertificate(serial); !errors.Is(err, want) {
						t.Errorf("certificate %s: %v, want %v", serial, err, want)
					}
					c, err := tx.ACMECertificate(fmt.Sprintf("b%d%d", round, i))
					if err != nil || c.OrderID != own[i].ID {
						t.Errorf("certificate of a neighbour: %v, %v", c, err)
					}
				}
				o, err := tx.ACMEOrder(wanted.ID)
				if err == nil && (o.Status != store.ACMEValid || o.Serial != *won.Load()) {
					t.Errorf("the order is %s with %s, want %s", o.Status, o.Serial, *won.Load())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
