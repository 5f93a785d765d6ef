package provisioner_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

func publicOf(t testing.TB, p *provisioner.Provisioner) map[string]any {
	t.Helper()
	text, err := p.Public()
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

// SEC-07 and SEC-17: canary secrets in every member that could hold one, in every type, and
// in every spelling the configuration is read with. None may appear.
func TestSEC07_PublicFormHidesSecrets(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := base64.RawURLEncoding.EncodeToString(scalar)
	private := testca.PublicJWK(&key.PublicKey)
	private["d"] = d
	odd := testca.PublicJWK(&key.PublicKey)
	odd["D"], odd["note"] = "canary-odd-d", "canary-note"
	secrets := map[string]any{
		"challenge": "canary-challenge", "Challenge": "canary-challenge-2",
		"decrypterKey": "canary:key", "decrypterKeyURI": "canary:uri", "decrypterKeyPassword": "canary-password",
		"decrypterKeyPEM": base64.StdEncoding.EncodeToString([]byte("canary-pem")), "decrypterCertificate": base64.StdEncoding.EncodeToString([]byte("canary-cert")),
		"options": map[string]any{"webhooks": []any{map[string]any{"secret": "canary-hook", "bearerToken": "canary-bearer", "basicAuth": map[string]any{"password": "canary-basic"}}}, "x509": map[string]any{"template": "canary-template"}},
		"Options": map[string]any{"x509": map[string]any{"templateFile": "/canary/path"}},
	}
	for _, kind := range append(provisioner.Types(), "FUTURE") {
		for name, jwk := range map[string]any{"public": testca.PublicJWK(&key.PublicKey), "private": private, "odd": odd, "oct": map[string]any{"kty": "oct", "k": "Y2FuYXJ5LW9jdA"}} {
			object := map[string]any{"type": kind, "name": kind, "key": jwk, "claims": map[string]any{"enableSSHCA": true}}
			for member, value := range secrets {
				object[member] = value
			}
			p := new(provisioner.Provisioner)
			if err := json.Unmarshal([]byte(jsonText(t, object)), p); err != nil {
				if kind == "JWK" && name != "public" {
					continue // refused before anything could be shown
				}
				t.Fatalf("%s, %s: %v", kind, name, err)
			}
			for _, opened := range []bool{false, true} {
				if opened {
					_ = p.Open(env())
				}
				text, err := p.Public()
				if err != nil {
					t.Fatal(err)
				}
				for _, canary := range []string{"canary", "Y2FuYXJ5", d} {
					if strings.Contains(string(text), canary) {
						t.Errorf("%s, %s key, opened %v: %q in %s", kind, name, opened, canary, text)
					}
				}
				if !json.Valid(text) {
					t.Errorf("%s: not JSON: %s", kind, text)
				}
			}
		}
	}
}

// What clients need stays (provisioners Section 1.5).
func TestPublicFormKeepsWhatClientsNeed(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	p := open(t, testca.JWKProvisioner("ops", &key.PublicKey, map[string]any{"claims": map[string]any{"maxTLSCertDuration": "48h"}, "allowRevokeAny": true}))
	want := map[string]any{"type": "JWK", "name": "ops", "key": map[string]any{}, "encryptedKey": testca.EncryptedKey,
		"claims": map[string]any{"maxTLSCertDuration": "48h"}, "allowRevokeAny": true}
	for name, value := range testca.PublicJWK(&key.PublicKey) {
		want["key"].(map[string]any)[name] = value
	}
	if diff := cmp.Diff(want, publicOf(t, p)); diff != "" {
		t.Errorf("JWK (-want +got):\n%s", diff)
	}
	oidc := publicOf(t, open(t, `{"type":"OIDC","name":"google","clientID":"id","clientSecret":"public by design","configurationEndpoint":"https://x","listenAddress":":1","scopes":["a"],"authParams":["b"]}`))
	for _, member := range []string{"clientID", "clientSecret", "configurationEndpoint", "listenAddress", "scopes", "authParams"} {
		if oidc[member] == nil {
			t.Errorf("OIDC without %s: %v", member, oidc)
		}
	}
	if oidc["state"] != "Uninitialized" || oidc["stateReason"] == "" {
		t.Errorf("a disabled provisioner does not say so: %v", oidc)
	}
}

// Old clients decode two of the redacted members as bytes, and know all five as present.
func TestPublicFormOfSCEP(t *testing.T) {
	t.Parallel()
	const text, bytes = "*** REDACTED ***", "KioqIFJFREFDVEVEICoqKg=="
	for _, object := range []string{`{"type":"SCEP","name":"s"}`, `{"type":"scep","name":"s","challenge":"x","decrypterKeyPEM":"eA==","decrypterKey":""}`} {
		got := publicOf(t, open(t, object))
		for member, want := range map[string]string{"challenge": text, "decrypterKey": text, "decrypterKeyPassword": text, "decrypterCertificate": bytes, "decrypterKeyPEM": bytes} {
			if got[member] != want {
				t.Errorf("%s: %s is %v, want %q", object, member, got[member], want)
			}
		}
	}
	if raw, err := base64.StdEncoding.DecodeString(bytes); err != nil || string(raw) != text {
		t.Errorf("%q: %v", raw, err)
	}
}

// Member names come from a file; whatever they are, the listing stays JSON.
func TestPublicFormQuotesNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"\x7f", "\u200b", "a\"b", "\\", "é", "\U0001f600", "</script>"} {
		got := publicOf(t, open(t, fmt.Sprintf(`{"type":"JWK","name":"p",%s:1}`, jsonText(t, name))))
		if got[name] != 1.0 {
			t.Errorf("%q was lost: %v", name, got)
		}
	}
}

func FuzzProvisionerJSON(f *testing.F) {
	key := testca.P256(f)
	f.Add([]byte(testca.JWKProvisioner("ops", &key.PublicKey, map[string]any{"claims": map[string]any{"minTLSCertDuration": "1m"}})))
	f.Add([]byte(`{"type":"SCEP","name":"s","challenge":"canary"}`))
	f.Add([]byte(`{"type":"x","name":"","key":{"kty":"oct","k":"AA"},"Key":null}`))
	f.Add([]byte(`{"type":"jwk","name":"p","key":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`))
	f.Add([]byte(`{"type":"SSHPOP","name":"p","claims":{"enableSSHCA":1}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := new(provisioner.Provisioner)
		if json.Unmarshal(data, p) != nil {
			return
		}
		for range 2 {
			text, err := p.Public()
			if err == nil && !json.Valid(text) {
				t.Fatalf("%q became %q", data, text)
			}
			_ = p.Open(env())
		}
		if _, err := provisioner.NewList([]*provisioner.Provisioner{p}, env().Audiences); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		_, _ = p.TokenID(), p.Number()
	})
}
