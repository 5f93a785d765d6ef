package store_test

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// growthVariable is how many certificates the growth test writes.
const growthVariable = "SIGNET_GROWTH"

// What an operation costs must not depend on how many certificates there are. The test
// measures and prints; its short form only proves that the measuring works.
func TestGrowth(t *testing.T) {
	n, sample := 2_000, 400
	if text := os.Getenv(growthVariable); text != "" {
		var err error
		sample = 4_000
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", growthVariable, err)
		}
	} else {
		t.Parallel() // alone when it is to measure
	}
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			c := b.fresh(t)
			s := open(t, c)
			empty := measure(t, s, sample)
			began := time.Now()
			fillTo(t, s, n)
			filling := time.Since(began)
			if _, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil { // as a server's sweeper does
				t.Error(err)
			}
			full := measure(t, s, sample)
			began = time.Now()
			again, err := store.Open(t.Context(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			opening := time.Since(began)
			size, err := again.Size(t.Context())
			if err != nil {
				t.Error(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("%s, %d certificates: issuance %v own and %v server CPU empty, %v and %v full; look-up %v empty, %v full; opened in %v; %d MB; resident memory %s; filled in %v",
				b.name, n, empty.own, empty.served, full.own, full.served, empty.look, full.look, opening, size>>20, resident(t), filling)
		})
	}
}

// costs are CPU per operation.
type costs struct{ own, served, look time.Duration }

func measure(t *testing.T, s *store.Store, n int) (c costs) {
	t.Helper()
	serials := make([]string, n)
	own, served := ownCPU(t), servedCPU(t)
	atOnce(t, n, func(i int) error { return s.Update(t.Context(), issuance(&serials[i])) })
	c.own, c.served = (ownCPU(t)-own)/time.Duration(n), (servedCPU(t)-served)/time.Duration(n)
	own = ownCPU(t)
	atOnce(t, n, func(i int) error {
		return s.View(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Certificate("x509", serials[i])
			return err
		})
	})
	c.look = (ownCPU(t) - own) / time.Duration(n)
	return c
}

// atOnce does n things, 64 at a time.
func atOnce(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// fillTo writes n certificates as they would be after n issuances, many in one change.
func fillTo(t *testing.T, s *store.Store, n int) {
	t.Helper()
	const each = 50
	atOnce(t, n/each, func(int) error {
		return s.Update(t.Context(), func(tx *store.Tx) error {
			for range each {
				var serial string
				if err := issuance(&serial)(tx); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func resident(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Fatal("no VmRSS")
	}
	kb, _ := strconv.Atoi(string(found[1]))
	return fmt.Sprintf("%d MB", kb>>10)
}
