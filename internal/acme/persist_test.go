package acme_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// A record that stays is looked at again once its time to live is over, however long other
// proofs are reused (draft-ietf-acme-dns-persist).
func TestPersistentRecordReuse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, more string
		ttl        uint32
		want       string
	}{
		{"kept for an hour", "", 3600, "ready"},
		{"kept, and good for longer than that", "; persistUntil=" + strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10), 3600, "ready"},
		{"good for ever", "; persistUntil=9223372036854775807", 3600, "ready"},
		{"never kept", "", 0, "pending"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string]any{"challenges": []string{"dns-persist-01"}, "caaIdentities": []string{"ca.internal"}, "authzReuse": "2h"})
			c := w.newClient()
			w.mu.Lock()
			w.ttl = tt.ttl
			w.txt["_validation-persist.a.example."] = []string{"ca.internal; accounturi=" + c.kid + tt.more}
			w.mu.Unlock()
			o := c.order("a.example")
			c.post(c.readAuthz(o.Authorizations[0]).challenge(t, "dns-persist-01").URL, "{}").want(http.StatusOK)
			if got := c.readOrder(o.url).Status; got != "ready" {
				t.Fatalf("the order is %s", got)
			}
			if got := c.order("a.example").Status; got != tt.want {
				t.Errorf("the next order is %s, want %s", got, tt.want)
			}
		})
	}
}
