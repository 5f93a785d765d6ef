package acme_test

import (
	"net/http"
	"strings"
	"testing"
)

// Pages of other origins are let in where the provisioner says so, and nowhere else.
func TestCORS(t *testing.T) {
	t.Parallel()
	preflight := func(w *world, path string) *reply {
		t.Helper()
		req, err := http.NewRequest(http.MethodOptions, w.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://page.example")
		req.Header.Set("Access-Control-Request-Method", "POST")
		req.Header.Set("Access-Control-Request-Headers", "content-type")
		return w.do(req)
	}
	off := newWorld(t, nil)
	for _, path := range []string{"new-order", "directory"} {
		if r := preflight(off, path).want(http.StatusMethodNotAllowed); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, r.header)
		}
	}
	if h := off.newClient().post(off.url("new-order"), dnsOrder("a.example")).want(http.StatusCreated).header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", h)
	}
	on := newWorld(t, map[string]any{"cors": true})
	for _, path := range []string{"new-order", "order/x/finalize", "directory", "new-nonce", "renewal-info/x"} {
		h := preflight(on, path).want(http.StatusNoContent).header
		if h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") ||
			h.Get("Access-Control-Allow-Headers") != "Content-Type" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Replay-Nonce") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	c := on.newClient()
	for name, r := range map[string]*reply{
		"an order":  c.post(on.url("new-order"), dnsOrder("a.example")).want(http.StatusCreated),
		"a refusal": c.post(on.url("new-order"), `{}`).want(http.StatusBadRequest),
		"directory": on.send(http.MethodGet, on.url("directory"), "", nil).want(http.StatusOK),
	} {
		exposed := r.header.Get("Access-Control-Expose-Headers")
		if r.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(exposed, "Replay-Nonce") || !strings.Contains(exposed, "Location") || !strings.Contains(exposed, "Link") {
			t.Errorf("%s: %v", name, r.header)
		}
	}
	on.send(http.MethodOptions, on.url("new-order"), "", nil).want(http.StatusMethodNotAllowed) // no preflight
}
