package api_test

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// x5cCA is a CA with an X5C provisioner called devices, and the PKI it trusts.
func x5cCA(t *testing.T, bend ...func(*testca.Setup)) (*testca.CA, *testca.PKI) {
	t.Helper()
	c := testca.New(t, bend...)
	pki := c.PKI()
	c.Reload(func(s *testca.Setup) {
		s.More = append(s.More, testca.X5C("devices", map[string]any{"claims": map[string]any{"enableSSHCA": true}}, pki.Root))
	})
	return c, pki
}

// A token built by hand buys a certificate for any names, within the life of the certificate
// that proves it, marked with its provisioner.
func TestX5CSigns(t *testing.T) {
	t.Parallel()
	c, pki := x5cCA(t)
	end := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	device := pki.Issue("device-7", func(c *x509.Certificate) { c.NotAfter = end })
	sign := func(bend ...testca.Bend) *x509.Certificate {
		t.Helper()
		key := testca.P256(t)
		return c.Sign(testca.CSR(t, key, "web"), c.X5CToken(device, "/1.0/sign#x5c/devices", "web", bend...)).Chain()[0]
	}
	leaf := sign(testca.SANs("web.internal", "10.0.0.7"))
	if leaf.Subject.CommonName != "web" || !cmp.Equal(leaf.DNSNames, []string{"web.internal"}) || !leaf.IPAddresses[0].Equal(net.IPv4(10, 0, 0, 7)) {
		t.Errorf("%s %v %v", leaf.Subject, leaf.DNSNames, leaf.IPAddresses)
	}
	if !leaf.NotAfter.Equal(end) {
		t.Errorf("it ends at %s, the certificate that proves it at %s", leaf.NotAfter, end)
	}
	if diff := cmp.Diff(&issue.Extension{Type: 7, Name: "devices"}, issue.ProvisionerOf(leaf)); diff != "" {
		t.Errorf("provisioner extension (-want +got):\n%s", diff)
	}
	if leaf := sign(); !cmp.Equal(leaf.DNSNames, []string{"web"}) {
		t.Errorf("without sans: %v", leaf.DNSNames)
	}
}

// Each part of the proof bent on its own (provisioners Section 2.3 and Section 11, rules 8
// and 17; SEC-14). A refused token is not spent.
func TestSEC14_X5CTokens(t *testing.T) {
	t.Parallel()
	c, pki := x5cCA(t)
	device := pki.Issue("device", nil)
	other := c.PKI()
	now := time.Now()
	leaf := func(bend func(*x509.Certificate)) []testca.Bend {
		h := pki.Issue("device", bend)
		return []testca.Bend{testca.Head("x5c", testca.Encode(h.Chain...)), testca.SignedBy(h.Key, "ES256")}
	}
	holder := func(h *testca.Holder) []testca.Bend {
		return []testca.Bend{testca.Head("x5c", testca.Encode(h.Chain...)), testca.SignedBy(h.Key, "ES256")}
	}
	below := func(bend func(*x509.Certificate)) []testca.Bend {
		key := testca.P256(t)
		middle := c.Certify(testca.Template("Bent Intermediate CA", 1, bend), pki.Root, key.Public(), pki.RootKey)
		return holder(c.Foreign("device", middle, key, nil))
	}
	one := func(b ...testca.Bend) []testca.Bend { return b }
	header := func(list ...string) []testca.Bend { return one(testca.Head("x5c", list)) }
	enc := testca.Encode
	weak := testca.RSA(t, 1024)
	for _, tc := range []struct {
		name   string
		bend   []testca.Bend
		status int
	}{
		{"as it should be", nil, 201},
		{"the root in the chain", header(enc(device.Leaf(), pki.Intermediate, pki.Root)...), 201},
		{"a stranger in the chain", header(enc(device.Leaf(), other.Root, pki.Intermediate)...), 201},
		{"any port", one(testca.Audience("https://localhost:1/1.0/sign#x5c/devices")), 201},
		{"a leaf without extended key usage", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), 201},
		{"a leaf for everything", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), 201},

		{"no certificate", one(testca.NoHead("x5c")), 401},
		{"an empty chain", header(), 401},
		{"the leaf alone", header(enc(device.Leaf())...), 401},
		{"the intermediate first", header(enc(pki.Intermediate, device.Leaf())...), 401},
		{"the chain of renew tokens", one(testca.NoHead("x5c"), testca.Head("x5cInsecure", enc(device.Chain...))), 401},
		{"eleven certificates", header(enc(append(many(device.Leaf(), 10), pki.Intermediate)...)...), 401},
		{"no base64", header("***"), 401},
		{"base64url", header(base64.RawURLEncoding.EncodeToString(device.Leaf().Raw), enc(pki.Intermediate)[0]), 401},
		{"no certificate inside", header("AAAA"), 401},
		{"another PKI", holder(other.Issue("device", nil)), 401},
		{"another PKI whose root comes along", header(enc(other.Issue("device", nil).Leaf(), other.Intermediate, other.Root)...), 401},
		{"the CA's own certificate", holder(c.Issue("device")), 401},
		{"an expired leaf", leaf(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), 401},
		{"a leaf of tomorrow", leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), 401},
		{"a leaf for servers alone", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), 401},
		{"a leaf for encryption alone", leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), 401},
		{"a leaf without key usage", leaf(func(c *x509.Certificate) { c.KeyUsage = 0 }), 401},
		{"a CA as leaf", playsCA(c, pki), 401},
		{"the intermediate as leaf", one(testca.Head("x5c", enc(pki.Intermediate)), testca.SignedBy(pki.IntermediateKey, "ES256")), 401},
		{"the root as leaf", one(testca.Head("x5c", enc(pki.Root)), testca.SignedBy(pki.RootKey, "ES256")), 401},
		{"a leaf that plays CA", holder(c.Foreign("device", device.Leaf(), device.Key, nil)), 401},
		{"an expired intermediate", below(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), 401},
		{"an intermediate for servers alone", below(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), 401},
		{"an intermediate whose constraints forbid the leaf", below(func(c *x509.Certificate) {
			c.PermittedDNSDomains = []string{"else.example"}
			c.PermittedDNSDomainsCritical = true
		}), 401},
		{"a critical extension nobody knows", leaf(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), 401},
		{"a path that is too long", tooLong(c, pki), 401},

		{"another key", one(testca.SignedBy(testca.P256(t), "ES256")), 401},
		{"another algorithm", one(testca.SignedBy(weak, "RS256")), 401},
		{"no algorithm", one(testca.SignedBy(nil, "none")), 401},
		{"a key that is too weak", weakLeaf(c, pki, weak), 401},
		{"another issuer", one(testca.Claim("iss", testca.Provisioner)), 401},
		{"no issuer", one(testca.NoClaim("iss")), 401},
		{"no audience", one(testca.NoClaim("aud")), 401},
		{"the audience of revocation", one(testca.Audience("https://localhost/1.0/revoke#x5c/devices")), 401},
		{"no fragment", one(testca.Audience("https://localhost/1.0/sign")), 401},
		{"the fragment of nobody", one(testca.Audience("https://localhost/1.0/sign#x5c/else")), 401},
		{"the fragment in capitals", one(testca.Audience("https://localhost/1.0/sign#X5C/devices")), 401},
		{"the old audience", one(testca.Audience("step-certificate-authority")), 401},
		{"another host", one(testca.Audience("https://else.example/1.0/sign#x5c/devices")), 401},
		{"no subject", one(testca.NoClaim("sub")), 401},
		{"an empty subject", one(testca.Claim("sub", "")), 401},
		{"no expiry", one(testca.NoClaim("exp")), 401},
		{"expired", one(testca.Expiry(now.Add(-2 * time.Minute))), 401},
		{"of the future", one(testca.AtIn(5 * time.Minute)), 401},
		{"for SSH", one(testca.Claim("step", map[string]any{"ssh": map[string]any{}})), 401},
		{"a critical header", one(testca.Head("crit", []string{"exp"})), 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := c.In(t)
			id := tc.name // the bent token and the good one share their ID
			token := c.X5CToken(device, "/1.0/sign#x5c/devices", "web", append([]testca.Bend{testca.Claim("jti", id)}, tc.bend...)...)
			csr := testca.CSR(t, testca.P256(t), "web")
			c.Sign(csr, token).Want(tc.status)
			good := c.X5CToken(device, "/1.0/sign#x5c/devices", "web", testca.Claim("jti", id))
			want := 201
			if tc.status == 201 {
				want = 401
			}
			c.Sign(csr, good).Want(want)
		})
	}
}

// playsCA is a proof by a CA certificate that may also sign other things.
func playsCA(c *testca.CA, pki *testca.PKI) []testca.Bend {
	h := c.Foreign("device", pki.Root, pki.RootKey, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage |= x509.KeyUsageCertSign
	})
	return []testca.Bend{testca.Head("x5c", testca.Encode(h.Chain...)), testca.SignedBy(h.Key, "ES256")}
}

// tooLong is a proof over an intermediate that its issuer's path length does not allow.
func tooLong(c *testca.CA, pki *testca.PKI) []testca.Bend {
	more := c.Foreign("More CA", pki.Intermediate, pki.IntermediateKey, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	h := c.Foreign("device", more.Leaf(), more.Key, nil)
	return []testca.Bend{testca.Head("x5c", testca.Encode(h.Leaf(), more.Leaf(), pki.Intermediate)), testca.SignedBy(h.Key, "ES256")}
}

// weakLeaf is a proof by an RSA key that is too short.
func weakLeaf(c *testca.CA, pki *testca.PKI, key *rsa.PrivateKey) []testca.Bend {
	leaf := c.Certify(testca.LeafTemplate("device"), pki.Intermediate, key.Public(), pki.IntermediateKey)
	return []testca.Bend{testca.Head("x5c", testca.Encode(leaf, pki.Intermediate)), testca.SignedBy(key, "RS256")}
}

// What a request may ask for (http-api Section 3 and 5.6).
func TestX5CRequests(t *testing.T) {
	t.Parallel()
	c, pki := x5cCA(t)
	begin, end := time.Now().Add(-10*time.Minute).Truncate(time.Second), time.Now().Add(8*time.Hour).Truncate(time.Second)
	device := pki.Issue("device", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = begin, end })
	key := testca.P256(t)
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	digest := func(csr string) string {
		block, _ := pem.Decode([]byte(csr))
		return testca.Digest(block.Bytes)
	}
	bound := testca.CSR(t, key, "web")
	for _, tc := range []struct {
		name   string
		csr    string
		more   map[string]any
		bend   []testca.Bend
		status int
	}{
		{"the common name of the subject", testca.CSR(t, key, "web"), nil, nil, 201},
		{"no common name", testca.CSR(t, key, ""), nil, nil, 201},
		{"the names of the token", testca.CSR(t, key, "web", "a", "b"), nil, []testca.Bend{testca.SANs("a", "b")}, 201},
		{"the common name of another name", testca.CSR(t, key, "a"), nil, []testca.Bend{testca.SANs("a", "b")}, 403},
		{"the common name of the certificate that proves", testca.CSR(t, key, "device"), nil, nil, 403},
		{"fewer names", testca.CSR(t, key, "web", "a"), nil, []testca.Bend{testca.SANs("a", "b")}, 403},
		{"the end of the certificate that proves", bound, map[string]any{"notAfter": stamp(end)}, nil, 201},
		{"a second later", bound, map[string]any{"notAfter": stamp(end.Add(time.Second))}, nil, 403},
		{"before the certificate that proves", bound, map[string]any{"notBefore": stamp(begin.Add(-2 * time.Minute))}, nil, 403},
		{"bound to this request", bound, nil, []testca.Bend{testca.Claim("cnf", map[string]any{"x5rt#S256": digest(bound)})}, 201},
		{"bound to another request", testca.CSR(t, key, "web"), nil, []testca.Bend{testca.Claim("cnf", map[string]any{"x5rt#S256": digest(bound)})}, 403},
		{"bound by what we do not know", bound, nil, []testca.Bend{testca.Claim("cnf", map[string]any{"kid": "x"})}, 403},
	} {
		body := map[string]any{"csr": tc.csr, "ott": c.X5CToken(device, "/1.0/sign#x5c/devices", "web", tc.bend...)}
		for name, value := range tc.more {
			body[name] = value
		}
		if a := c.Post("/sign", body); a.Status != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.Status, a.Body)
		}
	}
}

// Provisioners Section 11, rule 8: a certificate of this CA proves nothing once it is
// revoked, though its PKI is trusted; nor does what a revoked CA of ours signed.
func TestX5COwnRoot(t *testing.T) {
	t.Parallel()
	c := testca.New(t)
	c.Reload(func(s *testca.Setup) { s.More = append(s.More, testca.X5C("own", nil, c.Root)) })
	for _, w := range c.Office.State().Provisioners.ByName("own").Warnings() {
		if !strings.Contains(w, `"own"`) || !strings.Contains(w, "this CA's own") {
			t.Errorf("%s", w)
		}
	}
	if len(c.Office.State().Provisioners.ByName("own").Warnings()) != 1 {
		t.Error("no warning about the CA's own root")
	}
	h := c.Issue("machine")
	csr := testca.CSR(t, testca.P256(t), "web")
	c.Sign(csr, c.X5CToken(h, "/sign#x5c/own", "web")).Want(201)
	c.Post("/revoke", revocation(serialOf(h), c.RevokeToken(serialOf(h)))).Want(200)
	c.Sign(csr, c.X5CToken(h, "/sign#x5c/own", "web")).Want(401)
	c.Post("/revoke", revocation("1", c.X5CToken(h, "/revoke#x5c/own", "1"))).Want(401)
}

// SEC-16: the token of an X5C provisioner revokes what it issued and nothing else, whoever
// holds the certificate that proves it.
func TestSEC16_X5CRevokesItsOwn(t *testing.T) {
	t.Parallel()
	c, pki := x5cCA(t)
	device, second := pki.Issue("one", nil), pki.Issue("two", nil)
	its := c.IssueFor(testca.P256(t), c.X5CToken(device, "/sign#x5c/devices", "web"))
	foreign := c.Issue("foreign")
	revoke := func(serial, subject string, bend ...testca.Bend) *testca.Answer {
		return c.Post("/revoke", revocation(serial, c.X5CToken(second, "/revoke#x5c/devices", subject, bend...)))
	}
	revoke(serialOf(foreign), serialOf(foreign)).Want(403)
	revoke(serialOf(its), serialOf(foreign)).Want(403)
	revoke(serialOf(its), serialOf(its), testca.Audience("https://localhost/sign#x5c/devices")).Want(401)
	c.Post("/revoke", revocation(serialOf(its), c.RevokeToken(serialOf(its)))).Want(403)
	if isRevoked(t, c, its.Leaf().SerialNumber) != nil || isRevoked(t, c, foreign.Leaf().SerialNumber) != nil {
		t.Fatal("revoked")
	}
	revoke(serialOf(its), serialOf(its)).Want(200)
}

// The matrix of provisioners Section 6: X.509 and SSH certificates, their renewal by mTLS,
// and no act on SSH certificates that exist.
func TestX5CSSH(t *testing.T) {
	t.Parallel()
	c, pki := x5cCA(t, func(s *testca.Setup) { s.SSH = true })
	end := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	device := pki.Issue("ann@example.com", func(c *x509.Certificate) { c.NotAfter = end })
	key := testca.P256(t)
	sign := func(claim, more map[string]any, bend ...testca.Bend) *testca.Answer {
		bend = append([]testca.Bend{testca.Claim("step", map[string]any{"ssh": claim})}, bend...)
		body := map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, key)), "ott": c.X5CToken(device, "/1.0/ssh/sign#x5c/devices", "ann", bend...)}
		for name, value := range more {
			body[name] = value
		}
		return c.Post("/1.0/ssh/sign", body)
	}
	for _, kind := range []string{"user", "host"} {
		cert := sign(map[string]any{"certType": kind, "principals": []string{"ann", "box"}}, nil).SSHCertificate("crt")
		if cert.ValidBefore != uint64(end.Unix()) || cert.KeyId != "ann" || !cmp.Equal(cert.ValidPrincipals, []string{"ann", "box"}) {
			t.Errorf("%s: %+v", kind, cert)
		}
	}
	stamp := end.Add(time.Minute).UTC().Format(time.RFC3339)
	sign(map[string]any{}, map[string]any{"validBefore": stamp}).Want(403)
	sign(map[string]any{"validBefore": stamp}, nil).Want(403)
	c.Post("/ssh/sign", map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, key)), "ott": c.X5CToken(device, "/ssh/sign#x5c/devices", "ann")}).Want(401)
	identity := map[string]any{"identityCSR": testca.CSR(t, key, "ann")}
	sign(map[string]any{}, identity).Want(201)
	sign(map[string]any{}, map[string]any{"identityCSR": testca.CSR(t, key, "device")}).Want(403)
	host := c.IssueSSH("host", "box")
	for _, act := range []string{"revoke", "renew", "rekey"} {
		token := c.X5CToken(device, "/1.0/ssh/"+act+"#x5c/devices", host.Serial())
		c.Post("/1.0/ssh/"+act, map[string]any{"serial": host.Serial(), "ott": token, "passive": true, "publicKey": testca.Wire(testca.SSHKey(t, key))}).Want(401)
	}
}

// The example of the reference documents: a template that reads the certificate behind the
// proof.
func TestX5CTemplates(t *testing.T) {
	t.Parallel()
	c, pki := x5cCA(t)
	c.Reload(func(s *testca.Setup) {
		s.More = append(s.More, testca.X5C("devices", map[string]any{"options": map[string]any{"x509": map[string]any{"template": `{
			"subject": {{ toJson .AuthorizationCrt.Subject.CommonName }},
			"dnsNames": [{{ range $i, $c := .AuthorizationChain }}{{ if $i }},{{ end }}{{ printf "n%d.%s" $i ($c.Subject.CommonName | lower | replace " " "-") | toJson }}{{ end }}]}`}}}, pki.Root))
	})
	device := pki.Issue("device-9", nil)
	leaf := c.Sign(testca.CSR(t, testca.P256(t), ""), c.X5CToken(device, "/sign#x5c/devices", "web")).Chain()[0]
	if leaf.Subject.CommonName != "device-9" {
		t.Errorf("%s", leaf.Subject)
	}
	if diff := cmp.Diff([]string{"n0.device-9", "n1.other-intermediate-ca", "n2.other-root-ca"}, leaf.DNSNames); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
}
