package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

const maxJWKSet = 4 << 20

// ParseAsJWK reads whatever holds one key as a JWK: a JWK, a JWE around one, or any form that
// ParsePrivate and ParsePublic know. A key that is no JWK gets its thumbprint as kid and
// leaves use and algorithm open.
func ParseAsJWK(data []byte, what string, pw Password) (*jose.JSONWebKey, error) {
	if looksJOSE(data) {
		return ParsePrivateJWK(data, what, pw)
	}
	jwk := new(jose.JSONWebKey)
	if block := firstBlock(data); block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		pub, err := ParsePublic(data)
		if err != nil {
			return nil, err
		}
		jwk.Key = pub
	} else {
		key, err := ParsePrivate(data, what, pw)
		if err != nil {
			pub, perr := ParsePublic(data)
			if block != nil || perr != nil {
				return nil, err
			}
			jwk.Key = pub // DER, or an SSH line
		} else {
			jwk.Key = key
		}
	}
	if err := CheckStrength(jwk.Public().Key); err != nil {
		return nil, err
	}
	kid, err := Thumbprint(jwk.Public().Key)
	jwk.KeyID = kid
	return jwk, err
}

// JWKSet is a set of JWKs that keeps what it doesn't understand: members of its own, and keys
// of unknown types, which RFC 7517, Section 5 asks readers to ignore.
type JWKSet struct {
	Keys   []jose.JSONWebKey // the keys that are understood
	kids   []string          // of all keys, in their order
	raw    []json.RawMessage
	others map[string]json.RawMessage
}

// ParseJWKSet reads a JWK set. No data is an empty set.
func ParseJWKSet(data []byte) (*JWKSet, error) {
	set := &JWKSet{others: map[string]json.RawMessage{}}
	if len(bytes.TrimSpace(data)) == 0 {
		return set, nil
	}
	if len(data) > maxJWKSet {
		return nil, fault.New(fault.TooLarge, "the JWK set is larger than %d MiB", maxJWKSet>>20)
	}
	var shape struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := errors.Join(strict.Decode(data, &shape), strict.Decode(data, &set.others)); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the JWK set is malformed")
	}
	if _, there := set.others["keys"]; !there {
		return nil, fault.New(fault.Invalid, "the JWK set has no member \"keys\"")
	}
	for _, raw := range shape.Keys {
		if err := set.append(raw); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func (s *JWKSet) append(raw json.RawMessage) error {
	var named struct {
		Kid string `json:"kid"`
	}
	if err := strict.Decode(raw, &named); err != nil {
		return err
	}
	if jwk, err := ParseJWK(raw); err == nil {
		s.Keys = append(s.Keys, *jwk)
	}
	s.raw, s.kids = append(s.raw, raw), append(s.kids, named.Kid)
	return nil
}

// KeyIDs lists the kid of every key, "" for one without.
func (s *JWKSet) KeyIDs() []string { return s.kids }

// Find returns the one key with this kid.
func (s *JWKSet) Find(kid string) (*jose.JSONWebKey, error) {
	found := (&jose.JSONWebKeySet{Keys: s.Keys}).Key(kid)
	switch len(found) {
	case 0:
		return nil, fault.New(fault.Missing, "the JWK set has no key %q", kid)
	case 1:
		return &found[0], nil
	}
	return nil, fault.New(fault.Conflict, "the JWK set has %d keys %q", len(found), kid)
}

// Add appends a JWK as it is written. A kid stands in a set only once.
func (s *JWKSet) Add(data []byte) error {
	jwk, err := ParseJWK(data)
	if err != nil {
		return err
	}
	for _, kid := range s.kids {
		if kid != "" && kid == jwk.KeyID {
			return fault.New(fault.Conflict, "the JWK set has a key %q already", kid)
		}
	}
	var first json.RawMessage
	if err := strict.Decode(data, &first); err != nil {
		return err
	}
	return s.append(first)
}

// Remove takes out the keys with this kid and reports whether there were any.
func (s *JWKSet) Remove(kid string) bool {
	kept := &JWKSet{others: s.others}
	for i, raw := range s.raw {
		if s.kids[i] != kid {
			_ = kept.append(raw) // it was taken before
		}
	}
	removed := len(kept.raw) < len(s.raw)
	*s = *kept
	return removed
}

// Marshal writes the set, indented by two blanks.
func (s *JWKSet) Marshal() ([]byte, error) {
	if s.raw == nil {
		s.raw = []json.RawMessage{}
	}
	keys, err := json.Marshal(s.raw)
	if err != nil {
		return nil, err
	}
	s.others["keys"] = keys
	return json.MarshalIndent(s.others, "", "  ")
}
