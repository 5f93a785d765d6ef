package acme_test

import (
	"net/http"
	"testing"
	"time"
)

// A client in a loop gets the order that it has; whoever wants something else, or has not
// asked for this, gets another.
func TestOrderReuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"orderReuse": true, "challenges": []string{"http-01", "dns-01"}}, withMore(`{"type":"ACME","name":"other","orderReuse":true}`))
	c := w.newClient()
	order := func(c *client, payload string) string {
		t.Helper()
		return c.post(c.url("new-order"), payload).want(http.StatusCreated).location()
	}
	first := order(c, dnsOrder("a.example", "b.example"))
	for range 3 {
		if again := order(c, dnsOrder("B.example", "a.example")); again != first {
			t.Fatalf("%s after %s", again, first)
		}
	}
	for name, other := range map[string]string{
		"fewer names":     dnsOrder("a.example"),
		"other names":     dnsOrder("a.example", "c.example"),
		"a wildcard":      dnsOrder("a.example", "*.b.example"),
		"another end":     `{"identifiers":[{"type":"dns","value":"a.example"},{"type":"dns","value":"b.example"}],"notAfter":"` + time.Now().Add(3*time.Hour).UTC().Format(time.RFC3339) + `"}`,
		"another account": "",
	} {
		who, what := c, other
		if other == "" {
			who, what = w.newClient(), dnsOrder("a.example", "b.example")
		}
		if order(who, what) == first {
			t.Errorf("%s: the same order", name)
		}
	}
	// A name that is being proven is proven once for both orders.
	two := c.readOrder(order(c, dnsOrder("a.example", "d.example")))
	one := c.readOrder(first)
	if one.Authorizations[0] != two.Authorizations[0] || one.Authorizations[1] == two.Authorizations[1] {
		t.Errorf("%v and %v", one.Authorizations, two.Authorizations)
	}
	for _, url := range one.Authorizations {
		c.prove(url).want(http.StatusOK)
	}
	if again := order(c, dnsOrder("a.example", "b.example")); again != first || c.readOrder(again).Status != "ready" {
		t.Errorf("%s, %s", again, c.readOrder(again).Status)
	}
	c.finalize(c.readOrder(first), csrFor(t, "a.example", "b.example")).want(http.StatusOK)
	if order(c, dnsOrder("a.example", "b.example")) == first {
		t.Error("an order that has its certificate is handed out")
	}
	// A type that was switched off proves nothing more.
	waiting := c.readOrder(order(c, dnsOrder("e.example")))
	w.ca.Reload(withACME(map[string]any{"orderReuse": true, "challenges": []string{"http-01"}}))
	if next := c.readOrder(order(c, dnsOrder("e.example", "f.example"))); next.Authorizations[0] == waiting.Authorizations[0] {
		t.Error("an authorization with a challenge type that is off is handed out")
	}
	// Off, each wish is an order of its own.
	w.ca.Reload(withACME(nil))
	alone := order(c, dnsOrder("g.example"))
	if order(c, dnsOrder("g.example")) == alone {
		t.Error("orders are reused though nobody asked for it")
	}
}

// The failure of a name that two orders wait for ends both.
func TestReusedAuthorizationFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"orderReuse": true, "validation": map[string]any{"window": "1ms"}})
	c := w.newClient()
	one := c.order("a.example", "b.example")
	two := c.order("a.example", "c.example")
	c.post(c.readAuthz(two.Authorizations[0]).challenge(t, "http-01").URL, "{}")
	for _, o := range []*orderDoc{one, two} {
		if got := c.readOrder(o.url).Status; got != "invalid" {
			t.Errorf("an order is %s", got)
		}
	}
	if next := c.order("a.example"); next.Authorizations[0] == one.Authorizations[0] {
		t.Error("a lost authorization is handed out again")
	}
}

// A renewal that is asked for again is the order that replaces the certificate, not its hindrance.
func TestRenewalOrderReuse(t *testing.T) {
	t.Parallel()
	c := newWorld(t, map[string]any{"orderReuse": true}).newClient()
	_, leaf, _ := c.certificate("a.example")
	payload := `{"identifiers":[{"type":"dns","value":"a.example"}],"replaces":"` + certID(leaf) + `"}`
	first := c.post(c.url("new-order"), payload).want(http.StatusCreated).location()
	if again := c.post(c.url("new-order"), payload).want(http.StatusCreated).location(); again != first {
		t.Errorf("%s after %s", again, first)
	}
	other := `{"identifiers":[{"type":"dns","value":"a.example"},{"type":"dns","value":"b.example"}],"replaces":"` + certID(leaf) + `"}`
	c.post(c.url("new-order"), other).refused(http.StatusConflict, "alreadyReplaced")
}
