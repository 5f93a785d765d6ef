package acme_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/acme"
)

// attack bends a good request. It gets the header and the payload of one and makes the
// message.
type attack struct {
	name   string
	make   func(c *client, url string, header map[string]any, payload string) any
	status int
	kind   string
}

// with signs after a change of the header.
func with(change func(c *client, url string, h map[string]any)) func(*client, string, map[string]any, string) any {
	return func(c *client, url string, h map[string]any, payload string) any {
		change(c, url, h)
		return sign(c.t, c.key, h, payload)
	}
}

// set changes one member of the header; nil takes it out.
func set(name string, value any) func(*client, string, map[string]any, string) any {
	return with(func(_ *client, _ string, h map[string]any) {
		if value == nil {
			delete(h, name)
		} else {
			h[name] = value
		}
	})
}

// after changes the message once it is signed.
func after(change func(m map[string]any)) func(*client, string, map[string]any, string) any {
	return func(c *client, _ string, h map[string]any, payload string) any {
		m := sign(c.t, c.key, h, payload)
		change(m)
		return m
	}
}

// attacks is the list: RFC 8555, Section 6, RFC 7515, and what was found in other servers
// (SEC-43).
var attacks = []attack{
	{"empty body", func(*client, string, map[string]any, string) any { return "" }, 400, "malformed"},
	{"no JSON", func(*client, string, map[string]any, string) any { return "nonsense" }, 400, "malformed"},
	{"a list", func(*client, string, map[string]any, string) any { return "[]" }, 400, "malformed"},
	{"an empty object", func(*client, string, map[string]any, string) any { return "{}" }, 400, "malformed"},
	{"compact form", func(c *client, _ string, h map[string]any, p string) any {
		m := sign(c.t, c.key, h, p)
		return fmt.Sprintf("%s.%s.%s", m["protected"], m["payload"], m["signature"])
	}, 400, "malformed"},
	{"general form", func(c *client, _ string, h map[string]any, p string) any {
		m := sign(c.t, c.key, h, p)
		return map[string]any{"payload": m["payload"], "signatures": []any{map[string]any{"protected": m["protected"], "signature": m["signature"]}}}
	}, 400, "malformed"},
	{"flattened and general at once", after(func(m map[string]any) {
		m["signatures"] = []any{map[string]any{"protected": m["protected"], "signature": m["signature"]}}
	}), 400, "malformed"},
	{"an empty list of signatures", after(func(m map[string]any) { m["signatures"] = []any{} }), 400, "malformed"},
	{"an unprotected header", after(func(m map[string]any) { m["header"] = map[string]any{"kid": "x"} }), 400, "malformed"},
	{"no protected header", after(func(m map[string]any) { delete(m, "protected") }), 400, "malformed"},
	{"no payload", after(func(m map[string]any) { delete(m, "payload") }), 400, "malformed"},
	{"no signature", after(func(m map[string]any) { delete(m, "signature") }), 400, "malformed"},
	{"an empty signature", after(func(m map[string]any) { m["signature"] = "" }), 400, "malformed"},
	{"a signature that is no string", after(func(m map[string]any) { m["signature"] = 5 }), 400, "malformed"},
	{"a padded signature", after(func(m map[string]any) { m["signature"] = m["signature"].(string) + "==" }), 400, "malformed"},
	{"a line break in the signature", after(func(m map[string]any) {
		m["signature"] = m["signature"].(string)[:40] + "\n" + m["signature"].(string)[40:]
	}), 400, "malformed"},
	{"line breaks in what is signed", func(c *client, _ string, h map[string]any, p string) any { return signBroken(c, h, p) }, 400, "malformed"},
	{"standard base64", after(func(m map[string]any) { m["protected"] = "+/" + m["protected"].(string)[2:] }), 400, "malformed"},
	{"a cut signature", after(func(m map[string]any) { m["signature"] = b64(make([]byte, 40)) }), 400, "malformed"},
	{"a signature of zeros", after(func(m map[string]any) { m["signature"] = b64(make([]byte, 64)) }), 400, "malformed"},
	{"another payload than was signed", after(func(m map[string]any) { m["payload"] = b64([]byte(`{"onlyReturnExisting":true}`)) }), 400, "malformed"},
	{"another key", func(c *client, _ string, h map[string]any, p string) any { return sign(c.t, newKey(c.t), h, p) }, 400, "malformed"},
	{"something after the message", func(c *client, _ string, h map[string]any, p string) any {
		text, _ := json.Marshal(sign(c.t, c.key, h, p))
		return string(text) + "{}"
	}, 400, "malformed"},
	{"a member of the message twice", func(c *client, _ string, h map[string]any, p string) any {
		m := sign(c.t, c.key, h, p)
		return fmt.Sprintf(`{"protected":%q,"payload":%q,"payload":%q,"signature":%q}`, m["protected"], b64([]byte("{}")), m["payload"], m["signature"])
	}, 400, "malformed"},
	{"members of the message in capitals", func(c *client, _ string, h map[string]any, p string) any {
		m := sign(c.t, c.key, h, p)
		return fmt.Sprintf(`{"Protected":%q,"Payload":%q,"Signature":%q}`, m["protected"], m["payload"], m["signature"])
	}, 400, "malformed"},
	{"a member of the header twice", func(c *client, url string, h map[string]any, p string) any {
		text, _ := json.Marshal(h)
		return sign(c.t, c.key, strings.TrimSuffix(string(text), "}")+`,"alg":"ES256"}`, p)
	}, 400, "malformed"},
	{"a header that is no object", func(c *client, _ string, _ map[string]any, p string) any { return sign(c.t, c.key, "[]", p) }, 400, "malformed"},
	{"a header of deep nesting", func(c *client, _ string, _ map[string]any, p string) any {
		return sign(c.t, c.key, strings.Repeat(`{"a":`, 3000)+"1"+strings.Repeat("}", 3000), p)
	}, 400, "malformed"},
	{"alg none", set("alg", "none"), 400, "badSignatureAlgorithm"},
	{"alg absent", set("alg", nil), 400, "badSignatureAlgorithm"},
	{"alg unknown", set("alg", "XS256"), 400, "badSignatureAlgorithm"},
	{"alg in lower case", set("alg", "es256"), 400, "badSignatureAlgorithm"},
	{"alg HS256 with the public key as secret", func(c *client, _ string, h map[string]any, p string) any {
		h["alg"] = "HS256"
		m := sign(c.t, c.key, h, p)
		point, _ := c.key.PublicKey.Bytes()
		mac := hmac.New(sha256.New, point)
		mac.Write([]byte(m["protected"].(string) + "." + m["payload"].(string)))
		m["signature"] = b64(mac.Sum(nil))
		return m
	}, 400, "badSignatureAlgorithm"},
	{"alg RS256 with an EC key", set("alg", "RS256"), 400, "badSignatureAlgorithm"},
	{"alg ES384 with a P-256 key", set("alg", "ES384"), 400, "badSignatureAlgorithm"},
	{"alg EdDSA with an EC key", set("alg", "EdDSA"), 400, "badSignatureAlgorithm"},
	{"alg that is no string", set("alg", 5), 400, "malformed"},
	{"crit", set("crit", []string{"exp"}), 400, "malformed"},
	{"b64 false", set("b64", false), 400, "malformed"},
	{"no nonce", set("nonce", nil), 400, "badNonce"},
	{"an empty nonce", set("nonce", ""), 400, "badNonce"},
	{"a nonce that is none", set("nonce", "bm9uY2U"), 400, "badNonce"},
	{"a nonce that is no base64url", set("nonce", "!!!"), 400, "badNonce"},
	{"a nonce of another CA", set("nonce", b64(append([]byte{1, 0, 0}, make([]byte, 32)...))), 400, "badNonce"},
	{"a nonce that is no string", set("nonce", 5), 400, "malformed"},
	{"a bent nonce", with(func(_ *client, _ string, h map[string]any) {
		raw, _ := base64.RawURLEncoding.DecodeString(h["nonce"].(string))
		raw[12] ^= 1
		h["nonce"] = b64(raw)
	}), 400, "badNonce"},
	{"a nonce with a line break", with(func(_ *client, _ string, h map[string]any) { h["nonce"] = h["nonce"].(string) + "\n" }), 400, "badNonce"},
	{"no url", set("url", nil), 400, "malformed"},
	{"url of another resource", with(func(c *client, _ string, h map[string]any) { h["url"] = c.url("somewhere") }), 400, "malformed"},
	{"url of another host", with(func(_ *client, url string, h map[string]any) {
		h["url"] = strings.Replace(url, "127.0.0.1", "evil.example", 1)
	}), 400, "malformed"},
	{"url of another port", with(func(_ *client, url string, h map[string]any) {
		h["url"] = strings.Replace(url, "127.0.0.1:", "127.0.0.1:1", 1)
	}), 400, "malformed"},
	{"url without TLS", with(func(_ *client, url string, h map[string]any) { h["url"] = "http" + strings.TrimPrefix(url, "https") }), 400, "malformed"},
	{"url with a query", with(func(_ *client, url string, h map[string]any) { h["url"] = url + "?a=b" }), 400, "malformed"},
	{"url with a slash at the end", with(func(_ *client, url string, h map[string]any) { h["url"] = url + "/" }), 400, "malformed"},
	{"both kid and jwk", with(func(c *client, _ string, h map[string]any) { h["kid"], h["jwk"] = "x", c.jwk() }), 400, "malformed"},
	{"neither kid nor jwk", with(func(_ *client, _ string, h map[string]any) { delete(h, "kid"); delete(h, "jwk") }), 400, "malformed"},
}

// signBroken signs a header that is encoded with line breaks, as base64 of mail is.
func signBroken(c *client, h map[string]any, payload string) any {
	raw, err := json.Marshal(h)
	if err != nil {
		c.t.Fatal(err)
	}
	protected, body := b64(raw[:30])+"\r\n"+b64(raw[30:]), b64([]byte(payload))
	digest := sha256.Sum256([]byte(protected + "." + body))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, digest[:])
	if err != nil {
		c.t.Fatal(err)
	}
	sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return map[string]any{"protected": protected, "payload": body, "signature": b64(sig)}
}

// endpoints are addresses on which each attack is tried, with a payload that would do.
var endpoints = []struct{ path, payload string }{
	{"new-account", `{}`}, {"new-order", dnsOrder("a.example")}, {"revoke-cert", `{"certificate":"AA"}`}, {"key-change", `{}`},
	{"new-authz", `{"identifier":{"type":"dns","value":"a.example"}}`},
}

// Each attack on a signed request is refused, on each endpoint, with its own problem, and
// the answer has a nonce to try again with (SEC-43).
func TestSignatureAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	account := w.newClient()
	for _, e := range endpoints {
		t.Run(e.path, func(t *testing.T) {
			t.Parallel()
			c := account.in(t)
			if e.path == "new-account" {
				c.key, c.kid = newKey(t), ""
			}
			url := c.url(e.path)
			for _, a := range attacks {
				r := c.raw(url, a.make(c, url, c.header(url), e.payload))
				if r.status != a.status || r.problem().Type != "urn:ietf:params:acme:error:"+a.kind {
					t.Errorf("%s: status %d, %s; want %d %s", a.name, r.status, r.body, a.status, a.kind)
				}
				if r.header.Get("Replay-Nonce") == "" || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Link") == "" {
					t.Errorf("%s: the answer lacks a nonce or headers: %v", a.name, r.header)
				}
			}
		})
	}
}

// Attacks that need an account of their own.
func TestAccountAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	victim := w.newClient()
	order := victim.order("a.example")
	authz := victim.readAuthz(order.Authorizations[0])
	other := w.newClient()
	for _, tt := range []struct {
		name    string
		url     string
		kid     string
		payload string
		status  int
		kind    string
	}{
		{"jwk where kid is wanted", w.url("new-order"), "", dnsOrder("a.example"), 400, "malformed"},
		{"kid where jwk is wanted", w.url("new-account"), other.kid, `{}`, 400, "malformed"},
		{"kid of nobody", w.url("new-order"), w.url("account/" + strings.Repeat("A", 32)), dnsOrder("a.example"), 400, "accountDoesNotExist"},
		{"kid that is no URL", w.url("new-order"), "x", dnsOrder("a.example"), 400, "accountDoesNotExist"},
		{"kid of another host", w.url("new-order"), strings.Replace(other.kid, "127.0.0.1", "evil.example", 1), dnsOrder("a.example"), 403, "unauthorized"},
		{"kid under another path", w.url("new-order"), strings.Replace(other.kid, "/acme/acme/", "/acme/other/", 1), dnsOrder("a.example"), 403, "unauthorized"},
		{"kid with a query", w.url("new-order"), other.kid + "?x=" + other.kid[strings.LastIndex(other.kid, "/"):], dnsOrder("a.example"), 403, "unauthorized"},
		{"kid of somebody else", w.url("new-order"), victim.kid, dnsOrder("a.example"), 400, "malformed"},
		{"somebody else's account", victim.kid, other.kid, "", 403, "unauthorized"},
		{"somebody else's orders", victim.kid + "/orders", other.kid, "", 403, "unauthorized"},
		{"somebody else's order", order.url, other.kid, "", 403, "unauthorized"},
		{"somebody else's authorization", order.Authorizations[0], other.kid, "", 403, "unauthorized"},
		{"to deactivate somebody else's authorization", order.Authorizations[0], other.kid, `{"status":"deactivated"}`, 403, "unauthorized"},
		{"somebody else's challenge", authz.Challenges[0].URL, other.kid, `{}`, 403, "unauthorized"},
		{"somebody else's finalize", order.Finalize, other.kid, `{"csr":"` + b64(csrFor(t, "a.example")) + `"}`, 403, "unauthorized"},
		{"somebody else's certificate", strings.Replace(order.url, "/order/", "/certificate/", 1), other.kid, "", 403, "unauthorized"},
		{"an order that is none", w.url("order/" + strings.Repeat("A", 32)), other.kid, "", 404, "malformed"},
		{"an order ID of another form", w.url("order/1"), other.kid, "", 404, "malformed"},
		{"an authorization that is none", w.url("authz/" + strings.Repeat("A", 32)), other.kid, "", 404, "malformed"},
		{"a certificate that is none", w.url("certificate/" + strings.Repeat("A", 32)), other.kid, "", 404, "malformed"},
		{"to read an order with a payload", order.url, victim.kid, `{}`, 400, "malformed"},
		{"to read a list of orders with a payload", victim.kid + "/orders", victim.kid, `{}`, 400, "malformed"},
		{"to read a certificate with a payload", strings.Replace(order.url, "/order/", "/certificate/", 1), victim.kid, `{}`, 400, "malformed"},
		{"a certificate that is not made yet", strings.Replace(order.url, "/order/", "/certificate/", 1), victim.kid, "", 404, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := other.in(t)
			if tt.kid == victim.kid && tt.name != "kid of somebody else" {
				c.key = victim.key
			}
			c.kid = tt.kid
			c.post(tt.url, tt.payload).refused(tt.status, tt.kind)
		})
	}
}

// A nonce is good once, whatever became of the request, and only for a while.
func TestNonceReplay(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	url := c.url("new-order")
	h := c.header(url)
	m := sign(t, c.key, h, dnsOrder("a.example"))
	c.raw(url, m).want(http.StatusCreated)
	r := c.raw(url, m).refused(400, "badNonce")
	h["nonce"] = r.header.Get("Replay-Nonce") // of the refusal
	c.raw(url, sign(t, c.key, h, dnsOrder("a.example"))).want(http.StatusCreated)

	h = c.header(url)
	c.raw(url, sign(t, newKey(t), h, "{}")).refused(400, "malformed") // used up by a bad signature, too
	c.raw(url, sign(t, c.key, h, dnsOrder("a.example"))).refused(400, "badNonce")

	seen := map[string]bool{}
	for range 200 {
		n := c.nonce()
		if seen[n] {
			t.Fatal("the same nonce twice")
		}
		seen[n] = true
	}
}

// A use is remembered for as long as the nonce is good, also of one from a server whose clock is
// ahead, whenever the memory makes room.
func TestNonceMemory(t *testing.T) {
	t.Parallel()
	began := time.Now()
	m := acme.NewNonceMemory(began)
	used := began.Add(time.Hour)
	made := used.Add(2 * time.Minute) // by the clock of the other server
	if !m.Use(1, made, used) {
		t.Fatal("a good nonce is refused")
	}
	for at := time.Second; at < 3*time.Hour; at += 30 * time.Second {
		now := used.Add(at)
		if m.Use(1, made, now) {
			t.Fatalf("the nonce is good again after %s", at)
		}
		_ = m.Use(2, now, now)
	}
}

// Of requests with one nonce that come at the same time one gets through.
func TestNonceRace(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	url := c.url("new-order")
	m := sign(t, c.key, c.header(url), dnsOrder("a.example"))
	text, _ := json.Marshal(m)
	statuses := make(chan int, 16)
	for range cap(statuses) {
		go func() {
			res, err := c.web.Post(url, "application/jose+json", strings.NewReader(string(text)))
			if err != nil {
				statuses <- 0
				return
			}
			res.Body.Close()
			statuses <- res.StatusCode
		}()
	}
	made := 0
	for range cap(statuses) {
		switch s := <-statuses; s {
		case http.StatusCreated:
			made++
		case http.StatusBadRequest:
		default:
			t.Errorf("status %d", s)
		}
	}
	if made != 1 {
		t.Errorf("%d orders of one nonce", made)
	}
}

// The keys that come along: what may be an account key and what may not.
func TestAccountKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	signRSA := func(t *testing.T, key *rsa.PrivateKey, alg string, jwk map[string]any) *reply {
		c := &client{world: w, key: newKey(t)}
		c = c.in(t)
		url := c.url("new-account")
		return c.raw(url, signAny(t, key, map[string]any{"alg": alg, "url": url, "nonce": c.nonce(), "jwk": jwk}, `{}`))
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := map[string]any{"kty": "RSA", "n": b64(good.N.Bytes()), "e": "AQAB"}
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			if r := signRSA(t, good, alg, public); r.status != 200 && r.status != 201 {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		})
	}
	t.Run("RSA with 1024 bits", func(t *testing.T) {
		t.Parallel()
		n, _ := rand.Prime(rand.Reader, 1024) // the key counts, no signature is reached
		r := signRSA(t, good, "RS256", map[string]any{"kty": "RSA", "n": b64(n.Bytes()), "e": "AQAB"})
		r.refused(400, "badPublicKey")
	})
	t.Run("RSA with 100000 bits", func(t *testing.T) {
		t.Parallel()
		signRSA(t, good, "RS256", map[string]any{"kty": "RSA", "n": b64(append([]byte{1}, make([]byte, 12500)...)), "e": "AQAB"}).refused(400, "badPublicKey")
	})
	t.Run("a private key", func(t *testing.T) {
		t.Parallel()
		signRSA(t, good, "RS256", map[string]any{"kty": "RSA", "n": public["n"], "e": "AQAB", "d": b64(good.D.Bytes()), "p": b64(good.Primes[0].Bytes()), "q": b64(good.Primes[1].Bytes())}).refused(400, "badPublicKey")
	})
	t.Run("a shared secret", func(t *testing.T) {
		t.Parallel()
		signRSA(t, good, "RS256", map[string]any{"kty": "oct", "k": b64(make([]byte, 32))}).refused(400, "badPublicKey")
	})
	t.Run("an alg of its own that is another", func(t *testing.T) {
		t.Parallel()
		signRSA(t, good, "RS256", map[string]any{"kty": "RSA", "n": public["n"], "e": "AQAB", "alg": "RS512"}).refused(400, "malformed")
	})
	for name, jwk := range map[string]map[string]any{
		"a point off the curve": {"kty": "EC", "crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(append(make([]byte, 31), 1))},
		"a short coordinate":    {"kty": "EC", "crv": "P-256", "x": b64(make([]byte, 31)), "y": b64(make([]byte, 32))}, // the gem acme-client makes them
		"an unknown curve":      {"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"},
		"an unknown type":       {"kty": "XX"},
		"a key by reference":    {"jku": "https://evil.example/key"},
		"no object":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := (&client{world: w, key: newKey(t)}).in(t)
			url := c.url("new-account")
			r := c.raw(url, sign(t, c.key, map[string]any{"alg": "ES256", "url": url, "nonce": c.nonce(), "jwk": jwk}, `{}`))
			if r.status != 400 {
				t.Errorf("status %d: %s", r.status, r.body)
			}
			if name == "a short coordinate" {
				r.refused(400, "badPublicKey")
			}
		})
	}
	t.Run("other curves", func(t *testing.T) {
		t.Parallel()
		for _, curve := range []elliptic.Curve{elliptic.P384(), elliptic.P521()} {
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			c := (&client{world: w, key: key}).in(t)
			url := c.url("new-account")
			alg := map[elliptic.Curve]string{elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[curve]
			c.raw(url, signAny(t, key, map[string]any{"alg": alg, "url": url, "nonce": c.nonce(), "jwk": c.jwk()}, `{}`)).want(http.StatusCreated)
		}
	})
	t.Run("jku and x5u are not looked at", func(t *testing.T) {
		t.Parallel()
		c := (&client{world: w, key: newKey(t)}).in(t)
		h := c.header(c.url("new-account"))
		h["jku"], h["x5u"], h["x5c"] = "https://127.0.0.1:1/", "https://127.0.0.1:1/", []string{"AA"}
		c.raw(c.url("new-account"), sign(t, c.key, h, `{}`)).want(http.StatusCreated)
	})
}

// Apple's client drops leading zero bytes of R and S. Such signatures are mended, and
// nothing shorter is.
func TestShortSignatures(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	url := c.url("new-order")
	for _, which := range []string{"R", "S", "both", "too short"} {
		// The nonce is part of what is signed, so signatures are made until one is short.
		for {
			h := c.header(url)
			m := sign(t, c.key, h, dnsOrder("a.example"))
			raw, _ := base64.RawURLEncoding.DecodeString(m["signature"].(string))
			r, s := raw[:32], raw[32:]
			switch { // leading zeros are rare; for two of them the server is told something shorter
			case which == "R" && r[0] == 0 && r[1] != 0:
				raw = append(r[1:], s...)
			case which == "S" && s[0] == 0 && s[1] != 0:
				raw = append(slices.Clone(r), s[1:]...)
			case which == "both" || which == "too short":
				raw = raw[:map[string]int{"both": 62, "too short": 61}[which]]
			default:
				continue
			}
			m["signature"] = b64(raw)
			if which == "both" || which == "too short" {
				c.raw(url, m).refused(400, "malformed")
			} else {
				c.raw(url, m).want(http.StatusCreated)
			}
			break
		}
	}
}

// A body that is too large is refused before it is read to its end (SEC-05).
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	for path, size := range map[string]int{"new-order": 60 << 10, "revoke-cert": 300 << 10} {
		url := c.url(path)
		c.raw(url, sign(t, c.key, c.header(url), `{"x":"`+strings.Repeat("a", size)+`"}`)).refused(413, "malformed")
	}
	res, err := c.web.Post(c.url("new-order"), "application/jose+json", &endless{left: 1 << 30})
	if err == nil {
		if res.Body.Close(); res.StatusCode != 413 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}

// endless is a body of a gigabyte.
type endless struct{ left int }

func (e *endless) Read(b []byte) (int, error) {
	if e.left -= len(b); e.left < 0 {
		return 0, fmt.Errorf("read to its end")
	}
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// The media type: exactly one, parameters aside, and for certificates what clients of old
// send.
func TestContentType(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	url := c.url("new-order")
	for kind, status := range map[string]int{
		"application/jose+json": 201, "application/jose+json; charset=utf-8": 201, "Application/JOSE+JSON": 201,
		"": 415, "application/json": 415, "text/plain": 415, "application/jose": 415, "application/pkix-cert": 415, ";": 415,
	} {
		text, _ := json.Marshal(sign(t, c.key, c.header(url), dnsOrder("a.example")))
		if r := c.send(http.MethodPost, url, kind, text); r.status != status {
			t.Errorf("%q: status %d, want %d: %s", kind, r.status, status, r.body)
		}
	}
	o, _, _ := c.certificate("a.example")
	for _, kind := range []string{"application/pkix-cert", "application/pkcs7-mime"} {
		text, _ := json.Marshal(sign(t, c.key, c.header(o.Certificate), ""))
		c.send(http.MethodPost, o.Certificate, kind, text).want(http.StatusOK)
	}
}
