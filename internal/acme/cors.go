package acme

import (
	"net/http"

	"github.com/signet-ca/signet/internal/provisioner"
)

// What pages of another origin need to speak ACME (Fetch standard, Section 3.2). There are
// no cookies and no sessions: a request proves itself by its signature, so any origin may.
const (
	corsExposed = "Link, Location, Replay-Nonce, Retry-After"
	corsMaxAge  = "86400" // seconds
)

// crossOrigin lets browsers in where the provisioner allows it, and answers their preflights.
func (d *Door) crossOrigin(next http.HandlerFunc, methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.allowsCORS(r.PathValue("provisioner")) {
			next(w, r)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", "Content-Type")
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", corsExposed)
		next(w, r)
	}
}

func (d *Door) allowsCORS(name string) bool {
	p := d.ca.State().Provisioners.ByName(name)
	if p == nil || p.Disabled() != nil {
		return false
	}
	kind, ok := p.Kind().(*provisioner.ACME)
	return ok && kind.CORS
}
