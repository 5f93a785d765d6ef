package acme_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Of several faults the first one is told, in the order of the protocol's checks: a nonce is used
// up by everything after it, and by nothing before.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	target := c.order("a.example").url
	header := map[string]any{"alg": "none", "nonce": "AAAA", "url": c.url("elsewhere"), "kid": c.url("account/" + strings.Repeat("A", 32)), "jwk": c.jwk()}
	payload, contentType, key := `{}`, "text/plain", newKey(t)
	send := func() *reply {
		text, _ := json.Marshal(sign(t, key, header, payload))
		return c.send(http.MethodPost, target, contentType, text)
	}
	send().refused(415, "malformed")
	contentType = "application/jose+json"
	send().refused(400, "badSignatureAlgorithm")
	header["alg"] = "ES256"
	send().refused(400, "badNonce")

	kept := c.nonce()
	header["nonce"], header["alg"] = kept, "none"
	send().refused(400, "badSignatureAlgorithm") // does not use the nonce up
	header["alg"] = "ES256"
	for _, step := range []struct {
		status      int
		kind, words string
		mend        func()
	}{
		{400, "malformed", "url", func() { header["url"] = target }},
		{400, "malformed", "never both", func() { delete(header, "jwk") }},
		{400, "accountDoesNotExist", "", func() { header["kid"] = strings.Replace(c.kid, "127.0.0.1", "evil.example", 1) }},
		{403, "unauthorized", "not one of this provisioner", func() { header["kid"] = c.kid }},
		{400, "malformed", "signature", func() { key = c.key }},
		{400, "malformed", "POST-as-GET", func() { payload = "" }},
		{200, "", "", func() {}},
	} {
		r := send()
		if step.kind == "" {
			r.want(step.status)
		} else if p := r.refused(step.status, step.kind).problem(); !strings.Contains(p.Detail, step.words) {
			t.Errorf("detail %q, want %q", p.Detail, step.words)
		}
		send().refused(400, "badNonce") // it is used up now
		step.mend()
		header["nonce"] = c.nonce()
	}

	// An account that has ended is told so before its signature is looked at.
	ended := w.newClient()
	ended.post(ended.kid, `{"status":"deactivated"}`).want(200)
	header["kid"], key = ended.kid, newKey(t)
	if p := send().refused(403, "unauthorized").problem(); !strings.Contains(p.Detail, "deactivated") {
		t.Errorf("detail %q", p.Detail)
	}
}

// Finalize looks at the request first, then whose the order is, whether it is ready, and last
// whether both fit together.
func TestOrderOfChecksAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c, other := w.newClient(), w.newClient()
	pending, done := c.order("a.example"), c.ready("b.example")
	c.finalize(done, csrFor(t, "b.example")).want(200)
	nobody := w.url("order/" + strings.Repeat("A", 32) + "/finalize")
	wrong, bad := `{"csr":"`+b64(csrFor(t, "evil.example"))+`"}`, `{"csr":"!"}`
	c.post(nobody, bad).refused(400, "malformed")
	c.post(nobody, wrong).refused(404, "malformed")
	other.post(pending.Finalize, bad).refused(400, "malformed")
	other.post(pending.Finalize, wrong).refused(403, "unauthorized")
	c.post(pending.Finalize, wrong).refused(403, "orderNotReady")
	c.post(done.Finalize, bad).refused(400, "malformed")
	var again orderDoc
	c.post(done.Finalize, wrong).want(200).into(&again) // there is nothing to do any more
	if again.Status != "valid" || again.Certificate != c.readOrder(done.url).Certificate {
		t.Errorf("order %+v", again)
	}
	c.prove(pending.Authorizations[0])
	c.post(pending.Finalize, wrong).refused(400, "badCSR")
}

// One account uses two servers as if they were one: each step goes to the other one, and many
// orders are under way at the same time.
func TestTwoServersOneAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, durable)
	second := w.beside()
	first := w.newClient()
	move := func(link string) string { return strings.Replace(link, w.srv.URL, second.srv.URL, 1) }
	back := func(link string) string { return strings.Replace(link, second.srv.URL, w.srv.URL, 1) }
	there := &client{world: second, key: first.key, kid: move(first.kid)}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			names := []string{"x" + itoa(i) + ".example", "y" + itoa(i) + ".example"}
			o := first.order(names...)
			for k, a := range o.Authorizations {
				if k == 0 {
					there.prove(move(a))
				} else {
					first.prove(a)
				}
			}
			r := there.post(move(o.Finalize), `{"csr":"`+b64(csrFor(t, names...))+`"}`)
			done := new(orderDoc)
			if r.into(done); r.status != 200 || done.Status != "valid" {
				t.Errorf("finalized on the second server: %d %s", r.status, r.body)
				return
			}
			if o := first.readOrder(o.url); o.Status != "valid" || o.Certificate != back(done.Certificate) {
				t.Errorf("on the first server the order is %+v", o)
			}
			if r := first.get(back(done.Certificate)); r.status != 200 {
				t.Errorf("download %d %s", r.status, r.body)
			}
		})
	}
	all.Wait()
}
