package ca

import (
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
)

// Of readers that overtake each other the one with the newer list wins, while it may be shown;
// a list that this server has replaced is not remembered.
func TestShownListsGoForward(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	list := func(number int64) *store.CRL {
		return &store.CRL{Issuer: "i", Number: number, NextUpdate: now.Add(time.Hour)}
	}
	var s shownCRL
	older, newer := list(1), list(2)
	if got := s.put(newer, 0, now); got != newer {
		t.Errorf("number %d", got.Number)
	}
	if got := s.put(older, 0, now); got != newer {
		t.Errorf("a slow reader shows number %d", got.Number)
	}
	if got, _ := s.get("i", now); got != newer {
		t.Error("a slow reader displaced the newer list")
	}
	later := now.Add(2 * shownFor)
	if got, _ := s.get("i", later); got != nil {
		t.Errorf("number %d is shown without a look", got.Number)
	}
	if got := s.put(older, 0, later); got != older { // of a database that was restored
		t.Errorf("number %d", got.Number)
	}
	s.replaced()
	if got := s.put(newer, 0, later); got != newer {
		t.Errorf("number %d", got.Number)
	}
	if got, _ := s.get("i", later); got != nil {
		t.Error("what was read before the last list was made is remembered")
	}
}
