package api_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// duration is a claim's value.
func duration(d time.Duration) *provisioner.Duration {
	v := provisioner.Duration(d)
	return &v
}

func yes() *bool { v := true; return &v }

func TestSignAnswersWithTheWholeChain(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key := testca.P256(t)
	for _, path := range []string{"/sign", "/1.0/sign"} {
		a := ca.Post(path, map[string]any{"csr": testca.CSR(t, key, "web", "web"), "ott": ca.Token("web"), "notAfter": "8h"})
		chain := a.Chain()
		var body map[string]any
		a.JSON(&body)
		if body["crt"] != body["certChain"].([]any)[0] || body["ca"] != body["certChain"].([]any)[1] || len(chain) != 2 {
			t.Errorf("%s: crt and ca are not the first two of certChain (%d)", path, len(chain))
		}
		want := map[string]any{"cipherSuites": []any{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, "minVersion": 1.2, "maxVersion": 1.3, "renegotiation": false}
		if diff := cmp.Diff(want, body["tlsOptions"]); diff != "" {
			t.Errorf("%s: tlsOptions (-want +got):\n%s", path, diff)
		}
		if got := a.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %q", path, got)
		}
		if !strings.HasSuffix(string(a.Body), "}\n") || strings.Count(string(a.Body), "\n") != 1 {
			t.Errorf("%s: the body is not one compact line", path)
		}
		if err := chain[0].CheckSignatureFrom(ca.Intermediate); err != nil {
			t.Error(err)
		}
		if got := chain[0].NotAfter.Sub(chain[0].NotBefore); got != 8*time.Hour+time.Minute {
			t.Errorf("%s: it lives for %s", path, got)
		}
	}
}

// http-api Section 12, item 5.
func TestSignBodies(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key := testca.P256(t)
	csr := testca.CSR(t, key, "web", "web")
	for _, c := range []struct {
		name   string
		body   any
		status int
	}{
		{"an empty object has no request", "{}", 400},
		{"no JSON", "csr=abc", 400},
		{"nothing", "", 400},
		{"a list", "[]", 400},
		{"JSON cut off", `{"csr":"`, 400},
		{"a request that is a number", `{"csr":1,"ott":"x"}`, 400},
		{"a request that is null", map[string]any{"csr": nil, "ott": ca.Token("web")}, 400},
		{"a request that is empty", map[string]any{"csr": "", "ott": ca.Token("web")}, 400},
		{"a request that is the word null", map[string]any{"csr": "null", "ott": ca.Token("web")}, 400},
		{"a request that is no PEM", map[string]any{"csr": "abc", "ott": ca.Token("web")}, 400},
		{"a request that is PEM of something else", map[string]any{"csr": certificatePEM(ca.Root), "ott": ca.Token("web")}, 400},
		{"a request signed by another key", map[string]any{"csr": testca.Resigned(t, csr, testca.P256(t).Public()), "ott": ca.Token("web")}, 400},
		{"no token", map[string]any{"csr": csr}, 400},
		{"an empty token", map[string]any{"csr": csr, "ott": ""}, 400},
		{"a token that is a list", map[string]any{"csr": csr, "ott": []string{"x"}}, 400},
		{"a token that is none", map[string]any{"csr": csr, "ott": "abc"}, 401},
		{"an end that is a number", map[string]any{"csr": csr, "ott": ca.Token("web"), "notAfter": 3600}, 400},
		{"an end in days", map[string]any{"csr": csr, "ott": ca.Token("web"), "notAfter": "1d"}, 400},
		{"a member twice", `{"csr":"a","csr":"b"}`, 400},
		{"unset times as clients send them", map[string]any{"csr": csr, "ott": ca.Token("web"), "notBefore": "", "notAfter": ""}, 201},
		{"null times", map[string]any{"csr": csr, "ott": ca.Token("web"), "notBefore": nil, "notAfter": nil}, 201},
		{"a zero duration is unset", map[string]any{"csr": csr, "ott": ca.Token("web"), "notAfter": "0s"}, 201},
		{"members nobody knows", map[string]any{"csr": csr, "ott": ca.Token("web"), "colour": "green"}, 201},
		{"template data that is no object", map[string]any{"csr": csr, "ott": ca.Token("web"), "templateData": 7}, 201},
		{"the old label of a request", map[string]any{"csr": strings.ReplaceAll(csr, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), "ott": ca.Token("web")}, 201},
		{"text before the PEM block", map[string]any{"csr": "subject=/CN=web\n" + csr, "ott": ca.Token("web")}, 201},
		{"white space around the token", map[string]any{"csr": csr, "ott": " " + ca.Token("web") + "\n"}, 201},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := ca.In(t)
			ca.Post("/sign", c.body).Want(c.status)
		})
	}
	t.Run("something after the first JSON value", func(t *testing.T) {
		t.Parallel()
		ca := ca.In(t)
		body, err := json.Marshal(map[string]any{"csr": csr, "ott": ca.Token("web")})
		if err != nil {
			t.Fatal(err)
		}
		ca.Post("/sign", string(body)+"trailing").Want(201)
	})
}

func certificatePEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// A token built by hand, each field bent one at a time (http-api Section 12, items 7 and 8;
// provisioners Section 11, rule 17; keys-and-tokens Section 7, item 11).
func TestSignTokens(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, func(s *testca.Setup) {
		s.DNSNames = []string{"ca.example", "10.1.2.3", "::1", "localhost", "127.0.0.1"}
		s.More = []string{
			`{"type":"ACME","name":"acme"}`,
			`{"type":"SCEP","name":"scep"}`,
			`{"type":"X5C","name":"x5c","roots":"AA=="}`,
		}
	})
	other := testca.P256(t)
	aud := func(a any) []testca.Bend { return []testca.Bend{testca.Audience(a)} }
	one := func(b ...testca.Bend) []testca.Bend { return b }
	for _, c := range []struct {
		name   string
		bend   []testca.Bend
		status int
	}{
		{"as it should be", nil, 201},

		{"audience with any port", aud("https://ca.example:1/1.0/sign"), 201},
		{"audience without a port", aud("https://ca.example/1.0/sign"), 201},
		{"audience without the version", aud("https://ca.example/sign"), 201},
		{"audience of SSH without an SSH claim", aud("https://ca.example/ssh/sign"), 201},
		{"audience of SSH with the version", aud("https://ca.example/1.0/ssh/sign"), 201},
		{"audience of old clients", aud("step-certificate-authority"), 201},
		{"audience in brackets", aud("https://[::1]:443/1.0/sign"), 201},
		{"audience by address", aud("https://10.1.2.3/1.0/sign"), 201},
		{"one good audience of several", aud([]string{"https://else.example/1.0/sign", "https://ca.example/1.0/sign"}), 201},
		{"audience without TLS", aud("http://ca.example/1.0/sign"), 401},
		{"audience of another host", aud("https://else.example/1.0/sign"), 401},
		{"audience in capitals", aud("https://CA.example/1.0/sign"), 401},
		{"audience with a user", aud("https://x@ca.example/1.0/sign"), 401},
		{"audience with a query", aud("https://ca.example/1.0/sign?x=1"), 401},
		{"audience with a slash at the end", aud("https://ca.example/1.0/sign/"), 401},
		{"audience with a dot at the end of the host", aud("https://ca.example./1.0/sign"), 401},
		{"audience spelled with escapes", aud("https://ca.example/1.0/%73ign"), 401},
		{"audience of revocation", aud("https://ca.example/1.0/revoke"), 401},
		{"audience of renewal", aud("https://ca.example/1.0/renew"), 401},
		{"audience of SSH renewal", aud("https://ca.example/1.0/ssh/renew"), 401},
		{"audience with an unknown fragment", aud("https://ca.example/1.0/sign#x5c/nobody"), 401},
		{"audience with the fragment of a disabled type", aud("https://ca.example/1.0/sign#x5c/x5c"), 401},
		{"audience that names the provisioner as a fragment", aud("https://ca.example/1.0/sign#" + testca.Provisioner), 401},
		{"audience that names the provisioner's key as a fragment", aud("https://ca.example/1.0/sign#" + testca.Provisioner + ":" + ca.KeyID), 401},
		{"audience that names an ACME provisioner", aud("https://ca.example/1.0/sign#acme/acme"), 400},
		{"audience that names a SCEP provisioner", aud("https://ca.example/1.0/sign#scep/scep"), 400},
		{"empty audience", aud(""), 401},
		{"audience that is an empty list", aud([]string{}), 401},
		{"audience that is a number", aud(5), 401},
		{"no audience", one(testca.NoClaim("aud")), 401},

		{"expired within the leeway", one(testca.AtIn(-5*time.Minute-2*time.Second), testca.ClaimIn("iat", 0)), 201},
		{"expired beyond the leeway", one(testca.AtIn(-15*time.Minute), testca.ClaimIn("iat", 0)), 401},
		{"not yet valid within the leeway", one(testca.ClaimIn("nbf", 30*time.Second)), 201},
		{"not yet valid beyond the leeway", one(testca.ClaimIn("nbf", 10*time.Minute)), 401},
		{"issued in the future within the leeway", one(testca.ClaimIn("iat", 30*time.Second)), 201},
		{"issued in the future beyond the leeway", one(testca.ClaimIn("iat", 10*time.Minute)), 401},
		{"no expiry", one(testca.NoClaim("exp")), 401},
		{"expiry that is null", one(testca.Claim("exp", nil)), 401},
		{"expiry that is text", one(testca.Claim("exp", "4102444800")), 401},
		{"expiry beyond all calendars", one(testca.Claim("exp", 1e300)), 401},
		{"expiry before all calendars", one(testca.Claim("exp", -5)), 401},
		{"expiry with a fraction", one(func(t *testca.Token) { t.Claims["exp"] = float64(time.Now().Unix()) + 100.5 }), 201},
		{"no begin", one(testca.NoClaim("nbf")), 201},
		{"no time of issue", one(testca.NoClaim("iat")), 201},

		{"another issuer", one(testca.Claim("iss", "somebody")), 401},
		{"no issuer", one(testca.NoClaim("iss")), 401},
		{"issuer in capitals", one(testca.Claim("iss", strings.ToUpper(testca.Provisioner))), 401},
		{"no subject", one(testca.NoClaim("sub")), 401},
		{"empty subject", one(testca.Claim("sub", "")), 401},
		{"no ID", one(testca.NoClaim("jti")), 201},
		{"claims in another case", one(testca.NoClaim("exp"), testca.ClaimIn("EXP", time.Minute)), 401},
		{"claims twice", one(testca.Raw(`{"iss":"a","iss":"b"}`)), 401},
		{"claims that are a list", one(testca.Raw(`[]`)), 401},
		{"claims that are no JSON", one(testca.Raw(`hello`)), 401},
		{"names that are one string", one(testca.Claim("sans", "web")), 401},

		{"another key ID", one(testca.Head("kid", "other")), 401},
		{"no key ID", one(testca.NoHead("kid")), 401},
		{"another key", one(testca.SignedBy(other, "ES256")), 401},
		{"another key on another curve", one(testca.SignedBy(testca.EC(t, elliptic.P384()), "ES384")), 401},
		{"no algorithm", one(testca.NoHead("alg")), 401},
		{"header twice", one(testca.RawHeader(`{"alg":"none","alg":"ES256"}`)), 401},
		{"unknown critical extension", one(testca.Head("crit", []string{"x"}), testca.Head("x", 1)), 401},
		{"empty critical list", one(testca.Head("crit", []string{})), 401},
		{"payload not encoded", one(testca.Head("b64", false), testca.Head("crit", []string{"b64"})), 401},
		{"payload said not to be encoded, not critical", one(testca.Head("b64", false)), 401},
		{"a type nobody checks", one(testca.Head("typ", "at+jwt")), 201},
		{"a key of its own in the header", one(testca.SignedBy(other, "ES256"), testca.Head("jwk", testca.PublicJWK(&other.PublicKey))), 401},
		{"a key address in the header", one(testca.SignedBy(other, "ES256"), testca.Head("jku", ca.URL()+"/jwks")), 401},
		{"a certificate address in the header", one(testca.SignedBy(other, "ES256"), testca.Head("x5u", ca.URL()+"/cert")), 401},
		{"a key ID with a path", one(testca.Head("kid", "../../etc/passwd")), 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := ca.In(t)
			token := ca.Token("web", append([]testca.Bend{testca.Audience("https://ca.example/1.0/sign")}, c.bend...)...)
			ca.Sign(testca.CSR(t, testca.P256(t), "web", "web"), token).Want(c.status)
		})
	}
}

// SEC-43 and keys-and-tokens Section 7, item 11: whatever the header says, only an algorithm
// that fits the provisioner's key counts, and never the key's public half as a secret.
func TestSEC43_AlgorithmConfusion(t *testing.T) {
	t.Parallel()
	rsaKey, edKey := testca.RSA(t, 2048), testca.Ed25519(t)
	ec := testca.P256(t)
	secret := func(pub crypto.PublicKey) []byte {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	type key struct {
		name string
		jwk  string
		key  any
		good []string
		pub  crypto.PublicKey
	}
	for _, k := range []key{
		{"EC", jsonOf(t, testca.PublicJWK(&ec.PublicKey)), ec, []string{"ES256"}, &ec.PublicKey},
		{"RSA", rsaJWK(&rsaKey.PublicKey, ""), rsaKey, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, &rsaKey.PublicKey},
		{"RSA bound to RS256", rsaJWK(&rsaKey.PublicKey, "RS256"), rsaKey, []string{"RS256"}, &rsaKey.PublicKey},
		{"Ed25519", edJWK(edKey), edKey, []string{"EdDSA"}, edKey.Public()},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			ca := testca.New(t, func(s *testca.Setup) {
				s.Provisioners = []string{`{"type":"JWK","name":"p","key":` + k.jwk + `}`}
			})
			kid := ca.Office.State().Provisioners.All()[0].TokenID()[len("p:"):]
			csr := testca.CSR(t, testca.P256(t), "web", "web")
			ask := func(bend ...testca.Bend) int {
				all := append([]testca.Bend{testca.Claim("iss", "p"), testca.Head("kid", kid)}, bend...)
				return ca.Sign(csr, ca.Token("web", all...)).Status
			}
			for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "HS256", "none", "None", "nOnE", "RS1", ""} {
				want := 401
				if slices.Contains(k.good, alg) {
					want = 201
				}
				if got := ask(testca.SignedBy(k.key, alg)); got != want {
					t.Errorf("signed with %q: %d, want %d", alg, got, want)
				}
			}
			for _, alg := range []string{"HS256", "HS384", "HS512"} {
				if got := ask(testca.SignedBy(secret(k.pub), alg)); got != 401 {
					t.Errorf("public key as the secret of %s: %d", alg, got)
				}
			}
			if got := ask(testca.SignedBy(k.key, k.good[0]), testca.Head("alg", "none")); got != 401 {
				t.Errorf("a good signature under alg none: %d", got)
			}
			if got := ask(testca.SignedBy(nil, "none")); got != 401 {
				t.Errorf("no signature: %d", got)
			}
		})
	}
}

// A token is one compact JWS; what merely contains one is refused.
func TestSEC43_TokenForms(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	good := ca.Token("web")
	part := strings.Split(good, ".")
	flat := `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`
	general := `{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` + part[2] + `"},{"protected":"` + part[0] + `","signature":"` + part[2] + `"}]}`
	derSigned := part[0] + "." + part[1] + "." + testca.Base64(derSignature(t, ca, part[0]+"."+part[1]))
	for _, c := range []struct{ name, token string }{
		{"flattened JSON", flat},
		{"two signatures", general},
		{"white space inside", part[0] + " ." + part[1] + "." + part[2]},
		{"a line break inside", part[0] + ".\n" + part[1] + "." + part[2]},
		{"two parts", part[0] + "." + part[1]},
		{"four parts", good + "." + part[2]},
		{"five parts, as encrypted ones have", good + ".AA.AA"},
		{"only dots", ".."},
		{"no header", "." + part[1] + "." + part[2]},
		{"no claims", part[0] + ".." + part[2]},
		{"no signature", part[0] + "." + part[1] + "."},
		{"a signature in DER", derSigned},
		{"standard base64", part[0] + "." + part[1] + "." + part[2] + "=="},
		{"half a signature", part[0] + "." + part[1] + "." + part[2][:40]},
		{"a signature of zeros", part[0] + "." + part[1] + "." + strings.Repeat("A", 86)},
		{"NUL at the end", good + "\x00"},
	} {
		t.Run(c.name, func(t *testing.T) { ca.In(t).Sign(csr, c.token).Want(401) })
	}
	ca.Sign(csr, good).Want(201) // none of them burned it
}

// http-api Section 12, item 6, and SEC-20.
func TestOneTokenBuysOneCertificate(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, func(s *testca.Setup) { s.Durable = true })
	csr := testca.CSR(t, testca.P256(t), "web", "web")

	t.Run("the same token twice", func(t *testing.T) {
		ca := ca.In(t)
		token := ca.Token("web")
		ca.Sign(csr, token).Want(201)
		ca.Sign(csr, token).Want(401)
		ca.Sign(csr, " "+token+"\n").Want(401) // white space makes no new token of it
	})
	t.Run("one ID in two tokens", func(t *testing.T) {
		ca := ca.In(t)
		ca.Sign(csr, ca.Token("web", testca.Claim("jti", "one"))).Want(201)
		ca.Sign(csr, ca.Token("web", testca.Claim("jti", "one"), testca.Claim("user", 1))).Want(401)
	})
	t.Run("a token without an ID", func(t *testing.T) {
		ca := ca.In(t)
		token := ca.Token("web", testca.NoClaim("jti"))
		ca.Sign(csr, token).Want(201)
		ca.Sign(csr, token).Want(401)
		// An ECDSA signature is not unique: s and n-s both verify. The content decides.
		ca.Sign(csr, otherSignature(t, token)).Want(401)
	})
	t.Run("a forged token does not burn the good one", func(t *testing.T) {
		ca := ca.In(t)
		good := ca.Token("web", testca.Claim("jti", "victim"))
		ca.Sign(csr, ca.Token("web", testca.Claim("jti", "victim"), testca.SignedBy(testca.P256(t), "ES256"))).Want(401)
		ca.Sign(csr, good[:len(good)-4]+"AAAA").Want(401)
		ca.Sign(csr, good).Want(201)
	})
	t.Run("a refused request leaves the token", func(t *testing.T) {
		ca := ca.In(t)
		token := ca.Token("web")
		ca.Sign(testca.CSR(t, testca.P256(t), "else", "else"), token).Want(403)
		ca.Post("/sign", map[string]any{"csr": csr, "ott": token, "notAfter": "1000h"}).Want(403)
		ca.Post("/sign", map[string]any{"csr": csr, "ott": token, "notAfter": "-1h"}).Want(400)
		ca.Sign(testca.CSR(t, testca.RSA(t, 1024), "web", "web"), token).Want(403)
		ca.Sign(csr, token).Want(201)
	})
	t.Run("tokens of two provisioners may share an ID", func(t *testing.T) {
		ca := ca.In(t)
		key := testca.P256(t)
		ca.Reload(func(s *testca.Setup) { s.More = []string{testca.JWKProvisioner("second", &key.PublicKey, nil)} })
		ca.Sign(csr, ca.Token("web", testca.Claim("jti", "shared"))).Want(201)
		ca.Sign(csr, ca.Token("web", testca.Claim("jti", "shared"), testca.Claim("iss", "second"),
			testca.Head("kid", testca.Thumbprint(&key.PublicKey)), testca.SignedBy(key, "ES256"))).Want(201)
	})
}

func TestTwoRequestsRaceWithOneToken(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		ca := testca.New(t, func(s *testca.Setup) { s.Durable = durable })
		csr := testca.CSR(t, testca.P256(t), "web", "web")
		for range 5 {
			before := len(certificates(t, ca))
			token := ca.Token("web")
			statuses := make([]int, 8)
			var all sync.WaitGroup
			for i := range statuses {
				all.Go(func() { statuses[i] = ca.Sign(csr, token).Status })
			}
			all.Wait()
			slices.Sort(statuses)
			if want := []int{201, 401, 401, 401, 401, 401, 401, 401}; !slices.Equal(statuses, want) {
				t.Errorf("durable %v: %v, want %v", durable, statuses, want)
			}
			if n := len(certificates(t, ca)) - before; n != 1 {
				t.Errorf("durable %v: %d certificates on record, want 1", durable, n)
			}
		}
	}
}

// http-api Section 12, items 9 and 10.
func TestSignNamesAndKeys(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key := testca.P256(t)
	all := []string{"web", "www.example", "10.1.2.3", "2001:db8::1", "ann@example", "spiffe://example/web"}
	for _, c := range []struct {
		name   string
		sans   []string
		csr    string
		status int
	}{
		{"another name than the token's", []string{"b"}, testca.CSR(t, key, "", "a"), 403},
		{"no names take all of the token's", all, testca.CSR(t, key, ""), 201},
		{"all names", all, testca.CSR(t, key, "web", all...), 201},
		{"all names in another order, twice", all, testca.CSR(t, key, "web", "www.example", "web", "www.example", "spiffe://example/web", "2001:db8::1", "10.1.2.3", "ann@example"), 201},
		{"one kind of names alone", all, testca.CSR(t, key, "", "10.1.2.3", "2001:db8::1"), 201},
		{"an address in another spelling", all, testca.CSR(t, key, "", "10.1.2.3", "2001:0db8:0::0:1"), 201},
		{"fewer of one kind", all, testca.CSR(t, key, "", "web"), 403},
		{"one more DNS name", []string{"web"}, testca.CSR(t, key, "", "web", "more"), 403},
		{"one more address", []string{"web"}, testca.CSR(t, key, "", "web", "10.0.0.1"), 403},
		{"one more e-mail address", []string{"web"}, testca.CSR(t, key, "", "web", "x@y"), 403},
		{"one more URI", []string{"web"}, testca.CSR(t, key, "", "web", "urn:x:y"), 403},
		{"a DNS name in capitals", []string{"web"}, testca.CSR(t, key, "", "WEB"), 403},
		{"the common name of the subject", []string{"b"}, testca.CSR(t, key, "web"), 201},
		{"the common name of a name", []string{"b"}, testca.CSR(t, key, "b"), 201},
		{"another common name", []string{"b"}, testca.CSR(t, key, "c"), 403},
		{"no names in the token make the subject one", nil, testca.CSR(t, key, "web", "web"), 201},
		{"RSA of 1024 bits", nil, testca.CSR(t, testca.RSA(t, 1024), "web"), 403},
		{"RSA of 2048 bits", nil, testca.CSR(t, testca.RSA(t, 2048), "web"), 201},
		{"P-224", nil, testca.CSR(t, testca.EC(t, elliptic.P224()), "web"), 403},
		{"P-384", nil, testca.CSR(t, testca.EC(t, elliptic.P384()), "web"), 201},
		{"P-521", nil, testca.CSR(t, testca.EC(t, elliptic.P521()), "web"), 201},
		{"Ed25519", nil, testca.CSR(t, testca.Ed25519(t), "web"), 201},
		{"a request signed with SHA-1", nil, testca.BentCSR(t, testca.RSA(t, 2048), func(r *x509.CertificateRequest) { r.SignatureAlgorithm = x509.SHA1WithRSA }), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := ca.In(t)
			var bend []testca.Bend
			if c.sans != nil {
				bend = append(bend, testca.SANs(c.sans...))
			}
			a := ca.Sign(c.csr, ca.Token("web", bend...)).Want(c.status)
			if c.status != 201 {
				return
			}
			leaf := a.Chain()[0]
			if leaf.Subject.CommonName != "web" {
				t.Errorf("common name %q, want that of the token", leaf.Subject.CommonName)
			}
			want := c.sans
			if want == nil {
				want = []string{"web"}
			}
			if got := namesOf(leaf); !slices.Equal(got, want) {
				t.Errorf("names %q, want those of the token, %q", got, want)
			}
			if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 {
				t.Error("it is a CA certificate")
			}
		})
	}
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	names = append(names, c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}

// http-api Section 12, item 11, with the built-in claims.
func TestSignValidity(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	const day = 24 * time.Hour
	base := time.Now().Truncate(time.Second)
	stamp := func(d time.Duration) string { return base.Add(d).UTC().Format(time.RFC3339) }
	for _, c := range []struct {
		name, notBefore, notAfter string
		status                    int
		from, to                  time.Duration // of the certificate, from the request or, if absolute, from base
	}{
		{"no wish", "", "", 201, -time.Minute, day},
		{"the longest", "", "24h", 201, -time.Minute, day},
		{"longer than the longest", "", "24h1m", 403, 0, 0},
		{"too short", "", "3m", 403, 0, 0},
		{"short, but the backdate counts", "", "4m", 201, -time.Minute, 4 * time.Minute},
		{"a later begin", "1h", "", 201, time.Hour, time.Hour + day},
		{"a later begin and an end from it", "1h", "8h", 201, time.Hour, 9 * time.Hour},
		{"a begin now is not backdated", stamp(0), "8h", 201, 0, 8 * time.Hour},
		{"absolute times", stamp(time.Hour), stamp(9 * time.Hour), 201, time.Hour, 9 * time.Hour},
		{"absolute times with a zone", stamp(time.Hour), base.Add(9 * time.Hour).In(time.FixedZone("", 7200)).Format(time.RFC3339), 201, time.Hour, 9 * time.Hour},
		{"an end in the past", "-2h", "1h", 400, 0, 0},
		{"an absolute end in the past", "", stamp(-time.Hour), 400, 0, 0},
		{"an end before the begin", "2h", stamp(time.Hour), 400, 0, 0},
		{"a negative end", "", "-5m", 400, 0, 0},
		{"a begin in the past", "-30m", "1h", 201, -30 * time.Minute, 30 * time.Minute},
		{"a begin before the issuer's", "-2h", "3h", 403, 0, 0},
		{"a begin after the issuer's end", "200000h", "8h", 403, 0, 0},
		{"no time at all", "yesterday", "", 400, 0, 0},
		{"beyond all calendars", "", "9999999h", 400, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := ca.In(t)
			first := time.Now().Truncate(time.Second)
			a := ca.Post("/sign", map[string]any{"csr": testca.CSR(t, testca.P256(t), ""), "ott": ca.Token("web"), "notBefore": c.notBefore, "notAfter": c.notAfter}).Want(c.status)
			last := time.Now()
			if c.status != 201 {
				return
			}
			if strings.Contains(c.notBefore, "T") {
				first, last = base, base
			}
			leaf := a.Chain()[0]
			if got := leaf.NotBefore.Add(-c.from); got.Before(first) || got.After(last) {
				t.Errorf("begins %s", leaf.NotBefore)
			}
			if got := leaf.NotAfter.Add(-c.to); got.Before(first) || got.After(last) {
				t.Errorf("ends %s", leaf.NotAfter)
			}
		})
	}
}

// Decisions 16: without a wish cut to the issuer's end, an explicit wish beyond it refused.
func TestSignNeverOutlivesTheIssuer(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(2 * time.Hour).Truncate(time.Second)
	for _, bend := range []func(*testca.Setup){
		func(s *testca.Setup) { s.Middle = func(c *x509.Certificate) { c.NotAfter = end } },
		func(s *testca.Setup) { s.Root = func(c *x509.Certificate) { c.NotAfter = end } },
	} {
		ca := testca.New(t, bend)
		h := ca.Issue("web")
		if !h.Leaf().NotAfter.Equal(end) {
			t.Errorf("ends %s, its issuer %s", h.Leaf().NotAfter, end)
		}
		ca.Post("/sign", map[string]any{"csr": testca.CSR(t, h.Key, ""), "ott": ca.Token("web"), "notAfter": "3h"}).Want(403)
		ca.Post("/sign", map[string]any{"csr": testca.CSR(t, h.Key, ""), "ott": ca.Token("web"), "notAfter": "1h"}).Want(201)
	}
}

// Provisioners Section 4: the provisioner's claims go over the authority's, and a default
// alone moves the bound it passes.
func TestClaimsOfBothLevels(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, func(s *testca.Setup) {
		s.Claims = &provisioner.Claims{MaxTLSDuration: duration(2 * time.Hour), DefaultTLSDuration: duration(time.Hour)}
		s.More = []string{s2(t, "long", map[string]any{"defaultTLSCertDuration": "48h"}), s2(t, "short", map[string]any{"defaultTLSCertDuration": "1m"})}
	})
	for _, c := range []struct {
		issuer   string
		notAfter string
		status   int
		lives    time.Duration
	}{
		{testca.Provisioner, "", 201, time.Hour},
		{testca.Provisioner, "2h", 201, 2 * time.Hour},
		{testca.Provisioner, "3h", 403, 0},
		{"long", "", 201, 48 * time.Hour},
		{"long", "49h", 403, 0},
		{"short", "", 201, time.Minute},
	} {
		bend := []testca.Bend{}
		if c.issuer != testca.Provisioner {
			bend = append(bend, testca.Claim("iss", c.issuer), testca.Head("kid", testca.Thumbprint(&sharedKey.PublicKey)), testca.SignedBy(sharedKey, "ES256"))
		}
		a := ca.Post("/sign", map[string]any{"csr": testca.CSR(t, sharedKey, ""), "ott": ca.Token("web", bend...), "notAfter": c.notAfter}).Want(c.status)
		if c.status == 201 {
			if leaf := a.Chain()[0]; leaf.NotAfter.Sub(leaf.NotBefore) != c.lives+time.Minute {
				t.Errorf("%s %q: lives %s, want %s and the backdate", c.issuer, c.notAfter, leaf.NotAfter.Sub(leaf.NotBefore), c.lives)
			}
		}
	}
}
