package acme_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/testca"
)

// What needs no signature: RFC 8555, Sections 7.1.1 and 7.2.
func TestUnsigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, withMore(object(map[string]any{"name": "off", "challenges": []string{"http-02"}})))
	base := w.srv.URL
	for _, tt := range []struct {
		name, method, path string
		status             int
		check              func(r *reply) bool
	}{
		{"directory", "GET", "/acme/acme/directory", 200, func(r *reply) bool {
			return r.header.Get("Replay-Nonce") == "" && r.header.Get("Content-Type") == "application/json" &&
				strings.Contains(string(r.body), `"newNonce":"`+base+`/acme/acme/new-nonce"`) && !strings.Contains(string(r.body), "meta")
		}},
		{"directory by HEAD", "HEAD", "/acme/acme/directory", 200, func(r *reply) bool { return len(r.body) == 0 }},
		{"directory under an alias", "GET", "/2.0/acme/acme/directory", 200, func(r *reply) bool {
			return strings.Contains(string(r.body), `"newOrder":"`+base+`/acme/acme/new-order"`)
		}},
		{"directory under another alias", "GET", "/1.0/acme/acme/directory", 200, nil},
		{"directory by PUT", "PUT", "/acme/acme/directory", 405, func(r *reply) bool { return r.header.Get("Allow") != "" && len(r.body) == 0 }},
		{"directory by OPTIONS", "OPTIONS", "/acme/acme/directory", 405, nil},
		{"new-nonce by HEAD", "HEAD", "/acme/acme/new-nonce", 200, func(r *reply) bool {
			return r.header.Get("Replay-Nonce") != "" && r.header.Get("Cache-Control") == "no-store" && r.header.Get("Link") == "<"+base+`/acme/acme/directory>;rel="index"`
		}},
		{"new-nonce by GET", "GET", "/acme/acme/new-nonce", 204, func(r *reply) bool { return r.header.Get("Replay-Nonce") != "" }},
		{"new-nonce by DELETE", "DELETE", "/acme/acme/new-nonce", 405, nil},
		{"a provisioner that is none", "GET", "/acme/nobody/directory", 404, problemIs("malformed")},
		{"a provisioner of another type", "GET", "/acme/ops@example.com/directory", 401, problemIs("unauthorized")},
		{"a provisioner that is disabled", "GET", "/acme/off/directory", 401, func(r *reply) bool {
			return problemIs("unauthorized")(r) && r.header.Get("Replay-Nonce") == "" && !strings.Contains(string(r.body), "http-02")
		}},
		{"a signed address of a provisioner that is disabled", "POST", "/acme/off/new-account", 401, problemIs("unauthorized")},
		{"a signed address of a provisioner that is none", "POST", "/acme/nobody/new-order", 404, problemIs("malformed")},
		{"an address that is none", "GET", "/acme/acme/nothing", 404, nil},
		{"nothing after the provisioner", "GET", "/acme/acme/", 404, nil},
		{"a provisioner by its percent-encoded name", "GET", "/acme/%61cme/directory", 200, nil},
		{"GET of new-account", "GET", "/acme/acme/new-account", 405, nil},
		{"GET of new-order", "GET", "/acme/acme/new-order", 405, nil},
		{"GET of an order", "GET", "/acme/acme/order/x", 405, nil},
		{"GET of an authorization", "GET", "/acme/acme/authz/x", 405, nil},
		{"GET of a challenge", "GET", "/acme/acme/challenge/x/y", 405, nil},
		{"GET of a certificate", "GET", "/acme/acme/certificate/x", 405, nil},
		{"GET of an account", "GET", "/acme/acme/account/x", 405, nil},
		{"GET of the orders of an account", "GET", "/acme/acme/account/x/orders", 405, nil},
		{"GET of revoke-cert", "GET", "/acme/acme/revoke-cert", 405, nil},
		{"GET of key-change", "GET", "/acme/acme/key-change", 405, nil},
		{"PUT of finalize", "PUT", "/acme/acme/order/x/finalize", 405, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			here := *w
			here.t = t
			r := here.send(tt.method, base+tt.path, "", nil).want(tt.status)
			if tt.check != nil && !tt.check(r) {
				t.Errorf("answer %v %s", r.header, r.body)
			}
		})
	}
	t.Run("POST-as-GET of the directory and of new-nonce", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		c.get(c.url("directory")).want(200)
		c.get(c.url("new-nonce")).want(204)
	})
	t.Run("under an alias the url of the message is the alias", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		alias := base + "/2.0/acme/acme/new-order"
		if r := c.post(alias, dnsOrder("a.example")).want(201); !strings.HasPrefix(r.location(), base+"/acme/acme/order/") {
			t.Errorf("Location %q", r.location())
		}
		c.raw(alias, sign(t, c.key, c.header(c.url("new-order")), dnsOrder("a.example"))).refused(400, "malformed")
	})
}

func problemIs(kind string) func(*reply) bool {
	return func(r *reply) bool { return r.problem().Type == "urn:ietf:params:acme:error:"+kind }
}

// A forged Host is not reflected, another of our names is.
func TestLinksFollowOurNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(s *testca.Setup) { s.DNSNames = []string{"127.0.0.1", "ca.example", "::1"} })
	port := w.srv.URL[strings.LastIndex(w.srv.URL, ":"):]
	for host, want := range map[string]string{
		"ca.example" + port: "https://ca.example" + port, "CA.example": "https://ca.example", "ca.example:443": "https://ca.example", "[::1]:8443": "https://[::1]:8443",
		"evil.example": "https://127.0.0.1", "evil.example" + port: "https://127.0.0.1" + port, "ca.example.evil.example": "https://127.0.0.1",
		"ca.example:80,evil.example": "https://ca.example", "ca.example:": "https://ca.example", "ca.example:99999": "https://ca.example", "evil.example:x": "https://127.0.0.1",
	} {
		req, _ := http.NewRequest("GET", w.url("directory"), nil)
		req.Host = host
		if r := w.do(req).want(200); !strings.Contains(string(r.body), `"newNonce":"`+want+`/acme/acme/new-nonce"`) {
			t.Errorf("Host %s: %s", host, r.body)
		}
	}
	// A client that names no host at all is led to where it is.
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.srv.URL, "https://"), w.web.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /acme/acme/directory HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); err != nil || !strings.Contains(string(text), `"newNonce":"`+w.srv.URL+`/acme/acme/new-nonce"`) {
		t.Errorf("without a Host: %v %s", err, text)
	}
	// An account made under one name is used under another.
	c := w.newClient()
	url := "https://ca.example" + port + "/acme/acme/new-order"
	m := sign(t, c.key, map[string]any{"alg": "ES256", "kid": strings.Replace(c.kid, "127.0.0.1", "ca.example", 1), "url": url, "nonce": c.nonce()}, dnsOrder("a.example"))
	text := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, m["protected"], m["payload"], m["signature"])
	req, _ := http.NewRequest("POST", w.url("new-order"), strings.NewReader(text))
	req.Host = "ca.example" + port
	req.Header.Set("Content-Type", "application/jose+json")
	if r := w.do(req).want(201); !strings.HasPrefix(r.location(), "https://ca.example"+port+"/") {
		t.Errorf("Location %q", r.location())
	}
}

// What may be ordered: RFC 8555, Section 7.4, RFC 8738, and forms of names (SEC-12).
func TestNewOrder(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	now := time.Now().UTC()
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	order := func(more string) string {
		return `{"identifiers":[{"type":"dns","value":"a.example"}],` + more + `}`
	}
	id := func(kind, value string) string {
		return fmt.Sprintf(`{"identifiers":[{"type":%q,"value":%q}]}`, kind, value)
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("h%d.example", i)
	}
	for _, tt := range []struct {
		name, payload string
		status        int
		kind          string
		ids           string // of the order, in its form
	}{
		{"a name", dnsOrder("a.example"), 201, "", "dns a.example"},
		{"a name in capitals", dnsOrder("A.Example"), 201, "", "dns a.example"},
		{"a name with a dot at the end", dnsOrder("a.example."), 201, "", "dns a.example"},
		{"a name of one label", dnsOrder("localhost"), 201, "", "dns localhost"},
		{"digits", id("dns", "1"), 201, "", "dns 1"},
		{"an internationalized name", dnsOrder("xn--bcher-kva.example"), 201, "", "dns xn--bcher-kva.example"},
		{"a wildcard", dnsOrder("*.a.example"), 201, "", "dns *.a.example"},
		{"a wildcard and its domain", dnsOrder("*.a.example", "a.example"), 201, "", "dns *.a.example dns a.example"},
		{"hyphens in the third place", dnsOrder("r3---sn.example"), 201, "", "dns r3---sn.example"},
		{"the same name three times", dnsOrder("a.example", "A.example", "a.example."), 201, "", "dns a.example"},
		{"an IPv4 address", dnsOrder("10.0.0.1"), 201, "", "ip 10.0.0.1"},
		{"an IPv6 address", id("ip", "2001:DB8:0:0::1"), 201, "", "ip 2001:db8::1"},
		{"an IPv4 address in IPv6", id("ip", "::ffff:10.0.0.1"), 201, "", "ip 10.0.0.1"},
		{"members in capitals", `{"Identifiers":[{"Type":"dns","Value":"a.example"}]}`, 201, "", "dns a.example"},
		{"zero times", order(`"notBefore":"0001-01-01T00:00:00Z","notAfter":"0001-01-01T00:00:00Z"`), 201, "", "dns a.example"},
		{"a time in bounds", order(`"notAfter":"` + at(2*time.Hour) + `"`), 201, "", "dns a.example"},
		{"both times", order(`"notBefore":"` + at(time.Hour) + `","notAfter":"` + at(3*time.Hour) + `"`), 201, "", "dns a.example"},
		{"unknown members", order(`"resource":"new-order","x":{}`), 201, "", "dns a.example"},
		{"a hundred names", dnsOrder(many[:100]...), 201, "", ""},

		{"a hundred and one names", dnsOrder(many...), 400, "malformed", ""},
		{"no names", `{"identifiers":[]}`, 400, "malformed", ""},
		{"no list of names", `{}`, 400, "malformed", ""},
		{"null", `{"identifiers":null}`, 400, "malformed", ""},
		{"an empty payload", ``, 400, "malformed", ""},
		{"names that are no list", `{"identifiers":{"type":"dns","value":"a.example"}}`, 400, "malformed", ""},
		{"a name that is no string", `{"identifiers":[{"type":"dns","value":5}]}`, 400, "malformed", ""},
		{"another type", id("email", "a@b.example"), 400, "unsupportedIdentifier", ""},
		{"the type in capitals", id("DNS", "a.example"), 400, "unsupportedIdentifier", ""},
		{"a device", id("permanent-identifier", "SERIAL1"), 400, "unsupportedIdentifier", ""},
		{"no type", `{"identifiers":[{"value":"a.example"}]}`, 400, "unsupportedIdentifier", ""},
		{"a dns name that is an address", id("dns", "10.1.1.1"), 400, "malformed", ""},
		{"a dns name that is an IPv6 address", id("dns", "::1"), 400, "malformed", ""},
		{"an address that is a name", id("ip", "a.example"), 400, "malformed", ""},
		{"an address with a zone", id("ip", "fe80::1%eth0"), 400, "malformed", ""},
		{"an address with a port", id("ip", "10.0.0.1:80"), 400, "malformed", ""},
		{"a network", id("ip", "10.0.0.0/8"), 400, "malformed", ""},
		{"an address with zeros", id("ip", "010.0.0.1"), 400, "malformed", ""},
		{"an empty name", id("dns", ""), 400, "malformed", ""},
		{"a dot", id("dns", "."), 400, "malformed", ""},
		{"an empty label", id("dns", "a..example"), 400, "malformed", ""},
		{"two dots at the end", id("dns", "a.example.."), 400, "malformed", ""},
		{"a dot at the beginning", id("dns", ".a.example"), 400, "malformed", ""},
		{"a star", id("dns", "*"), 400, "malformed", ""},
		{"a star and a dot", id("dns", "*."), 400, "malformed", ""},
		{"two stars", id("dns", "*.*.example"), 400, "malformed", ""},
		{"a star in the middle", id("dns", "a.*.example"), 400, "malformed", ""},
		{"a star in a label", id("dns", "a*.b.example"), 400, "malformed", ""},
		{"a wildcard of a top-level domain", id("dns", "*.example"), 400, "malformed", ""},
		{"a wildcard address", id("ip", "*.0.0.1"), 400, "malformed", ""},
		{"an underscore", id("dns", "_acme.example"), 400, "malformed", ""},
		{"a hyphen at the beginning", id("dns", "-a.example"), 400, "malformed", ""},
		{"a hyphen at the end", id("dns", "a-.example"), 400, "malformed", ""},
		{"a space", id("dns", "a b.example"), 400, "malformed", ""},
		{"a comma", id("dns", "a.example,b.example"), 400, "malformed", ""},
		{"a slash", id("dns", "a.example/b"), 400, "malformed", ""},
		{"a port", id("dns", "a.example:443"), 400, "malformed", ""},
		{"NUL", `{"identifiers":[{"type":"dns","value":"a.example\u0000.evil"}]}`, 400, "malformed", ""},
		{"a line break", `{"identifiers":[{"type":"dns","value":"a.example\n"}]}`, 400, "malformed", ""},
		{"an umlaut", id("dns", "bücher.example"), 400, "malformed", ""},
		{"a letter that looks like another", id("dns", "ехаmple.example"), 400, "malformed", ""},
		{"a full-width dot", id("dns", "a。example"), 400, "malformed", ""},
		{"an A-label that is none", id("dns", "xn--a.example"), 400, "malformed", ""},
		{"an A-label of plain letters", id("dns", "xn--evil-.example"), 400, "malformed", ""},
		{"a label of 64 octets", id("dns", strings.Repeat("a", 64)+".example"), 400, "malformed", ""},
		{"a name of 254 octets", id("dns", strings.Repeat("abcdefg.", 31)+"abcdef"), 400, "malformed", ""},
		{"a name of 30 KiB", id("dns", strings.Repeat("a", 30000)), 400, "malformed", ""},
		{"one bad name of three", dnsOrder("a.example", "b..example", "c.example"), 400, "malformed", ""},
		{"faults of two kinds", `{"identifiers":[{"type":"dns","value":"a..b"},{"type":"x","value":"y"}]}`, 400, "compound", ""},
		{"an end that is past", order(`"notAfter":"` + at(-time.Hour) + `"`), 400, "malformed", ""},
		{"an end before the begin", order(`"notBefore":"` + at(2*time.Hour) + `","notAfter":"` + at(time.Hour) + `"`), 400, "malformed", ""},
		{"an end too far", order(`"notAfter":"` + at(1000*time.Hour) + `"`), 400, "malformed", ""},
		{"an end too near", order(`"notAfter":"` + at(time.Minute) + `"`), 400, "malformed", ""},
		{"a begin too far", order(`"notBefore":"` + at(31*24*time.Hour) + `"`), 400, "malformed", ""},
		{"a time that is none", order(`"notAfter":"tomorrow"`), 400, "malformed", ""},
		{"a profile where there is none", order(`"profile":"fast"`), 400, "invalidProfile", ""},
		{"to replace what is none", order(`"replaces":"x"`), 400, "malformed", ""},
		{"to replace a certificate of another CA", order(`"replaces":"AAAA.AAAA"`), 404, "malformed", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := c.in(t)
			r := c.post(c.url("new-order"), tt.payload)
			if tt.kind != "" {
				r.refused(tt.status, tt.kind)
				return
			}
			o := new(orderDoc)
			r.want(tt.status).into(o)
			var ids []string
			for _, id := range o.Identifiers {
				ids = append(ids, id.Type+" "+id.Value)
			}
			if got := strings.Join(ids, " "); tt.ids != "" && got != tt.ids {
				t.Errorf("identifiers %q, want %q", got, tt.ids)
			}
			if o.Status != "pending" || len(o.Authorizations) != len(o.Identifiers) || o.Finalize != r.location()+"/finalize" || o.ID != r.location()[strings.LastIndex(r.location(), "/")+1:] ||
				o.Certificate != "" || o.NotBefore.IsZero() || !o.NotAfter.After(o.NotBefore) || !o.Expires.After(time.Now()) {
				t.Errorf("order %+v", o)
			}
		})
	}
}

// Every fault of a list of names is told, with the name.
func TestSubproblems(t *testing.T) {
	t.Parallel()
	c := newWorld(t, map[string]any{"options": map[string]any{"x509": map[string]any{"deny": map[string]any{"dns": []string{"**.secret.example"}}}}}).newClient()
	r := c.post(c.url("new-order"), dnsOrder("a.secret.example", "good.example", "b.secret.example")).refused(400, "rejectedIdentifier")
	p := r.problem()
	if len(p.Subproblems) != 2 || p.Subproblems[0].Identifier.Value != "a.secret.example" || p.Subproblems[1].Identifier.Value != "b.secret.example" {
		t.Errorf("problem %s", r.body)
	}
	c.post(c.url("new-order"), dnsOrder("good.example")).want(201)
	c.post(c.url("new-order"), dnsOrder("*.good.example")).refused(400, "rejectedIdentifier") // rules, and no allowWildcardNames
}

// Which challenges an authorization offers: RFC 8555, Section 8, RFC 8737, RFC 8738.
func TestOffers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, id   string
		challenges []string // of the provisioner
		want       string
	}{
		{"a name", "a.example", nil, "dns-01 http-01 tls-alpn-01"},
		{"a wildcard", "*.a.example", nil, "dns-01"},
		{"an address", "10.0.0.1", nil, "http-01 tls-alpn-01"},
		{"one type", "a.example", []string{"HTTP-01"}, "http-01"},
		{"more types of DNS", "a.example", []string{"dns-01", "dns-account-01", "dns-persist-01"}, "dns-01 dns-account-01 dns-persist-01"},
		{"none that fits", "*.a.example", []string{"http-01", "tls-alpn-01"}, ""},
		{"none that fits an address", "10.0.0.1", []string{"dns-01"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			more := map[string]any{"caaIdentities": []string{"ca.example"}}
			if tt.challenges != nil {
				more["challenges"] = tt.challenges
			}
			c := newWorld(t, more).newClient()
			if tt.want == "" {
				c.post(c.url("new-order"), dnsOrder(tt.id)).refused(400, "unsupportedIdentifier")
				return
			}
			a := c.readAuthz(c.order(tt.id).Authorizations[0])
			var types []string
			tokens := map[string]bool{}
			for _, ch := range a.Challenges {
				types = append(types, ch.Type)
				if ch.Type != "dns-persist-01" {
					tokens[ch.Token] = true
				} else if ch.Token != "" || ch.AccountURI != c.kid || len(ch.Issuers) != 1 {
					t.Errorf("challenge %+v", ch)
				}
				if ch.Status != "pending" {
					t.Errorf("challenge %+v", ch)
				}
			}
			if got := strings.Join(types, " "); got != tt.want || len(tokens) != 1 {
				t.Errorf("challenges %q with %d tokens, want %q", got, len(tokens), tt.want)
			}
			if a.Wildcard != strings.HasPrefix(tt.id, "*.") || strings.HasPrefix(a.Identifier.Value, "*") || a.Status != "pending" {
				t.Errorf("authorization %+v", a)
			}
		})
	}
}

// Challenges and authorizations: RFC 8555, Sections 7.5 and 7.1.6.
func TestChallenges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"validation": map[string]any{"window": "10ms"}})
	wrongPage := func(c *client, token string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pages[token] = token + ".wrong"
	}
	t.Run("fulfilled", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		o := c.order("ok.example")
		r := c.prove(o.Authorizations[0])
		var ch challengeDoc
		r.into(&ch)
		if ch.Status != "valid" || ch.Validated == "" || r.location() != ch.URL || !strings.Contains(strings.Join(r.header.Values("Link"), " "), "<"+o.Authorizations[0]+`>;rel="up"`) {
			t.Errorf("challenge %+v %v", ch, r.header)
		}
		a := c.readAuthz(o.Authorizations[0])
		if a.Status != "valid" || len(a.Challenges) != 3 || a.challenge(t, "dns-01").Status != "pending" {
			t.Errorf("authorization %+v", a)
		}
		if o := c.readOrder(o.url); o.Status != "ready" {
			t.Errorf("order %s", o.Status)
		}
		c.post(ch.URL, "{}").want(200) // again: as it is
	})
	t.Run("a wrong answer ends authorization and order", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		o := c.order("wrong.example", "other.example")
		ch := c.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
		wrongPage(c, ch.Token)
		var got challengeDoc
		c.post(ch.URL, "{}").want(200).into(&got)
		if got.Status != "invalid" || got.Error == nil || got.Error.Detail == "" || strings.Contains(got.Error.Detail, "wrong") && strings.Contains(got.Error.Detail, ch.Token+".wrong") {
			t.Errorf("challenge %+v", got)
		}
		if a := c.readAuthz(o.Authorizations[0]); a.Status != "invalid" {
			t.Errorf("authorization %s", a.Status)
		}
		o = c.readOrder(o.url)
		if o.Status != "invalid" || o.Error == nil || len(o.Error.Subproblems) != 1 || o.Error.Subproblems[0].Identifier.Value != "wrong.example" {
			t.Errorf("order %+v", o)
		}
		c.finalize(o, csrFor(t, "wrong.example", "other.example")).refused(403, "orderNotReady")
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		o := c.order("none.example")
		var got challengeDoc
		c.post(c.readAuthz(o.Authorizations[0]).challenge(t, "dns-01").URL, "{}").want(200).into(&got)
		if got.Status != "invalid" || got.Error == nil {
			t.Errorf("challenge %+v", got)
		}
	})
	t.Run("bodies of old clients", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		for i, payload := range []string{`{"keyAuthorization":"x"}`, `{"resource":"challenge","type":"http-01"}`} {
			ch := c.readAuthz(c.order(fmt.Sprintf("old%d.example", i)).Authorizations[0]).challenge(t, "http-01")
			c.show(ch.Token)
			c.post(ch.URL, payload).want(200).into(ch)
			if ch.Status != "valid" {
				t.Errorf("challenge %+v", ch)
			}
		}
		ch := c.readAuthz(c.order("bad.example").Authorizations[0]).challenge(t, "http-01")
		c.post(ch.URL, `[]`).refused(400, "malformed")
	})
	t.Run("to look starts nothing", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		ch := c.readAuthz(c.order("look.example").Authorizations[0]).challenge(t, "http-01")
		c.get(ch.URL).want(200).into(ch)
		if ch.Status != "pending" {
			t.Errorf("challenge %+v", ch)
		}
	})
	t.Run("a challenge under another authorization", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		o := c.order("one.example", "two.example")
		one := c.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
		two := c.readAuthz(o.Authorizations[1]).challenge(t, "http-01")
		mixed := one.URL[:strings.LastIndex(one.URL, "/")] + two.URL[strings.LastIndex(two.URL, "/"):]
		c.post(mixed, "{}").refused(404, "malformed")
	})
	t.Run("deactivated", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		for _, proven := range []bool{false, true} {
			o := c.order("gone.example")
			if proven {
				c.prove(o.Authorizations[0])
			}
			url := o.Authorizations[0]
			c.post(url, `{"status":"valid"}`).refused(400, "malformed")
			c.post(url, `{"status":"deactivated","resource":"authz","delete":true}`).want(200)
			c.post(url, `{"status":"deactivated"}`).want(200)
			if a := c.readAuthz(url); a.Status != "deactivated" {
				t.Errorf("authorization %s", a.Status)
			}
			if o := c.readOrder(o.url); o.Status != "invalid" || o.Error == nil {
				t.Errorf("order %+v", o)
			}
			ch := c.readAuthz(url).challenge(t, "http-01")
			c.show(ch.Token)
			c.post(ch.URL, "{}").want(200)
			if a := c.readAuthz(url); a.Status != "deactivated" {
				t.Errorf("authorization %s", a.Status)
			}
			c.finalize(o, csrFor(t, "gone.example")).refused(403, "orderNotReady")
		}
	})
}

// Of requests to one challenge at the same time one validation comes (SEC-28).
func TestOneValidation(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	ch := c.readAuthz(c.order("once.example").Authorizations[0]).challenge(t, "http-01")
	c.show(ch.Token)
	nonces := make([]string, 10)
	for i := range nonces {
		nonces[i] = c.nonce()
	}
	var all sync.WaitGroup
	for _, n := range nonces {
		h := map[string]any{"alg": "ES256", "kid": c.kid, "url": ch.URL, "nonce": n}
		all.Go(func() { c.raw(ch.URL, sign(t, c.key, h, "{}")).want(200) })
	}
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != 1 {
		t.Errorf("%d validations", c.asked)
	}
}

// A challenge that is not fulfilled at first is tried again by itself, and by clients that
// ask once more; meanwhile it is processing, with the reason.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	o := c.order("later.example")
	ch := c.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
	var got challengeDoc
	r := c.post(ch.URL, "{}").want(200)
	r.into(&got)
	if got.Status != "processing" || got.Error == nil || r.header.Get("Retry-After") == "" {
		t.Fatalf("challenge %+v %v", got, r.header)
	}
	if r := c.get(o.Authorizations[0]).want(200); r.header.Get("Retry-After") == "" {
		t.Error("an authorization with a challenge that is tried has no Retry-After")
	}
	if o := c.readOrder(o.url); o.Status != "pending" {
		t.Errorf("order %s", o.Status)
	}
	c.show(ch.Token)
	for deadline := time.Now().Add(20 * time.Second); got.Status == "processing"; {
		if time.Now().After(deadline) {
			t.Fatalf("challenge %+v", got)
		}
		got = challengeDoc{}
		c.get(ch.URL).want(200).into(&got)
	}
	if got.Status != "valid" || got.Error != nil {
		t.Errorf("challenge %+v", got)
	}
}

// A challenge that a server left alone, as one that is killed does, is taken up by another
// when somebody looks.
func TestTakenUpElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, durable)
	second := w.beside()
	c := w.newClient()
	o := c.order("moved.example")
	ch := c.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
	c.post(ch.URL, "{}").want(200)
	w.door.Close() // does not come to an end
	expireLease(t, w, c)
	c.show(ch.Token)
	there := &client{world: second, key: c.key, kid: strings.Replace(c.kid, w.srv.URL, second.srv.URL, 1)}
	url := strings.Replace(o.url, w.srv.URL, second.srv.URL, 1)
	for deadline := time.Now().Add(20 * time.Second); there.readOrder(url).Status != "ready"; {
		if time.Now().After(deadline) {
			t.Fatal("nobody took the challenge up")
		}
	}
}

// A server that stops in good order leaves what it was trying to others at once; one that was
// killed is waited for until its lease is over, unless a client asks by itself.
func TestLeftToOthers(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (w *world, there *client, o *orderDoc, ch *challengeDoc, move func(string) string) {
		w = newWorld(t, nil, durable)
		second := w.beside()
		c := w.newClient()
		o = c.order("moved.example")
		ch = c.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
		c.post(ch.URL, "{}").want(200).into(ch)
		if ch.Status != "processing" {
			t.Fatalf("challenge %+v", ch)
		}
		w.door.Close()
		move = func(link string) string { return strings.Replace(link, w.srv.URL, second.srv.URL, 1) }
		return w, &client{world: second, key: c.key, kid: move(c.kid)}, o, ch, move
	}
	ready := func(t *testing.T, c *client, url string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); c.readOrder(url).Status != "ready"; {
			if time.Now().After(deadline) {
				t.Fatal("nobody took the challenge up")
			}
			time.Sleep(20 * time.Millisecond) // or the limit of nonces is reached
		}
	}
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		_, there, o, ch, move := begin(t)
		there.show(ch.Token)
		ready(t, there, move(o.url))
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		w, there, o, ch, move := begin(t)
		setLease(t, w, there, time.Now().Add(time.Hour).Unix())
		asked := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.asked
		}
		before := asked()
		there.show(ch.Token)
		for range 5 {
			if s := there.readOrder(move(o.url)).Status; s != "pending" {
				t.Fatalf("order %s", s)
			}
			there.readAuthz(move(o.Authorizations[0]))
		}
		if n := asked(); n != before {
			t.Errorf("%d validations beside the one who has the lease", n-before)
		}
		there.post(move(ch.URL), "{}").want(200).into(ch)
		ready(t, there, move(o.url))
	})
}
