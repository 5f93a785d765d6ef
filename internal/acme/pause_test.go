package acme_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// An account whose proofs of a name fail again and again has to wait with that name, on every
// server, until an hour is over or the operator says so; other names and accounts do not.
func TestFailuresPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"limits": map[string]any{"failedValidationsPerHour": 2}, "validation": map[string]any{"window": "1ms"}}, durable)
	c := w.newClient()
	fail := func(name string) {
		t.Helper()
		c.post(c.readAuthz(c.order(name).Authorizations[0]).challenge(t, "http-01").URL, "{}").want(http.StatusOK)
	}
	fail("f.example")
	open := c.order("f.example") // made before the pause
	fail("f.example")
	for name, r := range map[string]*reply{
		"a new order":                   c.post(c.url("new-order"), dnsOrder("f.example")),
		"a challenge of an earlier one": c.post(c.readAuthz(open.Authorizations[0]).challenge(t, "http-01").URL, "{}"),
	} {
		p := r.refused(http.StatusTooManyRequests, "rateLimited").problem()
		_, text, _ := strings.Cut(p.Detail, "until ")
		text, _, _ = strings.Cut(text, ";")
		until, err := time.Parse(time.RFC3339, text)
		if err != nil || time.Until(until) < 50*time.Minute || time.Until(until) > time.Hour || r.header.Get("Retry-After") == "" ||
			!strings.Contains(p.Detail, "f.example") || !strings.Contains(p.Detail, "operator") {
			t.Errorf("%s: %q, %v", name, p.Detail, r.header)
		}
	}
	c.prove(c.order("g.example").Authorizations[0]) // another name
	w.newClient().order("f.example")                // another account
	other := w.restarted()
	elsewhere := *c
	elsewhere.world = other
	elsewhere.kid = strings.Replace(c.kid, w.srv.URL, other.srv.URL, 1)
	elsewhere.post(other.url("new-order"), dnsOrder("f.example")).refused(http.StatusTooManyRequests, "rateLimited")

	accountID := c.kid[strings.LastIndex(c.kid, "/")+1:]
	err := w.ca.Store.Update(t.Context(), func(tx *store.Tx) error { return tx.LiftACMEPauses("acme/acme", accountID, "f.example") })
	if err != nil {
		t.Fatal(err)
	}
	fresh := w.restarted() // which has not looked yet
	elsewhere.world = fresh
	elsewhere.kid = strings.Replace(c.kid, w.srv.URL, fresh.srv.URL, 1)
	elsewhere.prove(elsewhere.order("f.example").Authorizations[0])
}

// A pause holds however many others there are, and a list of those of one provisioner is not
// filled up by those of another.
func TestPauseAmongTooMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	accountID := c.kid[strings.LastIndex(c.kid, "/")+1:]
	err := w.ca.Store.Update(t.Context(), func(tx *store.Tx) error {
		now := time.Now()
		for i := range 10_000 {
			// Accounts of the first list that is read.
			if err := tx.SetACMEPause(store.ACMEPause{AccountID: fmt.Sprintf("!%d", i), Value: "x.example", ProvisionerID: "acme/other", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}); err != nil {
				return err
			}
		}
		return tx.SetACMEPause(store.ACMEPause{AccountID: accountID, Value: "f.example", ProvisionerID: "acme/acme", CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
	})
	if err != nil {
		t.Fatal(err)
	}
	c.post(c.url("new-order"), dnsOrder("f.example")).refused(http.StatusTooManyRequests, "rateLimited")
	c.order("g.example")
	err = w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
		own, err := tx.ACMEPauses("acme/acme", time.Now(), 10_000)
		if len(own) != 1 || own[0].Value != "f.example" {
			t.Errorf("%d pauses of the provisioner are listed", len(own))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What was tried for a challenge is kept beside it, the last few times, without what a
// stranger's server answered.
func TestAttemptsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	o := c.order("a.example")
	a := c.readAuthz(o.Authorizations[0])
	url := a.challenge(t, "http-01").URL
	for range 8 {
		c.post(url, "{}").want(http.StatusOK)
	}
	c.prove(o.Authorizations[0])
	attempts := func() []store.ACMEAttempt {
		t.Helper()
		id := o.Authorizations[0][strings.LastIndex(o.Authorizations[0], "/")+1:]
		var kept []store.ACMEAttempt
		err := w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
			z, err := tx.ACMEAuthz(id)
			if err == nil {
				for _, one := range z.Challenges {
					kept = append(kept, one.Attempts...)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	for c.readAuthz(o.Authorizations[0]).Status == "pending" {
		c.post(url, "{}")
	}
	kept := attempts()
	if len(kept) < 2 || len(kept) > 5 {
		t.Fatalf("%d attempts are kept", len(kept))
	}
	first, last := kept[0], kept[len(kept)-1]
	if first.Error == "" || last.Error != "" || time.Since(time.Unix(first.At, 0)) > time.Hour {
		t.Errorf("%+v ... %+v", first, last)
	}
	for _, one := range kept {
		if text := strings.Join(one.Trace, "\n"); !strings.Contains(text, "a.example") || !strings.Contains(text, w.options.Resolver) {
			t.Errorf("an attempt says %q", text)
		}
	}
}

// Whoever observes the CA hears of orders, validations, nonces and limits.
func TestEvents(t *testing.T) {
	t.Parallel()
	events := make(chan ca.Event, 1000)
	w := newWorld(t, map[string]any{"limits": map[string]any{"newOrdersPerHour": 2}, "validation": map[string]any{"window": "1ms"}},
		func(s *testca.Setup) { s.Observe = func(e ca.Event) { events <- e } })
	c := w.newClient()
	c.certificate("a.example")
	c.post(c.readAuthz(c.order("b.example").Authorizations[0]).challenge(t, "dns-01").URL, "{}").want(http.StatusOK)
	lost := w.newClient() // whose order of two names, neither of which can be proven, is one order still
	for _, a := range lost.order("d.example", "e.example").Authorizations {
		lost.post(lost.readAuthz(a).challenge(t, "dns-01").URL, "{}").want(http.StatusOK)
	}
	c.post(c.url("new-order"), dnsOrder("c.example")).refused(http.StatusTooManyRequests, "rateLimited")
	url := w.url("new-order")
	c.raw(url, sign(t, c.key, map[string]any{"alg": "ES256", "kid": c.kid, "url": url, "nonce": "bm9uY2U"}, dnsOrder("c.example"))).refused(400, "badNonce")
	w.door.Close()
	close(events)
	got := map[ca.Event]int{}
	for e := range events {
		if e.Provisioner != "acme" {
			t.Errorf("%+v", e)
		}
		if e.Act == "acme_challenge" && e.Took <= 0 {
			t.Errorf("a validation took no time: %+v", e)
		}
		e.Provisioner, e.Took = "", 0
		got[e]++
	}
	for e, n := range map[ca.Event]int{
		{Act: "acme_order", Type: "pending"}:                    3,
		{Act: "acme_order", Type: "valid"}:                      1,
		{Act: "acme_order", Type: "invalid"}:                    2,
		{Act: "acme_challenge", Type: "http-01", Success: true}: 1,
		{Act: "acme_challenge", Type: "dns-01"}:                 3,
		{Act: "acme_limited", Type: "newOrdersPerHour"}:         1,
		{Act: "acme_nonce_refused"}:                             1,
	} {
		if got[e] != n {
			t.Errorf("%+v: %d, want %d of %v", e, got[e], n, got)
		}
	}
}
