package provisioner_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/slackhq/nebula/cert"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// Every block of the roots is a Nebula CA that signed itself.
func TestNebulaRoots(t *testing.T) {
	t.Parallel()
	n := testca.NewNebula(t, cert.Version1, cert.Curve_CURVE25519)
	two := testca.NewNebula(t, cert.Version2, cert.Curve_P256)
	expired := testca.NewNebula(t, cert.Version1, cert.Curve_P256, func(c *cert.TBSCertificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	leaf, err := n.Issue("web", "10.1.0.7/16").Cert.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(n.PEM())
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for _, c := range []struct {
		name   string
		bundle []byte
		roots  int
		serves bool
	}{
		{"one", n.PEM(), 1, true},
		{"both versions", append(append([]byte("mine\n"), n.PEM()...), two.PEM()...), 2, true},
		{"an expired one beside another", append(expired.PEM(), n.PEM()...), 2, true},
		{"an expired one alone", expired.PEM(), 1, false},
		{"nothing", nil, 0, false},
		{"no PEM", []byte("roots"), 0, false},
		{"a host", leaf, 0, false},
		{"a host behind a CA", append(n.PEM(), leaf...), 0, false},
		{"a bent signature", pem.EncodeToMemory(block), 0, false},
		{"the certificate of another world", []byte(pemOf("CERTIFICATE", []byte{1})), 0, false},
		{"one cut off", []byte(pemOf("NEBULA CERTIFICATE", []byte{10, 200})), 0, false},
	} {
		roots, err := provisioner.ParseNebulaRoots(c.bundle)
		if len(roots) != c.roots || (err == nil) != (c.roots > 0) || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %d roots, %v", c.name, len(roots), err)
		}
		p := open(t, jsonText(t, map[string]any{"type": "nebula", "name": "p", "roots": c.bundle}))
		if (p.Disabled() == nil) != c.serves || p.TokenID() != "nebula/p" {
			t.Errorf("%s: %v %s", c.name, p.Disabled(), p.TokenID())
		}
	}
}

// What Prove makes, Verify accepts, whatever the name of the provisioner.
func TestNebulaProofs(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, curve := range []cert.Curve{cert.Curve_CURVE25519, cert.Curve_P256} {
		n := testca.NewNebula(t, cert.Version2, curve)
		h := n.Issue("web", "10.1.0.7/16")
		key, err := provisioner.ReadNebulaKey(cert.MarshalPrivateKeyToPEM(curve, h.Raw))
		if err != nil {
			t.Fatal(err)
		}
		good := provisioner.Want{Subject: "web", Names: []string{"web", "10.1.0.7"}, Key: key, Nebula: h.Cert, At: now, SSH: &provisioner.SSHWant{CertType: "host", Principals: []string{"web"}}}
		for _, name := range []string{"mesh", "two words", "ä#?/é"} {
			p := open(t, testca.NebulaProvisioner(name, map[string]any{"claims": map[string]any{"enableSSHCA": true}}, n))
			for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.SignSSH, provisioner.RevokeX509, provisioner.RevokeSSH} {
				want := good
				want.Audience = provisioner.Address("https://ca.example:9000", act)
				raw, err := provisioner.NewNebula(name).Prove(t.Context(), act, want)
				if err != nil {
					t.Fatal(err)
				}
				token, err := provisioner.ParseToken(raw, now)
				if err != nil {
					t.Fatal(err)
				}
				chosen, err := list(t, testca.NebulaProvisioner("other", nil, n), testca.NebulaProvisioner(name, nil, n)).ByToken(token)
				if err != nil || chosen.Name != name {
					t.Errorf("%q is not found by its token: %v", name, err)
				}
				g, err := p.Verify(t.Context(), act, token)
				if err != nil {
					t.Errorf("%q, act %s: %v", name, act, err)
					continue
				}
				if g.Subject != "web" || g.Holder != "web" || !g.NotAfter.Equal(h.Cert.NotAfter().Truncate(time.Second)) || g.Once.Key == "" || g.Bounds == nil || (g.SSH != nil) != (act == provisioner.SignSSH) {
					t.Errorf("%s: %+v", act, g.Subject)
				}
			}
		}
	}
}

func TestNebulaProveRefuses(t *testing.T) {
	t.Parallel()
	n := testca.NewNebula(t, cert.Version1, cert.Curve_P256)
	h := n.Issue("web", "10.1.0.7/16")
	now := time.Now()
	for name, tc := range map[string]struct {
		act  provisioner.Act
		bend func(*provisioner.Want)
	}{
		"renewal":           {provisioner.RenewX509, nil},
		"renewal in SSH":    {provisioner.RenewSSH, nil},
		"nothing at all":    {0, nil},
		"no certificate":    {provisioner.SignX509, func(w *provisioner.Want) { w.Nebula = nil }},
		"no key":            {provisioner.SignX509, func(w *provisioner.Want) { w.Key = nil }},
		"another key":       {provisioner.SignX509, func(w *provisioner.Want) { w.Key = testca.P256(t) }},
		"another kind":      {provisioner.SignX509, func(w *provisioner.Want) { w.Key = testca.Ed25519(t) }},
		"a CA":              {provisioner.SignX509, func(w *provisioner.Want) { w.Nebula = n.Cert }},
		"an expired one":    {provisioner.SignX509, func(w *provisioner.Want) { w.At = h.Cert.NotAfter() }},
		"no subject":        {provisioner.SignX509, func(w *provisioner.Want) { w.Subject = "" }},
		"an SSH user":       {provisioner.SignSSH, func(w *provisioner.Want) { w.SSH = &provisioner.SSHWant{CertType: "user"} }},
		"SSH of which sort": {provisioner.SignSSH, nil},
	} {
		want := provisioner.Want{Subject: "web", Key: h.Key, Nebula: h.Cert, At: now, Audience: "https://ca/1.0/sign"}
		if tc.bend != nil {
			tc.bend(&want)
		}
		if token, err := provisioner.NewNebula("p").Prove(t.Context(), tc.act, want); fault.KindOf(err) != fault.Invalid || token != "" {
			t.Errorf("%s: %q %v", name, token, err)
		}
	}
	for _, text := range []string{"", "x", pemOf("NEBULA X25519 PRIVATE KEY", []byte{1}), pemOf("NEBULA P256 PRIVATE KEY", make([]byte, 32)), pemOf("PRIVATE KEY", make([]byte, 32))} {
		if k, err := provisioner.ReadNebulaKey([]byte(text)); err == nil {
			t.Errorf("%q is a key: %v", text, k)
		}
	}
}

// Strangers send certificates: whatever they are, they are refused without a panic.
func FuzzNebulaToken(f *testing.F) {
	one, two := testca.NewNebula(f, cert.Version1, cert.Curve_CURVE25519), testca.NewNebula(f, cert.Version2, cert.Curve_P256)
	p := open(f, testca.NebulaProvisioner("mesh", nil, one, two))
	for _, n := range []*testca.Nebula{one, two} {
		raw, err := n.Issue("web", "10.1.0.7/16").Cert.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	f.Add([]byte{})
	f.Add([]byte(strings.Repeat("\n", 20)))
	now := time.Now()
	f.Fuzz(func(t *testing.T, raw []byte) {
		header := testca.Base64(`{"alg":"XEdDSA","nebula":"` + base64.StdEncoding.EncodeToString(raw) + `"}`)
		token, err := provisioner.ParseToken(header+"."+testca.Base64(`{"exp":99999999999}`)+"."+testca.Base64(strings.Repeat("s", 64)), now)
		if err != nil {
			return // too long
		}
		if _, err := p.Verify(t.Context(), provisioner.SignX509, token); fault.KindOf(err) != fault.Unproven {
			t.Errorf("%v", err)
		}
	})
}
