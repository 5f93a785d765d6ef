package keys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestHostileJWE(t *testing.T) {
	t.Parallel()
	compact := func(header string) string { return b64(header) + ".AAAA.AAAA.AAAA.AAAA" }
	withCount := func(n string) string {
		return compact(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2s":"c2FsdHNhbHQ","p2c":` + n + `}`)
	}
	flat := func(members string) string {
		return `{` + members + `,"encrypted_key":"AAAA","iv":"AAAA","ciphertext":"AAAA","tag":"AAAA"}`
	}
	good := b64(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2s":"c2FsdHNhbHQ"}`)
	for name, in := range map[string]string{
		"p2c 0":                  withCount("0"),
		"p2c 1":                  withCount("1"),
		"p2c 999":                withCount("999"),
		"p2c beyond a million":   withCount("1000001"),
		"p2c 2^31":               withCount("2147483648"),
		"p2c 2^70":               withCount("1180591620717411303424"),
		"p2c negative":           withCount("-1000"),
		"p2c a fraction":         withCount("1000.5"),
		"p2c a string":           withCount(`"1000"`),
		"p2c twice":              withCount(`1000,"p2c":2000`),
		"no p2c":                 compact(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2s":"c2FsdHNhbHQ"}`),
		"p2c hides in header":    flat(`"protected":"` + good + `","header":{"p2c":2147483648}`),
		"p2c hides unprotected":  flat(`"protected":"` + good + `","unprotected":{"p2c":2147483648}`),
		"p2c hides in recipient": `{"protected":"` + good + `","recipients":[{"header":{"p2c":1},"encrypted_key":"AAAA"}],"iv":"AAAA","ciphertext":"AAAA","tag":"AAAA"}`,
		"two recipients":         `{"protected":"` + good + `","recipients":[{},{}],"iv":"AAAA","ciphertext":"AAAA","tag":"AAAA"}`,
		"alg dir":                compact(`{"alg":"dir","enc":"A256GCM"}`),
		"alg A128KW":             compact(`{"alg":"A128KW","enc":"A256GCM"}`),
		"alg none":               compact(`{"alg":"none","enc":"A256GCM"}`),
		"enc odd":                compact(`{"alg":"PBES2-HS256+A128KW","enc":"X","p2c":1000,"p2s":"AAAA"}`),
		"crit":                   compact(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000,"p2s":"AAAA","crit":["x"],"x":1}`),
		"no header":              "....",
		"four segments":          "e30.AAAA.AAAA.AAAA",
		"six segments":           "e30.AAAA.AAAA.AAAA.AAAA.AAAA",
		"header no base64":       "!!.AAAA.AAAA.AAAA.AAAA",
		"header no JSON":         compact("x"),
		"header a list":          compact("[]"),
		"JSON cut":               `{"protected":"`,
		"nothing":                "",
		"an empty object":        "{}",
		"10 MB":                  strings.Repeat("e", 10<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keys.DecryptJWK([]byte(in), []byte("pw"))
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOldAndForeignJWEAreRead(t *testing.T) {
	t.Parallel()
	key := made()["EC P-256"]
	private, err := keys.NewPrivateJWK(key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := keys.MarshalJWK(private)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		alg   jose.KeyAlgorithm
		enc   jose.ContentEncryption
		count int
	}{
		{jose.PBES2_HS256_A128KW, jose.A256GCM, 1000},
		{jose.PBES2_HS256_A128KW, jose.A128GCM, 100_000},
		{jose.PBES2_HS384_A192KW, jose.A192CBC_HS384, 4096},
		{jose.PBES2_HS512_A256KW, jose.A256CBC_HS512, 4096},
		{jose.PBES2_HS256_A128KW, jose.A256GCM, 1_000_000},
	} {
		enc, err := jose.NewEncrypter(c.enc, jose.Recipient{Algorithm: c.alg, Key: []byte("pw"), PBES2Count: c.count}, nil)
		if err != nil {
			t.Fatal(err)
		}
		obj, err := enc.Encrypt(plain)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := obj.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		p := strings.Split(compact, ".")
		general := fmt.Sprintf(`{"protected":%q,"recipients":[{"encrypted_key":%q}],"iv":%q,"ciphertext":%q,"tag":%q}`, p[0], p[1], p[2], p[3], p[4])
		for form, jwe := range map[string]string{"compact": compact + "\n", "flattened": obj.FullSerialize(), "general": general} {
			back, err := keys.DecryptJWK([]byte(jwe), []byte("pw"))
			if err != nil || !keys.SamePublicKey(back.Public().Key, key.Public()) {
				t.Errorf("%s %s %d %s: %v", c.alg, c.enc, c.count, form, err)
			}
		}
	}
}

func TestParseJWKRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":               "",
		"no object":             `"x"`,
		"no kty":                `{}`,
		"KTY of other case":     strings.Replace(katJWK, `"kty"`, `"KTY"`, 1),
		"x twice":               strings.Replace(katJWK, `"x":`, `"x":"AAAA","x":`, 1),
		"a point off the curve": strings.Replace(katJWK, `"y":"T7`, `"y":"U7`, 1),
		"a short coordinate":    `{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`,
		"an odd curve":          strings.Replace(katJWK, "P-256", "P-999", 1),
		"d of another key":      strings.TrimSuffix(katJWK, "}") + `,"d":"AAAA"}`,
		"Ed25519 of 3 bytes":    `{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`,
		"64 KB":                 `{"kty":"oct","k":"` + strings.Repeat("A", 64<<10) + `"}`,
	} {
		_, err := keys.ParseJWK([]byte(in))
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignatureAlgorithmsFitTheKey(t *testing.T) {
	t.Parallel()
	want := map[string][]jose.SignatureAlgorithm{
		"EC P-256": {jose.ES256}, "EC P-384": {jose.ES384}, "EC P-521": {jose.ES512}, "Ed25519": {jose.EdDSA},
		"RSA": {jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512},
	}
	for name, key := range made() {
		if d := cmp.Diff(want[name], keys.SignatureAlgorithms(key.Public())); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	for name, unfit := range map[string]any{"P-224": &p224.PublicKey, "RSA 1024": weak, "a secret": []byte("secret"), "nil": nil} {
		if algs := keys.SignatureAlgorithms(unfit); algs != nil {
			t.Errorf("%s: %v", name, algs)
		}
		if _, err := keys.NewJWK(unfit); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s as JWK: %v", name, err)
		}
	}
}

func TestSignedTokensVerify(t *testing.T) {
	t.Parallel()
	for name, key := range made() {
		for _, alg := range keys.SignatureAlgorithms(key.Public()) {
			token, err := keys.SignJWT(key, map[string]any{"alg": string(alg), "typ": "at+jwt"}, map[string]any{"sub": "s"})
			if err != nil {
				t.Fatalf("%s %s: %v", name, alg, err)
			}
			obj, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
			if err != nil {
				t.Fatalf("%s %s: %v", name, alg, err)
			}
			payload, err := obj.Verify(key.Public())
			if err != nil || string(payload) != `{"sub":"s"}` {
				t.Errorf("%s %s: %s, %v", name, alg, payload, err)
			}
		}
	}
}

func TestWrongPasswordIsTold(t *testing.T) {
	t.Parallel()
	if _, err := keys.ParsePrivate([]byte(katJWE), "prov.jwe", keys.FixedPassword([]byte("no"))); !errors.Is(err, keys.ErrPassword) || !strings.Contains(err.Error(), "prov.jwe") {
		t.Error(err)
	}
}
