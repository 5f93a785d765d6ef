package acme_test

import (
	"net/http"
	"testing"
)

// The whole way of an order, as RFC 8555, Section 7.1 draws it.
func TestOrderToCertificate(t *testing.T) {
	t.Parallel()
	for name, names := range map[string][]string{
		"one name":      {"a.example"},
		"several names": {"a.example", "b.example", "127.0.0.1"},
		"an address":    {"127.0.0.1"},
		"a wildcard":    {"*.w.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newWorld(t, nil).newClient()
			o, leaf, _ := c.certificate(names...)
			chain := c.download(o)
			if len(chain) != 2 || !chain[1].Equal(c.ca.Intermediate) || leaf.CheckSignatureFrom(c.ca.Intermediate) != nil {
				t.Errorf("the chain is not leaf and intermediate: %d certificates", len(chain))
			}
			if n := len(leaf.DNSNames) + len(leaf.IPAddresses); n != len(names) {
				t.Errorf("the certificate has %d names, want %d", n, len(names))
			}
			c.finalize(o, csrFor(t, names...)).want(http.StatusOK) // asked again: no second certificate
		})
	}
}
