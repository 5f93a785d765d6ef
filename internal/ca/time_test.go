package ca_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// sign asks the office for a certificate, without a network between.
func sign(t *testing.T, c *testca.CA, token string) (*ca.Issued, error) {
	t.Helper()
	return c.Office.SignX509(t.Context(), token, &issue.X509Ask{Request: testca.Request(t, testca.CSR(t, testca.P256(t), ""))})
}

// holder gets a certificate for web.
func holder(t *testing.T, c *testca.CA) *testca.Holder {
	t.Helper()
	key := testca.P256(t)
	issued, err := c.Office.SignX509(t.Context(), c.Token("web"), &issue.X509Ask{Request: testca.Request(t, testca.CSR(t, key, ""))})
	if err != nil {
		t.Fatal(err)
	}
	return &testca.Holder{Chain: issued.Chain, Key: key}
}

// Tokens are good from a minute before to a minute after their time, to the second.
func TestLeewayIsOneMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t)
		for _, k := range []struct {
			claim string
			off   time.Duration // from now
			good  bool
		}{
			{"exp", -60 * time.Second, true}, {"exp", -61 * time.Second, false},
			{"nbf", 60 * time.Second, true}, {"nbf", 61 * time.Second, false},
			{"iat", 60 * time.Second, true}, {"iat", 61 * time.Second, false},
		} {
			_, err := sign(t, c, c.Token("web", testca.Claim(k.claim, time.Now().Add(k.off).Unix())))
			if (err == nil) != k.good || (err != nil && !fault.Is(err, fault.Unproven)) {
				t.Errorf("%s %s from now: %v", k.claim, k.off, err)
			}
		}
	})
}

// A spent token is remembered for as long as any clock in the leeway would accept it, and
// forgotten afterwards.
func TestSpentTokensOutliveTheirUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Office.Maintain(ctx)
		token := c.Token("web", testca.Expiry(time.Now().Add(time.Hour)))
		if _, err := sign(t, c, token); err != nil {
			t.Fatal(err)
		}
		for range 62 { // through expiry and leeway, sweeps included
			if _, err := c.Store.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if _, err := sign(t, c, token); !fault.Is(err, fault.Unproven) {
				t.Fatalf("at %s: %v", time.Now(), err)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := spent(t, c); n != 0 {
			t.Errorf("%d spent proofs are remembered without need", n)
		}
		if _, err := sign(t, c, token); !fault.Is(err, fault.Unproven) {
			t.Errorf("swept, and good again: %v", err)
		}
	})
}

// spent counts what Sweep would remove at the end of time and removes it.
func spent(t *testing.T, c *testca.CA) int64 {
	t.Helper()
	n, err := c.Store.Sweep(t.Context(), time.Now().AddDate(1000, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Decisions 3: only a store that forgets with the process refuses older tokens.
func TestTokensFromBeforeTheStart(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name    string
		durable bool
		off     *bool
		iat     time.Duration
		none    bool
		good    bool
	}{
		{"memory, older", false, nil, -10 * time.Second, false, false},
		{"memory, the same second", false, nil, 0, false, true},
		{"memory, no time of issue", false, nil, 0, true, true},
		{"memory, older, check disabled", false, ptr(true), -10 * time.Second, false, true},
		{"durable, older", true, nil, -10 * time.Second, false, true},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			c := testca.New(t, func(s *testca.Setup) {
				s.Started, s.Durable = started, k.durable
				s.Claims = &provisioner.Claims{DisableIssuedAtCheck: k.off}
			})
			for _, reload := range []bool{false, true} { // a reload is no start
				if reload {
					c.Reload()
				}
				bend := []testca.Bend{testca.Claim("iat", started.Add(k.iat).Unix())}
				if k.none {
					bend = []testca.Bend{testca.NoClaim("iat")}
				}
				if _, err := sign(t, c, c.Token("web", bend...)); (err == nil) != k.good || (err != nil && !fault.Is(err, fault.Unproven)) {
					t.Errorf("reloaded %v: %v", reload, err)
				}
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// Renewal around the ends of a certificate, to the second.
func TestRenewalAtTheEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t)
		h := holder(t, c)
		time.Sleep(time.Until(h.Leaf().NotAfter))
		if _, err := c.Office.RenewX509(t.Context(), h.Leaf()); err != nil {
			t.Errorf("in its last second: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := c.Office.RenewX509(t.Context(), h.Leaf()); !fault.Is(err, fault.Unproven) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("a second later: %v", err)
		}
		c.Reload(func(s *testca.Setup) { s.Claims = &provisioner.Claims{AllowRenewalAfterExpiry: ptr(true)} })
		time.Sleep(365 * 24 * time.Hour)
		issued, err := c.Office.RenewByToken(t.Context(), c.RenewToken(h))
		if err != nil {
			t.Fatal(err)
		}
		leaf := issued.Chain[0]
		if want := time.Now().Add(-time.Minute); !leaf.NotBefore.Equal(want) || leaf.NotAfter.Sub(leaf.NotBefore) != h.Leaf().NotAfter.Sub(h.Leaf().NotBefore) {
			t.Errorf("from %s to %s", leaf.NotBefore, leaf.NotAfter)
		}
	})
}

// The list is made at the start, again each period, and at once on request; what a stalled
// publisher left is made when somebody asks.
func TestRevocationListsComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t, func(s *testca.Setup) {
			s.CRL = &ca.CRLSettings{Lifetime: 24 * time.Hour, Period: 16 * time.Hour, URL: "https://localhost/crl"}
		})
		number := func() int64 {
			t.Helper()
			list, err := c.Office.CRL(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !time.Now().Before(list.NextUpdate) {
				t.Errorf("the list ran out at %s", list.NextUpdate)
			}
			return list.Number
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Office.Maintain(ctx); close(done) }()
		synctest.Wait()
		for want := range int64(4) {
			if got := number(); got != want {
				t.Errorf("number %d, want %d", got, want)
			}
			time.Sleep(16 * time.Hour)
			synctest.Wait()
		}
		stop()
		<-done
		time.Sleep(48 * time.Hour)
		if got := number(); got != 5 {
			t.Errorf("nobody published for two days: number %d, want 5", got)
		}
	})
}

// A list is read once a second, however many ask; one that this server makes shows at once, one
// of another server within that second, and what runs out is not shown.
func TestRevocationListIsShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t, func(s *testca.Setup) {
			s.CRL = &ca.CRLSettings{Lifetime: 10 * time.Second, Period: time.Second, URL: "https://localhost/crl"}
		})
		other := ca.New(ca.Options{Store: c.Store, Log: slog.New(slog.DiscardHandler)}, c.Office.State())
		shown := func(by *ca.CA, want int64) *ca.RevocationList {
			t.Helper()
			list, err := by.CRL(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if list.Number != want {
				t.Fatalf("number %d, want %d", list.Number, want)
			}
			return list
		}
		publish := func(by *ca.CA) {
			t.Helper()
			if err := by.PublishCRL(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		publish(c.Office)
		first := shown(c.Office, 0)
		shown(other, 0)
		publish(c.Office)
		shown(c.Office, 1)
		time.Sleep(time.Second)
		second := shown(other, 1)
		time.Sleep(time.Second)
		if again := shown(other, 1); again != second || first == second {
			t.Error("the same list is another one when it is read again")
		}
		time.Sleep(9 * time.Second) // it has run out
		shown(other, 2)
	})
}

// RFC 5280, Section 3.3: a revoked certificate stays listed past its end, then goes.
func TestExpiredEntriesLeaveTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testca.New(t, func(s *testca.Setup) {
			s.CRL = &ca.CRLSettings{OnRevoke: true, Lifetime: 24 * time.Hour, Period: time.Hour, URL: "https://localhost/crl"}
			s.More = []string{testca.JWKProvisioner("any", &testca.P256(t).PublicKey, nil)}
			s.Member = map[string]any{"allowRevokeAny": true}
		})
		h := holder(t, c)
		if err := c.Office.RevokeByHolder(t.Context(), h.Leaf(), ca.RevokeAsk{Serial: h.Leaf().SerialNumber, ReasonCode: 4}); err != nil {
			t.Fatal(err)
		}
		unknown := big.NewInt(4711)
		if err := c.Office.RevokeByToken(t.Context(), c.RevokeToken("4711"), ca.RevokeAsk{Serial: unknown}); err != nil {
			t.Fatal(err)
		}
		listed := func() (own, foreign bool) {
			t.Helper()
			if err := c.Office.PublishCRL(t.Context()); err != nil {
				t.Fatal(err)
			}
			stored, err := c.Office.CRL(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			list, err := x509.ParseRevocationList(stored.DER)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list.RevokedCertificateEntries {
				own = own || e.SerialNumber.Cmp(h.Leaf().SerialNumber) == 0
				foreign = foreign || e.SerialNumber.Cmp(unknown) == 0
			}
			return own, foreign
		}
		for _, k := range []struct {
			wait time.Duration
			own  bool
		}{{0, true}, {24 * time.Hour, true}, {time.Hour, true}, {time.Second, false}} {
			time.Sleep(k.wait)
			if own, foreign := listed(); own != k.own || !foreign {
				t.Errorf("%s after its end: listed %v, of unknown end %v", time.Since(h.Leaf().NotAfter), own, foreign)
			}
		}
	})
}

func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) { s.DNSNames = []string{"ca.example", "10.1.2.3", "[::1]"} })
	own, err := c.Office.OwnCertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaf := own.Leaf
	if leaf.Subject.CommonName != "Test Online CA" || len(leaf.DNSNames) != 1 || len(leaf.IPAddresses) != 2 || leaf.NotAfter.Sub(leaf.NotBefore) != 24*time.Hour+time.Minute || len(own.Certificate) != 2 {
		t.Errorf("%s %v %v %s, %d in the chain", leaf.Subject, leaf.DNSNames, leaf.IPAddresses, leaf.NotAfter.Sub(leaf.NotBefore), len(own.Certificate))
	}
	if issue.ProvisionerOf(leaf) != nil {
		t.Error("it claims a provisioner")
	}
	if n := count(t, c); n != 0 {
		t.Errorf("%d certificates on record; it is kept in memory only", n)
	}
	// Name constraints of the chain apply to it.
	narrow := testca.New(t, func(s *testca.Setup) {
		s.DNSNames = []string{"ca.example"}
		s.Middle = func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"other.example"} }
	})
	if _, err := narrow.Office.OwnCertificate(t.Context()); !fault.Is(err, fault.Denied) {
		t.Errorf("outside the constraints: %v", err)
	}
}

// count is how many certificates are on record.
func count(t *testing.T, c *testca.CA) (n int) {
	t.Helper()
	err := c.Store.View(t.Context(), func(tx *store.Tx) error {
		n = 0
		for _, err := range tx.Certificates(store.Query{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Nothing leaves before it is written down: without a database nothing is handed out, and
// the caller learns no more than that.
func TestNothingLeavesUnrecorded(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) { s.Durable = true })
	h := holder(t, c)
	token := c.Token("web")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	ask := &issue.X509Ask{Request: testca.Request(t, testca.CSR(t, testca.P256(t), ""))}
	if issued, err := c.Office.SignX509(canceled, token, ask); err == nil || issued != nil {
		t.Errorf("a caller who is gone got %v, %v", issued, err)
	}
	if _, err := c.Office.SignX509(t.Context(), token, ask); err != nil {
		t.Errorf("the token of the caller who gave up: %v", err)
	}
	if err := c.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if issued, err := sign(t, c, c.Token("web")); err == nil || issued != nil {
		t.Errorf("sign: %v, %v", issued, err)
	}
	if issued, err := c.Office.RenewX509(t.Context(), h.Leaf()); err == nil || issued != nil {
		t.Errorf("renew: %v, %v", issued, err)
	}
	if err := c.Office.RevokeByHolder(t.Context(), h.Leaf(), ca.RevokeAsk{Serial: h.Leaf().SerialNumber}); err == nil {
		t.Error("revoke: no complaint")
	}
	for _, word := range []string{"signet.db", "SELECT", "INSERT"} {
		if _, err := sign(t, c, c.Token("web")); fault.Of(err) != nil && strings.Contains(fault.Of(err).Message, word) {
			t.Errorf("the caller reads %q", fault.Of(err).Message)
		}
	}
}

// Each act leaves one entry that says who did what to which certificate.
func TestAuditEntries(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	ctx := ca.WithRequestID(t.Context(), "request-1")
	key := testca.P256(t)
	issued, err := c.Office.SignX509(ctx, c.Token("web"), &issue.X509Ask{Request: testca.Request(t, testca.CSR(t, key, ""))})
	if err != nil {
		t.Fatal(err)
	}
	leaf := issued.Chain[0]
	next, err := c.Office.RenewX509(ctx, leaf)
	if err != nil {
		t.Fatal(err)
	}
	rekeyed, err := c.Office.RekeyX509(ctx, leaf, testca.Request(t, testca.CSR(t, testca.P256(t), "")))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Office.RevokeByHolder(ctx, leaf, ca.RevokeAsk{Serial: leaf.SerialNumber, Reason: "lost"}); err != nil {
		t.Fatal(err)
	}
	want := []store.Audit{
		{Act: "x509.sign", Provisioner: testca.Provisioner, Subject: "web", Serial: ca.SerialHex(leaf.SerialNumber), RequestID: "request-1"},
		{Act: "x509.renew", Provisioner: testca.Provisioner, Subject: "web", Serial: ca.SerialHex(next.Chain[0].SerialNumber), RequestID: "request-1"},
		{Act: "x509.rekey", Provisioner: testca.Provisioner, Subject: "web", Serial: ca.SerialHex(rekeyed.Chain[0].SerialNumber), RequestID: "request-1"},
		{Act: "x509.revoke", Subject: "web", Serial: ca.SerialHex(leaf.SerialNumber), RequestID: "request-1", Detail: "lost"},
	}
	err = c.Store.View(ctx, func(tx *store.Tx) error {
		i := 0
		for a, err := range tx.Audits(time.Time{}, time.Time{}) {
			if err != nil {
				return err
			}
			got := store.Audit{Act: a.Act, Provisioner: a.Provisioner, Subject: a.Subject, Serial: a.Serial, RequestID: a.RequestID, Detail: a.Detail}
			if i >= len(want) || got != want[i] {
				t.Errorf("entry %d: %+v", i, got)
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%d entries, want %d", i, len(want))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
