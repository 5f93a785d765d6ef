package interop_test

import (
	"encoding/json"
	"strings"
)

// eab makes a key that vouches for one account.
func (s *site) eab() (id, key string) {
	s.Helper()
	cmd := s.signet("ca", "acme", "eab", "add", bound, "--json")
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("make an EAB key: %v", err)
	}
	var made struct{ ID, Key string }
	s.check(json.Unmarshal(out, &made))
	return made.ID, made.Key
}

// wrongKey is a key for external account binding that the server never made.
const wrongKey = "bm90IHRoZSBrZXkgdGhhdCB3YXMgZ2l2ZW4gb3V0ISE"

// What a client has to show of our refusals to make an account.
const (
	eabMissing = "need an external account binding"
	eabWrong   = "not signed with the key that its kid names"
	eabUsed    = "has been used for an account already"
)

// refused makes sure that a client failed and said why: what we said, or what it says itself
// where it does not even ask.
func (s *site) refused(text string, err error, words string) {
	s.Helper()
	if err == nil {
		s.Errorf("the client goes on:\n%s", tail(text))
	}
	// Clients break lines and escape quotes as they like.
	if flat := strings.Join(strings.Fields(text), " "); !strings.Contains(flat, words) {
		s.Errorf("the client does not say %q:\n%s", words, tail(text))
	}
}

// refusesBindings makes sure that a client shows why it gets no account: without a binding,
// with a wrong key and with a used one. What the client says by itself when a binding is
// needed and it has none goes into unasked; empty: it asks.
func (s *site) refusesBindings(usedID, usedKey, unasked string, register func(id, key string) (string, error)) {
	s.Helper()
	if unasked == "" {
		unasked = eabMissing
	}
	text, err := register("", "")
	s.refused(text, err, unasked)
	id, _ := s.eab()
	text, err = register(id, wrongKey)
	s.refused(text, err, eabWrong)
	text, err = register(usedID, usedKey)
	s.refused(text, err, eabUsed)
	s.showed("EAB, account keys", "refusals")
}
