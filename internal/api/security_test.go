package api_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// endless is a body that never ends and counts what was taken of it.
type endless struct{ taken int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	e.taken += len(b)
	return len(b), nil
}

// SEC-05: bodies without end, without depth, without number.
func TestSEC05_BodiesAreBounded(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.Handler()
	for _, path := range []string{"/sign", "/1.0/sign", "/revoke", "/ssh/sign", "/ssh/config", "/ssh/check-host"} {
		body := new(endless)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, io.LimitReader(body, 1<<30)))
		if w.Code != http.StatusRequestEntityTooLarge && w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
		if body.taken > 2<<20 {
			t.Errorf("%s read %d bytes of it", path, body.taken)
		}
	}
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	for _, k := range []struct {
		name   string
		body   any
		status int
	}{
		{"a token of 20 MB", map[string]any{"csr": csr, "ott": strings.Repeat("a", 20<<20)}, 413},
		{"a token of 100 KB", map[string]any{"csr": csr, "ott": strings.Repeat("a", 100<<10)}, 413},
		{"a request of 900 KB", map[string]any{"csr": strings.Repeat("a", 900<<10), "ott": "x"}, 400},
		{"10000 nested lists", `{"csr":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, 400},
		{"10000 nested objects", strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000), 400},
		{"10000 nested template data", `{"csr":"x","templateData":` + strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000) + `}`, 400},
		{"a number with a million digits", `{"notAfter":` + strings.Repeat("9", 1000000) + `}`, 400},
	} {
		t.Run(k.name, func(t *testing.T) { c.In(t).Post("/sign", k.body).Want(k.status) })
	}
	t.Run("10000 names", func(t *testing.T) {
		c := c.In(t)
		var names []string
		for i := range 10000 {
			names = append(names, fmt.Sprintf("%d.a", i))
		}
		c.Sign(testca.CSR(t, testca.P256(t), "", names...), c.Token("web")).Want(403)
	})
}

// SEC-10, as far as /sign goes: what a request says beyond the token's grant is refused or
// dropped, and what is issued is never more than the token says.
func TestSEC10_RequestsCannotWidenTheGrant(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	key := testca.P256(t)
	utf8 := func(s string) []byte { return asn1String(t, asn1.TagUTF8String, s) }
	upn := append([]byte{0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03, 0xa0, byte(len(utf8("root@corp")))}, utf8("root@corp")...)
	id := append([]byte{0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x03, 0xa0, 0x07, 0x30, 0x05}, asn1String(t, asn1.TagUTF8String, "abc")...)
	san := func(names ...asn1.RawValue) func(*x509.CertificateRequest) {
		return func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, names...)}
		}
	}
	web := testca.GeneralName(2, false, []byte("web"))
	extension := func(oid asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.CertificateRequest) {
		return func(r *x509.CertificateRequest) {
			r.DNSNames, r.ExtraExtensions = []string{"web"}, []pkix.Extension{{Id: oid, Critical: critical, Value: value}}
		}
	}
	for _, k := range []struct {
		name   string
		bend   func(*x509.CertificateRequest)
		status int // 201: dropped
	}{
		{"an extra DNS name", san(web, testca.GeneralName(2, false, []byte("evil"))), 403},
		{"an extra address", san(web, testca.GeneralName(7, false, []byte{10, 0, 0, 1})), 403},
		{"an extra URI", san(web, testca.GeneralName(6, false, []byte("urn:evil"))), 403},
		{"an extra e-mail address", san(web, testca.GeneralName(1, false, []byte("a@evil"))), 403},
		{"a user principal name", san(web, testca.GeneralName(0, true, upn)), 403},
		{"a permanent identifier", san(web, testca.GeneralName(0, true, id)), 403},
		{"a directory name", san(web, testca.GeneralName(4, true, []byte{0x30, 0})), 403},
		{"a registered ID", san(web, testca.GeneralName(8, false, []byte{0x2a})), 403},
		{"a name with NUL", san(testca.GeneralName(2, false, []byte("web\x00.evil"))), 403},
		{"a common name beside the names", func(r *x509.CertificateRequest) {
			r.Subject.CommonName, r.DNSNames = "evil", []string{"web"}
		}, 403},
		{"CA:TRUE", extension(asn1.ObjectIdentifier{2, 5, 29, 19}, true, []byte{0x30, 3, 1, 1, 0xff}), 403},
		{"CA:FALSE", extension(asn1.ObjectIdentifier{2, 5, 29, 19}, true, []byte{0x30, 0}), 201},
		{"key usage to sign certificates", extension(asn1.ObjectIdentifier{2, 5, 29, 15}, true, []byte{3, 2, 1, 6}), 201},
		{"any extended key usage", extension(asn1.ObjectIdentifier{2, 5, 29, 37}, false, []byte{0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0}), 201},
		{"an unknown critical extension", extension(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0}), 201},
		{"the provisioner extension", extension(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 37476, 9000, 64, 1}, false, []byte{0x30, 0}), 201},
		{"name constraints", extension(asn1.ObjectIdentifier{2, 5, 29, 30}, true, []byte{0x30, 0}), 201},
		{"an organization", func(r *x509.CertificateRequest) {
			r.Subject = pkix.Name{Organization: []string{"Evil"}, OrganizationalUnit: []string{"Admins"}}
		}, 201},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			a := c.Sign(testca.BentCSR(t, key, k.bend), c.Token("web"))
			if a.Status == 400 && k.status == 403 {
				return // refused already as a request nobody can read
			}
			a.Want(k.status)
			if k.status != 201 {
				return
			}
			leaf := a.Chain()[0]
			if leaf.Subject.String() != "CN=web" || len(namesOf(leaf)) != 1 || leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature ||
				len(leaf.ExtKeyUsage) != 2 || len(leaf.UnknownExtKeyUsage) != 0 || len(leaf.UnhandledCriticalExtensions) != 0 || len(leaf.Extensions) != 6 {
				t.Errorf("%s %q %v %v %d extensions", leaf.Subject, namesOf(leaf), leaf.KeyUsage, leaf.ExtKeyUsage, len(leaf.Extensions))
			}
		})
	}
}

// SEC-17: tokens, keys and passwords appear in no log, no answer and no record, whatever
// becomes of the request.
func TestSEC17_SecretsStayInside(t *testing.T) {
	t.Parallel()
	c := testca.New(t, func(s *testca.Setup) {
		s.Durable = true
		s.More = []string{`{"type":"SCEP","name":"s","challenge":"canary-challenge","options":{"webhooks":[{"secret":"canary-hook"}]}}`, `{"type":"JWK","name":"broken","key":null,"password":"canary-broken"}`}
	})
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	h := c.Issue("web")
	var tokens []string
	use := func(token string) string {
		tokens = append(tokens, token)
		return token
	}
	var answers []*testca.Answer
	ask := func(a *testca.Answer) { answers = append(answers, a) }
	good := use(c.Token("web"))
	ask(c.Sign(csr, good))
	ask(c.Sign(csr, good))
	ask(c.Sign(csr, use(c.Token("web", testca.SANs("else")))))
	ask(c.Sign(csr, use(c.Token("web", testca.SignedBy(testca.P256(t), "ES256")))))
	ask(c.Sign(csr, use(c.Token("web", testca.Claim("iss", "broken"), testca.Head("kid", "")))))
	ask(c.Sign(csr, use(c.Token("web", testca.Raw(`{"iss":`)))))
	ask(c.Sign(csr, use(c.Token("web", testca.RawHeader(`{"alg":"ES256","crit":["x"]}`)))))
	ask(renewBy(c, use(c.RenewToken(h))))
	ask(renewBy(c, use(c.RenewToken(h, testca.Claim("sub", "x")))))
	ask(c.Post("/revoke", revocation("1", use(c.RevokeToken("1")))))
	ask(c.Post("/revoke", revocation(serialOf(h), use(c.RevokeToken(serialOf(h))))))
	ask(c.Get("/provisioners"))
	ask(c.Get("/ready"))

	text := c.Log.String()
	for _, a := range answers {
		text += string(a.Body) + fmt.Sprint(a.Header)
	}
	text += recordsAsText(t, c)
	for _, token := range tokens {
		parts := strings.Split(token, ".")
		for _, secret := range []string{token, parts[2], parts[1]} {
			if strings.Contains(text, secret) {
				t.Errorf("a token or a part of one was written down: %.40s…", secret)
			}
		}
	}
	if at := strings.Index(text, "canary"); at >= 0 {
		t.Errorf("a secret of the configuration came out: %.100s", text[at:])
	}
}

// recordsAsText is what the store remembers of certificates, revocations and audits.
func recordsAsText(t *testing.T, c *testca.CA) string {
	t.Helper()
	var b strings.Builder
	err := c.Store.View(t.Context(), func(tx *store.Tx) error {
		b.Reset()
		for a, err := range tx.Audits(time.Time{}, time.Time{}) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%+v\n", *a)
		}
		for r, err := range tx.Revocations("x509") {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%+v\n", *r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range certificates(t, c) {
		fmt.Fprintf(&b, "%+v %s\n", *r, r.RA)
	}
	return b.String()
}

// SEC-21: nothing in a token makes the CA call anybody.
func TestSEC21_NoTokenMakesTheCACallOut(t *testing.T) {
	t.Parallel()
	called := make(chan string, 100)
	trap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called <- r.URL.Path }))
	t.Cleanup(trap.Close)
	c := testca.New(t)
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	for _, bend := range []testca.Bend{
		testca.Head("jku", trap.URL+"/jku"), testca.Head("x5u", trap.URL+"/x5u"), testca.Claim("iss", trap.URL), testca.Audience(trap.URL + "/aud#x5c/p"),
		testca.Claim("azp", trap.URL), testca.Claim("tid", trap.URL),
	} {
		c.Sign(csr, c.Token("web", bend))
	}
	aia := c.Foreign("web", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
		l.IssuingCertificateURL, l.OCSPServer, l.CRLDistributionPoints = []string{trap.URL + "/aia"}, []string{trap.URL + "/ocsp"}, []string{trap.URL + "/crl"}
	})
	renewBy(c, c.RenewToken(aia))
	renew(c, aia)
	select {
	case path := <-called:
		t.Errorf("the CA called %s", path)
	default:
	}
}

// SEC-43: a member twice, in the body, the header or the claims, is nobody's choice.
func TestSEC43_MembersTwice(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	csr := string(mustJSON(t, testca.CSR(t, testca.P256(t), "web", "web")))
	token := string(mustJSON(t, c.Token("web")))
	for _, body := range []string{
		`{"csr":` + csr + `,"ott":"x","ott":` + token + `}`,
		`{"csr":` + csr + `,"ott":` + token + `,"notAfter":"1h","notAfter":"2h"}`,
		`{"csr":` + csr + `,"ott":` + token + `,"templateData":{"a":1,"a":2}}`,
		`{"csr":` + csr + `,"ott":` + token + `,"\u006ftt":"x"}`,
	} {
		c.Post("/sign", body).Want(400)
	}
	// Another case is another member, not this one.
	c.Post("/sign", `{"CSR":`+csr+`,"OTT":`+token+`}`).Want(400)
	c.Post("/sign", `{"csr":`+csr+`,"ott":`+token+`,"OTT":"x","NotAfter":"1m"}`).Want(201)
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Any body for any endpoint: never a panic, never an answer of the 500s, never a certificate
// without a good token.
func FuzzBodies(f *testing.F) {
	c := testca.New(f)
	h := c.Handler()
	holder := c.Issue("web")
	csr := testca.CSR(f, testca.P256(f), "web", "web")
	for _, body := range []any{
		map[string]any{"csr": csr, "ott": "a.b.c", "notBefore": "-1m", "notAfter": "2030-01-01T00:00:00Z", "templateData": map[string]any{"a": 1}},
		map[string]any{"csr": nil, "ott": ""},
		map[string]any{"serial": "0xff", "ott": "", "reasonCode": 1, "reason": "x", "passive": true},
		map[string]any{"serial": serialOf(holder), "passive": true},
		map[string]any{"type": "host", "principal": "x", "data": map[string]string{"a": "b"}, "publicKey": "AAAA", "certType": "user", "principals": []string{"a"}, "validAfter": "1h"},
	} {
		text, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	paths := []string{"/sign", "/revoke", "/rekey", "/renew", "/ssh/sign", "/ssh/renew", "/ssh/rekey", "/ssh/revoke", "/ssh/config", "/ssh/check-host", "/ssh/bastion"}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range paths {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
			if (w.Code < 400 && path != "/ssh/config" && path != "/ssh/check-host" && path != "/ssh/bastion") || w.Code == http.StatusInternalServerError {
				t.Fatalf("%s %q: %d %s", path, body, w.Code, w.Body)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s %q: %s", path, body, w.Body)
			}
		}
	})
}

// Any request with a good token: what comes out is a leaf with the names of the token, or a
// refusal in words.
func FuzzCSR(f *testing.F) {
	c := testca.New(f)
	f.Add(testca.DER(f, testca.CSR(f, testca.P256(f), "web", "web")))
	f.Add(testca.DER(f, testca.CSR(f, testca.Ed25519(f), "", "web", "10.0.0.1", "a@b", "urn:x:y")))
	f.Add(testca.DER(f, testca.CSR(f, testca.RSA(f, 2048), "web")))
	f.Add(testca.DER(f, testca.BentCSR(f, testca.P256(f), func(r *x509.CertificateRequest) { r.ExtraExtensions = []pkix.Extension{testca.CAExtension()} })))
	h := c.Handler()
	f.Fuzz(func(t *testing.T, der []byte) {
		body, err := json.Marshal(map[string]any{"csr": testca.RequestPEM(der), "ott": c.In(t).Token("web")})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/sign", bytes.NewReader(body)))
		if w.Code != 201 && w.Code != 400 && w.Code != 403 {
			t.Fatalf("%x: %d %s", der, w.Code, w.Body)
		}
	})
}

// Any text as a serial number: none but a positive number in decimal or after 0x passes.
func FuzzSerial(f *testing.F) {
	c := testca.New(f)
	h := c.Handler()
	for _, s := range []string{"1", "0x1F", "007", "-1", "1e3", "١٢", "0x0", " 1", "99999999999999999999999999999999999999999999999999", "0X"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		body, err := json.Marshal(map[string]any{"serial": s, "passive": true})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/revoke", bytes.NewReader(body)))
		if w.Code != 400 {
			t.Fatalf("%q: %d", s, w.Code)
		}
		digits, alphabet := s, "0123456789"
		if len(s) > 1 && strings.EqualFold(s[:2], "0x") {
			digits, alphabet = s[2:], "0123456789abcdefABCDEF"
		}
		number := digits != "" && strings.Trim(digits, alphabet) == "" && strings.Trim(digits, "0") != "" && len(s) <= 64
		// Without a proof, a good number gets as far as the missing token.
		if got := strings.Contains(w.Body.String(), "ott"); got != number {
			t.Fatalf("%q: taken for a serial number: %v", s, got)
		}
	})
}

// A certificate that TLS did not verify proves nothing, should a listener ever let one in.
func TestUnverifiedClientCertificatesProveNothing(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.Issue("web")
	for path, body := range map[string]string{"/renew": "", "/rekey": `{"csr":` + string(mustJSON(t, testca.CSR(t, testca.P256(t), ""))) + `}`, "/revoke": string(mustJSON(t, revocation(serialOf(h), "")))} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.TLS = &tls.ConnectionState{PeerCertificates: h.Chain}
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, r)
		if w.Code != 400 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
