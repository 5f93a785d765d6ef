package acme_test

import (
	"flag"
	"net/http"
	"testing"

	"pgregory.net/rapid"

	"github.com/signet-ca/signet/internal/store"
)

func init() { // more by -rapid.checks, which is read after this
	for name, n := range map[string]string{"rapid.checks": "15", "rapid.steps": "12"} {
		if err := flag.Set(name, n); err != nil {
			panic(err)
		}
	}
}

// orderModel is what RFC 8555, Section 7.1.6 says of one order, in the simplest words there
// are: a state for each authorization, and what follows from them.
type orderModel struct {
	c      *client
	names  []string
	order  *orderDoc
	authzs []string // pending, valid, invalid or deactivated
	issued bool
	failed bool // an authorization was lost before there was a certificate
}

func (m *orderModel) status() string {
	switch {
	case m.issued:
		return "valid"
	case m.failed:
		return "invalid"
	}
	for _, a := range m.authzs {
		if a != "valid" {
			return "pending"
		}
	}
	return "ready"
}

func (m *orderModel) lose(i int, as string) {
	m.authzs[i] = as
	m.failed = m.failed || !m.issued
}

// answer posts to a challenge, with the right page there or a wrong one.
func (m *orderModel) answer(t *rapid.T, i int, right bool) {
	url := m.order.Authorizations[i]
	ch := m.c.readAuthz(url).challenge(m.c.t, "http-01")
	if ch.Status == "pending" {
		m.c.mu.Lock()
		m.c.pages[ch.Token] = "wrong"
		if right {
			m.c.pages[ch.Token] = m.c.keyAuthorization(ch.Token)
		}
		m.c.mu.Unlock()
	}
	m.c.post(ch.URL, "{}").want(http.StatusOK)
	if m.authzs[i] != "pending" {
		return // nothing moves it any more
	}
	if right {
		m.authzs[i] = "valid"
	} else {
		m.lose(i, "invalid")
	}
}

func (m *orderModel) deactivate(t *rapid.T, i int) {
	r := m.c.post(m.order.Authorizations[i], `{"status":"deactivated"}`)
	switch m.authzs[i] {
	case "invalid":
		r.refused(http.StatusBadRequest, "malformed")
	case "deactivated":
		r.want(http.StatusOK)
	default:
		r.want(http.StatusOK)
		m.lose(i, "deactivated")
	}
}

func (m *orderModel) finalize(t *rapid.T, good bool) {
	names := m.names
	if !good {
		names = append([]string{"evil.example"}, names...)
	}
	r := m.c.finalize(m.order, csrFor(m.c.t, names...))
	switch status := m.status(); {
	case status == "pending" || status == "invalid":
		r.refused(http.StatusForbidden, "orderNotReady")
	case status == "ready" && !good:
		r.refused(http.StatusBadRequest, "badCSR")
	default:
		r.want(http.StatusOK)
		m.issued = true
	}
}

// check compares the server with the model.
func (m *orderModel) check(t *rapid.T) {
	o := m.c.readOrder(m.order.url)
	if o.Status != m.status() {
		t.Fatalf("order is %s, want %s (authorizations %v)", o.Status, m.status(), m.authzs)
	}
	if (o.Certificate != "") != m.issued || (o.Status == "invalid") != (o.Error != nil) {
		t.Fatalf("order %+v", o)
	}
	for i, url := range m.order.Authorizations {
		if a := m.c.readAuthz(url); a.Status != m.authzs[i] {
			t.Fatalf("authorization %d is %s, want %s", i, a.Status, m.authzs[i])
		}
	}
	n := 0
	err := m.c.ca.Store.View(m.c.t.Context(), func(tx *store.Tx) error {
		for c, err := range tx.Certificates(store.Query{Name: store.Name{Kind: "dns", Value: m.names[0]}}) {
			if err != nil {
				return err
			}
			_ = c
			n++
		}
		return nil
	})
	if want := map[bool]int{true: 1, false: 0}[m.issued]; err != nil || n != want {
		t.Fatalf("%d certificates, want %d, %v", n, want, err)
	}
}

// Whatever a client does in whatever order, an order is where the model says, and has one
// certificate at most.
func TestOrderStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"validation": map[string]any{"window": "1ms"}, "limits": map[string]any{"failedValidationsPerHour": -1, "pendingOrders": -1}})
	c := w.newClient()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := &orderModel{c: c, names: []string{"s" + itoa(run) + "a.example", "s" + itoa(run) + "b.example"}[:rapid.IntRange(1, 2).Draw(rt, "names")]}
		m.order = c.order(m.names...)
		for range m.names {
			m.authzs = append(m.authzs, "pending")
		}
		which := func() int { return rapid.IntRange(0, len(m.names)-1).Draw(rt, "which") }
		rt.Repeat(map[string]func(*rapid.T){
			"prove":         func(rt *rapid.T) { m.answer(rt, which(), true) },
			"prove again":   func(rt *rapid.T) { m.answer(rt, which(), true) },
			"fail":          func(rt *rapid.T) { m.answer(rt, which(), false) },
			"deactivate":    func(rt *rapid.T) { m.deactivate(rt, which()) },
			"finalize":      func(rt *rapid.T) { m.finalize(rt, true) },
			"finalize evil": func(rt *rapid.T) { m.finalize(rt, false) },
			"":              m.check,
		})
	})
}
