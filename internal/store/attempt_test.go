package store

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// A group that could not be committed is run again, alone or together. What a change is told
// is how its last attempt ended, not one before.
func TestAnswerIsOfTheLastAttempt(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Type: "memory"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	change := func(tx *Tx) error {
		return tx.Spend(Spent{Key: "k", ProvisionerID: "p", SpentAt: time.Now(), ExpiresAt: time.Now()})
	}
	p := &pending{change: change, rec: s.record(t.Context(), change, nil), err: errors.New("of an attempt before"), done: make(chan error, 1)}
	if err := s.queue.add(p); err != nil {
		t.Fatal(err)
	}
	if err := <-p.done; err != nil {
		t.Errorf("a change that was committed was answered %v", err)
	}
}
