package provisioner_test

import (
	"context"
	"crypto"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// publisher is somebody who publishes keys: a cloud, an identity provider.
type publisher struct {
	*httptest.Server
	asked  atomic.Int32
	mu     sync.Mutex
	answer http.HandlerFunc
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := new(publisher)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		if r.URL.Path == "/.well-known/openid-configuration" {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "https://issuer.example/", "jwks_uri": p.URL + "/keys"})
			return
		}
		p.asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) say(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *publisher) publish(set ...any) {
	p.say(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	})
}

// publicJWK is a published key.
func publicJWK(key crypto.Signer, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid}
}

// signed is a token by a key, as its issuer would make it.
func signed(t testing.TB, key crypto.Signer, kid string, claims map[string]any) *provisioner.Token {
	t.Helper()
	raw, err := keys.SignJWT(key, map[string]any{"kid": kid}, claims)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, raw)
}

func parsed(t testing.TB, raw string) *provisioner.Token {
	t.Helper()
	token, err := provisioner.ParseToken(raw, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Keys are fetched when they are needed, kept, looked for again when one is missing, at most
// once a minute, and never given up because their publisher is away.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	one, two := testca.P256(t), testca.P256(t)
	p := newPublisher(t)
	s, err := provisioner.NewPublished("", p.URL+"/.well-known/openid-configuration", env())
	if err != nil {
		t.Fatal(err)
	}
	byOne, byTwo := signed(t, one, "one", nil), signed(t, two, "two", nil)
	step := func(name string, token *provisioner.Token, kind fault.Kind, asked int32) {
		t.Helper()
		issuer, err := s.Verify(t.Context(), token)
		if fault.KindOf(err) != kind || err == nil && issuer != "https://issuer.example/" {
			t.Errorf("%s: %q %v", name, issuer, err)
		}
		if n := p.asked.Swap(0); n != asked {
			t.Errorf("%s: asked %d times, not %d", name, n, asked)
		}
	}
	const good = fault.Internal // of no error
	p.say(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"keys":[]}`, 500) })
	step("publisher is down at first", byOne, fault.Unavailable, 1)
	step("it is not asked again at once", byOne, fault.Unavailable, 0)
	s.Age(time.Second)
	p.publish(publicJWK(one, "one"))
	step("it is back", byOne, good, 1)
	step("the keys are kept", byOne, good, 0)
	step("an unknown key right after a look", byTwo, fault.Unproven, 0)
	s.Age(time.Minute)
	p.publish(publicJWK(one, "one"), publicJWK(two, "two"))
	step("an unknown key a minute later", byTwo, good, 1)
	step("signature by another key of the set", signed(t, one, "two", nil), fault.Unproven, 0)
	step("a key ID like a path", signed(t, one, "../one", nil), fault.Unproven, 0)
	s.Age(13 * time.Hour)
	p.say(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"error":"none"}`)) })
	step("old keys, and a publisher who says nothing of use", byTwo, good, 1)
	step("it is not asked again at once", byTwo, good, 0)
	s.Age(5 * time.Minute)
	p.publish(publicJWK(two, "two"))
	step("a key was taken back", byOne, fault.Unproven, 1)
}

// Many who need the keys at once share one fetch; one who gives up does not end it.
func TestPublishedKeysAreFetchedOnce(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	p := newPublisher(t)
	release := make(chan struct{})
	p.say(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{publicJWK(key, "k")}})
	})
	s, err := provisioner.NewPublished(p.URL, "", env())
	if err != nil {
		t.Fatal(err)
	}
	token := signed(t, key, "k", nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(gone, token); !fault.Is(err, fault.Unavailable) {
		t.Errorf("given up: %v", err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	all.Wait()
	if n := p.asked.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// SEC-21, SEC-43: what a publisher says is bounded, comes from where the operator said, and
// only keys that verify signatures count.
func TestSEC21_PublishedKeysRefused(t *testing.T) {
	t.Parallel()
	key, weak := testca.P256(t), testca.RSA(t, 1024)
	token := signed(t, key, "k", nil)
	p := newPublisher(t)
	encrypts, other := publicJWK(key, "k"), publicJWK(key, "k")
	encrypts.Use, other.Algorithm = "enc", "ES384"
	answers := map[string]http.HandlerFunc{
		"ten megabytes": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 10<<20) + `]}`))
		},
		"redirect to loopback": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, p.URL+"/.well-known/openid-configuration", http.StatusFound)
		},
		"status 201":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) },
		"no JSON":         func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"duplicate names": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[],"keys":[]}`)) },
	}
	for name, set := range map[string][]any{
		"no key": nil, "key to encrypt": {encrypts}, "algorithm of another key": {other},
		"weak RSA key": {publicJWK(weak, "k")}, "symmetric key": {jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "k"}},
		"things": {1, "two", nil, map[string]string{"kty": "XX", "kid": "k"}},
	} {
		answers[name] = func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
		}
	}
	for name, answer := range answers {
		p.say(answer)
		s, err := provisioner.NewPublished(p.URL, "", env())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(t.Context(), token); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, at := range []string{"http://keys.example/", "ftp://127.0.0.1/", "https://user:pw@keys.example/", "keys", "https://"} {
		if _, err := provisioner.NewPublished(at, "", env()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestKeptFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		control        string
		shortest, most time.Duration
	}{
		{"", 11 * time.Hour, 12 * time.Hour},
		{"public, max-age=21600, must-revalidate", 5 * time.Hour, 6 * time.Hour},
		{"Max-Age=60", 40 * time.Second, time.Minute},
		{"max-age=0", 10 * time.Second, 10 * time.Second},
		{"max-age=-1", 11 * time.Hour, 12 * time.Hour},
		{"max-age=99999999", 6 * 24 * time.Hour, 7 * 24 * time.Hour},
		{"max-age=many", 11 * time.Hour, 12 * time.Hour},
	} {
		for range 20 {
			if got := provisioner.Lifetime(c.control); got < c.shortest || got > c.most {
				t.Errorf("%q: %s", c.control, got)
			}
		}
	}
}
