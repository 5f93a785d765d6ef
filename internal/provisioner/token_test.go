package provisioner_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// SEC-21: what is too large is refused before anything of it is parsed or split.
func TestSEC21_LargeTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, token string }{
		{"a long one", strings.Repeat("a", provisioner.MaxTokenSize+1)},
		{"a million dots", strings.Repeat(".", 1<<20)},
		{"a long ID", testca.New(t).Token("sub", testca.Claim("jti", strings.Repeat("a", provisioner.MaxTokenSize)))},
	} {
		if _, err := provisioner.ParseToken(c.token, time.Now()); !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := provisioner.ParseToken(strings.Repeat(" ", 1<<20)+"..", time.Now()); !fault.Is(err, fault.Unproven) {
		t.Errorf("white space: %v", err)
	}
}

// Claims keep their exact names; another spelling is another claim.
func TestClaimsMatchInExactCase(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	for _, name := range []string{"SUB", "Sub", "ISS", "AUD", "SANS", "JTI", "NBF"} {
		token, err := provisioner.ParseToken(ca.Token("sub", testca.Claim(name, "evil")), time.Now())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if token.Subject != "sub" || token.Issuer != testca.Provisioner || len(token.SANs) != 0 {
			t.Errorf("%s was taken for a claim: %+v", name, token.TokenClaims)
		}
	}
	token, err := provisioner.ParseToken(ca.Token("sub", testca.Head("KID", "evil"), testca.Head("ALG", "none")), time.Now())
	if err != nil || token.KeyID != ca.KeyID || token.Algorithm != "ES256" {
		t.Errorf("header: %v", err)
	}
}

func FuzzToken(f *testing.F) {
	ca := testca.New(f)
	holder := &testca.Holder{Chain: []*x509.Certificate{ca.Root}, Key: ca.Key}
	f.Add(ca.Token("sub", testca.SANs("a", "10.1.2.3")))
	f.Add(ca.Token("sub", testca.Claim("cnf", map[string]any{"jwk": testca.PublicJWK(&ca.Key.PublicKey)})))
	f.Add(ca.RenewToken(holder))
	f.Add(ca.Token("1", testca.Claim("step", map[string]any{"ssh": map[string]any{}}), testca.Head("sshpop", "AAAA")))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := provisioner.ParseToken(raw, time.Now())
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unproven && k != fault.TooLarge {
				t.Fatalf("%q: %v (%v)", raw, err, k)
			}
			return
		}
		l := ca.Office.State().Provisioners
		if p, err := l.ByToken(token); err == nil {
			for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.RevokeX509, provisioner.SignSSH} {
				if _, err := p.Verify(context.Background(), act, token); err != nil && fault.Of(err) == nil {
					t.Fatalf("%q: %v carries no words", raw, err)
				}
			}
		}
		if _, err := provisioner.VerifyRenewal(token, anchorsOf(ca)); err != nil && fault.Of(err) == nil {
			t.Fatalf("%q: %v carries no words", raw, err)
		}
	})
}

// Signed by the right key, so that what is behind the signature is reached, too.
func FuzzTokenClaims(f *testing.F) {
	ca := testca.New(f)
	f.Add(`{"iss":"ops@example.com","sub":"x","aud":"https://localhost/1.0/sign","exp":4102444800}`)
	f.Add(`{"iss":"ops@example.com","sub":"x","aud":["https://localhost/1.0/sign"],"exp":4102444800,"sans":["a","::1","a@b","x:y"],"cnf":{"x5rt#S256":"AA"}}`)
	f.Add(`{"iss":"ops@example.com","sub":"1","aud":"step-certificate-authority","exp":4102444800.5,"step":{"ssh":{"certType":"host"},"ra":{"x":1}}}`)
	f.Add(`{"exp":1e308,"nbf":-1,"iat":null,"azp":"x","tid":"y","email":"z","nonce":"n"}`)
	f.Fuzz(func(t *testing.T, claims string) {
		token, err := provisioner.ParseToken(ca.In(t).Token("", testca.Raw(claims), func(k *testca.Token) {
			if claims == "" {
				k.ClaimsText = " "
			}
		}), time.Now())
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unproven && k != fault.TooLarge {
				t.Fatalf("%q: %v (%v)", claims, err, k)
			}
			return
		}
		p := ca.Office.State().Provisioners.All()[0]
		for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.RevokeX509, provisioner.SignSSH} {
			g, err := p.Verify(context.Background(), act, token)
			switch {
			case err != nil && fault.Of(err) == nil:
				t.Fatalf("%q: %v carries no words", claims, err)
			case err == nil && (g.Once.Key == "" || g.Subject == "" || token.Expiry == nil):
				t.Fatalf("%q was granted with %+v", claims, g)
			}
		}
		_ = token.Claims()
	})
}

// Any audience a stranger writes: only https and a host of ours are ever accepted.
func FuzzAudience(f *testing.F) {
	a := provisioner.NewAudiences([]string{"ca.example", "::1"})
	for _, s := range []string{"https://ca.example/1.0/sign", "https://ca.example:443/sign#x5c/a b", "https://[::1]/sign", "step-certificate-authority", "https://ca.example@evil/sign", "https://ca.example%2f.evil/sign", "https://evil/https://ca.example/sign", "HTTPS://ca.example/sign", "https:/ca.example/sign", "//ca.example/sign"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !a.Accepts(provisioner.SignX509, []string{s}, "") || s == "step-certificate-authority" {
			return
		}
		rest, ok := strings.CutPrefix(strings.ToLower(s), "https://")
		if !ok || (!strings.HasPrefix(rest, "ca.example") && !strings.HasPrefix(rest, "[::1]") && !strings.HasPrefix(rest, "[")) || strings.Contains(rest, "@") {
			t.Fatalf("%q is accepted", s)
		}
	})
}
