package acme_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/acme"
	"github.com/signet-ca/signet/internal/testca"
)

// seedMessages are signed messages of each form that clients send.
func seedMessages(f *testing.F) [][]byte {
	t := new(testing.T)
	key := newKey(f)
	all := testca.PublicJWK(&key.PublicKey)
	jwk := map[string]any{"kty": all["kty"], "crv": all["crv"], "x": all["x"], "y": all["y"]}
	var out [][]byte
	for _, h := range []map[string]any{
		{"alg": "ES256", "kid": "https://ca.example/acme/acme/account/x", "nonce": "AA", "url": "https://ca.example/acme/acme/new-order"},
		{"alg": "ES256", "jwk": jwk, "nonce": "AA", "url": "https://ca.example/acme/acme/new-account"},
		{"alg": "ES256", "jwk": jwk, "url": "u"},
	} {
		payload, _ := json.Marshal(map[string]any{"account": "k", "oldKey": jwk})
		text, err := json.Marshal(sign(t, key, h, string(payload)))
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, text, []byte(strings.Replace(string(text), `{"p`, `{"header":{},"\u0070`, 1)))
	}
	return out
}

// Both ways of reading a signed message agree, and what is accepted is what the protocol has.
func FuzzSignedMessage(f *testing.F) {
	for _, seed := range seedMessages(f) {
		f.Add(seed)
	}
	f.Add([]byte(`{"protected":"e30","payload":"","signature":"AA","signatures":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) { acme.CheckSigned(t, body) })
}

// The inner message of a key change.
func FuzzKeyChange(f *testing.F) {
	for _, seed := range seedMessages(f) {
		f.Add(seed, "u", "k")
	}
	f.Fuzz(func(t *testing.T, payload []byte, url, kid string) { acme.CheckRollover(t, payload, url, kid) })
}

// The normal form of a name is its own normal form and has no character that means something to
// somebody (SEC-12).
func FuzzIdentifier(f *testing.F) {
	for i, seed := range []string{"a.example", "*.A.example.", "10.0.0.1", "::ffff:10.0.0.1", "xn--bcher-kva.example", "bücher.example", "_x.example", "a*.b", "*.", "a..b", "a\x00b", "fe80::1%eth0"} {
		f.Add("dns", seed, "example", uint8(i))
		f.Add("ip", seed, "", uint8(i))
	}
	f.Fuzz(func(t *testing.T, kind, value, ancestor string, options uint8) {
		acme.CheckIdentifier(t, kind, value, ancestor, options)
	})
}

// The payload of a new order, and of others that are read the same way.
func FuzzOrderPayload(f *testing.F) {
	for _, seed := range []string{dnsOrder("a.example", "*.b.example", "10.0.0.1"), `{}`, `{"csr":"AA"}`, `{"Identifiers":[{"Type":"dns"}]}`,
		`{"identifiers":[],"notBefore":"0001-01-01T00:00:00Z","notAfter":"2030-01-01T00:00:00+23:59","profile":"p","replaces":"AA.AA"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) { acme.CheckOrderPayload(t, payload) })
}

// The name of a certificate in renewal information.
func FuzzCertID(f *testing.F) {
	for _, seed := range []string{"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", ".", "AA.AA", "AA.AA=", "AA.A\nA", "AAAA.AAAA.AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) { acme.CheckCertID(t, id) })
}

// External account bindings.
func FuzzAccountBinding(f *testing.F) {
	protected := b64([]byte(`{"alg":"HS256","kid":"k","url":"u"}`))
	f.Add([]byte(`{"protected":"` + protected + `","payload":"e30","signature":"AA"}`))
	f.Add([]byte(`{"protected":"` + protected + `","payload":"e30","signature":"AA","header":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) { acme.CheckBinding(t, raw) })
}
