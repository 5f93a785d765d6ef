package ca_test

import (
	"crypto/x509"
	"testing"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// interrupted does something at the moment a certificate was signed, before it is written
// down: all that was checked before may have changed by then.
func interrupted(t *testing.T, c *testca.CA, meanwhile func()) {
	t.Helper()
	once := true
	local, err := issue.NewLocal([]*x509.Certificate{c.Intermediate}, c.IntermediateKey, func(error) {
		if once {
			once = false
			meanwhile()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Reload(func(s *testca.Setup) { s.State = func(s *ca.State) { s.Issuer = local } })
}

func TestRevokedBetweenCheckAndCommit(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"TLS", "token", "rekey"} {
		c := testca.New(t)
		h := holder(t, c)
		interrupted(t, c, func() {
			if err := c.Office.RevokeByHolder(t.Context(), h.Leaf(), ca.RevokeAsk{Serial: h.Leaf().SerialNumber}); err != nil {
				t.Error(err)
			}
		})
		var err error
		switch by {
		case "TLS":
			_, err = c.Office.RenewX509(t.Context(), h.Leaf())
		case "token":
			_, err = c.Office.RenewByToken(t.Context(), c.RenewToken(h))
		case "rekey":
			_, err = c.Office.RekeyX509(t.Context(), h.Leaf(), testca.Request(t, testca.CSR(t, testca.P256(t), "")))
		}
		if !fault.Is(err, fault.Unproven) {
			t.Errorf("%s: %v", by, err)
		}
		if n := count(t, c); n != 1 {
			t.Errorf("%s: %d certificates on record", by, n)
		}
	}
}

func TestSpentBetweenCheckAndCommit(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	token := c.Token("web")
	interrupted(t, c, func() {
		if _, err := sign(t, c, token); err != nil {
			t.Error(err)
		}
	})
	if issued, err := sign(t, c, token); !fault.Is(err, fault.Unproven) || issued != nil {
		t.Errorf("%v, %v", issued, err)
	}
	if n := count(t, c); n != 1 {
		t.Errorf("%d certificates on record, want the winner's alone", n)
	}
}

// A reload in between changes nothing for the request under way: it ends on the state it
// began with.
func TestReloadBetweenCheckAndCommit(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	key := testca.P256(t)
	interrupted(t, c, func() {
		c.Reload(func(s *testca.Setup) { s.Provisioners = []string{testca.JWKProvisioner("else", &key.PublicKey, nil)} })
	})
	if _, err := sign(t, c, c.Token("web")); err != nil {
		t.Error(err)
	}
	if _, err := sign(t, c, c.Token("web")); !fault.Is(err, fault.Unproven) {
		t.Errorf("after it: %v", err)
	}
}
