package api_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// revocation is the body of a request, with passive set as all clients do.
func revocation(serial, token string, more ...any) map[string]any {
	body := map[string]any{"serial": serial, "ott": token, "passive": true}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

func serialOf(h *testca.Holder) string { return h.Leaf().SerialNumber.String() }

// isRevoked looks at the record.
func isRevoked(t *testing.T, c *testca.CA, n *big.Int) *store.Revocation {
	t.Helper()
	var found *store.Revocation
	err := c.Store.View(t.Context(), func(tx *store.Tx) error {
		found = nil
		for r, err := range tx.Revocations("x509") {
			if err != nil {
				return err
			}
			if r.Serial == ca.SerialHex(n) {
				found = r
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// http-api Section 6.1: what a body may be.
func TestRevokeBodies(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.Issue("web")
	n := serialOf(h)
	token := c.RevokeToken(n)
	for _, k := range []struct {
		name   string
		body   any
		status int
	}{
		{"nothing", "", 400},
		{"an empty object", "{}", 400},
		{"no serial number", revocation("", token), 400},
		{"a serial number that is a number", `{"serial":5,"passive":true}`, 400},
		{"zero", revocation("0", token), 400},
		{"a negative one", revocation("-5", token), 400},
		{"a plus", revocation("+5", token), 400},
		{"words", revocation("abc", token), 400},
		{"hex without 0x", revocation("ab12", token), 400},
		{"only 0x", revocation("0x", token), 400},
		{"octal", revocation("0o17", token), 400},
		{"binary", revocation("0b11", token), 400},
		{"underscores", revocation("1_000", token), 400},
		{"hex with a sign", revocation("0x-5", token), 400},
		{"too long", revocation(strings.Repeat("9", 65), token), 400},
		{"reason 11", revocation(n, token, "reasonCode", 11), 400},
		{"reason -1", revocation(n, token, "reasonCode", -1), 400},
		{"reason 7, which does not exist", revocation(n, token, "reasonCode", 7), 400},
		{"reason 8, which only lifts a hold", revocation(n, token, "reasonCode", 8), 400},
		{"a reason that is text", revocation(n, token, "reasonCode", "1"), 400},
		{"a reason text too long", revocation(n, token, "reason", strings.Repeat("x", 2000)), 400},
		{"not passive", revocation(n, token, "passive", false), 501},
		{"passive left out", map[string]any{"serial": n, "ott": token}, 501},
		{"no proof", revocation(n, ""), 400},
		{"a token that is none", revocation(n, "abc"), 401},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			c.Post("/1.0/revoke", k.body).Want(k.status)
			if isRevoked(t, c, h.Leaf().SerialNumber) != nil {
				t.Fatal("it was revoked nevertheless")
			}
		})
	}
	a := c.Post("/revoke", revocation(n, token, "reasonCode", 1, "reason", "lost <it>")).Want(200)
	if got := strings.TrimSpace(string(a.Body)); got != `{"status":"ok"}` {
		t.Errorf("%s", got)
	}
	r := isRevoked(t, c, h.Leaf().SerialNumber)
	if r.ReasonCode != 1 || r.Reason != "lost <it>" || r.MTLS || r.ProofKey == "" || !r.ExpiresAt.Equal(h.Leaf().NotAfter) || r.By != n {
		t.Errorf("%+v", r)
	}
}

// SEC-03 and SEC-16: who may revoke which certificate. The matrix of http-api Section 6.1.
func TestSEC16_WhoMayRevoke(t *testing.T) {
	t.Parallel()
	other := testca.P256(t)
	by := func(name string) []testca.Bend {
		return []testca.Bend{testca.Claim("iss", name), testca.Head("kid", testca.Thumbprint(&other.PublicKey)), testca.SignedBy(other, "ES256")}
	}
	c := testca.New(t, func(s *testca.Setup) {
		s.More = []string{
			testca.JWKProvisioner("second", &other.PublicKey, nil),
			testca.JWKProvisioner("anyone", &other.PublicKey, map[string]any{"allowRevokeAny": true}),
		}
	})
	unknown := c.Foreign("unknown", c.Intermediate, c.IntermediateKey, nil)
	siblingKey := testca.P256(t)
	sibling := c.Certify(testca.Template("Sibling CA", 1, nil), c.Root, siblingKey.Public(), c.RootKey)
	foreign := c.Foreign("foreign", sibling, siblingKey, nil)
	for _, k := range []struct {
		name   string
		call   func(h *testca.Holder) testca.Call
		of     *testca.Holder // nil: a fresh one of the first provisioner
		status int
	}{
		{"a token of its provisioner", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken(serialOf(h)))}
		}, nil, 200},
		{"in hex", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation("0x"+h.Leaf().SerialNumber.Text(16), c.RevokeToken(serialOf(h)))}
		}, nil, 200},
		{"in hex capitals", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation("0X"+strings.ToUpper(h.Leaf().SerialNumber.Text(16)), c.RevokeToken(serialOf(h)))}
		}, nil, 200},
		{"a token for the serial number in hex", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken("0x"+h.Leaf().SerialNumber.Text(16)))}
		}, nil, 403},
		{"a token for another serial number", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken("12345"))}
		}, nil, 403},
		{"a token to sign, for old clients", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken(serialOf(h), testca.Audience("step-certificate-authority")))}
		}, nil, 200},
		{"a token to sign", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.Token(serialOf(h)))}
		}, nil, 401},
		{"a token of another provisioner", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken(serialOf(h), by("second")...))}
		}, nil, 403},
		{"a token of a provisioner that may revoke any", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken(serialOf(h), by("anyone")...))}
		}, nil, 200},
		{"the holder", func(h *testca.Holder) testca.Call { return testca.Call{As: h, Body: revocation(serialOf(h), "")} }, nil, 200},
		{"the holder of another one", func(h *testca.Holder) testca.Call {
			return testca.Call{As: c.Issue("other"), Body: revocation(serialOf(h), "")}
		}, nil, 403},
		{"the holder of another one with a token of another provisioner", func(h *testca.Holder) testca.Call {
			return testca.Call{As: c.Issue("other"), Body: revocation(serialOf(h), c.RevokeToken(serialOf(h), by("second")...))}
		}, nil, 403},
		{"nobody", func(h *testca.Holder) testca.Call { return testca.Call{Body: revocation(serialOf(h), "")} }, nil, 400},
		{"without a record, by token", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation(serialOf(h), c.RevokeToken(serialOf(h)))}
		}, unknown, 404},
		{"without a record, by a token that may revoke any", func(h *testca.Holder) testca.Call {
			return testca.Call{Body: revocation("777", c.RevokeToken("777", by("anyone")...))}
		}, nil, 200},
		{"without a record, by its holder", func(h *testca.Holder) testca.Call { return testca.Call{As: h, Body: revocation(serialOf(h), "")} }, unknown, 200},
		{"the holder of another one with this serial number", func(h *testca.Holder) testca.Call {
			twin := c.Foreign("twin", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) { l.SerialNumber = h.Leaf().SerialNumber })
			return testca.Call{As: twin, Body: revocation(serialOf(h), "")}
		}, nil, 403},
		{"of another intermediate, by its holder", func(h *testca.Holder) testca.Call { return testca.Call{As: h, Body: revocation(serialOf(h), "")} }, foreign, 401},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			h := k.of
			if h == nil {
				h = c.Issue("web")
			}
			call := k.call(h)
			call.Method, call.Path = http.MethodPost, "/1.0/revoke"
			c.Do(call).Want(k.status)
			revoked := isRevoked(t, c, h.Leaf().SerialNumber) != nil
			if want := k.status == 200 && !strings.Contains(k.name, "without a record, by a token"); revoked != want {
				t.Errorf("revoked: %v", revoked)
			}
		})
	}
}

// A refused revocation leaves its token unspent, a good one spends it.
func TestRevocationTokens(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.Issue("web")
	token := c.RevokeToken(serialOf(h))
	c.Post("/revoke", revocation("12345", token)).Want(403)
	c.Post("/revoke", revocation(serialOf(h), c.RevokeToken(serialOf(h), testca.SignedBy(testca.P256(t), "ES256")))).Want(401)
	c.Post("/revoke", revocation(serialOf(h), token)).Want(200)
	c.Post("/revoke", revocation(serialOf(h), token)).Want(401)                      // used
	c.Post("/revoke", revocation(serialOf(h), c.RevokeToken(serialOf(h)))).Want(400) // revoked already
	c.Do(testca.Call{Method: http.MethodPost, Path: "/revoke", As: h, Body: revocation(serialOf(h), "")}).Want(400)
	// http-api Section 12, item 17: nothing renews it any more.
	renew(c, h).Want(401)
	rekey(c, h, testca.CSR(t, testca.P256(t), "")).Want(401)
	renewBy(c, c.RenewToken(h)).Want(401)
}

// crl fetches and parses the list.
func crl(c *testca.CA) (*x509.RevocationList, *testca.Answer) {
	a := c.Get("/1.0/crl").Want(200)
	list, err := x509.ParseRevocationList(a.Body)
	if err != nil {
		panic(err)
	}
	return list, a
}

func withCRL(s *testca.Setup) {
	s.CRL = &ca.CRLSettings{OnRevoke: true, Lifetime: 24 * time.Hour, Period: 16 * time.Hour, URL: "https://localhost/1.0/crl"}
	s.Authority = func(a *issue.Authority) { a.CRLURL = s.CRL.URL }
}

// http-api Section 12, item 18, with OpenSSL as judge.
func TestRevocationList(t *testing.T) {
	t.Parallel()
	c := testca.New(t, withCRL)
	list, a := crl(c)
	if list.Number.Sign() != 0 || len(list.RevokedCertificateEntries) != 0 {
		t.Errorf("the first list has the number %s and %d entries", list.Number, len(list.RevokedCertificateEntries))
	}
	if got := a.Header; got.Get("Content-Type") != "application/pkix-crl" || got.Get("Content-Disposition") != `attachment; filename="crl.crl"` ||
		got.Get("Expires") != list.NextUpdate.UTC().Format(http.TimeFormat) || got.Get("ETag") == "" || got.Get("Cache-Control") == "" {
		t.Errorf("%v", got)
	}
	if err := list.CheckSignatureFrom(c.Intermediate); err != nil {
		t.Error(err)
	}
	if d := list.NextUpdate.Sub(list.ThisUpdate); d != 24*time.Hour {
		t.Errorf("it is good for %s", d)
	}
	point := false
	for _, ext := range list.Extensions {
		point = point || (ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}) && ext.Critical && strings.Contains(string(ext.Value), "https://localhost/1.0/crl"))
	}
	if !point {
		t.Error("no critical issuing distribution point with its address")
	}
	var revoked []*testca.Holder
	for i, reason := range []int{0, 1, 10} {
		h := c.Issue("web")
		c.Post("/revoke", revocation(serialOf(h), c.RevokeToken(serialOf(h)), "reasonCode", reason)).Want(200)
		revoked = append(revoked, h)
		list, _ = crl(c)
		if list.Number.Int64() != int64(i+1) || len(list.RevokedCertificateEntries) != i+1 {
			t.Errorf("number %s, %d entries after %d revocations", list.Number, len(list.RevokedCertificateEntries), i+1)
		}
	}
	for _, e := range list.RevokedCertificateEntries {
		for i, h := range revoked {
			if e.SerialNumber.Cmp(h.Leaf().SerialNumber) == 0 && e.ReasonCode != []int{0, 1, 10}[i] {
				t.Errorf("reason %d", e.ReasonCode)
			}
		}
		if e.ReasonCode == 0 && len(e.Extensions) != 0 {
			t.Error("the reason unspecified is written out (RFC 5280, Section 5.3.1 says: leave it out)")
		}
	}
	judgeList(t, c, list, revoked[0], c.Issue("good"))

	text := c.Get("/crl?pem").Want(200)
	block, rest := pem.Decode(text.Body)
	if block == nil || block.Type != "X509 CRL" || len(rest) != 0 || text.Header.Get("Content-Type") != "application/x-pem-file" || !strings.Contains(text.Header.Get("Content-Disposition"), "crl.pem") {
		t.Errorf("%v %.60q", text.Header, text.Body)
	}
	if a := c.Do(testca.Call{Method: http.MethodGet, Path: "/crl?pem", Header: http.Header{"If-None-Match": {text.Header.Get("ETag")}}}); a.Status != http.StatusNotModified {
		t.Errorf("the same list again: %d", a.Status)
	}
}

// judgeList asks openssl about the list itself, and about certificates under it.
func judgeList(t *testing.T, c *testca.CA, list *x509.RevocationList, bad, good *testca.Holder) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	middle := write("middle.pem", keys.EncodeCertificates(c.Intermediate))
	file := write("crl.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw}))
	run := func(args ...string) (string, error) {
		out, err := exec.Command("openssl", args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("crl", "-in", file, "-noout", "-CAfile", middle, "-verify"); err != nil || !strings.Contains(out, "verify OK") {
		t.Errorf("openssl crl -verify: %v %s", err, out)
	}
	check := func(h *testca.Holder) (string, error) {
		return run("verify", "-partial_chain", "-trusted", middle, "-CRLfile", file, "-crl_check", write("leaf.pem", keys.EncodeCertificates(h.Leaf())))
	}
	// The list speaks for one distribution point, so OpenSSL applies it to leaves that name it.
	if out, err := check(bad); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("a revoked certificate: %v %s", err, out)
	}
	if out, err := check(good); err != nil {
		t.Errorf("a good certificate: %v %s", err, out)
	}
}

func TestRevocationListOff(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	c.Get("/crl").Want(404)
	c.Get("/1.0/crl").Want(404)
}

// The plain listener serves the list and nothing else.
func TestPublicHandlerServesTheListAlone(t *testing.T) {
	t.Parallel()
	c := testca.New(t, withCRL)
	h := c.PublicHandler()
	for path, want := range map[string]int{"/crl": 200, "/1.0/crl": 200, "/roots": 404, "/health": 404, "/1.0/sign": 404, "/": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/crl", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// Of revocations at the same time none is missing from the list when its request ends.
func TestRevocationsAtOnceAreAllListed(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		c := testca.New(t, withCRL, func(s *testca.Setup) { s.Durable = durable })
		holders := make([]*testca.Holder, 8)
		for i := range holders {
			holders[i] = c.Issue("web")
		}
		var all sync.WaitGroup
		for _, h := range holders {
			all.Go(func() {
				if err := c.Office.RevokeByHolder(t.Context(), h.Leaf(), ca.RevokeAsk{Serial: h.Leaf().SerialNumber}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		list, _ := crl(c)
		if n := len(list.RevokedCertificateEntries); n != len(holders) {
			t.Errorf("durable %v: %d of %d are listed", durable, n, len(holders))
		}
	}
}

// Of two servers on one database the same holds: the number rises by one each time.
func TestTwoServersPublishOneSeries(t *testing.T) {
	t.Parallel()
	c := testca.New(t, withCRL, func(s *testca.Setup) { s.Durable = true })
	second := ca.New(ca.Options{Store: c.Store, Log: c.Logger(), Started: time.Now()}, c.Office.State())
	holders := make([]*testca.Holder, 8)
	for i := range holders {
		holders[i] = c.Issue("web")
	}
	var all sync.WaitGroup
	for i, h := range holders {
		server := []*ca.CA{c.Office, second}[i%2]
		all.Go(func() {
			if err := server.RevokeByHolder(t.Context(), h.Leaf(), ca.RevokeAsk{Serial: h.Leaf().SerialNumber}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, _ := crl(c)
	if n := len(list.RevokedCertificateEntries); n != len(holders) || list.Number.Int64() != int64(len(holders)-1) {
		t.Errorf("%d of %d are listed under the number %s", n, len(holders), list.Number)
	}
}
