package acme

import (
	"crypto"
	"encoding/json"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/strict"
)

// NonceMemory is what a server remembers of nonces that were used.
type NonceMemory struct{ nonces *nonces }

// NewNonceMemory is one that began at a moment.
func NewNonceMemory(now time.Time) *NonceMemory {
	n := newNonces(nil)
	n.since = now
	return &NonceMemory{n}
}

// Use notes a use; false if the nonce is not good any more.
func (m *NonceMemory) Use(random byte, made, now time.Time) bool {
	return now.Sub(made) <= nonceLife && m.nonces.remember(nonceID{random}, made, now)
}

// CheckSigned holds both ways of reading a message to one outcome, for fuzzing: what the fast one
// takes the other takes as well, and means the same.
func CheckSigned(t *testing.T, body []byte) {
	s, err := parseSigned(body)
	if (s == nil) != (err != nil) && err == nil {
		t.Fatal("neither a message nor a refusal")
	}
	var parts [3]string
	if found, ok := strict.Texts(body, []string{"protected", "payload", "signature"}, parts[:]); ok && found == 7 {
		var slow struct{ Protected, Payload, Signature string }
		if err := json.Unmarshal(body, &slow); err != nil || [3]string{slow.Protected, slow.Payload, slow.Signature} != parts {
			t.Fatalf("read as %q and as %+v, %v", parts, slow, err)
		}
	}
	if err != nil {
		return
	}
	if string(s.input) == "" || len(s.signature) == 0 {
		t.Fatalf("a message without a part: %+v", s)
	}
	if _, ok := algorithms[s.header.Algorithm]; !ok || s.header.Critical != nil || s.header.Base64 != nil {
		t.Fatalf("header %+v", s.header)
	}
	checkHeaderTwice(t, s)
	if s.header.JWK != nil {
		if pub, err := parseKey(s.header.JWK, s.header.Algorithm); err == nil {
			checkStranger(t, s, pub)
		}
	}
}

// checkHeaderTwice reads the header by encoding/json once more.
func checkHeaderTwice(t *testing.T, s *signed) {
	for i := range s.input {
		if s.input[i] != '.' {
			continue
		}
		raw, err := fromBase64(string(s.input[:i]))
		if err != nil {
			t.Fatal(err)
		}
		var slow map[string]any // which takes names as they are, as we do
		if err := json.Unmarshal(raw, &slow); err != nil {
			t.Fatalf("header %s: %v", raw, err)
		}
		for name, text := range map[string]*string{"alg": &s.header.Algorithm, "kid": s.header.KeyID, "nonce": s.header.Nonce, "url": s.header.URL} {
			if want, ok := slow[name].(string); ok != (text != nil) || ok && want != *text {
				t.Fatalf("header %s is read as %+v, %s as %v", raw, s.header, name, slow[name])
			}
		}
		return
	}
}

// checkStranger makes sure that no signature is good by accident, whatever the key is.
func checkStranger(t *testing.T, s *signed, pub crypto.PublicKey) {
	other := *s
	other.input = append([]byte("x"), s.input...)
	if s.verify(pub) == nil && other.verify(pub) == nil {
		t.Fatal("a signature is good for two messages")
	}
}

// CheckIdentifier holds the normal form to what it promises, for fuzzing.
func CheckIdentifier(t *testing.T, kind, value, ancestor string, options uint8) {
	p := &provisioner.ACME{AllowTLDs: options&1 != 0, Underscores: options&2 != 0, SubdomainAuth: options&4 != 0}
	id, wrong := normalize(store.ACMEIdentifier{Type: kind, Value: value, Ancestor: ancestor}, p)
	if wrong != nil {
		if wrong.Detail == "" || len(wrong.Detail) > 1000 || len(wrong.Identifier.Value) > 300 {
			t.Fatalf("refused with %+v", wrong)
		}
		return
	}
	again, wrong := normalize(id, p)
	if wrong != nil || again != id {
		t.Fatalf("%q is not in its normal form: %+v %+v", id, again, wrong)
	}
	checkPlain(t, id.Value, p.Underscores)
	checkPlain(t, id.Ancestor, p.Underscores)
	if id.Type != "dns" && id.Type != "ip" || id.Value == "" || len(id.Value) > 255 {
		t.Fatalf("accepted %+v", id)
	}
}

func checkPlain(t *testing.T, s string, underscores bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == ':', c == '_' && underscores, c == '*' && i == 0 && len(s) > 1 && s[1] == '.':
		default:
			t.Fatalf("%q has the character %q", s, c)
		}
	}
}

// CheckOrderPayload reads a payload as new-order does, for fuzzing.
func CheckOrderPayload(t *testing.T, payload []byte) {
	s := &signed{payload: payload}
	var ask orderAsk
	if s.read(&ask) != nil {
		return
	}
	kind := &provisioner.ACME{}
	for _, id := range ask.Identifiers[:min(len(ask.Identifiers), 20)] {
		CheckIdentifier(t, id.Type, id.Value, id.Ancestor, 0)
		_, _ = normalize(id, kind)
	}
	if text, ok := s.text("csr"); ok {
		var slow struct{ CSR string }
		if err := json.Unmarshal(payload, &slow); err != nil || slow.CSR != text {
			t.Fatalf("read as %q and as %q, %v", text, slow.CSR, err)
		}
	}
}

// CheckCertID reads the name of a certificate, for fuzzing.
func CheckCertID(t *testing.T, id string) {
	keyID, serial, err := splitCertID(id)
	if err != nil {
		return
	}
	if len(keyID) == 0 || serial == "" || len(serial) > 400 || serial != "0" && serial[0] == '0' {
		t.Fatalf("%q is read as %x and %q", id, keyID, serial)
	}
}

// CheckBinding reads an external account binding, for fuzzing.
func CheckBinding(t *testing.T, raw []byte) {
	s, alg, err := parseEAB(raw)
	if err == nil && (alg == nil || s.header.Critical != nil) {
		t.Fatalf("accepted %+v", s.header)
	}
}

// CheckRollover reads what is inside a key change, for fuzzing.
func CheckRollover(t *testing.T, payload []byte, url, kid string) {
	c, err := parseRollover(&signed{payload: payload, header: jwsHeader{URL: &url, KeyID: &kid}})
	if err == nil && (c.key == nil || c.oldKey == nil) {
		t.Fatalf("accepted %+v", c)
	}
}
