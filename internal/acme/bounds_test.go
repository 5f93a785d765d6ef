package acme_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// SEC-05: messages without depth or number cost little and are refused in the protocol's words.
func TestSEC05_PayloadsAreBounded(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	names := func(n int) string {
		return `{"identifiers":[` + strings.TrimSuffix(strings.Repeat(`{"type":"dns","value":"a"},`, n), ",") + `]}`
	}
	var members strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&members, `"m%d":0,`, i)
	}
	for name, tt := range map[string]struct {
		payload string
		status  int
	}{
		"nested lists":         {strings.Repeat("[", 10000) + strings.Repeat("]", 10000), 400},
		"nested objects":       {strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), 400},
		"nested in a member":   {`{"identifiers":[{"type":"dns","value":"a"}],"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400},
		"a thousand names":     {names(1000), 400},
		"ten thousand names":   {names(10000), 413},
		"an endless number":    {`{"identifiers":` + strings.Repeat("9", 30000) + `}`, 400},
		"thousands of members": {`{` + members.String() + `"identifiers":[{"type":"dns","value":"a"}]}`, 201},
		"a long time":          {`{"identifiers":[{"type":"dns","value":"a"}],"notAfter":"2030-01-01T00:00:00.` + strings.Repeat("0", 20000) + `Z"}`, 400},
		"a long profile":       {`{"identifiers":[{"type":"dns","value":"a"}],"profile":"` + strings.Repeat("p", 20000) + `"}`, 400},
		"a long replaces":      {`{"identifiers":[{"type":"dns","value":"a"}],"replaces":"` + strings.Repeat("A", 10000) + "." + strings.Repeat("A", 10000) + `"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := c.in(t)
			r := c.post(c.url("new-order"), tt.payload).want(tt.status)
			if tt.status != 201 && r.problem().Type == "" || len(r.body) > 2000 {
				t.Errorf("an answer of %d bytes: %.300s", len(r.body), r.body)
			}
		})
	}
}

// SEC-10: whatever names a request has and wherever they are, the certificate has exactly those
// of the order, which were proven, or there is none.
func TestSEC10_OnlyProvenNamesAreCertified(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]any{"authzReuse": "1h", "limits": map[string]any{"pendingOrders": -1}})
	c := w.newClient()
	key := newKey(t)
	proven := []string{"a.example", "b.example", "c.example", "127.0.0.1"}
	asked := append(slices.Clone(proven), "A.example", "a.example.", "*.a.example", "evil.example", "x.a.example", "10.0.0.1", "::1", "a.example\x00", "")
	uri, _ := url.Parse("spiffe://a.example/x")
	issued, refused := 0, 0
	try := func(rt *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.SampledFrom(proven), 1, 3, rapid.ID[string]).Draw(rt, "order")
		o := c.order(ids...)
		for _, a := range o.Authorizations {
			if c.readAuthz(a).Status != "valid" {
				c.prove(a)
			}
		}
		// Mostly the names of the order, so that some requests are good.
		names := slices.Clone(ids)
		for _, extra := range rapid.SliceOfN(rapid.SampledFrom(asked), 0, 2).Draw(rt, "more") {
			if rapid.Bool().Draw(rt, "instead") {
				names[0] = extra
			} else {
				names = append(names, extra)
			}
		}
		ask := &x509.CertificateRequest{Subject: pkix.Name{CommonName: rapid.SampledFrom([]string{"", ids[0]}).Draw(rt, "cn"), Organization: []string{"Evil"}}}
		if rapid.IntRange(0, 2).Draw(rt, "odd cn") == 0 {
			ask.Subject.CommonName = rapid.SampledFrom(asked).Draw(rt, "other cn")
		}
		var list []asn1.RawValue
		for _, n := range names {
			one := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(n)}
			if ip := net.ParseIP(n); ip != nil && rapid.Bool().Draw(rt, "as address") {
				if one.Tag, one.Bytes = 7, ip; ip.To4() != nil {
					one.Bytes = ip.To4()
				}
			}
			list = append(list, one)
		}
		switch rapid.IntRange(0, 9).Draw(rt, "other") {
		case 0:
			list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri.String())})
		case 1:
			list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("root@a.example")})
		case 2:
			list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{0x06, 0x03, 0x2a, 0x03, 0x04, 0xa0, 0x03, 0x0c, 0x01, 'x'}})
		}
		value, err := asn1.Marshal(list)
		if err != nil {
			rt.Fatal(err)
		}
		ask.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
		der, err := x509.CreateCertificateRequest(rand.Reader, ask, key)
		if err != nil {
			return // what the library does not even make
		}
		r := c.finalize(o, der)
		if r.status != http.StatusOK {
			r.refused(http.StatusBadRequest, "badCSR")
			refused++
			return
		}
		issued++
		r.into(o)
		leaf := c.download(o)[0]
		got := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			got = append(got, ip.String())
		}
		slices.Sort(got)
		slices.Sort(ids)
		if !slices.Equal(got, ids) || len(leaf.EmailAddresses)+len(leaf.URIs)+len(leaf.Subject.Organization) > 0 || leaf.IsCA {
			rt.Fatalf("order for %q, certificate for %q, subject %s", ids, got, leaf.Subject)
		}
		if cn := leaf.Subject.CommonName; cn != "" && !slices.Contains(ids, strings.ToLower(cn)) {
			rt.Fatalf("order for %q, common name %q", ids, cn)
		}
		if bytes.Contains(leaf.Raw, []byte("evil")) || bytes.Contains(leaf.Raw, []byte("spiffe")) {
			rt.Fatal("a name that nobody proved is somewhere in the certificate")
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		for range 6 {
			try(rt)
		}
	})
	if issued == 0 || refused == 0 {
		t.Errorf("%d certificates, %d refusals: nothing is proven by that", issued, refused)
	}
}

// The signature of which both halves lack a leading zero byte is mended, too. It is made on
// purpose: first a point whose x begins with zero, then a message for which s does.
func TestBothHalvesShort(t *testing.T) {
	t.Parallel()
	c := newWorld(t, nil).newClient()
	target := c.url("new-order")
	n := c.key.Params().N
	var k, r *big.Int
	for r == nil || r.BitLen() > 248 || r.BitLen() <= 240 {
		scalar, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, r = new(big.Int).SetBytes(scalar.Bytes()), new(big.Int).SetBytes(scalar.PublicKey().Bytes()[1:33])
	}
	d, err := c.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	rd := new(big.Int).Mul(r, new(big.Int).SetBytes(d))
	inverse := new(big.Int).ModInverse(k, n)
	h := c.header(target)
	payload := b64([]byte(dnsOrder("a.example")))
	for i := 0; ; i++ {
		h["x"] = i
		raw, _ := json.Marshal(h)
		protected := b64(raw)
		digest := sha256.Sum256([]byte(protected + "." + payload))
		s := new(big.Int).SetBytes(digest[:])
		s.Add(s, rd).Mul(s, inverse).Mod(s, n)
		if s.BitLen() > 248 || s.BitLen() <= 240 {
			continue
		}
		sig := append(r.Bytes(), s.Bytes()...)
		if len(sig) != 62 {
			t.Fatalf("a signature of %d bytes", len(sig))
		}
		c.raw(target, map[string]any{"protected": protected, "payload": payload, "signature": b64(sig)}).want(http.StatusCreated)
		return
	}
}
