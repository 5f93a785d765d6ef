package api_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slackhq/nebula/cert"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

const (
	c25519 = cert.Curve_CURVE25519
	p256   = cert.Curve_P256
)

// meshCA is a CA with a Nebula provisioner called mesh, and the network it trusts.
func meshCA(t *testing.T, version cert.Version, curve cert.Curve, more map[string]any) (*testca.CA, *testca.Nebula) {
	t.Helper()
	c := testca.New(t, func(s *testca.Setup) { s.SSH = true })
	n := testca.NewNebula(t, version, curve)
	all := map[string]any{"claims": map[string]any{"enableSSHCA": true}}
	for k, v := range more {
		all[k] = v
	}
	c.Reload(func(s *testca.Setup) { s.SSH = true; s.More = append(s.More, testca.NebulaProvisioner("mesh", all, n)) })
	return c, n
}

const meshSign = "/1.0/sign#nebula/mesh"

// Tokens built by hand, of both versions of certificates and both curves, buy certificates
// for the name and the addresses of the certificate, within its life.
func TestNebulaSigns(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		version cert.Version
		curve   cert.Curve
	}{{"v1 X25519", cert.Version1, c25519}, {"v1 P-256", cert.Version1, p256}, {"v2 X25519", cert.Version2, c25519}, {"v2 P-256", cert.Version2, p256}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, n := meshCA(t, tc.version, tc.curve, nil)
			end := time.Now().Add(2 * time.Hour).Truncate(time.Second)
			host := n.Issue("host3.example.com", "192.168.100.3/24", func(c *cert.TBSCertificate) { c.NotAfter = end })
			sign := func(bend ...testca.Bend) *testca.Answer {
				return c.Sign(testca.CSR(t, testca.P256(t), "host3.example.com"), c.NebulaToken(host, meshSign, "host3.example.com", bend...))
			}
			leaf := sign(testca.SANs("host3.example.com", "192.168.100.2", "192.168.100.3")).Chain()[0]
			if leaf.Subject.CommonName != "host3.example.com" || !cmp.Equal(leaf.DNSNames, []string{"host3.example.com"}) || len(leaf.IPAddresses) != 2 || !leaf.IPAddresses[0].Equal(net.IPv4(192, 168, 100, 2)) {
				t.Errorf("%s %v %v", leaf.Subject, leaf.DNSNames, leaf.IPAddresses)
			}
			if !leaf.NotAfter.Equal(end) {
				t.Errorf("it ends at %s, the certificate that proves it at %s", leaf.NotAfter, end)
			}
			if diff := cmp.Diff(&issue.Extension{Type: 11, Name: "mesh"}, issue.ProvisionerOf(leaf)); diff != "" {
				t.Errorf("provisioner extension (-want +got):\n%s", diff)
			}
			if leaf := sign().Chain()[0]; !cmp.Equal(leaf.DNSNames, []string{"host3.example.com"}) || len(leaf.IPAddresses) != 1 || !leaf.IPAddresses[0].Equal(net.IPv4(192, 168, 100, 3)) {
				t.Errorf("without sans: %v %v", leaf.DNSNames, leaf.IPAddresses)
			}
		})
	}
}

// A v2 certificate may hold networks of both families.
func TestNebulaTwoFamilies(t *testing.T) {
	t.Parallel()
	c, n := meshCA(t, cert.Version2, c25519, nil)
	host := n.Issue("six", "10.1.0.7/16", func(c *cert.TBSCertificate) { c.Networks = append(c.Networks, netip.MustParsePrefix("fd00:7::7/64")) })
	for name, status := range map[string]int{"fd00:7::7": 201, "fd00:7::8": 201, "fd00:8::7": 403, "10.1.2.3": 201, "::ffff:10.1.2.3": 201, "10.2.0.7": 403, "fd00:7::7%eth0": 403} {
		token := c.NebulaToken(host, meshSign, "six", testca.SANs(name))
		if a := c.Sign(testca.CSR(t, testca.P256(t), "six"), token); a.Status != status {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// Each part of the proof bent on its own (provisioners Section 2.4 and Section 11, rules 5
// and 17). A refused token is not spent.
func TestNebulaTokens(t *testing.T) {
	t.Parallel()
	c, n := meshCA(t, cert.Version1, c25519, nil)
	host := n.Issue("web", "10.1.0.7/16")
	other := testca.NewNebula(t, cert.Version1, c25519)
	now := time.Now()
	one := func(b ...testca.Bend) []testca.Bend { return b }
	holder := func(h *testca.NebulaHost) []testca.Bend {
		return one(testca.Head("nebula", h.Header(t)), testca.SignedBy(h.Key, h.Alg()))
	}
	issued := func(bend func(*cert.TBSCertificate)) []testca.Bend {
		return holder(n.Issue("web", "10.1.0.7/16", bend))
	}
	caAsHost := &testca.NebulaHost{Cert: n.Cert, Key: host.Key}
	for _, tc := range []struct {
		name   string
		bend   []testca.Bend
		status int
	}{
		{"as it should be", nil, 201},
		{"an address as subject", one(testca.Claim("sub", "10.1.9.9")), 201},
		{"an address of its network", one(testca.SANs("web", "10.1.200.1")), 201},

		{"another name", one(testca.SANs("web", "else")), 403},
		{"the name in capitals", one(testca.SANs("WEB")), 403},
		{"a wildcard", one(testca.SANs("*")), 403},
		{"an address of another network", one(testca.SANs("10.2.0.7")), 403},
		{"an e-mail address", one(testca.SANs("web@example.com")), 403},
		{"a URI", one(testca.SANs("spiffe://web/")), 403},
		{"another subject", one(testca.Claim("sub", "else"), testca.SANs("web")), 403},

		{"no certificate", one(testca.NoHead("nebula")), 401},
		{"an empty one", one(testca.Head("nebula", "")), 401},
		{"one that is a list", one(testca.Head("nebula", []string{host.Header(t)})), 401},
		{"no base64", one(testca.Head("nebula", "***")), 401},
		{"base64url", one(testca.Head("nebula", base64.RawURLEncoding.EncodeToString([]byte(host.Header(t))))), 401},
		{"nothing in it", one(testca.Head("nebula", "AAAA")), 401},
		{"its PEM", one(testca.Head("nebula", base64.StdEncoding.EncodeToString(n.PEM()))), 401},
		{"a cut one", one(testca.Head("nebula", host.Header(t)[:80])), 401},
		{"the CA's", holder(caAsHost), 401},
		{"another network's", holder(other.Issue("web", "10.1.0.7/16")), 401},
		{"an expired one", issued(func(c *cert.TBSCertificate) { c.NotAfter = now.Add(-time.Second) }), 401},
		{"one of tomorrow", issued(func(c *cert.TBSCertificate) { c.NotBefore = now.Add(time.Hour) }), 401},
		{"one with another's key", one(testca.Head("nebula", n.Issue("web", "10.1.0.7/16").Header(t))), 401},

		{"another key", one(testca.SignedBy(other.Issue("web", "10.1.0.7/16").Key, "XEdDSA")), 401},
		{"the same key by EdDSA", one(testca.SignedBy(host.Key, "EdDSA")), 401},
		{"another algorithm", one(testca.SignedBy(testca.P256(t), "ES256")), 401},
		{"the public key as a secret", one(testca.SignedBy(host.Cert.PublicKey(), "HS256")), 401},
		{"no algorithm", one(testca.SignedBy(nil, "none")), 401},
		{"another issuer", one(testca.Claim("iss", testca.Provisioner)), 401},
		{"no audience", one(testca.NoClaim("aud")), 401},
		{"the audience of revocation", one(testca.Audience("https://localhost/1.0/revoke#nebula/mesh")), 401},
		{"no fragment", one(testca.Audience("https://localhost/1.0/sign")), 401},
		{"the fragment of nobody", one(testca.Audience("https://localhost/1.0/sign#nebula/else")), 401},
		{"another host", one(testca.Audience("https://else.example/1.0/sign#nebula/mesh")), 401},
		{"no subject", one(testca.NoClaim("sub")), 401},
		{"no expiry", one(testca.NoClaim("exp")), 401},
		{"expired", one(testca.Expiry(now.Add(-2 * time.Minute))), 401},
		{"of the future", one(testca.At(now.Add(5 * time.Minute))), 401},
		{"for SSH", one(testca.Claim("step", map[string]any{"ssh": map[string]any{}})), 401},
		{"a critical header", one(testca.Head("crit", []string{"exp"})), 401},
		{"bound by what we do not know", one(testca.Claim("cnf", map[string]any{"kid": "x"})), 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := c.In(t)
			id := tc.name
			csr := testca.CSR(t, testca.P256(t), "")
			c.Sign(csr, c.NebulaToken(host, meshSign, "web", append([]testca.Bend{testca.Claim("jti", id)}, tc.bend...)...)).Want(tc.status)
			want := 201
			if tc.status == 201 {
				want = 401
			}
			c.Sign(csr, c.NebulaToken(host, meshSign, "web", testca.Claim("jti", id))).Want(want)
		})
	}
}

// What a request may ask for: the names in it are those of the certificate, too, though the
// token's are what is certified.
func TestNebulaRequests(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		exact bool
		cn    string
		names []string
		sans  []string
		want  int
	}{
		{"nothing", false, "", nil, nil, 201},
		{"the name", false, "web", []string{"web"}, nil, 201},
		{"the name, and an address of its network", false, "web", []string{"web", "10.1.2.3"}, []string{"web", "10.1.2.3"}, 201},
		{"another common name", false, "else", nil, nil, 403},
		{"an address as common name", false, "10.1.0.7", nil, nil, 403},
		{"another name", false, "web", []string{"web", "else"}, nil, 403},
		{"an address elsewhere", false, "web", []string{"10.2.0.1"}, nil, 403},
		{"an e-mail address", false, "web", []string{"web@x"}, nil, 403},
		{"its own address alone", true, "web", []string{"10.1.0.7"}, []string{"10.1.0.7"}, 201},
		{"a neighbour's, in the request", true, "web", []string{"10.1.0.8"}, nil, 403},
		{"a neighbour's, in the token", true, "web", nil, []string{"10.1.0.8"}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, n := meshCA(t, cert.Version1, c25519, map[string]any{"exactIPs": tc.exact})
			host := n.Issue("web", "10.1.0.7/16")
			var bend []testca.Bend
			if tc.sans != nil {
				bend = append(bend, testca.SANs(tc.sans...))
			}
			c.Sign(testca.CSR(t, testca.P256(t), tc.cn, tc.names...), c.NebulaToken(host, meshSign, "web", bend...)).Want(tc.want)
		})
	}
}

// SEC-08: a P-256 signature has a twin for the same content. Neither the twin of the token's
// nor that of the certificate's makes a second proof of one, nor hides its holder.
func TestSEC08_NebulaTwins(t *testing.T) {
	t.Parallel()
	c, n := meshCA(t, cert.Version1, p256, nil)
	host := n.Issue("web", "10.1.0.7/16")
	csr := testca.CSR(t, testca.P256(t), "web")
	token := c.NebulaToken(host, meshSign, "web")
	issued := c.Sign(csr, token).Chain()[0]
	at := strings.LastIndex(token, ".") + 1
	c.Sign(csr, token[:at]+swapRaw(t, token[at:])).Want(401)

	raw, err := base64.StdEncoding.DecodeString(host.Header(t))
	if err != nil {
		t.Fatal(err)
	}
	// The signature is the last field of the message, behind one octet of length.
	signature := host.Cert.Signature()
	twin := swapDER(t, signature)
	other := append(append(raw[:len(raw)-len(signature)-1:len(raw)-len(signature)-1], byte(len(twin))), twin...)
	id := testca.Claim("jti", "one proof")
	in := testca.Head("nebula", base64.StdEncoding.EncodeToString(other))
	c.Sign(csr, c.NebulaToken(host, meshSign, "web", id, in)).Want(201)
	c.Sign(csr, c.NebulaToken(host, meshSign, "web", id)).Want(401)
	// Revocation goes by the name in the certificate, so the twin revokes as the original does.
	serial := issued.SerialNumber.String()
	c.Post("/revoke", revocation(serial, c.NebulaToken(host, "/1.0/revoke#nebula/mesh", serial, in))).Want(200)
}

// swapRaw replaces s by n - s in an ES256 signature.
func swapRaw(t *testing.T, signature string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(raw) != 64 {
		t.Fatal(signature, err)
	}
	s := new(big.Int).Sub(p256Order, new(big.Int).SetBytes(raw[32:]))
	return base64.RawURLEncoding.EncodeToString(append(raw[:32:32], s.FillBytes(make([]byte, 32))...))
}

var p256Order, _ = new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)

// swapDER does so in a signature as certificates have it.
func swapDER(t *testing.T, signature []byte) []byte {
	t.Helper()
	in := cryptobyte.String(signature)
	var r, s big.Int
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1Integer(&r) || !seq.ReadASN1Integer(&s) {
		t.Fatal("no signature")
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(&r)
		b.AddASN1BigInt(s.Sub(p256Order, &s))
	})
	return b.BytesOrPanic()
}

// SEC-16: a host revokes what was issued to its name and nothing else.
func TestSEC16_NebulaRevokesItsOwn(t *testing.T) {
	t.Parallel()
	c, n := meshCA(t, cert.Version2, c25519, nil)
	one, again, two := n.Issue("one", "10.1.0.1/16"), n.Issue("one", "10.1.0.9/16"), n.Issue("two", "10.1.0.2/16")
	nobody := n.Issue("", "10.1.0.3/16")
	its := c.IssueFor(testca.P256(t), c.NebulaToken(one, "/sign#nebula/mesh", "10.1.0.2"))
	foreign := c.Issue("one")
	revoke := func(h *testca.NebulaHost, serial, subject string) *testca.Answer {
		return c.Post("/revoke", revocation(serial, c.NebulaToken(h, "/revoke#nebula/mesh", subject)))
	}
	revoke(two, serialOf(its), serialOf(its)).Want(403)
	revoke(one, serialOf(its), serialOf(foreign)).Want(403)
	revoke(one, serialOf(foreign), serialOf(foreign)).Want(403)
	revoke(nobody, serialOf(its), serialOf(its)).Want(401)
	c.Post("/revoke", revocation(serialOf(its), c.NebulaToken(one, "/sign#nebula/mesh", "one"))).Want(401)
	if isRevoked(t, c, its.Leaf().SerialNumber) != nil || isRevoked(t, c, foreign.Leaf().SerialNumber) != nil {
		t.Fatal("revoked")
	}
	// A successor belongs to the same holder.
	renewed := c.Do(testca.Call{Method: "POST", Path: "/renew", As: its}).Chain()[0]
	revoke(two, renewed.SerialNumber.String(), renewed.SerialNumber.String()).Want(403)
	revoke(again, renewed.SerialNumber.String(), renewed.SerialNumber.String()).Want(200)
	revoke(again, serialOf(its), serialOf(its)).Want(200)
}

// The matrix of provisioners Section 6: SSH host certificates alone, their names from the
// certificate, and revocation by the holder of the name.
func TestNebulaSSH(t *testing.T) {
	t.Parallel()
	c, n := meshCA(t, cert.Version1, c25519, nil)
	end := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	host := n.Issue("box.example.com", "10.1.0.7/16", func(c *cert.TBSCertificate) { c.NotAfter = end })
	key := testca.P256(t)
	sign := func(claim any, more map[string]any) *testca.Answer {
		var bend []testca.Bend
		if claim != nil {
			bend = append(bend, testca.Claim("step", map[string]any{"ssh": claim}))
		}
		body := map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, key)), "ott": c.NebulaToken(host, "/1.0/ssh/sign#nebula/mesh", "box.example.com", bend...)}
		for name, value := range more {
			body[name] = value
		}
		return c.Post("/1.0/ssh/sign", body)
	}
	crt := sign(nil, nil).SSHCertificate("crt")
	if crt.CertType != 2 || crt.KeyId != "box.example.com" || !cmp.Equal(crt.ValidPrincipals, []string{"box.example.com", "10.1.0.7"}) || crt.ValidBefore != uint64(end.Unix()) {
		t.Errorf("%+v", crt)
	}
	some := sign(map[string]any{"certType": "host", "principals": []string{"10.1.0.7", "10.1.9.9"}}, map[string]any{"principals": []string{"10.1.9.9"}}).SSHCertificate("crt")
	if !cmp.Equal(some.ValidPrincipals, []string{"10.1.0.7", "10.1.9.9"}) {
		t.Errorf("%v", some.ValidPrincipals)
	}
	for name, tc := range map[string]struct {
		claim any
		more  map[string]any
	}{
		"a user":                 {map[string]any{"certType": "user"}, nil},
		"a user, by the request": {nil, map[string]any{"certType": "user"}},
		"another host":           {map[string]any{"principals": []string{"else"}}, nil},
		"another, by request":    {nil, map[string]any{"principals": []string{"else"}}},
		"an address elsewhere":   {map[string]any{"principals": []string{"10.2.0.1"}}, nil},
		"another key ID":         {map[string]any{"keyID": "else"}, nil},
		"longer than it lives":   {nil, map[string]any{"validBefore": end.Add(time.Minute).UTC().Format(time.RFC3339)}},
		"an identity of another": {nil, map[string]any{"identityCSR": testca.CSR(t, key, "else")}},
	} {
		if a := sign(tc.claim, tc.more); a.Status != 403 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	sign(nil, map[string]any{"identityCSR": testca.CSR(t, key, "box.example.com")}).Want(201)
	h := &testca.SSHHolder{Certificate: crt, Key: key}
	for _, act := range []string{"renew", "rekey"} {
		token := c.NebulaToken(host, "/1.0/ssh/"+act+"#nebula/mesh", h.Serial())
		c.Post("/1.0/ssh/"+act, map[string]any{"ott": token, "publicKey": testca.Wire(testca.SSHKey(t, key))}).Want(401)
	}
	revoke := func(n *testca.NebulaHost, serial string) *testca.Answer {
		return c.Post("/1.0/ssh/revoke", map[string]any{"serial": serial, "ott": c.NebulaToken(n, "/1.0/ssh/revoke#nebula/mesh", serial), "passive": true})
	}
	revoke(n.Issue("else", "10.1.0.7/16"), h.Serial()).Want(403)
	foreign := c.IssueSSH("host", "box.example.com")
	revoke(host, foreign.Serial()).Want(403)
	revoke(host, h.Serial()).Want(200)
}

// Provisioners Section 11, rule 5: what a template writes is held against the certificate
// once more; and templates see it by the names of the documents.
func TestNebulaTemplates(t *testing.T) {
	t.Parallel()
	sign := func(text string) *testca.Answer {
		c, n := meshCA(t, cert.Version1, c25519, map[string]any{"options": map[string]any{"x509": map[string]any{"template": text}}})
		return c.Sign(testca.CSR(t, testca.P256(t), ""), c.NebulaToken(n.Issue("web", "10.1.0.7/16"), meshSign, "web"))
	}
	leaf := sign(`{"subject": {"commonName": {{ toJson .AuthorizationCrt.Name }}, "organizationalUnit": {{ toJson .AuthorizationCrt.Details.Groups }},
		"organization": {{ toJson .AuthorizationCrt.Details.Ips }}, "locality": {{ toJson (first .AuthorizationCrt.Groups) }}}, "sans": {{ toJson .SANs }}}`).Chain()[0]
	if got := leaf.Subject.String(); got != "CN=web,OU=web,O=10.1.0.7/16,L=web" {
		t.Error(got)
	}
	for _, text := range []string{
		`{"subject": "web", "dnsNames": ["web", "else"]}`, `{"subject": "else"}`, `{"subject": "web", "ipAddresses": ["10.2.0.1"]}`, `{"subject": "web", "emailAddresses": ["a@b"]}`,
		`{"subject": "web", "sans": [{"type": "permanentIdentifier", "value": "1"}]}`,
	} {
		if a := sign(text); a.Status != 403 {
			t.Errorf("%s: %d %s", text, a.Status, a.Body)
		}
	}
}

// What is shown of the provisioner, and what is said about it.
func TestNebulaProvisioner(t *testing.T) {
	t.Parallel()
	c, n := meshCA(t, cert.Version1, c25519, nil)
	old := testca.NewNebula(t, cert.Version2, p256, func(c *cert.TBSCertificate) { c.NotAfter = time.Now().Add(-time.Second) })
	c.Reload(func(s *testca.Setup) {
		s.More = append(s.More, testca.NebulaProvisioner("mesh", nil, n, old), testca.NebulaProvisioner("exact", map[string]any{"exactIPs": true}, n), testca.NebulaProvisioner("gone", nil, old))
	})
	list := c.Office.State().Provisioners
	if w := strings.Join(list.ByName("mesh").Warnings(), "\n"); !strings.Contains(w, "every IP address") || !strings.Contains(w, `"Mesh CA" has expired`) {
		t.Error(w)
	}
	if w := list.ByName("exact").Warnings(); len(w) != 0 {
		t.Error(w)
	}
	if list.ByName("gone").Disabled() == nil {
		t.Error("it serves with expired roots alone")
	}
	host := n.Issue("web", "10.1.0.7/16")
	c.Sign(testca.CSR(t, testca.P256(t), "web"), c.NebulaToken(host, "/sign#nebula/mesh", "web")).Want(201)
	c.Sign(testca.CSR(t, testca.P256(t), "web"), c.NebulaToken(host, "/sign#nebula/gone", "web")).Want(401)
	var page struct{ Provisioners []map[string]json.RawMessage }
	c.Get("/provisioners").JSON(&page)
	for _, p := range page.Provisioners {
		if string(p["type"]) == `"Nebula"` && len(p["roots"]) < 100 {
			t.Errorf("%s", p["roots"])
		}
	}
}
