package acme_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Webhooks of kind ACME hear of accounts, orders and proofs, and may refuse each.
func TestHooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var mu sync.Mutex
	var events []map[string]any
	refuse := ""
	own := w.ca.Foreign("hook.example", w.ca.Intermediate, w.ca.IntermediateKey, func(l *x509.Certificate) { l.IPAddresses = []net.IP{{127, 0, 0, 1}} })
	hooks := httptest.NewUnstartedServer(http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		var body struct {
			ACME map[string]any `json:"acme"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		defer mu.Unlock()
		events = append(events, body.ACME)
		if body.ACME["event"] == refuse {
			_, _ = io.WriteString(res, `{"allow":false,"error":{"code":"NO","message":"not today"}}`)
			return
		}
		_, _ = io.WriteString(res, `{"allow":true}`)
	}))
	hooks.TLS = &tls.Config{Certificates: []tls.Certificate{own.TLS()}}
	hooks.StartTLS()
	t.Cleanup(hooks.Close)
	w.ca.Reload(withACME(map[string]any{"options": map[string]any{"webhooks": []any{map[string]any{"name": "gate", "url": hooks.URL, "kind": "ACME",
		"secret": base64.StdEncoding.EncodeToString(make([]byte, 32))}}}}))
	set := func(event string) {
		mu.Lock()
		defer mu.Unlock()
		refuse = event
	}
	c := &client{world: w, key: newKey(t)}
	set("new-account")
	if r := c.post(c.url("new-account"), `{}`).refused(403, "unauthorized"); !strings.Contains(string(r.body), "not today") || !strings.Contains(string(r.body), `"urn:smallstep:acme:error:NO"`) {
		t.Errorf("answer %s", r.body)
	}
	set("")
	c.kid = c.post(c.url("new-account"), `{"contact":["mailto:a@b.example"]}`).want(201).location()
	set("new-order")
	c.post(c.url("new-order"), dnsOrder("a.example")).refused(403, "rejectedIdentifier")
	set("validated")
	var ch challengeDoc
	c.prove(c.order("a.example").Authorizations[0]).into(&ch)
	if ch.Status != "invalid" || ch.Error == nil || !strings.Contains(ch.Error.Detail, "not today") {
		t.Errorf("challenge %+v", ch)
	}
	set("")
	c.certificate("a.example")
	mu.Lock()
	defer mu.Unlock()
	var names []string
	for _, e := range events {
		names = append(names, e["event"].(string))
	}
	if got := strings.Join(names, " "); got != "new-account new-account new-order new-order validated new-order validated" {
		t.Errorf("events %s", got)
	}
	last := events[len(events)-1]
	if last["account"] == "" || last["challenge"] != "http-01" || events[1]["clientIP"] != "127.0.0.1" {
		t.Errorf("event %v", last)
	}
}
