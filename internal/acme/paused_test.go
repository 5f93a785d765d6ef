package acme

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// A client that hangs up while the pauses are read does not win itself some seconds without them.
func TestPauseOutlivesALookThatFailed(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Config{Type: "memory"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	err = s.Update(t.Context(), func(tx *store.Tx) error {
		return tx.SetACMEPause(store.ACMEPause{AccountID: "a", Value: "n.example", ProvisionerID: "p", CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
	})
	if err != nil {
		t.Fatal(err)
	}
	var p pausedNames
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	if p.check(gone, s, "a", "n.example", now) == nil {
		t.Error("a look that failed found nothing paused")
	}
	if p.check(t.Context(), s, "a", "n.example", now) == nil {
		t.Error("a paused name is let through")
	}
}
