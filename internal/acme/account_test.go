package acme_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/store"
)

type accountDoc struct {
	Status  string
	Contact []string
	Orders  string
	EAB     json.RawMessage `json:"externalAccountBinding"`
}

func (r *reply) account() (a accountDoc) {
	r.t.Helper()
	r.into(&a)
	return a
}

// new-account: RFC 8555, Section 7.3.
func TestNewAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	taken := w.newClient()
	ended := w.newClient()
	ended.post(ended.kid, `{"status":"deactivated"}`).want(http.StatusOK)
	for _, tt := range []struct {
		name, payload string
		key           *client // nil: a new key
		status        int
		kind          string
	}{
		{"no contact", `{}`, nil, 201, ""},
		{"a contact", `{"contact":["mailto:a@b.example"]}`, nil, 201, ""},
		{"ten contacts", `{"contact":[` + strings.TrimSuffix(strings.Repeat(`"mailto:a@b.example",`, 10), ",") + `]}`, nil, 201, ""},
		{"eleven contacts", `{"contact":[` + strings.TrimSuffix(strings.Repeat(`"mailto:a@b.example",`, 11), ",") + `]}`, nil, 400, "invalidContact"},
		{"an empty contact", `{"contact":[""]}`, nil, 400, "malformed"},
		{"a contact without scheme", `{"contact":["a@b.example"]}`, nil, 400, "unsupportedContact"},
		{"a phone number", `{"contact":["tel:+123456"]}`, nil, 400, "unsupportedContact"},
		{"mailto of nobody", `{"contact":["mailto:"]}`, nil, 400, "invalidContact"},
		{"mailto of two", `{"contact":["mailto:a@b.example,c@d.example"]}`, nil, 400, "invalidContact"},
		{"mailto with a subject", `{"contact":["mailto:a@b.example?subject=x"]}`, nil, 400, "invalidContact"},
		{"mailto beyond ASCII", `{"contact":["mailto:ä@b.example"]}`, nil, 400, "invalidContact"},
		{"mailto with a name", `{"contact":["mailto:A <a@b.example>"]}`, nil, 400, "invalidContact"},
		{"mailto with a line break", `{"contact":["mailto:a@b.example%0aBcc:x"]}`, nil, 400, "invalidContact"},
		{"contacts that are no list", `{"contact":"mailto:a@b.example"}`, nil, 400, "malformed"},
		{"terms agreed", `{"termsOfServiceAgreed":true}`, nil, 201, ""},
		{"terms that are no boolean", `{"termsOfServiceAgreed":"yes"}`, nil, 400, "malformed"},
		{"members of ACME v1", `{"resource":"new-reg"}`, nil, 201, ""},
		{"unknown members", `{"x":{"y":[1]}}`, nil, 201, ""},
		{"members in capitals", `{"Contact":["tel:1"]}`, nil, 400, "unsupportedContact"},
		{"a member twice", `{"contact":[],"contact":[]}`, nil, 400, "malformed"},
		{"a member twice in two cases", `{"contact":[],"Contact":[]}`, nil, 400, "malformed"},
		{"an empty payload", ``, nil, 400, "malformed"},
		{"null", `null`, nil, 400, "malformed"},
		{"a list", `[]`, nil, 400, "malformed"},
		{"half a payload", `{"contact":[`, nil, 400, "malformed"},
		{"something after the payload", `{}{}`, nil, 400, "malformed"},
		{"an existing key", `{"contact":["mailto:other@b.example"]}`, taken, 200, ""},
		{"only an existing account, and it exists", `{"onlyReturnExisting":true}`, taken, 200, ""},
		{"only an existing account, and none exists", `{"onlyReturnExisting":true}`, nil, 400, "accountDoesNotExist"},
		{"only an existing account, and contacts", `{"onlyReturnExisting":true,"contact":["mailto:a@b.example"]}`, taken, 200, ""},
		{"the key of a deactivated account", `{}`, ended, 403, "unauthorized"},
		{"a binding that nobody needs", `{"externalAccountBinding":{"protected":"x"}}`, nil, 201, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := (&client{world: w, key: newKey(t)}).in(t)
			if tt.key != nil {
				c.key = tt.key.key
			}
			r := c.post(c.url("new-account"), tt.payload)
			if tt.kind != "" {
				r.refused(tt.status, tt.kind)
				return
			}
			a := r.want(tt.status).account()
			if a.Status != "valid" || a.Orders != r.location()+"/orders" || a.EAB != nil {
				t.Errorf("account %+v at %s", a, r.location())
			}
			if tt.key != nil && (r.location() != tt.key.kid || len(a.Contact) > 0) {
				t.Errorf("the existing account was changed: %+v", a)
			}
		})
	}
}

// Changes of an account: RFC 8555, Sections 7.3.2 and 7.3.6.
func TestAccountUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, tt := range []struct {
		name, payload string
		status        int
		kind          string
		contacts      int
	}{
		{"to look", ``, 200, "", 1},
		{"nothing", `{}`, 200, "", 1},
		{"unknown members", `{"x":1}`, 200, "", 1},
		{"other contacts", `{"contact":["mailto:b@b.example","mailto:c@b.example"]}`, 200, "", 2},
		{"no contacts any more", `{"contact":[]}`, 200, "", 0},
		{"a bad contact", `{"contact":["x"]}`, 400, "unsupportedContact", 1},
		{"contacts and status", `{"contact":[],"status":"deactivated"}`, 400, "malformed", 1},
		{"another status", `{"status":"revoked"}`, 400, "malformed", 1},
		{"to become valid", `{"status":"valid"}`, 400, "malformed", 1},
		{"a status that is no string", `{"status":5}`, 400, "malformed", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := (&client{world: w, key: newKey(t)}).in(t)
			c.kid = c.post(c.url("new-account"), `{"contact":["mailto:a@b.example"]}`).want(201).location()
			r := c.post(c.kid, tt.payload)
			if tt.kind != "" {
				r.refused(tt.status, tt.kind)
			} else if r.want(tt.status); r.location() != c.kid {
				t.Errorf("Location %q", r.location())
			}
			if a := c.get(c.kid).want(200).account(); len(a.Contact) != tt.contacts {
				t.Errorf("contacts %q", a.Contact)
			}
		})
	}
	t.Run("deactivated", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		o := c.order("a.example")
		if a := c.post(c.kid, `{"status":"deactivated"}`).want(200).account(); a.Status != "deactivated" {
			t.Errorf("status %s", a.Status)
		}
		c.get(c.kid).refused(403, "unauthorized")
		c.get(o.url).refused(403, "unauthorized")
		c.post(c.url("new-order"), dnsOrder("a.example")).refused(403, "unauthorized")
	})
}

// An account that the operator ended is refused, and its key makes no other.
func TestRevokedAccount(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	o := c.order("a.example")
	id := c.kid[strings.LastIndex(c.kid, "/")+1:]
	if err := c.ca.Store.Update(t.Context(), func(tx *store.Tx) error { return tx.EndACMEAccount(id, "revoked") }); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); c.get(c.kid).status != 403; { // a server hears of it within a second
		if time.Now().After(deadline) {
			t.Fatal("the account goes on")
		}
	}
	c.get(o.url).refused(403, "unauthorized")
	(&client{world: c.world, key: c.key}).post(c.url("new-account"), `{}`).refused(403, "unauthorized")
}

// The list of orders goes page by page, the newest first (RFC 8555, Section 7.1.2.1).
func TestOrdersList(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	var made []string
	for i := range 205 {
		made = append([]string{c.order(fmt.Sprintf("h%d.example", i)).url}, made...)
	}
	var listed []string
	pages := 0
	for next := c.kid + "/orders"; next != ""; pages++ {
		r := c.get(next).want(200)
		var page struct{ Orders []string }
		r.into(&page)
		listed = append(listed, page.Orders...)
		next = ""
		for _, link := range r.header.Values("Link") {
			if strings.HasSuffix(link, `;rel="next"`) {
				next = strings.TrimPrefix(strings.TrimSuffix(link, `>;rel="next"`), "<")
			}
		}
	}
	if strings.Join(listed, " ") != strings.Join(made, " ") || pages != 3 {
		t.Errorf("%d orders on %d pages, want %d", len(listed), pages, len(made))
	}
	c.get(c.kid+"/orders?cursor=x").refused(400, "malformed")
	if r := newWorld(t, nil).newClient(); string(r.get(r.kid+"/orders").want(200).body) != `{"orders":[]}`+"\n" {
		t.Error("a list without orders is no empty list")
	}
}

// bind makes an external account binding (RFC 8555, Section 7.3.4).
func bind(c *client, kid string, secret []byte, change func(h map[string]any)) map[string]any {
	h := map[string]any{"alg": "HS256", "kid": kid, "url": c.url("new-account")}
	if change != nil {
		change(h)
	}
	head, _ := json.Marshal(h)
	key, _ := json.Marshal(c.jwk())
	protected, payload := b64(head), b64(key)
	alg := map[any]func() hash.Hash{"HS384": sha512.New384, "HS512": sha512.New}[h["alg"]]
	if alg == nil {
		alg = sha256.New
	}
	mac := hmac.New(alg, secret)
	mac.Write([]byte(protected + "." + payload))
	return map[string]any{"protected": protected, "payload": payload, "signature": b64(mac.Sum(nil))}
}

func (c *client) register(binding any) *reply {
	c.t.Helper()
	text, err := json.Marshal(map[string]any{"externalAccountBinding": binding})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.post(c.url("new-account"), string(text))
}

// eabKey puts a key into the store, as `ca acme eab add` does.
func (w *world) eabKey(provisionerID, policy string) (id string, secret []byte) {
	w.t.Helper()
	k := &store.ACMEKey{ID: fmt.Sprintf("key%d", time.Now().UnixNano()), ProvisionerID: provisionerID, Secret: []byte("0123456789abcdef0123456789abcdef"), CreatedAt: time.Now()}
	if policy != "" {
		k.Policy = []byte(policy)
	}
	secret = k.Secret
	k.Secret = w.ca.Office.State().Vault.Seal(secret, ca.SealedKey(k))
	w.addKey(k)
	return k.ID, secret
}

func (w *world) addKey(k *store.ACMEKey) {
	w.t.Helper()
	if err := w.ca.Store.Update(w.t.Context(), func(tx *store.Tx) error { return tx.AddACMEKey(k) }); err != nil {
		w.t.Fatal(err)
	}
}

// External account binding: what vouches for an account and what does not.
func TestExternalAccountBinding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"requireEAB": true})
	if d := w.send("GET", w.url("directory"), "", nil); !strings.Contains(string(d.body), `"externalAccountRequired":true`) {
		t.Errorf("directory %s", d.body)
	}
	for _, tt := range []struct {
		name   string
		make   func(c *client, id string, secret []byte) any
		status int
		kind   string
	}{
		{"HS256", func(c *client, id string, s []byte) any { return bind(c, id, s, nil) }, 201, ""},
		{"HS384", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["alg"] = "HS384" })
		}, 201, ""},
		{"HS512", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["alg"] = "HS512" })
		}, 201, ""},
		{"none", func(*client, string, []byte) any { return nil }, 403, "externalAccountRequired"},
		{"another algorithm", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["alg"] = "ES256" })
		}, 400, "malformed"},
		{"algorithm none", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["alg"] = "none" })
		}, 400, "malformed"},
		{"a nonce", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["nonce"] = "x" })
		}, 400, "malformed"},
		{"no kid", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { delete(h, "kid") })
		}, 400, "malformed"},
		{"a jwk", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["jwk"] = c.jwk() })
		}, 400, "malformed"},
		{"no url", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { delete(h, "url") })
		}, 400, "malformed"},
		{"another url", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["url"] = "https://other.example/new-account" })
		}, 400, "malformed"},
		{"crit", func(c *client, id string, s []byte) any {
			return bind(c, id, s, func(h map[string]any) { h["crit"] = []string{"x"} })
		}, 400, "malformed"},
		{"an unknown key", func(c *client, _ string, s []byte) any { return bind(c, "nobody", s, nil) }, 403, "unauthorized"},
		{"another secret", func(c *client, id string, _ []byte) any { return bind(c, id, []byte("x"), nil) }, 403, "unauthorized"},
		{"an empty secret", func(c *client, id string, _ []byte) any { return bind(c, id, nil, nil) }, 403, "unauthorized"},
		{"the account key of somebody else", func(c *client, id string, s []byte) any {
			return bind(&client{world: c.world, key: newKey(c.t)}, id, s, nil)
		}, 400, "malformed"},
		{"a list of signatures", func(c *client, id string, s []byte) any {
			b := bind(c, id, s, nil)
			b["signatures"] = []any{}
			return b
		}, 400, "malformed"},
		{"text", func(*client, string, []byte) any { return "x" }, 400, "malformed"},
		{"an empty object", func(*client, string, []byte) any { return map[string]any{} }, 400, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := (&client{world: w, key: newKey(t)}).in(t)
			id, secret := c.eabKey("acme/acme", "")
			binding := tt.make(c, id, secret)
			r := c.register(binding)
			if tt.kind != "" {
				r.refused(tt.status, tt.kind)
				return
			}
			if a := r.want(tt.status).account(); a.EAB == nil {
				t.Error("the binding is not echoed")
			}
			other := (&client{world: w, key: newKey(t)}).in(t) // the key is used up
			other.register(bind(other, id, secret, nil)).refused(403, "unauthorized")
		})
	}
	t.Run("a key of another provisioner", func(t *testing.T) {
		t.Parallel()
		c := (&client{world: w, key: newKey(t)}).in(t)
		id, secret := c.eabKey("acme/other", "")
		c.register(bind(c, id, secret, nil)).refused(403, "unauthorized")
	})
	t.Run("a race for one key", func(t *testing.T) {
		t.Parallel()
		first := (&client{world: w, key: newKey(t)}).in(t)
		id, secret := first.eabKey("acme/acme", "")
		var all sync.WaitGroup
		statuses := make([]int, 8)
		for i := range statuses {
			c := (&client{world: first.world, key: newKey(t)})
			all.Go(func() { statuses[i] = c.register(bind(c, id, secret, nil)).status })
		}
		all.Wait()
		made := 0
		for _, s := range statuses {
			if s == 201 {
				made++
			} else if s != 403 {
				t.Errorf("status %d", s)
			}
		}
		if made != 1 {
			t.Errorf("%d accounts by one key", made)
		}
		// No loser has an account without anybody vouching for it.
		first.register(nil).refused(403, "externalAccountRequired")
	})
}

// Rules about names that a key carries bind the account that it vouched for.
func TestKeyWithNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"requireEAB": true})
	id, secret := w.eabKey("acme/acme", `{"x509":{"allow":{"dns":["**.web.example"]}}}`)
	c := &client{world: w, key: newKey(t)}
	c.kid = c.register(bind(c, id, secret, nil)).want(201).location()
	c.post(c.url("new-order"), dnsOrder("a.web.example")).want(201)
	c.post(c.url("new-order"), dnsOrder("a.other.example")).refused(400, "rejectedIdentifier")
	c.post(c.url("new-order"), dnsOrder("a.web.example", "10.0.0.1")).refused(400, "rejectedIdentifier")
	c.post(c.url("new-order"), dnsOrder("*.web.example")).refused(400, "rejectedIdentifier")
}

// With always-required, accounts that were made before need somebody who vouches, too.
func TestAlwaysRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	w.ca.Reload(withACME(map[string]any{"eabPolicy": "always-required"}))
	c.post(c.url("new-order"), dnsOrder("a.example")).refused(403, "unauthorized")
	w.ca.Reload(withACME(map[string]any{"eabPolicy": "new-account-required"}))
	c.post(c.url("new-order"), dnsOrder("a.example")).want(201)
	(&client{world: w, key: newKey(t)}).post(c.url("new-account"), `{}`).refused(403, "externalAccountRequired")
}

// Terms that must be agreed to.
func TestTerms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"termsOfService": "https://ca.example/terms", "requireTermsAgreed": true, "website": "https://ca.example"})
	c := &client{world: w, key: newKey(t)}
	r := c.post(c.url("new-account"), `{}`).refused(403, "userActionRequired")
	if link := strings.Join(r.header.Values("Link"), " "); !strings.Contains(link, `<https://ca.example/terms>;rel="terms-of-service"`) {
		t.Errorf("Link %q", link)
	}
	c.post(c.url("new-account"), `{"termsOfServiceAgreed":true}`).want(201)
	d := string(w.send("GET", w.url("directory"), "", nil).want(200).body)
	for _, part := range []string{`"termsOfService":"https://ca.example/terms"`, `"website":"https://ca.example"`} {
		if !strings.Contains(d, part) {
			t.Errorf("the directory lacks %s: %s", part, d)
		}
	}
}

// The same key at a second provisioner makes a second account.
func TestTwoProvisioners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, withMore(`{"type":"ACME","name":"other one"}`))
	c := w.newClient()
	url := w.srv.URL + "/acme/other%20one/new-account"
	h := c.header(url)
	delete(h, "kid")
	h["jwk"] = c.jwk()
	r := c.raw(url, sign(t, c.key, h, `{}`)).want(201)
	if r.location() == c.kid || !strings.HasPrefix(r.location(), w.srv.URL+"/acme/other%20one/account/") {
		t.Errorf("Location %q", r.location())
	}
	c.post(w.srv.URL+"/acme/other%20one/new-order", dnsOrder("a.example")).refused(403, "unauthorized")
	c.kid = r.location()
	c.post(w.srv.URL+"/acme/other%20one/new-order", dnsOrder("a.example")).want(201)
}

// Key rollover: RFC 8555, Section 7.3.5.
func TestKeyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	taken := w.newClient()
	type parts struct {
		outer, inner map[string]any
		ask          map[string]any
		key          *client // who signs the inner message
	}
	for _, tt := range []struct {
		name   string
		bend   func(c *client, p *parts)
		status int
		kind   string
	}{
		{"a new key", func(*client, *parts) {}, 200, ""},
		{"an inner nonce", func(_ *client, p *parts) { p.inner["nonce"] = "x" }, 400, "malformed"},
		{"an inner kid", func(c *client, p *parts) { p.inner["kid"] = c.kid }, 400, "malformed"},
		{"no inner jwk", func(_ *client, p *parts) { delete(p.inner, "jwk") }, 400, "malformed"},
		{"no inner url", func(_ *client, p *parts) { delete(p.inner, "url") }, 400, "malformed"},
		{"another inner url", func(c *client, p *parts) { p.inner["url"] = c.url("new-account") }, 400, "malformed"},
		{"another account", func(_ *client, p *parts) { p.ask["account"] = taken.kid }, 400, "malformed"},
		{"no account", func(_ *client, p *parts) { delete(p.ask, "account") }, 400, "malformed"},
		{"another old key", func(_ *client, p *parts) { p.ask["oldKey"] = taken.jwk() }, 400, "malformed"},
		{"no old key", func(_ *client, p *parts) { delete(p.ask, "oldKey") }, 400, ""},
		{"an old key that names its algorithm", func(c *client, p *parts) {
			old := c.jwk()
			old["alg"] = "ES256"
			p.ask["oldKey"] = old
		}, 200, ""},
		{"the same key", func(c *client, p *parts) { p.key, p.inner["jwk"] = c, c.jwk() }, 400, "malformed"},
		{"an inner message signed by another key", func(c *client, p *parts) { p.key = &client{world: c.world, key: newKey(c.t)} }, 400, "malformed"},
		{"an inner message signed by the old key", func(c *client, p *parts) { p.key = c }, 400, "malformed"},
		{"an inner algorithm none", func(_ *client, p *parts) { p.inner["alg"] = "none" }, 400, "badSignatureAlgorithm"},
		{"a key that has an account", func(_ *client, p *parts) { p.key, p.inner["jwk"] = taken, taken.jwk() }, 409, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := w.newClient().in(t)
			fresh := &client{world: c.world, key: newKey(t)}
			url := c.url("key-change")
			p := &parts{outer: c.header(url), inner: map[string]any{"alg": "ES256", "jwk": fresh.jwk(), "url": url},
				ask: map[string]any{"account": c.kid, "oldKey": c.jwk()}, key: fresh}
			tt.bend(c, p)
			ask, _ := json.Marshal(p.ask)
			inner, _ := json.Marshal(sign(t, p.key.key, p.inner, string(ask)))
			r := c.raw(url, sign(t, c.key, p.outer, string(inner)))
			if tt.status != 200 {
				if tt.kind != "" {
					r.refused(tt.status, tt.kind)
				}
				r.want(tt.status)
				if tt.status == 409 && r.location() != taken.kid {
					t.Errorf("Location %q", r.location())
				}
				c.get(c.kid).want(200) // the old key goes on
				return
			}
			r.want(200)
			c.get(c.kid).refused(400, "malformed")
			fresh.kid = c.kid
			fresh.get(c.kid).want(200)
			again := &client{world: c.world, key: fresh.key}
			if r := again.post(c.url("new-account"), `{"onlyReturnExisting":true}`).want(200); r.location() != c.kid {
				t.Errorf("the new key leads to %q", r.location())
			}
			fresh.certificate("after.example")
		})
	}
}

// A nonce of a second server that shares the database is good here, and good once.
func TestNoncesOfTwoServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, durable)
	second := w.beside()
	c := w.newClient()
	url := c.url("new-order")
	h := map[string]any{"alg": "ES256", "kid": c.kid, "url": url, "nonce": second.nonce()}
	m := sign(t, c.key, h, dnsOrder("a.example"))
	c.raw(url, m).want(201)
	// The same request, brought to the other server by somebody in between.
	other := strings.Replace(url, w.srv.URL, second.srv.URL, 1)
	text, _ := json.Marshal(m)
	req, _ := http.NewRequest("POST", other, strings.NewReader(string(text)))
	req.Host = strings.TrimPrefix(w.srv.URL, "https://")
	req.Header.Set("Content-Type", "application/jose+json")
	second.do(req).refused(400, "badNonce")
	raw, _ := base64.RawURLEncoding.DecodeString(h["nonce"].(string))
	if len(raw) != 35 {
		t.Errorf("a nonce of %d bytes", len(raw))
	}
}
