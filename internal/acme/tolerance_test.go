package acme_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
)

// What other servers refuse and RFC 8555 does not ask for is let pass.
func TestTolerated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	account := w.newClient()
	post := func(c *client, target string, message map[string]any, header map[string]string) *reply {
		text, _ := json.Marshal(message)
		req, err := http.NewRequest(http.MethodPost, target, strings.NewReader(string(text)))
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/jose+json")
		for name, value := range header {
			req.Header.Set(name, value)
		}
		return c.do(req)
	}
	for _, tt := range []struct {
		name    string
		payload string
		header  map[string]string
		change  func(m map[string]any) // of the message, once it is signed
	}{
		{"no User-Agent", "", map[string]string{"User-Agent": ""}, nil},
		{"a nonce as a header of the request", "", map[string]string{"Replay-Nonce": "x"}, nil},
		{"an Accept that is something else", "", map[string]string{"Accept": "text/html"}, nil},
		{"an empty unprotected header", "", nil, func(m map[string]any) { m["header"] = map[string]any{} }},
		{"an unprotected header that is null", "", nil, func(m map[string]any) { m["header"] = nil }},
		{"further members of the message", "", nil, func(m map[string]any) { m["x"] = []int{1} }},
		{"a resource of ACME v1", `{"resource":"new-order","identifiers":[{"type":"dns","value":"a.example"}]}`, nil, nil},
		{"further members of an identifier", `{"identifiers":[{"type":"dns","value":"a.example","x":{"y":1}}]}`, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := account.in(t)
			target := c.url("new-order")
			if tt.payload == "" {
				tt.payload = dnsOrder("a.example")
			}
			m := sign(t, c.key, c.header(target), tt.payload)
			if tt.change != nil {
				tt.change(m)
			}
			post(c, target, m, tt.header).want(http.StatusCreated)
		})
	}
	t.Run("an account update of nothing", func(t *testing.T) {
		t.Parallel()
		c := account.in(t)
		c.post(c.kid, `{"resource":"reg"}`).want(http.StatusOK)
	})
	t.Run("EdDSA", func(t *testing.T) {
		t.Parallel()
		key := testca.Ed25519(t)
		c := account.in(t)
		send := func(target string, header map[string]any, payload string) *reply {
			header["alg"], header["url"], header["nonce"] = "EdDSA", target, c.nonce()
			raw, _ := json.Marshal(header)
			protected, body := b64(raw), b64([]byte(payload))
			sig, err := key.Sign(nil, []byte(protected+"."+body), crypto.Hash(0))
			if err != nil {
				t.Fatal(err)
			}
			return c.raw(target, map[string]any{"protected": protected, "payload": body, "signature": b64(sig)})
		}
		jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(key.Public().(ed25519.PublicKey))}
		kid := send(c.url("new-account"), map[string]any{"jwk": jwk}, `{}`).want(http.StatusCreated).location()
		send(c.url("new-order"), map[string]any{"kid": kid}, dnsOrder("a.example")).want(http.StatusCreated)
	})
}

// Every link of a provisioner works, whatever its name is, and so does every address under the
// other prefixes.
func TestProvisionerNames(t *testing.T) {
	t.Parallel()
	names := []string{"with space", "a/b", "100%", "a%2Fb", "münchen", "q?x=1#y", "a+b&c;d", "certificate", `quo"te`}
	var objects []string
	for _, name := range names {
		objects = append(objects, object(map[string]any{"name": name}))
	}
	w := newWorld(t, nil, withMore(objects...))
	for _, prefix := range []string{"/acme/", "/2.0/acme/", "/1.0/acme/"} {
		for _, name := range names {
			t.Run(prefix+url.PathEscape(name), func(t *testing.T) {
				t.Parallel()
				here := *w
				here.t = t
				c := &client{world: &here, key: newKey(t)}
				at := func(link string) string { // a link of ours under the prefix that is tested
					path, ok := strings.CutPrefix(link, w.srv.URL+"/acme/")
					if !ok {
						t.Fatalf("link %q", link)
					}
					return w.srv.URL + prefix + path
				}
				var dir map[string]string
				c.send("GET", w.srv.URL+prefix+url.PathEscape(name)+"/directory", "", nil).want(200).into(&dir)
				c.send("HEAD", at(dir["newNonce"]), "", nil).want(200)
				c.kid = at(c.post(at(dir["newAccount"]), `{}`).want(201).location())
				c.get(c.kid).want(200)
				r := c.post(at(dir["newOrder"]), dnsOrder("n.example")).want(201)
				o := &orderDoc{url: at(r.location())}
				r.into(o)
				ch := new(authzDoc)
				c.get(at(o.Authorizations[0])).want(200).into(ch)
				c.show(ch.challenge(t, "http-01").Token)
				c.post(at(ch.challenge(t, "http-01").URL), "{}").want(200)
				c.post(at(o.Finalize), `{"csr":"`+b64(csrFor(t, "n.example"))+`"}`).want(200).into(o)
				o.Certificate = at(o.Certificate)
				leaf := c.download(o)[0]
				c.send("GET", at(dir["renewalInfo"])+"/"+certID(leaf), "", nil).want(200)
				c.get(c.kid + "/orders").want(200)
				c.post(at(dir["revokeCert"]), `{"certificate":"`+b64(leaf.Raw)+`"}`).want(200)
			})
		}
	}
}

// The directory is exactly what RFC 8555, RFC 9773, RFC 9444 and the draft on profiles say.
func TestDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"termsOfService": "https://ca.example/t", "website": "https://ca.example", "caaIdentities": []string{"ca.example", "b.example"},
		"eabPolicy": "always-required", "subdomainAuth": true, "profiles": map[string]any{"short": map[string]any{}}})
	base := w.srv.URL + "/acme/acme/"
	want := `{"newNonce":"` + base + `new-nonce","newAccount":"` + base + `new-account","newOrder":"` + base + `new-order","newAuthz":"` + base + `new-authz",` +
		`"revokeCert":"` + base + `revoke-cert","keyChange":"` + base + `key-change","renewalInfo":"` + base + `renewal-info",` +
		`"meta":{"termsOfService":"https://ca.example/t","website":"https://ca.example","caaIdentities":["ca.example","b.example"],` +
		`"externalAccountRequired":true,"subdomainAuthAllowed":true,"profiles":{"short":"short"}}}` + "\n"
	r := w.send("GET", w.url("directory"), "", nil).want(200)
	if string(r.body) != want || r.header.Get("Link") != "" || r.header.Get("Replay-Nonce") != "" {
		t.Errorf("directory %s %v\nwant %s", r.body, r.header, want)
	}
}
