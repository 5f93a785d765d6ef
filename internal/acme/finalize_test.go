package acme_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// expireLease makes all challenges that are tried look left alone.
func expireLease(t *testing.T, w *world, c *client) {
	t.Helper()
	setLease(t, w, c, 1)
}

// setLease says until when the server that tries a challenge wants to be left alone.
func setLease(t *testing.T, w *world, c *client, until int64) {
	t.Helper()
	account := c.kid[strings.LastIndex(c.kid, "/")+1:]
	err := w.ca.Store.Update(t.Context(), func(tx *store.Tx) error {
		all, err := tx.ACMEAuthzsOf(account, "moved.example")
		for _, a := range all {
			for i := range a.Challenges {
				a.Challenges[i].Lease = until
			}
			if err := tx.SetACMEAuthz(a); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What a certificate request may hold: exactly the names of the order (SEC-10; RFC 8555,
// Section 7.4).
func TestFinalize(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	san := func(raw ...asn1.RawValue) []pkix.Extension {
		der, err := asn1.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}
	}
	name := func(tag int, value string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
	}
	other := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{0x06, 0x03, 0x2a, 0x03, 0x04, 0xa0, 0x03, 0x0c, 0x01, 'x'}}
	ca, _ := asn1.Marshal(struct{ CA bool }{true})
	plain := func(names ...string) *x509.CertificateRequest { return &x509.CertificateRequest{DNSNames: names} }
	uri, _ := url.Parse("spiffe://a.example/x")
	for _, tt := range []struct {
		name    string
		names   []string // of the order
		request *x509.CertificateRequest
		status  int
		kind    string
	}{
		{"the names of the order", []string{"a.example", "b.example"}, plain("a.example", "b.example"), 200, ""},
		{"in another order", []string{"a.example", "b.example"}, plain("b.example", "a.example"), 200, ""},
		{"in capitals", []string{"a.example"}, plain("A.EXAMPLE"), 200, ""},
		{"one of them twice", []string{"a.example"}, plain("a.example", "a.example"), 200, ""},
		{"one of them as common name", []string{"a.example"}, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example"}}, 200, ""},
		{"the name as common name alone", []string{"a.example"}, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example"}}, 200, ""},
		{"an address", []string{"127.0.0.1"}, &x509.CertificateRequest{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, 200, ""},
		{"an address as common name", []string{"127.0.0.1"}, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "127.0.0.1"}}, 200, ""},
		{"an organization, which is dropped", []string{"a.example"}, &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"Evil"}, OrganizationalUnit: []string{"x"}}, DNSNames: []string{"a.example"}}, 200, ""},
		{"an unknown critical extension, which is dropped", []string{"a.example"}, &x509.CertificateRequest{DNSNames: []string{"a.example"}, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}}, 200, ""},

		{"a name too many", []string{"a.example"}, plain("a.example", "evil.example"), 400, "badCSR"},
		{"a name too few", []string{"a.example", "b.example"}, plain("a.example"), 400, "badCSR"},
		{"another name", []string{"a.example"}, plain("evil.example"), 400, "badCSR"},
		{"a wildcard for a name", []string{"a.b.example"}, plain("*.b.example"), 400, "badCSR"},
		{"the parent of a name", []string{"a.b.example"}, plain("b.example"), 400, "badCSR"},
		{"a name with a dot at the end", []string{"a.example"}, plain("a.example."), 400, "badCSR"},
		{"no names", []string{"a.example"}, &x509.CertificateRequest{}, 400, "badCSR"},
		{"another common name", []string{"a.example"}, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "evil.example"}, DNSNames: []string{"a.example"}}, 400, "badCSR"},
		{"two common names", []string{"a.example"}, &x509.CertificateRequest{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "evil.example"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a.example"}}}, DNSNames: []string{"a.example"}}, 400, "badCSR"},
		{"an address too many", []string{"a.example"}, &x509.CertificateRequest{DNSNames: []string{"a.example"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}, 400, "badCSR"},
		{"an e-mail address", []string{"a.example"}, &x509.CertificateRequest{DNSNames: []string{"a.example"}, EmailAddresses: []string{"root@a.example"}}, 400, "badCSR"},
		{"a URI", []string{"a.example"}, &x509.CertificateRequest{DNSNames: []string{"a.example"}, URIs: []*url.URL{uri}}, 400, "badCSR"},
		{"an otherName", []string{"a.example"}, &x509.CertificateRequest{ExtraExtensions: san(name(2, "a.example"), other)}, 400, "badCSR"},
		{"a registered ID", []string{"a.example"}, &x509.CertificateRequest{ExtraExtensions: san(name(2, "a.example"), name(8, "\x2a\x03"))}, 400, "badCSR"},
		{"a name of a directory", []string{"a.example"}, &x509.CertificateRequest{ExtraExtensions: san(name(2, "a.example"), asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}})}, 400, "badCSR"},
		{"two lists of names", []string{"a.example"}, &x509.CertificateRequest{ExtraExtensions: append(san(name(2, "evil.example")), san(name(2, "a.example"))...)}, 400, "badCSR"},
		{"an address as a DNS name", []string{"127.0.0.1"}, plain("127.0.0.1"), 400, "badCSR"},
		{"a DNS name with a NUL", []string{"a.example"}, &x509.CertificateRequest{ExtraExtensions: san(name(2, "a.example\x00.evil.example"))}, 400, "badCSR"},
		{"a common name with a NUL", []string{"a.example"}, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example\x00"}, DNSNames: []string{"a.example"}}, 400, "badCSR"},
		{"to be a CA", []string{"a.example"}, &x509.CertificateRequest{DNSNames: []string{"a.example"}, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: ca}}}, 400, "badCSR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := c.in(t)
			o := c.ready(tt.names...)
			r := c.finalize(o, request(t, newKey(t), tt.request))
			if tt.kind != "" {
				r.refused(tt.status, tt.kind)
				if o := c.readOrder(o.url); o.Status != "ready" { // the client may do better
					t.Errorf("order %s", o.Status)
				}
				return
			}
			r.want(tt.status).into(o)
			leaf := c.download(o)[0]
			if len(leaf.DNSNames)+len(leaf.IPAddresses) != len(tt.names) || len(leaf.Subject.Organization) > 0 || leaf.IsCA || leaf.Subject.CommonName != tt.request.Subject.CommonName {
				t.Errorf("certificate for %q %q, subject %s", leaf.DNSNames, leaf.IPAddresses, leaf.Subject)
			}
		})
	}
}

// Payloads that are no certificate request, and requests by keys that may not be certified.
func TestFinalizePayload(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	good := csrFor(t, "a.example")
	bent := append([]byte{}, good...)
	bent[len(bent)-3] ^= 1
	for _, tt := range []struct {
		name, payload string
		status        int
		kind          string
	}{
		{"nothing", ``, 400, "malformed"},
		{"an empty object", `{}`, 400, "malformed"},
		{"no base64", `{"csr":"!!!"}`, 400, "malformed"},
		{"line breaks, which are forgiven", `{"csr":"` + b64(good[:30]) + `\r\n` + b64(good[30:]) + `"}`, 200, ""},
		{"PEM", `{"csr":"-----BEGIN CERTIFICATE REQUEST-----"}`, 400, "malformed"},
		{"no DER", `{"csr":"AAAA"}`, 400, "badCSR"},
		{"a certificate", `{"csr":"` + b64(c.ca.Root.Raw) + `"}`, 400, "badCSR"},
		{"a bent signature", `{"csr":"` + b64(bent) + `"}`, 400, "badCSR"},
		{"a signature by SHA-1", `{"csr":"` + b64(request(t, newKey(t), &x509.CertificateRequest{DNSNames: []string{"a.example"}, SignatureAlgorithm: x509.ECDSAWithSHA1})) + `"}`, 400, "badCSR"},
		{"something after it", `{"csr":"` + b64(append(append([]byte{}, good...), 0)) + `"}`, 400, "badCSR"},
		{"the key of the account", `{"csr":"` + b64(request(t, c.key, &x509.CertificateRequest{DNSNames: []string{"a.example"}})) + `"}`, 400, "badCSR"},
		{"a number", `{"csr":5}`, 400, "malformed"},
		{"padding, which is forgiven", `{"csr":"` + base64.URLEncoding.EncodeToString(good) + `"}`, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := c.in(t)
			o := c.ready("a.example")
			r := c.post(o.Finalize, tt.payload)
			if tt.kind == "" {
				r.want(tt.status)
			} else {
				r.refused(tt.status, tt.kind)
			}
		})
	}
	t.Run("before the names are proven", func(t *testing.T) {
		t.Parallel()
		c := c.in(t)
		c.finalize(c.order("a.example"), good).refused(403, "orderNotReady")
	})
	t.Run("when one of several names is not proven, whichever", func(t *testing.T) { // SEC-28
		t.Parallel()
		c := c.in(t)
		names := []string{"k0.example", "k1.example", "k2.example", "k3.example"}
		for k := range names {
			o := c.order(names...)
			for i, a := range o.Authorizations {
				if i != k {
					c.prove(a)
				}
			}
			c.finalize(o, csrFor(t, names...)).refused(403, "orderNotReady")
		}
	})
}

// However often an order is finalized at the same time, on one server and on two, it gets
// one certificate, and everybody is told the same.
func TestOneCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, durable)
	second := w.beside()
	c := w.newClient()
	for range 5 {
		o := c.ready("one.example")
		var all sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for i := range 8 {
			here := c
			if i%2 == 1 {
				here = &client{world: second, key: c.key, kid: strings.Replace(c.kid, w.srv.URL, second.srv.URL, 1)}
			}
			url := strings.Replace(o.Finalize, w.srv.URL, here.srv.URL, 1)
			all.Go(func() {
				r := here.post(url, `{"csr":"`+b64(csrFor(t, "one.example"))+`"}`)
				var got orderDoc
				r.into(&got)
				mu.Lock()
				defer mu.Unlock()
				answers[itoa(r.status)+" "+got.Status]++
			})
		}
		all.Wait()
		if answers["200 valid"] != 8 {
			t.Errorf("answers %v", answers)
		}
	}
	n := 0
	err := w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
		for c, err := range tx.Certificates(store.Query{Name: store.Name{Kind: "dns", Value: "one.example"}}) {
			if err != nil {
				return err
			}
			_ = c
			n++
		}
		return nil
	})
	if err != nil || n != 5 {
		t.Errorf("%d certificates of 5 orders, %v", n, err)
	}
}

// What the certificate looks like, and the times that were asked for.
func TestCertificateContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"forceCN": true, "claims": map[string]any{"defaultTLSCertDuration": "2h"}})
	c := w.newClient()
	_, leaf, key := c.certificate("b.example", "a.example")
	if leaf.Subject.CommonName != "a.example" || !key.PublicKey.Equal(leaf.PublicKey) {
		t.Errorf("subject %s", leaf.Subject)
	}
	if d := leaf.NotAfter.Sub(leaf.NotBefore); d != 2*time.Hour+time.Minute {
		t.Errorf("valid for %s", d)
	}
	found := false
	for _, ext := range leaf.Extensions { // type 6, name acme
		found = found || ext.Id.String() == "1.3.6.1.4.1.37476.9000.64.1" && strings.Contains(string(ext.Value), "acme")
	}
	if !found {
		t.Error("the certificate does not name its provisioner")
	}
	if _, leaf, _ := c.certificate("127.0.0.1"); leaf.Subject.CommonName != "127.0.0.1" {
		t.Errorf("subject of an address: %s", leaf.Subject)
	}
	end := time.Now().Add(90 * time.Minute).UTC().Truncate(time.Second)
	r := c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"t.example"}],"notAfter":"`+end.Format(time.RFC3339)+`"}`).want(201)
	o := &orderDoc{url: r.location()}
	r.into(o)
	c.prove(o.Authorizations[0])
	c.finalize(o, csrFor(t, "t.example")).want(200).into(o)
	if leaf := c.download(o)[0]; !leaf.NotAfter.Equal(end) || !o.NotAfter.Equal(end) {
		t.Errorf("ends at %s, the order says %s, want %s", leaf.NotAfter, o.NotAfter, end)
	}
	r = c.get(o.Certificate).want(200)
	if r.header.Get("Content-Type") != "application/pem-certificate-chain" || strings.Contains(string(r.body), "\r") {
		t.Errorf("content type %q", r.header.Get("Content-Type"))
	}
	c.get(o.Certificate+"/alternate/1").refused(404, "malformed")
}

// After a new issuing certificate for the same key, both chains are offered (RFC 8555,
// Section 7.4.2).
func TestAlternateChains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	o, _, _ := c.certificate("a.example")
	crossed := w.ca.Certify(testca.Template("Test Intermediate CA", 1, nil), w.ca.Root, w.ca.IntermediateKey.Public(), w.ca.RootKey)
	state := w.ca.NewState()
	state.Previous = []*x509.Certificate{crossed}
	w.ca.Office.Swap(state)
	r := c.get(o.Certificate).want(200)
	alternate := ""
	for _, link := range r.header.Values("Link") {
		if strings.HasSuffix(link, `;rel="alternate"`) {
			alternate = strings.TrimPrefix(strings.TrimSuffix(link, `>;rel="alternate"`), "<")
		}
	}
	if alternate != o.Certificate+"/alternate/1" {
		t.Fatalf("Link %q", r.header.Values("Link"))
	}
	o.Certificate = alternate
	if chain := c.download(o); len(chain) != 2 || !chain[1].Equal(crossed) {
		t.Error("the other chain is not over the other certificate")
	}
	c.get(strings.TrimSuffix(alternate, "1")+"2").refused(404, "malformed")
	c.get(strings.TrimSuffix(alternate, "1")+"0").refused(404, "malformed")
	c.get(strings.TrimSuffix(alternate, "1")+"01").refused(404, "malformed")
}

// Policies, templates and lints refuse at the end with the protocol's own problems, never
// with an internal error, and the order stays ready.
func TestRefusedAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, kind string
		status     int
		later      map[string]any // members of the provisioner after the order was proven
	}{
		{"a policy", "rejectedIdentifier", 403, map[string]any{"options": map[string]any{"x509": map[string]any{"deny": map[string]any{"dns": []string{"a.example"}}}}}},
		{"a shorter lifetime", "malformed", 400, map[string]any{"claims": map[string]any{"maxTLSCertDuration": "10m", "defaultTLSCertDuration": "10m"}}},
		{"a kind of key", "badCSR", 400, map[string]any{"options": map[string]any{"x509": map[string]any{"constraints": map[string]any{"keyTypes": []string{"RSA"}}}}}},
		{"a purpose", "rejectedIdentifier", 403, map[string]any{"options": map[string]any{"x509": map[string]any{"constraints": map[string]any{"allowedEKU": []string{"clientAuth"}}}}}},
		{"a template that fails", "badCSR", 400, map[string]any{"options": map[string]any{"x509": map[string]any{"template": `{{ fail "no" }}`}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			c := w.newClient()
			r := c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"a.example"}],"notAfter":"`+time.Now().Add(20*time.Hour).UTC().Format(time.RFC3339)+`"}`).want(201)
			o := &orderDoc{url: r.location()}
			r.into(o)
			c.prove(o.Authorizations[0])
			w.ca.Reload(withACME(tt.later))
			got := c.finalize(o, csrFor(t, "a.example"))
			if got.status >= 500 {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			if p := got.problem(); got.status != tt.status || p.Type != "urn:ietf:params:acme:error:"+tt.kind {
				t.Errorf("status %d: %s, want %d %s", got.status, got.body, tt.status, tt.kind)
			}
			if o := c.readOrder(o.url); o.Status != "ready" {
				t.Errorf("order %s", o.Status)
			}
			w.ca.Reload()
			c.finalize(o, csrFor(t, "a.example")).want(200)
		})
	}
}

// Profiles: draft-ietf-acme-profiles.
func TestProfiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"profiles": map[string]any{
		"short":  map[string]any{"description": "an hour", "claims": map[string]any{"defaultTLSCertDuration": "1h"}},
		"client": map[string]any{"template": `{"subject": {{ toJson .Subject }}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}`}}})
	c := w.newClient()
	if d := string(w.send("GET", w.url("directory"), "", nil).body); !strings.Contains(d, `"profiles":{"client":"client","short":"an hour"}`) {
		t.Errorf("directory %s", d)
	}
	take := func(profile string) *x509.Certificate {
		r := c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"p.example"}],"profile":"`+profile+`"}`).want(201)
		o := &orderDoc{url: r.location()}
		r.into(o)
		if o.Profile != profile {
			t.Errorf("profile %q", o.Profile)
		}
		c.prove(o.Authorizations[0])
		c.finalize(o, csrFor(t, "p.example")).want(200).into(o)
		return c.download(o)[0]
	}
	if leaf := take("short"); leaf.NotAfter.Sub(leaf.NotBefore) != time.Hour+time.Minute {
		t.Errorf("valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	if leaf := take("client"); len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("usages %v", leaf.ExtKeyUsage)
	}
	c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"p.example"}],"profile":"nothing"}`).refused(400, "invalidProfile")
	r := c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"p.example"}],"profile":"short"}`).want(201)
	o := &orderDoc{url: r.location()}
	r.into(o)
	c.prove(o.Authorizations[0])
	w.ca.Reload(withACME(nil)) // the profile is withdrawn
	c.finalize(o, csrFor(t, "p.example")).refused(400, "invalidProfile")
}

// Revocation: RFC 8555, Section 7.6.
func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	byHand := w.ca.Certify(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}, w.ca.Root, newKey(t).Public(), w.ca.RootKey)
	for _, tt := range []struct {
		name   string
		send   func(c, other *client, leaf *x509.Certificate, key *client) *reply
		status int
		kind   string
	}{
		{"by the account", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, "") }, 200, ""},
		{"with a reason", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":4`) }, 200, ""},
		{"by the certificate's key", func(_, _ *client, l *x509.Certificate, key *client) *reply { return key.revoke(l.Raw, `,"reason":1`) }, 200, ""},
		{"by an account that controls all names", func(_, o *client, l *x509.Certificate, _ *client) *reply {
			o.ready("a.example")
			o.ready("b.example")
			return o.revoke(l.Raw, "")
		}, 200, ""},
		{"by an account that controls one of the names", func(_, o *client, l *x509.Certificate, _ *client) *reply {
			o.ready("a.example")
			return o.revoke(l.Raw, "")
		}, 403, "unauthorized"},
		{"by another account", func(_, o *client, l *x509.Certificate, _ *client) *reply { return o.revoke(l.Raw, "") }, 403, "unauthorized"},
		{"by another key", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			return (&client{world: c.world, key: newKey(c.t)}).revoke(l.Raw, "")
		}, 403, "unauthorized"},
		{"by the account's key as jwk", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			return (&client{world: c.world, key: c.key}).revoke(l.Raw, "")
		}, 403, "unauthorized"},
		{"twice", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			c.revoke(l.Raw, "").want(200)
			return c.revoke(l.Raw, "")
		}, 400, "alreadyRevoked"},
		{"twice, then with a bad reason", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			c.revoke(l.Raw, "").want(200)
			return c.revoke(l.Raw, `,"reason":7`)
		}, 400, "alreadyRevoked"},
		{"twice, then by a stranger", func(c, o *client, l *x509.Certificate, _ *client) *reply {
			c.revoke(l.Raw, "").want(200)
			return o.revoke(l.Raw, "")
		}, 403, "unauthorized"},
		{"no reason by null", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":null`) }, 200, ""},
		{"a reason that is no whole number", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":1.5`) }, 400, "malformed"},
		{"a reason beyond 64 bits", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			return c.revoke(l.Raw, `,"reason":99999999999999999999`)
		}, 400, "malformed"},
		{"line breaks", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			return c.post(c.url("revoke-cert"), `{"certificate":"`+b64(l.Raw[:30])+`\n`+b64(l.Raw[30:])+`"}`)
		}, 400, "malformed"},
		{"something after the certificate", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			return c.revoke(append(append([]byte{}, l.Raw...), 0), "")
		}, 400, "malformed"},
		{"the intermediate's certificate", func(c, _ *client, _ *x509.Certificate, _ *client) *reply {
			return c.revoke(c.ca.Intermediate.Raw, "")
		}, 404, "malformed"},
		{"reason 7", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":7`) }, 400, "badRevocationReason"},
		{"reason 8", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":8`) }, 400, "badRevocationReason"},
		{"reason 11", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":11`) }, 400, "badRevocationReason"},
		{"reason -1", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":-1`) }, 400, "badRevocationReason"},
		{"a reason that is no number", func(c, _ *client, l *x509.Certificate, _ *client) *reply { return c.revoke(l.Raw, `,"reason":"x"`) }, 400, "malformed"},
		{"a bad reason by another account", func(_, o *client, l *x509.Certificate, _ *client) *reply { return o.revoke(l.Raw, `,"reason":7`) }, 403, "unauthorized"},
		{"no certificate", func(c, _ *client, _ *x509.Certificate, _ *client) *reply { return c.post(c.url("revoke-cert"), `{}`) }, 400, "malformed"},
		{"nonsense", func(c, _ *client, _ *x509.Certificate, _ *client) *reply { return c.revoke([]byte("x"), "") }, 400, "malformed"},
		{"an empty payload", func(c, _ *client, _ *x509.Certificate, _ *client) *reply { return c.post(c.url("revoke-cert"), ``) }, 400, "malformed"},
		{"a bent certificate", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			raw := append([]byte{}, l.Raw...)
			raw[len(raw)-1] ^= 1
			return c.revoke(raw, "")
		}, 400, "malformed"},
		{"a certificate we do not know", func(c, _ *client, _ *x509.Certificate, _ *client) *reply { return c.revoke(byHand.Raw, "") }, 404, "malformed"},
		{"padding", func(c, _ *client, l *x509.Certificate, _ *client) *reply {
			return c.post(c.url("revoke-cert"), `{"certificate":"`+base64.URLEncoding.EncodeToString(l.Raw)+`="}`)
		}, 400, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := w.newClient().in(t)
			_, leaf, key := c.certificate("a.example", "b.example")
			r := tt.send(c, w.newClient().in(t), leaf, &client{world: c.world, key: key})
			if tt.kind != "" {
				r.refused(tt.status, tt.kind)
				return
			}
			if r.want(tt.status); len(r.body) > 0 || len(r.header.Values("Link")) != 1 {
				t.Errorf("body %q, Link %q", r.body, r.header.Values("Link"))
			}
			serial := leaf.SerialNumber.Text(16)
			err := w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
				rev, err := tx.Revocation("x509", serial)
				if err == nil && !rev.ACME {
					t.Errorf("revocation %+v", rev)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a key that is somebody else's, too, is not certified again", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		_, leaf, key := c.certificate("k.example")
		again := func() *reply {
			return c.finalize(c.ready("k.example"), request(t, key, &x509.CertificateRequest{DNSNames: []string{"k.example"}}))
		}
		again().want(200)
		(&client{world: c.world, key: key}).revoke(leaf.Raw, `,"reason":1`).want(200)
		again().refused(400, "badCSR")
	})
	t.Run("a certificate that was renewed without ACME", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		_, leaf, _ := c.certificate("r.example")
		issued, err := w.ca.Office.RenewX509(t.Context(), leaf)
		if err != nil {
			t.Fatal(err)
		}
		w.newClient().in(t).revoke(issued.Chain[0].Raw, "").refused(403, "unauthorized")
		c.revoke(issued.Chain[0].Raw, "").want(200)
	})
	t.Run("at the address of another provisioner of type ACME", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil, withMore(object(map[string]any{"name": "other"})))
		c := w.newClient()
		_, leaf, key := c.certificate("b.example")
		there := w.srv.URL + "/acme/other/"
		payload := `{"certificate":"` + b64(leaf.Raw) + `"}`
		other := &client{world: w, key: newKey(t)}
		other.kid = other.post(there+"new-account", `{}`).want(201).location()
		other.post(there+"revoke-cert", payload).refused(403, "unauthorized")
		c.post(there+"revoke-cert", payload).refused(403, "unauthorized")
		(&client{world: w, key: key}).post(there+"revoke-cert", payload).want(200)
	})
	t.Run("a certificate of a provisioner that is not ACME", func(t *testing.T) {
		t.Parallel()
		c := w.newClient().in(t)
		c.prove(c.order("tok.example").Authorizations[0])
		key := newKey(t)
		token := w.ca.In(t).Token("tok.example")
		chain := w.ca.In(t).Sign(testca.CSR(t, key, "tok.example", "tok.example"), token).Chain()
		(&client{world: c.world, key: key}).revoke(chain[0].Raw, "").refused(403, "unauthorized")
	})
}

func (c *client) revoke(der []byte, more string) *reply {
	c.t.Helper()
	return c.post(c.url("revoke-cert"), `{"certificate":"`+b64(der)+`"`+more+`}`)
}

// certID names a certificate as RFC 9773, Section 4.1 does.
func certID(leaf *x509.Certificate) string {
	serial, _ := asn1.Marshal(leaf.SerialNumber)
	return b64(leaf.AuthorityKeyId) + "." + b64(serial[2:])
}

type windowDoc struct {
	Window struct{ Start, End time.Time } `json:"suggestedWindow"`
}

// Renewal information: RFC 9773.
func TestRenewalInfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	_, leaf, _ := c.certificate("a.example")
	info := func(id string) *reply { return w.send("GET", w.url("renewal-info/"+id), "", nil) }
	var got windowDoc
	r := info(certID(leaf)).want(200)
	r.into(&got)
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	at := got.Window.Start.Sub(leaf.NotBefore)
	if !got.Window.End.After(got.Window.Start) || at < life*46/100 || at > life*54/100 || r.header.Get("Retry-After") == "" {
		t.Errorf("window %+v of a life of %s, Retry-After %q", got, life, r.header.Get("Retry-After"))
	}
	for name, tt := range map[string]struct {
		id     string
		status int
	}{
		"the vector of RFC 9773": {"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", 404},
		"one part":               {"AAAA", 400},
		"padding":                {b64(leaf.AuthorityKeyId) + "=." + b64(leaf.SerialNumber.Bytes()), 400},
		"an empty part":          {".AAAA", 400},
		"another serial number":  {b64(leaf.AuthorityKeyId) + ".AQID", 404},
		"no base64":              {"!!!.AAAA", 400},
		"three parts":            {certID(leaf) + ".AAAA", 400},
		"no serial number":       {b64(leaf.AuthorityKeyId) + ".", 400},
		"the number 0":           {b64(leaf.AuthorityKeyId) + ".AA", 404},
		"a number without end":   {b64(leaf.AuthorityKeyId) + "." + strings.Repeat("AAAA", 100), 400},
		"bits that mean nothing": {b64(leaf.AuthorityKeyId) + ".AB", 400},
		"white space":            {b64(leaf.AuthorityKeyId) + ".AQ%0AID", 400},
		"another CA's key":       {b64(c.ca.Root.SubjectKeyId) + "." + b64(leaf.SerialNumber.Bytes()), 404},
	} {
		if r := info(tt.id); r.status != tt.status || r.problem().Type != "urn:ietf:params:acme:error:malformed" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	info(b64(leaf.AuthorityKeyId) + "." + b64(leaf.SerialNumber.Bytes())).want(200) // without the leading zero
	// The window stays where it is, is read by POST-as-GET, too, and short lives are asked about often.
	var again windowDoc
	c.get(c.url("renewal-info/" + certID(leaf))).want(200).into(&again)
	if again != got {
		t.Errorf("the window moves: %v, %v", got, again)
	}
	c.post(c.url("renewal-info/"+certID(leaf)), `{}`).refused(400, "malformed")
	if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 60 || n > int(life/time.Second)/10 {
		t.Errorf("Retry-After %q for a life of %s", r.header.Get("Retry-After"), life)
	}
	for _, scope := range []string{"serial:" + leaf.SerialNumber.Text(16), "issuer:" + w.ca.Office.State().Issuer.KeyID(), "*"} {
		if err := w.ca.Store.Update(t.Context(), func(tx *store.Tx) error {
			return tx.SetACMERenewal(store.ACMERenewal{Scope: scope, CreatedAt: time.Now()})
		}); err != nil {
			t.Fatal(err)
		}
		info(certID(leaf)).want(200).into(&again)
		if !again.Window.End.Before(time.Now()) || again.Window.End.Sub(again.Window.Start) != 30*time.Minute {
			t.Errorf("the operator wants %s renewed: %v", scope, again)
		}
		if err := w.ca.Store.Update(t.Context(), func(tx *store.Tx) error { return tx.RemoveACMERenewal(scope) }); err != nil {
			t.Fatal(err)
		}
	}
	_, other, _ := c.certificate("b.example")
	if err := w.ca.Store.Update(t.Context(), func(tx *store.Tx) error {
		return tx.SetACMERenewal(store.ACMERenewal{Scope: "provisioner:acme/acme", Explanation: "https://ca.example/why", CreatedAt: time.Now()})
	}); err != nil {
		t.Fatal(err)
	}
	r = info(certID(other)).want(200)
	r.into(&got)
	if got.Window.End.After(time.Now()) || !strings.Contains(string(r.body), `"explanationURL":"https://ca.example/why"`) {
		t.Errorf("the operator wants it renewed: %s", r.body)
	}
	c.revoke(leaf.Raw, "").want(200)
	info(certID(leaf)).want(200).into(&got)
	if got.Window.End.After(time.Now()) {
		t.Errorf("the window of a revoked certificate is %+v", got)
	}
	// Certificates that ACME did not issue have one, too.
	key := newKey(t)
	chain := w.ca.Sign(testca.CSR(t, key, "tok.example", "tok.example"), w.ca.Token("tok.example")).Chain()
	info(certID(chain[0])).want(200)
}

// Orders that replace a certificate: RFC 9773, Section 5.
func TestReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	_, leaf, _ := c.certificate("a.example", "b.example")
	ask := func(c *client, name, id string) *reply {
		return c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"`+name+`"}],"replaces":"`+id+`"}`)
	}
	ask(w.newClient(), "a.example", certID(leaf)).refused(403, "unauthorized")
	ask(c, "other.example", certID(leaf)).refused(400, "malformed")
	r := ask(c, "a.example", certID(leaf)).want(201)
	o := &orderDoc{url: r.location()}
	r.into(o)
	if o.Replaces != certID(leaf) {
		t.Errorf("replaces %q", o.Replaces)
	}
	ask(c, "b.example", certID(leaf)).refused(409, "alreadyReplaced")
	c.post(o.Authorizations[0], `{"status":"deactivated"}`).want(200) // the order fails, and lets go
	r = ask(c, "a.example", certID(leaf)).want(201)
	o = &orderDoc{url: r.location()}
	r.into(o)
	c.prove(o.Authorizations[0])
	c.finalize(o, csrFor(t, "a.example")).want(200)
	ask(c, "a.example", certID(leaf)).refused(409, "alreadyReplaced")
	if o := c.readOrder(o.url); o.Replaces != certID(leaf) || o.Status != "valid" {
		t.Errorf("order %+v", o)
	}
	// Two at the same time: one wins.
	_, leaf, _ = c.certificate("race.example")
	var all sync.WaitGroup
	statuses := make([]int, 6)
	for i := range statuses {
		all.Go(func() { statuses[i] = ask(c, "race.example", certID(leaf)).status })
	}
	all.Wait()
	made := 0
	for _, s := range statuses {
		if s == 201 {
			made++
		} else if s != 409 {
			t.Errorf("status %d", s)
		}
	}
	if made != 1 {
		t.Errorf("%d orders replace one certificate", made)
	}
}

// Limits are refused with 429 and the time to come back (SEC-05).
func TestLimits(t *testing.T) {
	t.Parallel()
	limited := func(r *reply, name string) {
		t.Helper()
		r.refused(429, "rateLimited")
		if r.header.Get("Retry-After") == "" || !strings.Contains(r.problem().Detail, name) {
			t.Errorf("%s: Retry-After %q, %s", name, r.header.Get("Retry-After"), r.body)
		}
	}
	with := func(name string, n int) *client {
		return newWorld(t, map[string]any{"limits": map[string]any{name: n}, "validation": map[string]any{"window": "1ms"}}).newClient()
	}
	c := with("pendingOrders", 3)
	first := c.order("a.example")
	c.order("b.example")
	c.order("c.example")
	limited(c.post(c.url("new-order"), dnsOrder("d.example")), "pendingOrders")
	c.prove(first.Authorizations[0])
	c.finalize(first, csrFor(t, "a.example")).want(200)
	c.order("d.example")
	limited(c.post(c.url("new-order"), dnsOrder("e.example")), "pendingOrders")

	// Authorizations before orders are counted as well, or they would be a way around.
	c = with("pendingOrders", 3)
	preauthorize := func(name string) *reply {
		return c.post(c.url("new-authz"), `{"identifier":{"type":"dns","value":"`+name+`"}}`)
	}
	for _, name := range []string{"a.example", "b.example", "c.example"} {
		preauthorize(name).want(201)
	}
	limited(preauthorize("d.example"), "pendingOrders")

	c = with("newOrdersPerHour", 2)
	c.order("a.example")
	c.order("b.example")
	limited(c.post(c.url("new-order"), dnsOrder("c.example")), "newOrdersPerHour")

	c = with("newOrdersPerHour", 2)
	_, leaf, _ := c.certificate("a.example")
	c.order("b.example")
	limited(c.post(c.url("new-order"), dnsOrder("c.example")), "newOrdersPerHour")
	again := `{"identifiers":[{"type":"dns","value":"a.example"}],"replaces":"` + certID(leaf) + `"}`
	limited(c.post(c.url("new-order"), again), "newOrdersPerHour")
	c.revoke(leaf.Raw, "").want(200)
	c.post(c.url("new-order"), again).want(201) // its time has come

	c = with("newAccountsPerHour", 2)
	c.world.newClient()
	limited((&client{world: c.world, key: newKey(t)}).post(c.url("new-account"), `{}`), "newAccountsPerHour")

	c = with("failedValidationsPerHour", 1)
	c.post(c.readAuthz(c.order("f.example").Authorizations[0]).challenge(t, "http-01").URL, "{}").want(200)
	limited(c.post(c.url("new-order"), dnsOrder("f.example")), "failedValidationsPerHour")
	c.prove(c.order("g.example").Authorizations[0]) // another name is nobody's fault

	c = with("certificatesPerDay", 1)
	c.certificate("a.example")
	limited(c.finalize(c.ready("a.example"), csrFor(t, "a.example")), "certificatesPerDay")
	c.certificate("a.example", "b.example")

	// A renewal in its time is never turned away, and one that comes too early is.
	var o *orderDoc
	o, leaf, _ = c.certificate("r.example")
	replace := func() *reply {
		r := c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"r.example"}],"replaces":"`+certID(leaf)+`"}`).want(201)
		r.into(o)
		c.prove(o.Authorizations[0])
		return c.finalize(o, csrFor(t, "r.example"))
	}
	limited(replace(), "certificatesPerDay")
	if err := c.ca.Store.Update(t.Context(), func(tx *store.Tx) error {
		return tx.SetACMERenewal(store.ACMERenewal{Scope: "*", CreatedAt: time.Now()})
	}); err != nil {
		t.Fatal(err)
	}
	c.finalize(o, csrFor(t, "r.example")).want(200)

	// Nor may a client make a time for it by revoking what it got, one after the other.
	c = with("certificatesPerDay", 1)
	o, leaf, _ = c.certificate("r.example")
	c.revoke(leaf.Raw, "").want(200)
	limited(replace(), "certificatesPerDay")

	c = with("identifiersPerOrder", 2)
	c.post(c.url("new-order"), dnsOrder("a.example", "b.example", "c.example")).refused(400, "malformed")

	w := newWorld(t, map[string]any{"limits": map[string]any{"requestsPerSecond": 1}})
	refused := 0
	for range 20 {
		if w.send(http.MethodHead, w.url("new-nonce"), "", nil).status == 429 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("20 nonces at once for one a second")
	}
}

// Authorizations before orders (RFC 8555, Section 7.4.1), and domains above names (RFC 9444).
func TestPreauthorization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"subdomainAuth": true})
	c := w.newClient()
	ask := func(identifier string) *reply { return c.post(c.url("new-authz"), `{"identifier":`+identifier+`}`) }
	r := ask(`{"type":"dns","value":"pre.example"}`).want(201)
	c.prove(r.location())
	o := c.order("pre.example")
	if o.Status != "ready" || o.Authorizations[0] != r.location() {
		t.Errorf("order %+v", o)
	}
	c.finalize(o, csrFor(t, "pre.example")).want(200)
	if o := w.newClient().order("pre.example"); o.Status != "pending" {
		t.Error("another account's authorization was taken")
	}
	ask(`{"type":"dns","value":"*.pre.example"}`).refused(400, "malformed")
	ask(`{"type":"x","value":"y"}`).refused(400, "unsupportedIdentifier")
	ask(`{"type":"dns","value":"a..b"}`).refused(400, "malformed")
	ask(`{"type":"ip","value":"10.0.0.1","subdomainAuthAllowed":true}`).refused(400, "malformed")

	r = ask(`{"type":"dns","value":"zone.example","subdomainAuthAllowed":true}`).want(201)
	var a authzDoc
	r.into(&a)
	if !a.Subdomains || len(a.Challenges) != 1 || a.Challenges[0].Type != "dns-01" {
		t.Errorf("authorization %+v", a)
	}
	c.proveDNS(r.location())
	below := func(name, ancestor string) *reply {
		return c.post(c.url("new-order"), `{"identifiers":[{"type":"dns","value":"`+name+`","ancestorDomain":"`+ancestor+`"}]}`)
	}
	r = below("a.b.zone.example", "zone.example").want(201)
	o = &orderDoc{url: r.location()}
	r.into(o)
	if o.Status != "ready" {
		t.Fatalf("order %+v", o)
	}
	c.finalize(o, csrFor(t, "a.b.zone.example")).want(200)
	below("a.evilzone.example", "zone.example").refused(400, "malformed")
	below("zone.example", "a.zone.example").refused(400, "malformed")
	below("a.zone.example", "*.zone.example").refused(400, "malformed")
	var pending orderDoc
	below("a.fresh.example", "fresh.example").want(201).into(&pending)
	if a := c.readAuthz(pending.Authorizations[0]); a.Identifier.Value != "fresh.example" || !a.Subdomains || len(a.Challenges) != 1 {
		t.Errorf("authorization %+v", a)
	}
	if o := c.order("a.zone.example"); o.Status != "pending" { // nobody named the domain above it
		t.Errorf("order %s", o.Status)
	}
	plain := newWorld(t, nil).newClient()
	plain.post(plain.url("new-order"), `{"identifiers":[{"type":"dns","value":"a.zone.example","ancestorDomain":"zone.example"}]}`).refused(400, "malformed")
}

// A proof that stands for later orders, as long as that is wanted.
func TestReuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"authzReuse": "1h"})
	c := w.newClient()
	c.certificate("a.example")
	if o := c.order("a.example"); o.Status != "ready" {
		t.Errorf("order %s", o.Status)
	} else {
		c.finalize(o, csrFor(t, "a.example")).want(200)
	}
	if o := c.order("a.example", "b.example"); o.Status != "pending" {
		t.Errorf("order %s", o.Status)
	}
	if o := c.order("*.a.example"); o.Status != "pending" {
		t.Errorf("a proof of a name was taken for its wildcard: %s", o.Status)
	}
	w.ca.Reload(withACME(map[string]any{"authzReuse": "1h", "challenges": []string{"dns-01"}}))
	if o := c.order("a.example"); o.Status != "pending" {
		t.Error("a proof by a challenge type that is off was taken")
	}
	w.ca.Reload(withACME(nil))
	if o := c.order("a.example"); o.Status != "pending" {
		t.Error("a proof was taken though none is to stand")
	}
	// An order with a proof of an earlier one: given up, it is good for neither.
	w.ca.Reload()
	o := c.order("a.example")
	c.post(o.Authorizations[0], `{"status":"deactivated"}`).want(200)
	c.finalize(o, csrFor(t, "a.example")).refused(403, "orderNotReady")
}

// A challenge type that the operator turns off proves nothing any more, also where it was
// offered before.
func TestChallengeTurnedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	o := c.order("off.example")
	ch := c.readAuthz(o.Authorizations[0]).challenge(t, "http-01")
	c.show(ch.Token)
	w.ca.Reload(withACME(map[string]any{"challenges": []string{"dns-01"}}))
	c.post(ch.URL, "{}").refused(403, "unauthorized")
	c.get(ch.URL).want(200) // to look is no harm
	if a := c.readAuthz(o.Authorizations[0]); a.Status != "pending" {
		t.Errorf("authorization %s", a.Status)
	}
	if c.asked != 0 {
		t.Error("the name was looked at")
	}
	c.proveDNS(o.Authorizations[0])
	c.finalize(o, csrFor(t, "off.example")).want(200)
}

// CAA records are heeded where that is wanted (RFC 8659, RFC 8657), whichever name has one.
func TestCAA(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"caaIdentities": []string{"ca.example"}, "caaCheck": true})
	c := w.newClient()
	set := func(name, value string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.txt["caa "+name+"."] = []string{"issue " + value}
	}
	set("ours.example", "ca.example")
	set("account.example", "ca.example; accounturi="+c.kid)
	set("others.example", "other.example")
	set("stranger.example", "ca.example; accounturi=https://ca.example/acme/acme/account/x")
	set("dns.example", "ca.example; validationmethods=dns-01")
	c.certificate("ours.example", "none.example", "account.example", "a.ours.example")
	for _, bad := range []string{"others.example", "a.others.example", "stranger.example", "dns.example"} {
		for k := range 3 { // SEC-28: each place in the list
			names := []string{"x.example", "y.example"}
			names = append(names[:min(k, 2)], append([]string{bad}, names[min(k, 2):]...)...)
			r := c.finalize(c.ready(names...), csrFor(t, names...)).refused(403, "caa")
			if p := r.problem(); len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != bad {
				t.Errorf("%s at %d: %s", bad, k, r.body)
			}
		}
	}
}

// The records of ended orders go, in small steps, and the certificates stay.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newClient()
	o, leaf, _ := c.certificate("a.example")
	pending := c.order("b.example")
	if _, err := w.ca.Store.SweepACME(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	c.get(o.url).want(200)
	c.get(pending.url).want(200)
	if n, err := w.ca.Store.SweepACME(t.Context(), time.Now().Add(30*time.Hour)); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	c.get(pending.url).refused(404, "malformed")
	c.get(o.url).want(200) // its certificate is not a day past its end
	if _, err := w.ca.Store.SweepACME(t.Context(), leaf.NotAfter.Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	c.get(o.url).refused(404, "malformed")
	c.get(c.kid).want(200)
	if err := w.ca.Store.View(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Certificate("x509", leaf.SerialNumber.Text(16))
		return err
	}); err != nil {
		t.Error(err)
	}
}

// An ACME provisioner cannot be used by a token (SEC-01).
func TestNoTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	key := newKey(t)
	token := w.ca.Token("a.example", testca.Audience(w.ca.URL()+"/1.0/sign#acme/acme"))
	r := w.ca.Sign(testca.CSR(t, key, "a.example", "a.example"), token)
	if r.Status < 400 || r.Status >= 500 {
		t.Errorf("status %d: %s", r.Status, r.Body)
	}
	var problem map[string]any
	if json.Unmarshal(r.Body, &problem) != nil || problem["message"] == "" {
		t.Errorf("%s", r.Body)
	}
}
