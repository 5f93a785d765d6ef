package provisioner_test

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// Provisioners Section 11, rule 3: only public, asymmetric keys that fit what they say.
func TestJWKKeys(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	with := func(more map[string]any) string {
		jwk := testca.PublicJWK(&key.PublicKey)
		for name, value := range more {
			jwk[name] = value
			if value == nil {
				delete(jwk, name)
			}
		}
		return jsonText(t, jwk)
	}
	rsa := func(bits int) string {
		pub := testca.RSA(t, bits).PublicKey
		return `{"kty":"RSA","kid":"r","n":"` + base64.RawURLEncoding.EncodeToString(pub.N.Bytes()) + `","e":"AQAB"}`
	}
	private := base64.RawURLEncoding.EncodeToString(big.NewInt(7).FillBytes(make([]byte, 32)))
	for _, c := range []struct {
		name, key string
		good      bool
	}{
		{"EC", with(nil), true},
		{"without alg", with(map[string]any{"alg": nil}), true},
		{"without use", with(map[string]any{"use": nil}), true},
		{"without kid", with(map[string]any{"kid": nil}), true},
		{"RSA 2048", rsa(2048), true},
		{"RSA 1024", rsa(1024), false},
		{"no key", "null", false},
		{"for encryption", with(map[string]any{"use": "enc"}), false},
		{"an algorithm of another curve", with(map[string]any{"alg": "ES384"}), false},
		{"an algorithm of another kind", with(map[string]any{"alg": "EdDSA"}), false},
		{"an algorithm of secrets", with(map[string]any{"alg": "HS256"}), false},
		{"no algorithm at all", with(map[string]any{"alg": "none"}), false},
		{"a private key", with(map[string]any{"d": private}), false},
		{"a secret", `{"kty":"oct","kid":"s","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`, false},
		{"P-224 does not exist in JOSE", with(map[string]any{"crv": "P-224"}), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := new(provisioner.Provisioner)
			err := p.UnmarshalJSON([]byte(`{"type":"JWK","name":"p","key":` + c.key + `}`))
			if err == nil {
				err = p.Open(env())
			}
			if (err == nil) != c.good {
				t.Fatalf("%v", err)
			}
			if err != nil && fault.Of(err) == nil {
				t.Errorf("%v carries no words for the operator", err)
			}
		})
	}
}

// A provisioner without a key ID is selected by the thumbprint, and tells so.
func TestJWKWithoutAKeyIDGetsItsThumbprint(t *testing.T) {
	t.Parallel()
	key := testca.P256(t)
	jwk := testca.PublicJWK(&key.PublicKey)
	delete(jwk, "kid")
	p := open(t, `{"type":"jwk","name":"p","key":`+jsonText(t, jwk)+`}`)
	if want := "p:" + testca.Thumbprint(&key.PublicKey); p.TokenID() != want || p.ID != want {
		t.Errorf("selected by %q, recorded as %q, want %q", p.TokenID(), p.ID, want)
	}
	if public := publicOf(t, p); public["key"].(map[string]any)["kid"] != testca.Thumbprint(&key.PublicKey) {
		t.Errorf("the public form does not tell the key ID: %v", public["key"])
	}
}

// What a JWK token grants, member by member.
func TestJWKGrants(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	p := ca.Office.State().Provisioners.All()[0]
	for _, c := range []struct {
		name string
		bend []testca.Bend
		act  provisioner.Act
		want issue.Names
		cn   []string
	}{
		{"names", []testca.Bend{testca.SANs("web", "10.1.2.3")}, provisioner.SignX509, issue.NamesOf([]string{"web", "10.1.2.3"}), []string{"sub", "web", "10.1.2.3"}},
		{"no names", nil, provisioner.SignX509, issue.NamesOf([]string{"sub"}), []string{"sub", "sub"}},
		{"an empty list of names", []testca.Bend{testca.SANs()}, provisioner.SignX509, issue.NamesOf([]string{"sub"}), []string{"sub", "sub"}},
		{"SSH that is null", []testca.Bend{testca.Claim("step", map[string]any{"ssh": nil})}, provisioner.SignX509, issue.NamesOf([]string{"sub"}), []string{"sub", "sub"}},
		{"revocation grants no name", []testca.Bend{testca.Audience("https://localhost/revoke")}, provisioner.RevokeX509, issue.Names{}, nil},
	} {
		token, err := provisioner.ParseToken(ca.Token("sub", c.bend...), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Verify(context.Background(), c.act, token)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, g.Names); diff != "" {
			t.Errorf("%s: names (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.cn, g.CommonNames); diff != "" {
			t.Errorf("%s: common names (-want +got):\n%s", c.name, diff)
		}
		if g.Subject != "sub" || g.Provisioner != p.ID || g.Once.Key == "" || g.Once.ExpiresAt.IsZero() {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
}

// http-api Section 3.1: a token for an SSH certificate buys no X.509 one, whatever its
// audience.
func TestSSHTokensBuyNoX509(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	p := ca.Office.State().Provisioners.All()[0]
	for _, claim := range []any{map[string]any{}, map[string]any{"certType": "user"}, "x", 0, []string{}} {
		token, err := provisioner.ParseToken(ca.Token("ann", testca.Claim("step", map[string]any{"ssh": claim})), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(context.Background(), provisioner.SignX509, token); !fault.Is(err, fault.Unproven) {
			t.Errorf("%v: %v", claim, err)
		}
	}
}

// Provisioners Section 3: a binding that we do not understand is refused, not ignored.
func TestConfirmations(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, func(s *testca.Setup) { s.Member = map[string]any{"claims": map[string]any{"enableSSHCA": true}} })
	p := ca.Office.State().Provisioners.All()[0]
	key := testca.P256(t)
	digest := testca.Digest([]byte("x"))
	symmetric := map[string]any{"kty": "oct", "k": "c2VjcmV0"}
	private := testca.PublicJWK(&key.PublicKey)
	private["d"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		name  string
		cnf   any
		good  bool
		bound bool
	}{
		{"none", nil, true, false},
		{"an empty object", map[string]any{}, true, false},
		{"an empty text", "", true, false},
		{"an empty fingerprint, as old clients write it", map[string]any{"x5rt#S256": ""}, true, false},
		{"a request", map[string]any{"x5rt#S256": digest}, true, true},
		{"a request with padding", map[string]any{"x5rt#S256": digest + "="}, true, true},
		{"a key", map[string]any{"jwk": testca.PublicJWK(&key.PublicKey)}, true, true},
		{"a thumbprint", map[string]any{"jkt": testca.Thumbprint(&key.PublicKey)}, true, true},
		{"a client certificate", map[string]any{"x5t#S256": digest}, true, true},
		{"one we know and one we do not", map[string]any{"x5rt#S256": digest, "kid": "x"}, true, true},
		{"only one we do not know", map[string]any{"kid": "x"}, false, false},
		{"one we know in another case", map[string]any{"X5RT#s256": digest}, false, false},
		{"a key that is null", map[string]any{"jwk": nil}, false, false},
		{"a key that is empty", map[string]any{"jwk": map[string]any{}}, false, false},
		{"a private key", map[string]any{"jwk": private}, false, false},
		{"a secret", map[string]any{"jwk": symmetric}, false, false},
		{"an empty thumbprint", map[string]any{"jkt": ""}, false, false},
		{"a thumbprint of the wrong length", map[string]any{"jkt": "abc"}, false, false},
		{"an empty client fingerprint", map[string]any{"x5t#S256": ""}, false, false},
		{"a fingerprint in hex", map[string]any{"x5rt#S256": strings.Repeat("ab", 32)}, false, false},
		{"a fingerprint in standard base64", map[string]any{"x5rt#S256": strings.Repeat("+", 43)}, false, false},
		{"a fingerprint that is a number", map[string]any{"x5rt#S256": 1}, false, false},
		{"a list", []string{"x"}, false, false},
		{"a text", "x", false, false},
		{"a number", 7, false, false},
		{"true", true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := ca.In(t)
			for _, act := range []provisioner.Act{provisioner.SignX509, provisioner.SignSSH} {
				bend := []testca.Bend{testca.Claim("cnf", c.cnf)}
				if act == provisioner.SignSSH {
					bend = append(bend, testca.Claim("step", map[string]any{"ssh": map[string]any{}}))
				}
				token, err := provisioner.ParseToken(ca.Token("sub", bend...), time.Now())
				if err != nil {
					t.Fatal(err)
				}
				g, err := p.Verify(context.Background(), act, token)
				if act == provisioner.SignSSH && c.good && c.name == "a client certificate" {
					if !fault.Is(err, fault.Denied) { // SSH has none that could be compared
						t.Errorf("SSH: %v", err)
					}
					continue
				}
				if (err == nil) != c.good || (err != nil && !fault.Is(err, fault.Denied)) {
					t.Fatalf("act %d: %v", act, err)
				}
				if err == nil {
					b := g.Bind
					if act == provisioner.SignSSH {
						b = issue.Binding{RequestSHA256: g.SSH.KeySHA256, Key: g.SSH.Key, KeyThumbprint: g.SSH.KeyThumbprint}
					}
					if got := len(b.RequestSHA256) > 0 || b.Key != nil || b.KeyThumbprint != "" || len(b.ClientSHA256) > 0; got != c.bound {
						t.Errorf("bound: %v (%+v)", got, b)
					}
				}
			}
		})
	}
}

// The key under which a token is spent: by its ID or its content, never by its bytes, and
// apart for each provisioner.
func TestSpentKeys(t *testing.T) {
	t.Parallel()
	shared := testca.P256(t)
	ca := testca.New(t, func(s *testca.Setup) {
		s.Provisioners = []string{testca.JWKProvisioner("a", &shared.PublicKey, nil), testca.JWKProvisioner("b", &shared.PublicKey, nil)}
	})
	l := ca.Office.State().Provisioners
	spent := func(issuer string, bend ...testca.Bend) string {
		t.Helper()
		all := append([]testca.Bend{testca.Claim("iss", issuer), testca.SignedBy(shared, "ES256"), testca.Head("kid", testca.Thumbprint(&shared.PublicKey)),
			testca.Claim("jti", "1"), testca.At(time.Now().Truncate(time.Minute))}, bend...)
		token, err := provisioner.ParseToken(ca.Token("sub", all...), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p, err := l.ByToken(token)
		if err != nil {
			t.Fatal(err)
		}
		g, err := p.Verify(context.Background(), provisioner.SignX509, token)
		if err != nil {
			t.Fatal(err)
		}
		return g.Once.Key
	}
	if spent("a") != spent("a", testca.SANs("other"), testca.Head("typ", "x")) {
		t.Error("one ID, two keys")
	}
	if spent("a") == spent("a", testca.Claim("jti", "2")) {
		t.Error("two IDs, one key")
	}
	if spent("a") == spent("b") {
		t.Error("two provisioners, one key")
	}
	none := testca.NoClaim("jti")
	if spent("a", none) != spent("a", none, testca.Head("typ", "x")) {
		t.Error("one content, two keys: the header counts, and a signer may vary it")
	}
	if spent("a", none) == spent("a", none, testca.SANs("other")) {
		t.Error("two contents, one key")
	}
}

func TestRowsOfUnknownActsAreClosed(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	p := ca.Office.State().Provisioners.All()[0]
	token, err := provisioner.ParseToken(ca.Token("sub"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, act := range []provisioner.Act{0, provisioner.RenewSSH, provisioner.RekeySSH, 200} {
		if _, err := p.Verify(context.Background(), act, token); !fault.Is(err, fault.Unproven) {
			t.Errorf("act %d: %v", act, err)
		}
	}
}

// A curve of its own for each algorithm.
func TestVerifyByBindsCurveAndAlgorithm(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key := testca.EC(t, curve)
		for _, alg := range []string{"ES256", "ES384", "ES512"} {
			token, err := provisioner.ParseToken(ca.Token("sub", testca.SignedBy(key, alg)), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			p := open(t, `{"type":"JWK","name":"p","key":`+jsonText(t, testca.PublicJWK(&key.PublicKey))+`}`)
			_, err = p.Verify(context.Background(), provisioner.SignX509, token)
			fits := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[curve.Params().Name] == alg
			// A fitting signature fails later, at the issuer.
			if got := !strings.Contains(err.Error(), "fit"); got != fits {
				t.Errorf("%s with %s: %v", curve.Params().Name, alg, err)
			}
		}
	}
}
