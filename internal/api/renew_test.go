package api_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/policy"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// renew renews over TLS.
func renew(c *testca.CA, h *testca.Holder) *testca.Answer {
	return c.Do(testca.Call{Method: http.MethodPost, Path: "/1.0/renew", As: h})
}

// renewBy renews by a token in the header.
func renewBy(c *testca.CA, token string) *testca.Answer {
	return c.Do(testca.Call{Method: http.MethodPost, Path: "/renew", Header: http.Header{"Authorization": {"Bearer " + token}}})
}

// rekey asks for a new key over TLS.
func rekey(c *testca.CA, h *testca.Holder, csr string) *testca.Answer {
	return c.Do(testca.Call{Method: http.MethodPost, Path: "/1.0/rekey", As: h, Body: map[string]any{"csr": csr}})
}

// http-api Section 12, item 13.
func TestRenewOverTLS(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.IssueFor(testca.P256(t), c.Token("web", testca.SANs("web", "10.1.2.3")))
	for _, path := range []string{"/renew", "/1.0/renew", "/re-sign", "/1.0/re-sign"} {
		next := c.Do(testca.Call{Method: http.MethodPost, Path: path, As: h, Body: "whatever"}).Chain()[0]
		if next.NotAfter.Sub(next.NotBefore) != h.Leaf().NotAfter.Sub(h.Leaf().NotBefore) {
			t.Errorf("%s: another lifetime", path)
		}
		if next.SerialNumber.Cmp(h.Leaf().SerialNumber) == 0 || !bytes.Equal(next.RawSubject, h.Leaf().RawSubject) || !bytes.Equal(next.RawSubjectPublicKeyInfo, h.Leaf().RawSubjectPublicKeyInfo) {
			t.Errorf("%s: serial number, subject or key are not as they must be", path)
		}
		for _, ext := range h.Leaf().Extensions {
			if !ext.Id.Equal([]int{2, 5, 29, 35}) && !hasExtension(next, ext) {
				t.Errorf("%s: extension %s was lost or changed", path, ext.Id)
			}
		}
	}
	record := certificates(t, c)
	if n := len(record); n != 5 {
		t.Fatalf("%d certificates on record", n)
	}
	for _, r := range record[1:] {
		if r.RenewedFrom != ca.SerialHex(h.Leaf().SerialNumber) || r.ProvisionerName != testca.Provisioner {
			t.Errorf("%+v does not name its predecessor", r)
		}
	}
	// The old one stays valid, and the new one renews as well.
	renew(c, &testca.Holder{Chain: renew(c, h).Chain(), Key: h.Key}).Want(201)
	c.Post("/renew", nil).Want(400)
	c.Do(testca.Call{Method: http.MethodPost, Path: "/renew", Header: http.Header{"Authorization": {"bearer x"}}}).Want(400)
	c.Do(testca.Call{Method: http.MethodPost, Path: "/renew", Header: http.Header{"Authorization": {"Basic x"}}}).Want(400)
	// Both identities: TLS wins.
	other := c.Issue("other")
	both := c.Do(testca.Call{Method: http.MethodPost, Path: "/renew", As: h, Header: http.Header{"Authorization": {"Bearer " + c.RenewToken(other)}}})
	if cn := both.Chain()[0].Subject.CommonName; cn != "web" {
		t.Errorf("renewed %q", cn)
	}
	// A client that sends its leaf alone still passes.
	renew(c, &testca.Holder{Chain: h.Chain[:1], Key: h.Key}).Want(201)
}

func hasExtension(c *x509.Certificate, want pkix.Extension) bool {
	for _, ext := range c.Extensions {
		if ext.Id.Equal(want.Id) && ext.Critical == want.Critical && bytes.Equal(ext.Value, want.Value) {
			return true
		}
	}
	return false
}

// http-api Section 12, item 14: a renew token built by hand, each field bent.
func TestRenewTokens(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h, other := c.Issue("web"), c.Issue("other")
	serverOnly := c.Foreign("web", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
		l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		l.ExtraExtensions = provisionerExtension(t)
	})
	noSignature := c.Foreign("web", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
		l.KeyUsage = x509.KeyUsageKeyAgreement
		l.ExtraExtensions = provisionerExtension(t)
	})
	noName := c.Foreign("", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
		l.Subject, l.DNSNames = pkix.Name{}, []string{"nameless"}
		l.ExtraExtensions = provisionerExtension(t)
	})
	now := time.Now()
	evilKey := testca.P256(t)
	evilRoot := c.Certify(testca.Template("Test Root CA", 2, nil), nil, evilKey.Public(), evilKey)
	evil := c.Foreign("web", evilRoot, evilKey, nil)
	aud := testca.Audience
	one := func(b ...testca.Bend) []testca.Bend { return b }
	for _, k := range []struct {
		name   string
		h      *testca.Holder
		bend   []testca.Bend
		status int
	}{
		{"as it should be", h, nil, 201},
		{"with the header x5c", h, one(testca.NoHead("x5cInsecure"), testca.Head("x5c", testca.Encode(h.Chain...))), 201},
		{"with an ID", h, one(testca.Claim("jti", "1")), 201},
		{"another holder with the same ID", other, one(testca.Claim("jti", "1")), 201},
		{"without an ID", h, one(testca.NoClaim("jti"), testca.Claim("x", 1)), 201},
		{"the leaf alone, since we know our intermediate", h, one(testca.Head("x5cInsecure", testca.Encode(h.Leaf()))), 201},
		{"audience with the version", h, one(aud("https://localhost/1.0/renew")), 201},
		{"old clients name the provisioner as issuer", h, one(testca.Claim("iss", testca.Provisioner)), 201},
		{"a certificate without a common name", noName, one(testca.Claim("sub", "whatever")), 201},
		{"another subject", h, one(testca.Claim("sub", "other")), 401},
		{"no subject", h, one(testca.NoClaim("sub")), 401},
		{"audience of signing", h, one(aud("https://localhost/1.0/sign")), 401},
		{"audience of old clients", h, one(aud("step-certificate-authority")), 401},
		{"audience elsewhere", h, one(aud("https://else/renew")), 401},
		{"no audience", h, one(testca.NoClaim("aud")), 401},
		{"another issuer", h, one(testca.Claim("iss", "somebody")), 401},
		{"no issuer", h, one(testca.NoClaim("iss")), 401},
		{"no expiry", h, one(testca.NoClaim("exp")), 401},
		{"expired", h, one(testca.At(now.Add(-15 * time.Minute))), 401},
		{"not yet valid", h, one(testca.At(now.Add(10 * time.Minute))), 401},
		{"signed by another key", h, one(testca.SignedBy(testca.P256(t), "ES256")), 401},
		{"signed by the provisioner", h, one(testca.SignedBy(c.Key, "ES256")), 401},
		{"no certificate", h, one(testca.NoHead("x5cInsecure")), 401},
		{"an empty chain", h, one(testca.Head("x5cInsecure", []string{})), 401},
		{"no base64", h, one(testca.Head("x5cInsecure", []string{"***"})), 401},
		{"no certificate in the chain", h, one(testca.Head("x5cInsecure", []string{"AAAA"})), 401},
		{"eleven certificates", h, one(testca.Head("x5cInsecure", testca.Encode(many(h.Leaf(), 11)...))), 401},
		{"somebody else's certificate", h, one(testca.Head("x5cInsecure", testca.Encode(other.Chain...))), 401},
		{"a key too large in the chain", h, one(testca.Head("x5cInsecure", append(testca.Encode(h.Chain...), testca.Encode(hugeCertificate(t, c))...))), 401},
		{"an issuer with the name of ours", evil, one(testca.Head("x5cInsecure", testca.Encode(evil.Leaf(), evilRoot, c.Intermediate))), 401},
		{"not for client authentication", serverOnly, nil, 401},
		{"not for signatures", noSignature, nil, 401},
		{"the intermediate itself", &testca.Holder{Chain: []*x509.Certificate{c.Intermediate}, Key: c.IntermediateKey}, nil, 401},
		{"a token of the provisioner", h, one(testca.Head("kid", c.KeyID), testca.NoHead("x5cInsecure"), testca.SignedBy(c.Key, "ES256"), testca.Claim("iss", testca.Provisioner)), 401},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			renewBy(c, c.RenewToken(k.h, k.bend...)).Want(k.status)
		})
	}
	t.Run("used twice", func(t *testing.T) {
		c := c.In(t)
		for _, bend := range [][]testca.Bend{nil, {testca.NoClaim("jti")}} {
			token := c.RenewToken(h, append(bend, testca.Claim("y", 1))...)
			renewBy(c, token).Want(201)
			renewBy(c, token).Want(401)
		}
	})
	t.Run("forged first", func(t *testing.T) {
		c := c.In(t)
		id := testca.Claim("jti", "victim")
		renewBy(c, c.RenewToken(h, id, testca.SignedBy(testca.P256(t), "ES256"))).Want(401)
		renewBy(c, c.RenewToken(h, id)).Want(201)
	})
}

func many(c *x509.Certificate, n int) (list []*x509.Certificate) {
	for range n {
		list = append(list, c)
	}
	return list
}

// hugeCertificate carries a key nobody can check signatures with in time.
func hugeCertificate(t *testing.T, c *testca.CA) *x509.Certificate {
	t.Helper()
	return c.Certify(testca.Template("Test Intermediate CA", 1, nil), c.Root, testca.HugeRSA(100_000), c.RootKey)
}

// provisionerExtension names the JWK provisioner.
func provisionerExtension(t *testing.T) []pkix.Extension {
	t.Helper()
	ext, err := (&issue.Extension{Type: 1, Name: testca.Provisioner, CredentialID: "old key"}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return []pkix.Extension{ext}
}

// Decisions 5 and http-api Section 5.9: what may not be renewed or rekeyed (SEC-20, SEC-25).
func TestSEC20_WhatIsNotRenewed(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	siblingKey := testca.P256(t)
	sibling := c.Certify(testca.Template("Sibling CA", 1, nil), c.Root, siblingKey.Public(), c.RootKey)
	twinKey := testca.P256(t)
	twin := c.Certify(testca.Template("Test Intermediate CA", 1, nil), c.Root, twinKey.Public(), c.RootKey)
	named := func(l *x509.Certificate) { l.ExtraExtensions = provisionerExtension(t) }
	extension := func(name string) func(*x509.Certificate) {
		return func(l *x509.Certificate) {
			ext, err := (&issue.Extension{Type: 1, Name: name}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			l.ExtraExtensions = []pkix.Extension{ext}
		}
	}
	recorded := c.Issue("recorded")
	for _, k := range []struct {
		name string
		h    *testca.Holder
	}{
		{"of another intermediate below our root", c.Foreign("web", sibling, siblingKey, named)},
		{"of an intermediate with the name of ours", c.Foreign("web", twin, twinKey, named)},
		{"of the root itself", c.Foreign("web", c.Root, c.RootKey, named)},
		{"a CA certificate", c.Foreign("Sub CA", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
			named(l)
			l.IsCA, l.BasicConstraintsValid, l.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		})},
		{"without record and extension", c.Foreign("web", c.Intermediate, c.IntermediateKey, nil)},
		{"without record, of a provisioner that is gone", c.Foreign("web", c.Intermediate, c.IntermediateKey, extension("gone"))},
		{"with the serial number of another", c.Foreign("web", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
			named(l)
			l.SerialNumber = recorded.Leaf().SerialNumber
		})},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			// Where TLS itself refuses (a path too long, for one), no answer comes.
			for what, a := range map[string]*testca.Answer{"renew": renew(c, k.h), "rekey": rekey(c, k.h, testca.CSR(t, testca.P256(t), "")), "token": renewBy(c, c.RenewToken(k.h))} {
				if a.Status != 401 && (a.Status != 0 || what == "token") {
					t.Errorf("%s: %d %s", what, a.Status, a.Body)
				}
			}
		})
	}
	renew(c, recorded).Want(201)
	renew(c, c.Foreign("web", c.Intermediate, c.IntermediateKey, named)).Want(201) // the extension names a living provisioner
}

// authority.renewUnrecorded, and that a renewed certificate can be renewed again.
func TestRenewalWithoutARecord(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name               string
		setting            ca.Unrecorded
		named, anonymous   int
		namesItsLogMessage string
	}{
		{"extension", ca.UnrecordedExtension, 201, 401, ""},
		{"never", ca.UnrecordedNever, 401, 401, ""},
		{"always", ca.UnrecordedAlways, 201, 201, ""},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			c := testca.New(t, func(s *testca.Setup) { s.State = func(s *ca.State) { s.Unrecorded = k.setting } })
			named := c.Foreign("named", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) { l.ExtraExtensions = provisionerExtension(t) })
			anonymous := c.Foreign("anonymous", c.Intermediate, c.IntermediateKey, nil)
			for _, pair := range []struct {
				h    *testca.Holder
				want int
			}{{named, k.named}, {anonymous, k.anonymous}} {
				a := renew(c, pair.h).Want(pair.want)
				if pair.want != 201 {
					continue
				}
				next := &testca.Holder{Chain: a.Chain(), Key: pair.h.Key}
				renew(c, next).Want(201)
				renewBy(c, c.RenewToken(next)).Want(201)
				if !bytes.Contains([]byte(c.Log.String()), []byte("without a record")) {
					t.Error("such a renewal is not logged")
				}
			}
		})
	}
}

// An earlier issuing certificate of the configuration keeps its leaves renewable.
func TestRenewalAfterTheIntermediateWasReplaced(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.Issue("web")
	old := c.Intermediate
	c.IntermediateKey = testca.P256(t)
	c.Intermediate = c.Certify(testca.Template("Second Intermediate CA", 1, nil), c.Root, c.IntermediateKey.Public(), c.RootKey)
	c.Reload()
	renew(c, h).Want(401)
	renewBy(c, c.RenewToken(h)).Want(401)
	c.Reload(func(s *testca.Setup) { s.State = func(s *ca.State) { s.Previous = []*x509.Certificate{old} } })
	for _, a := range []*testca.Answer{renew(c, h), renewBy(c, c.RenewToken(h)), renewBy(c, c.RenewToken(h, testca.Head("x5cInsecure", testca.Encode(h.Leaf()))))} {
		if err := a.Chain()[0].CheckSignatureFrom(c.Intermediate); err != nil {
			t.Error(err)
		}
	}
}

// http-api Section 12, item 15, and claims at the time of renewal.
func TestWhatProvisionersSayAboutRenewal(t *testing.T) {
	t.Parallel()
	for _, extension := range []bool{true, false} {
		off := &provisioner.Claims{DisableSmallstepExtensions: yes()}
		c := testca.New(t, func(s *testca.Setup) {
			if !extension {
				s.Claims = off
			}
		})
		h := c.Issue("web")
		c.Reload(func(s *testca.Setup) {
			s.Claims = &provisioner.Claims{DisableRenewal: yes(), DisableSmallstepExtensions: off.DisableSmallstepExtensions}
		})
		for what, a := range map[string]*testca.Answer{"renew": renew(c, h), "rekey": rekey(c, h, testca.CSR(t, testca.P256(t), "")), "token": renewBy(c, c.RenewToken(h))} {
			if a.Status != 401 {
				t.Errorf("extension %v, renewal disabled, %s: %d", extension, what, a.Status)
			}
		}
	}
	t.Run("a lowered maximum", func(t *testing.T) {
		t.Parallel()
		c := testca.New(t)
		h := c.Issue("web")
		c.Reload(func(s *testca.Setup) {
			s.Claims = &provisioner.Claims{MaxTLSDuration: duration(time.Hour), DefaultTLSDuration: duration(time.Hour)}
		})
		if next := renew(c, h).Chain()[0]; next.NotAfter.Sub(next.NotBefore) != time.Hour+time.Minute {
			t.Errorf("lives %s", next.NotAfter.Sub(next.NotBefore))
		}
	})
	t.Run("a provisioner with a new key", func(t *testing.T) {
		t.Parallel()
		c := testca.New(t)
		h := c.Issue("web")
		key := testca.P256(t)
		c.Reload(func(s *testca.Setup) {
			s.Provisioners = []string{testca.JWKProvisioner(testca.Provisioner, &key.PublicKey, nil)}
		})
		renew(c, h).Want(201)
		renewBy(c, c.RenewToken(h)).Want(201)
	})
	t.Run("a provisioner that is gone or disabled", func(t *testing.T) {
		t.Parallel()
		c := testca.New(t)
		h := c.Issue("web")
		key := testca.P256(t)
		c.Reload(func(s *testca.Setup) { s.Provisioners = []string{testca.JWKProvisioner("else", &key.PublicKey, nil)} })
		renew(c, h).Want(401)
		c.Reload(func(s *testca.Setup) {
			s.Provisioners = []string{`{"type":"OIDC","name":"` + testca.Provisioner + `"}`}
		})
		renew(c, h).Want(401)
		renewBy(c, c.RenewToken(h)).Want(401)
	})
	t.Run("name rules that came later", func(t *testing.T) {
		t.Parallel()
		c := testca.New(t)
		good, bad := c.Issue("a.example.com"), c.Issue("b.example.org")
		rules, err := policy.NewX509(&policy.X509Config{Allow: &policy.X509Names{DNS: []string{"*.example.com"}, CN: []string{"a.example.com"}}})
		if err != nil {
			t.Fatal(err)
		}
		c.Reload(func(s *testca.Setup) { s.Authority = func(a *issue.Authority) { a.Policy = rules } })
		renew(c, good).Want(201)
		renew(c, bad).Want(403)
		rekey(c, bad, testca.CSR(t, testca.P256(t), "")).Want(403)
		c.Sign(testca.CSR(t, testca.P256(t), ""), c.Token("b.example.org")).Want(403)
	})
	t.Run("an issuer that ends soon", func(t *testing.T) {
		t.Parallel()
		c := testca.New(t)
		h := c.Issue("web")
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		c.Intermediate = c.Certify(testca.Template("Test Intermediate CA", 1, func(x *x509.Certificate) { x.NotAfter = end }), c.Root, c.IntermediateKey.Public(), c.RootKey)
		c.Reload()
		if next := renew(c, h).Chain()[0]; !next.NotAfter.Equal(end) {
			t.Errorf("ends %s, its issuer %s", next.NotAfter, end)
		}
	})
}

// http-api Section 5.9: an expired certificate needs the token and the claim.
func TestRenewalAfterExpiry(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	expired := c.Foreign("web", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
		l.NotBefore, l.NotAfter = time.Now().Add(-50*time.Minute), time.Now().Add(-10*time.Minute)
		l.ExtraExtensions = provisionerExtension(t)
	})
	if a := renew(c, expired); a.Status != 0 {
		t.Errorf("TLS let an expired certificate in: %d", a.Status)
	}
	renewBy(c, c.RenewToken(expired)).Want(401)
	c.Reload(func(s *testca.Setup) { s.Claims = &provisioner.Claims{AllowRenewalAfterExpiry: yes()} })
	next := renewBy(c, c.RenewToken(expired)).Chain()[0]
	if next.NotAfter.Sub(next.NotBefore) != 40*time.Minute || time.Now().After(next.NotAfter) {
		t.Errorf("from %s to %s", next.NotBefore, next.NotAfter)
	}
	future := c.Foreign("web", c.Intermediate, c.IntermediateKey, func(l *x509.Certificate) {
		l.NotBefore, l.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		l.ExtraExtensions = provisionerExtension(t)
	})
	renewBy(c, c.RenewToken(future)).Want(401)
}

// http-api Section 12, item 16.
func TestRekey(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.IssueFor(testca.P256(t), c.Token("web", testca.SANs("web", "www")))
	for _, k := range []struct {
		name   string
		csr    string
		status int
	}{
		{"a new key", testca.CSR(t, testca.P256(t), ""), 201},
		{"the old key", testca.CSR(t, h.Key, ""), 201},
		{"names are ignored", testca.CSR(t, testca.P256(t), "evil", "evil.example", "10.0.0.1"), 201},
		{"asking for a CA is ignored", testca.BentCSR(t, testca.P256(t), func(r *x509.CertificateRequest) { r.ExtraExtensions = []pkix.Extension{testca.CAExtension()} }), 201},
		{"another kind of key", testca.CSR(t, testca.Ed25519(t), ""), 201},
		{"RSA of 1024 bits", testca.CSR(t, testca.RSA(t, 1024), ""), 403},
		{"a key too large", testca.Resigned(t, testca.CSR(t, testca.P256(t), ""), testca.HugeRSA(1<<20)), 403},
		{"a bad signature", testca.Resigned(t, testca.CSR(t, testca.P256(t), ""), testca.P256(t).Public()), 400},
		{"no request", "", 400},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := c.In(t)
			a := rekey(c, h, k.csr).Want(k.status)
			if k.status != 201 {
				return
			}
			next := a.Chain()[0]
			if next.Subject.CommonName != "web" || len(next.DNSNames) != 2 || len(next.IPAddresses) != 0 || next.IsCA {
				t.Errorf("%s %v %v", next.Subject, next.DNSNames, next.IPAddresses)
			}
			if key := testca.Request(t, k.csr).PublicKey; !next.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) {
				t.Error("not the key of the request")
			}
		})
	}
	c.Post("/rekey", map[string]any{"csr": testca.CSR(t, testca.P256(t), "")}).Want(400)
	c.Do(testca.Call{Method: http.MethodPost, Path: "/rekey", Body: map[string]any{"csr": testca.CSR(t, testca.P256(t), "")}, Header: http.Header{"Authorization": {"Bearer " + c.RenewToken(h)}}}).Want(400)
}

// Every request shares one state; nobody may write into it.
func TestRenewTokensInParallel(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	h := c.Issue("web")
	// A chain with room behind it: appending to it in place would be everybody's business.
	roomy := make([]*x509.Certificate, 1, 8)
	roomy[0] = c.Intermediate
	local, err := issue.NewLocal(roomy, c.IntermediateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Reload(func(s *testca.Setup) {
		s.State = func(s *ca.State) { s.Issuer, s.Previous = local, []*x509.Certificate{c.Root} }
	})
	var all sync.WaitGroup
	for range 8 {
		token := c.RenewToken(h)
		all.Go(func() {
			if _, err := c.Office.RenewByToken(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if roomy[:2][1] != nil {
		t.Error("a request wrote into the issuing chain that all share")
	}
}

// A revocation that comes in between wins over a renewal that was already admitted, since
// the commit looks again.
func TestRenewalRacesWithRevocation(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	for range 5 {
		h := c.Issue("web")
		serial := h.Leaf().SerialNumber
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _, _ = c.Office.RenewX509(t.Context(), h.Leaf()) })
		}
		all.Go(func() {
			if err := c.Office.RevokeByHolder(t.Context(), h.Leaf(), ca.RevokeAsk{Serial: serial}); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if _, err := c.Office.RenewX509(t.Context(), h.Leaf()); err == nil {
			t.Error("renewed after the revocation")
		}
		err := c.Store.View(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Revocation("x509", ca.SerialHex(serial))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
