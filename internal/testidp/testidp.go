// Package testidp is an identity provider for tests: it describes itself, shows its keys, lets
// people log in without asking them anything, and hands out tokens, all on the loopback. It
// can be told to misbehave.
package testidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// Client and Secret are those of the one client it knows.
const (
	Client = "signet-test"
	Secret = "open sesame"
)

// Provider is a running identity provider.
type Provider struct {
	URL string

	server *httptest.Server

	mu       sync.Mutex
	keys     []key
	made     int // keys so far
	user     map[string]any
	codes    map[string]*grant
	devices  map[string]*device
	bend     func(http.ResponseWriter, *http.Request) bool
	describe func(map[string]any)
	answer   func(map[string]any)
	callback func(query map[string]string)
	asked    map[string]int
	cache    string
}

type key struct {
	id     string
	signer *ecdsa.PrivateKey
}

// New starts one that ends with the test.
func New(t testing.TB) *Provider {
	t.Helper()
	p, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Start starts one. Ann is logged in.
func Start() (*Provider, error) {
	p := &Provider{codes: map[string]*grant{}, devices: map[string]*device{}, asked: map[string]int{},
		user: map[string]any{"sub": "ann-1", "email": "Ann.Smith@corp.example", "email_verified": true, "groups": []string{"staff"}}}
	if err := p.addKey(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.description)
	mux.HandleFunc("GET /keys", p.jwks)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("POST /device", p.device)
	mux.HandleFunc("GET /job", p.job)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		bend := p.bend
		p.mu.Unlock()
		if bend == nil || !bend(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	p.URL = p.server.URL
	return p, nil
}

// Close ends it.
func (p *Provider) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// change does something nobody else may see half done.
func (p *Provider) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// Login sets the claims of who logs in next.
func (p *Provider) Login(claims map[string]any) { p.change(func() { p.user = claims }) }

// Bend is asked before each answer; what it answers itself is the answer. Nil bends nothing.
func (p *Provider) Bend(bend func(http.ResponseWriter, *http.Request) bool) {
	p.change(func() { p.bend = bend })
}

// Describe changes the description; nil leaves it true.
func (p *Provider) Describe(bend func(map[string]any)) { p.change(func() { p.describe = bend }) }

// BendToken changes the claims of ID tokens that logins get.
func (p *Provider) BendToken(bend func(map[string]any)) { p.change(func() { p.answer = bend }) }

// BendCallback changes the parameters with which browsers are sent back.
func (p *Provider) BendCallback(bend func(map[string]string)) { p.change(func() { p.callback = bend }) }

// Cache sets the header Cache-Control of the keys.
func (p *Provider) Cache(control string) { p.change(func() { p.cache = control }) }

// Asked counts the requests to a path so far.
func (p *Provider) Asked(path string) (n int) {
	p.change(func() { n = p.asked[path] })
	return n
}

func (p *Provider) addKey() error {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err == nil {
		p.made++
		p.keys = append(p.keys, key{fmt.Sprintf("key-%d", p.made), signer})
	}
	return err
}

// Rotate signs with a new key from now on and shows it alone.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	p.change(func() {
		p.keys = nil
		if err := p.addKey(); err != nil {
			t.Error(err)
		}
	})
}

// Key is the key that signs, with its ID, for tokens made by hand.
func (p *Provider) Key() (id string, signer *ecdsa.PrivateKey) {
	p.change(func() {
		k := p.keys[len(p.keys)-1]
		id, signer = k.id, k.signer
	})
	return id, signer
}

// Claims are those of an ID token for who is logged in, made for the client just now.
func (p *Provider) Claims() map[string]any {
	now := time.Now()
	claims := map[string]any{"iss": p.URL, "aud": Client, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	p.change(func() { maps.Copy(claims, p.user) })
	return claims
}

// Token is an ID token with changes: a nil value takes a claim out.
func (p *Provider) Token(t testing.TB, changes map[string]any) string {
	t.Helper()
	claims := p.Claims()
	claims["nonce"] = rand.Text()
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	token, err := p.sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *Provider) sign(claims map[string]any) (string, error) {
	id, key := p.Key()
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

func (p *Provider) description(w http.ResponseWriter, _ *http.Request) {
	d := map[string]any{
		"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/authorize",
		"token_endpoint": p.URL + "/token", "device_authorization_endpoint": p.URL + "/device",
		"authorization_response_iss_parameter_supported": true,
		"response_types_supported":                       []string{"code"},
	}
	p.change(func() {
		if p.describe != nil {
			p.describe(d)
		}
	})
	write(w, http.StatusOK, d)
}

func (p *Provider) jwks(w http.ResponseWriter, _ *http.Request) {
	var set jose.JSONWebKeySet
	p.change(func() {
		for _, k := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.id, Algorithm: "ES256", Use: "sig"})
		}
		if p.cache != "" {
			w.Header().Set("Cache-Control", p.cache)
		}
	})
	write(w, http.StatusOK, set)
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
