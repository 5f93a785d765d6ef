package provisioner_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// SEC-14: an anchor must be the certificate of a CA that may sign certificates, every one.
func TestSEC14_X5CRoots(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	root := func(bend func(*x509.Certificate)) string {
		key := testca.P256(t)
		return pemOf("CERTIFICATE", ca.Certify(testca.Template("Root", 2, bend), nil, key.Public(), key).Raw)
	}
	good := root(nil)
	for _, c := range []struct {
		name, bundle string
		roots        int
	}{
		{"one", good, 1},
		{"several, with words between", "first\n" + good + "second\n" + root(nil), 2},
		{"without key usage", root(func(c *x509.Certificate) { c.KeyUsage = 0 }), 1},
		{"nothing", "", 0},
		{"no PEM", "roots", 0},
		{"a CA that may not sign certificates", root(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), 0},
		{"a leaf", pemOf("CERTIFICATE", ca.Issue("leaf").Leaf().Raw), 0},
		{"a leaf that signed itself", root(func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, 0, false }), 0},
		{"no basic constraints", root(func(c *x509.Certificate) {
			c.BasicConstraintsValid, c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, false, 0, false
		}), 0},
		{"a good one, then a leaf", good + pemOf("CERTIFICATE", ca.Issue("leaf").Leaf().Raw), 0},
		{"a good one, then something else", good + pemOf("PUBLIC KEY", []byte{1}), 0},
		{"a certificate that is none", pemOf("CERTIFICATE", []byte{1}), 0},
	} {
		roots, err := provisioner.ParseRoots([]byte(c.bundle))
		if len(roots) != c.roots || (err == nil) != (c.roots > 0) {
			t.Errorf("%s: %d roots, %v", c.name, len(roots), err)
		}
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", c.name, err)
		}
		p := open(t, jsonText(t, map[string]any{"type": "x5c", "name": "p", "roots": []byte(c.bundle)}))
		if (p.Disabled() == nil) != (c.roots > 0) || p.TokenID() != "x5c/p" || len(p.Warnings()) > 0 {
			t.Errorf("%s: %v %s %v", c.name, p.Disabled(), p.TokenID(), p.Warnings())
		}
	}
}

// What Prove makes, Verify accepts, whatever the name of the provisioner, and what it grants
// lies within the certificate.
func TestX5CProofs(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	pki := ca.PKI()
	h := pki.Issue("device", nil)
	now := time.Now()
	good := provisioner.Want{Subject: "web", Names: []string{"web", "a"}, Key: h.Key, Chain: h.Chain, At: now, SSH: &provisioner.SSHWant{CertType: "host"}}
	for _, name := range []string{"devices", "two words", "100%", "ä#?/é", "a@b"} {
		p := open(t, testca.X5C(name, map[string]any{"claims": map[string]any{"enableSSHCA": true}}, pki.Root))
		for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.SignSSH, provisioner.RevokeX509} {
			want := good
			want.Audience = provisioner.Address("https://ca.example:9000", act)
			raw, err := provisioner.NewX5C(name).Prove(t.Context(), act, want)
			if err != nil {
				t.Fatal(err)
			}
			token, err := provisioner.ParseToken(raw, now)
			if err != nil {
				t.Fatal(err)
			}
			chosen, err := list(t, testca.X5C("other", nil, pki.Root), testca.X5C(name, nil, pki.Root)).ByToken(token)
			if err != nil || chosen.Name != name {
				t.Errorf("%q is not found by its token: %v", name, err)
			}
			g, err := p.Verify(t.Context(), act, token)
			if err != nil {
				t.Errorf("%q, act %s: %v", name, act, err)
				continue
			}
			leaf := h.Leaf()
			if g.Subject != "web" || !g.NotBefore.Equal(leaf.NotBefore) || !g.NotAfter.Equal(leaf.NotAfter) || g.Once.Key == "" {
				t.Errorf("%+v", g)
			}
			if !g.Proof.X509.Equal(leaf) || len(g.Proof.Chain) != 3 || !g.Proof.Chain[2].Equal(pki.Root) {
				t.Errorf("the way of %d certificates", len(g.Proof.Chain))
			}
			names, cns := issue.Names{}, []string(nil)
			if act == provisioner.SignX509 {
				names, cns = issue.NamesOf([]string{"web", "a"}), []string{"web"}
			}
			if diff := cmp.Diff(names, g.Names) + cmp.Diff(cns, g.CommonNames); diff != "" || (g.SSH != nil) != (act == provisioner.SignSSH) {
				t.Errorf("%s (-want +got):\n%s", act, diff)
			}
		}
	}
}

func TestX5CProveRefuses(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	pki := ca.PKI()
	h := pki.Issue("device", nil)
	now := time.Now()
	for name, tc := range map[string]struct {
		act  provisioner.Act
		bend func(*provisioner.Want)
	}{
		"renewal":              {provisioner.RenewX509, nil},
		"renewal in SSH":       {provisioner.RenewSSH, nil},
		"revocation in SSH":    {provisioner.RevokeSSH, nil},
		"nothing at all":       {0, nil},
		"no chain":             {provisioner.SignX509, func(w *provisioner.Want) { w.Chain = nil }},
		"no key":               {provisioner.SignX509, func(w *provisioner.Want) { w.Key = nil }},
		"another key":          {provisioner.SignX509, func(w *provisioner.Want) { w.Key = testca.P256(t) }},
		"a CA":                 {provisioner.SignX509, func(w *provisioner.Want) { w.Chain, w.Key = []*x509.Certificate{pki.Root}, pki.RootKey }},
		"an expired one":       {provisioner.SignX509, func(w *provisioner.Want) { w.At = h.Leaf().NotAfter }},
		"too many":             {provisioner.SignX509, func(w *provisioner.Want) { w.Chain = append(w.Chain, make([]*x509.Certificate, 9)...) }},
		"no subject":           {provisioner.SignX509, func(w *provisioner.Want) { w.Subject = "" }},
		"a token for two days": {provisioner.SignX509, func(w *provisioner.Want) { w.NotAfter = w.At.Add(48 * time.Hour) }},
		"for encryption alone": {provisioner.SignX509, func(w *provisioner.Want) {
			e := pki.Issue("device", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
			w.Chain, w.Key = e.Chain, e.Key
		}},
	} {
		want := provisioner.Want{Subject: "web", Key: h.Key, Chain: h.Chain, At: now, Audience: "https://ca/1.0/sign"}
		if tc.bend != nil {
			tc.bend(&want)
		}
		if token, err := provisioner.NewX5C("p").Prove(t.Context(), tc.act, want); fault.KindOf(err) != fault.Invalid || token != "" {
			t.Errorf("%s: %q %v", name, token, err)
		}
	}
	// The other header, for CAs that ask for it.
	raw, err := provisioner.NewX5C("p").Prove(t.Context(), provisioner.SignX509, provisioner.Want{Subject: "web", Key: h.Key, Chain: h.Chain, At: now, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	header, claims := decode(t, raw)
	if header["x5c"] != nil || header["x5cInsecure"] == nil || header["kid"] == "" || !strings.HasSuffix(claims["aud"].(string), "#x5c/p") {
		t.Errorf("%v %v", header, claims)
	}
}
