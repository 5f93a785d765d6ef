package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/store"
)

// held keeps the writer busy until it is released, so that what comes meanwhile is
// committed as one group. It works inside a synctest bubble.
func held(t *testing.T, s *store.Store) (release func()) {
	t.Helper()
	gate, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Update(t.Context(), func(tx *store.Tx) error {
			err := inTurn(tx)
			if err == nil {
				<-gate
			}
			return err
		})
	}()
	synctest.Wait()
	return func() {
		close(gate)
		if err := <-done; err != nil {
			t.Errorf("the change that held the writer: %v", err)
		}
	}
}

// inTurn reads, which makes a change wait for its turn instead of being recorded.
func inTurn(tx *store.Tx) error {
	_, err := tx.IsSpent("anything")
	return err
}

// together gives many changes to a writer that is busy, and returns their answers.
func together(t *testing.T, s *store.Store, n int, change func(i int, tx *store.Tx) error) []error {
	t.Helper()
	release := held(t, s)
	answers := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			answers[i] = s.Update(t.Context(), func(tx *store.Tx) error { return change(i, tx) })
		})
	}
	synctest.Wait()
	release()
	wg.Wait()
	return answers
}

// inBubble runs a test on a store of each local kind inside a synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Parallel()
	for _, b := range local() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			synctest.Test(t, func(t *testing.T) { test(t, open(t, c)) })
		})
	}
}

func TestChangeThatFailsTakesNothingOfItsNeighboursWithIt(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		const n = 64
		answers := together(t, s, n, func(i int, tx *store.Tx) error {
			if err := tx.AddCertificate(certificate(i, dns("a.example"))); err != nil {
				return err
			}
			return tx.Spend(store.Spent{Key: fmt.Sprint(i / 2)}) // each proof is used by two
		})
		view(t, s, func(tx *store.Tx) error {
			spent := map[int]int{}
			for i, err := range answers {
				_, missing := tx.Certificate("x509", certificate(i).Serial)
				switch {
				case err == nil && missing == nil:
					spent[i/2]++
				case !errors.Is(err, store.ErrExists) || !errors.Is(missing, store.ErrNotFound):
					t.Errorf("change %d was answered %v, its certificate %v", i, err, missing)
				}
			}
			for i := range n / 2 {
				if spent[i] != 1 {
					t.Errorf("proof %d was spent %d times", i, spent[i])
				}
			}
			if found := len(collect(t, tx.Certificates(store.Query{Name: dns("a.example")}))); found != n/2 {
				t.Errorf("%d certificates by name", found)
			}
			return nil
		})
	})
}

func TestChangeThatPanicsIsAnErrorOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		answers := together(t, s, 9, func(i int, tx *store.Tx) error {
			err := tx.AddCertificate(certificate(i))
			if i%3 == 0 {
				_ = make([]int, i)[i] // out of range
			}
			return err
		})
		view(t, s, func(tx *store.Tx) error {
			for i, err := range answers {
				_, missing := tx.Certificate("x509", certificate(i).Serial)
				if (err != nil) != (i%3 == 0) || (missing != nil) != (i%3 == 0) {
					t.Errorf("change %d was answered %v, its certificate %v", i, err, missing)
				}
			}
			return nil
		})
	})
}

func TestChangeThatEndsItsGoroutineDoesNotEndTheWriter(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			if err := errors.Join(inTurn(tx), tx.AddCertificate(certificate(1))); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		})
		if err == nil {
			t.Error("a change that never returned was committed")
		}
		add(t, s, certificate(1))
	})
}

func TestChangeIsWithdrawnWhenItsCallerGivesUpBeforeItsTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		release := held(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() {
			answer <- s.Update(ctx, func(tx *store.Tx) error { return tx.AddCertificate(certificate(1)) })
		}()
		synctest.Wait()
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		release()
		if err := s.Update(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		view(t, s, func(tx *store.Tx) error {
			if _, err := tx.Certificate("x509", certificate(1).Serial); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a change was made after its caller gave up: %v", err)
			}
			return nil
		})
	})
}

func TestChangeThatHasBegunIsAnsweredByItsCommit(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Update(ctx, func(tx *store.Tx) error {
			if err := inTurn(tx); err != nil {
				return err
			}
			cancel()
			return tx.AddCertificate(certificate(1))
		})
		if err != nil {
			t.Errorf("got %v", err)
		}
		view(t, s, func(tx *store.Tx) error {
			_, err := tx.Certificate("x509", certificate(1).Serial)
			return err
		})
	})
}

func TestCloseLetsWaitingChangesFinish(t *testing.T) {
	t.Parallel()
	c := store.Config{Type: "sqlite", DataSource: filepath.Join(t.TempDir(), "signet.db")}
	const n = 300 // more than one group
	synctest.Test(t, func(t *testing.T) {
		s := open(t, c)
		release := held(t, s)
		answers := make(chan error, n)
		for i := range n {
			go func() {
				answers <- s.Update(t.Context(), func(tx *store.Tx) error { return tx.AddCertificate(certificate(i)) })
			}()
		}
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		release()
		for range n {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for name, err := range map[string]error{
			"Update": s.Update(t.Context(), func(*store.Tx) error { return nil }),
			"View":   s.View(t.Context(), func(*store.Tx) error { return nil }),
			"Ping":   s.Ping(t.Context()),
		} {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
	})
	s := open(t, c)
	view(t, s, func(tx *store.Tx) error {
		if got := len(collect(t, tx.Certificates(store.Query{}))); got != n {
			t.Errorf("%d certificates after Close", got)
		}
		return nil
	})
}

func TestViewChangesNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		err := s.View(t.Context(), func(tx *store.Tx) error { return tx.Spend(store.Spent{Key: "k"}) })
		if err == nil {
			t.Error("a proof was spent inside View")
		}
		update(t, s, func(tx *store.Tx) error { return tx.Spend(store.Spent{Key: "k"}) })
	})
}

func TestManyCallersAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, s *store.Store) {
		const callers, each = 64, 8
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range each {
					n := c*each + i
					err := s.Update(t.Context(), func(tx *store.Tx) error {
						if err := tx.AddCertificate(certificate(n)); err != nil {
							return err
						}
						return tx.Spend(store.Spent{Key: fmt.Sprint(n % (callers * each / 2))})
					})
					if err != nil && !errors.Is(err, store.ErrExists) {
						t.Errorf("change %d: %v", n, err)
					}
					err = s.View(t.Context(), func(tx *store.Tx) error {
						for _, err := range tx.Certificates(store.Query{Limit: 10, Newest: true}) {
							if err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Errorf("read beside change %d: %v", n, err)
					}
				}
			})
		}
		wg.Wait()
		view(t, s, func(tx *store.Tx) error {
			if got := len(collect(t, tx.Certificates(store.Query{}))); got != callers*each/2 {
				t.Errorf("%d certificates for %d proofs", got, callers*each/2)
			}
			return nil
		})
	})
}

func TestTwoServersOnOneDatabaseSpendAProofOnce(t *testing.T) {
	t.Parallel()
	for _, b := range shared() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := b.fresh(t)
			const servers, proofs = 3, 100
			stores := make([]*store.Store, servers)
			var wg sync.WaitGroup
			for i := range stores { // all at once: their migrations race as well
				wg.Go(func() { stores[i] = open(t, c) })
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			won := make([]int, proofs)
			var mu sync.Mutex
			for i, s := range stores {
				for half := range 2 {
					wg.Go(func() {
						for n := half; n < proofs; n += 2 {
							err := s.Update(t.Context(), func(tx *store.Tx) error {
								if err := tx.AddCertificate(certificate(n*servers + i)); err != nil {
									return err
								}
								return tx.Spend(store.Spent{Key: fmt.Sprint(n)})
							})
							switch {
							case err == nil:
								mu.Lock()
								won[n]++
								mu.Unlock()
							case !errors.Is(err, store.ErrExists):
								t.Errorf("server %d, proof %d: %v", i, n, err)
							}
						}
					})
				}
			}
			wg.Wait()
			for n, times := range won {
				if times != 1 {
					t.Errorf("proof %d was spent %d times", n, times)
				}
			}
			view(t, stores[0], func(tx *store.Tx) error {
				if got := len(collect(t, tx.Certificates(store.Query{}))); got != proofs {
					t.Errorf("%d certificates for %d proofs", got, proofs)
				}
				return nil
			})
		})
	}
}

func TestSweepLetsOthersWriteBetweenItsCommits(t *testing.T) {
	inBubble(t, func(t *testing.T, s *store.Store) {
		const expired = 1000
		update(t, s, func(tx *store.Tx) error {
			for i := range expired {
				err := tx.Spend(store.Spent{Key: fmt.Sprint(i), ExpiresAt: noon.Add(time.Duration(i) * time.Second)})
				if err != nil {
					return err
				}
			}
			return nil
		})
		release := held(t, s)
		swept := make(chan error, 1)
		go func() {
			n, err := s.Sweep(t.Context(), noon.Add(time.Hour))
			if n != expired {
				err = errors.Join(err, fmt.Errorf("%d proofs were swept", n))
			}
			swept <- err
		}()
		synctest.Wait()
		answer := make(chan error, 1)
		go func() {
			answer <- s.Update(t.Context(), func(tx *store.Tx) error {
				first, err := tx.IsSpent("0")
				if err != nil {
					return err
				}
				last, err := tx.IsSpent(fmt.Sprint(expired - 1))
				if err == nil && (first || !last) {
					t.Errorf("a change behind the sweeper's first finds the first proof %v and the last %v", first, last)
				}
				return err
			})
		}()
		synctest.Wait()
		release()
		if err := errors.Join(<-answer, <-swept); err != nil {
			t.Error(err)
		}
	})
}
