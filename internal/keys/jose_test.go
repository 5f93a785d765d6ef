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

func TestSEC40_HostileJWE(t *testing.T) {
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
		forms := map[string]string{"compact": compact + "\n", "flattened": obj.FullSerialize(), "general": general}
		if c.count > 10_000 {
			forms = map[string]string{"compact": compact} // once is slow enough
		}
		for form, jwe := range forms {
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

func TestSEC43_JWSTricks(t *testing.T) {
	t.Parallel()
	ec, err := keys.ParseAsJWK(pemOf(t, made()["EC P-256"]), "ec", nil)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := keys.ParseAsJWK(pemOf(t, made()["RSA"]), "rsa", nil)
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM, err := keys.EncodePublic(made()["RSA"].Public())
	if err != nil {
		t.Fatal(err)
	}
	sign := func(k *jose.JSONWebKey, alg jose.SignatureAlgorithm, header map[string]any) *jose.JSONWebSignature {
		obj, err := keys.SignJWS(k, alg, header, []byte(`{"sub":"s"}`))
		if err != nil {
			t.Fatal(err)
		}
		return obj
	}
	compact := func(obj *jose.JSONWebSignature) string {
		s, err := obj.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := compact(sign(ec, jose.ES256, nil))
	parts := strings.Split(good, ".")
	flat := func(tail string) string {
		return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q%s}`, parts[1], parts[0], parts[2], tail)
	}
	bent := *ec
	bent.Algorithm = "ES384"
	for name, c := range map[string]struct {
		in  string
		key *jose.JSONWebKey
		alg jose.SignatureAlgorithm
		ok  bool
	}{
		"a good one":                 {good, ec, jose.ES256, true},
		"a good one in JSON":         {flat(""), ec, jose.ES256, true},
		"white space around":         {" " + good + "\n", ec, jose.ES256, true},
		"another key":                {good, rsaKey, jose.ES256, false},
		"another algorithm expected": {good, ec, jose.ES384, false},
		"the JWK fixes another":      {good, &bent, jose.ES256, false},
		"none":                       {b64(`{"alg":"none"}`) + "." + parts[1] + ".", ec, "none", false},
		"None":                       {b64(`{"alg":"None"}`) + "." + parts[1] + ".", ec, "None", false},
		"no algorithm":               {b64(`{}`) + "." + parts[1] + "." + parts[2], ec, "", false},
		"alg twice":                  {b64(`{"alg":"ES256","alg":"none"}`) + "." + parts[1] + "." + parts[2], ec, jose.ES256, false},
		"a DER signature":            {parts[0] + "." + parts[1] + "." + b64("\x30\x06\x02\x01\x01\x02\x01\x01"), ec, jose.ES256, false},
		"an empty signature":         {parts[0] + "." + parts[1] + ".", ec, jose.ES256, false},
		"crit":                       {compact(sign(ec, jose.ES256, map[string]any{"crit": []string{"exp"}, "exp": 1})), ec, jose.ES256, false},
		"b64 false":                  {compact(sign(ec, jose.ES256, map[string]any{"b64": true})), ec, jose.ES256, false},
		"two signatures":             {fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2], parts[0], parts[2]), ec, jose.ES256, false},
		"two serializations":         {flat(`,"signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]`), ec, jose.ES256, false},
		"alg in both headers":        {flat(`,"header":{"alg":"none"}`), ec, jose.ES256, false},
		"payload twice":              {flat(`,"payload":"e30"`), ec, jose.ES256, false},
		"an RSA key as HMAC secret":  {compact(sign(&jose.JSONWebKey{Key: rsaPEM}, jose.HS256, nil)), rsaKey, jose.HS256, false},
		"an unknown algorithm":       {b64(`{"alg":"ES256K"}`) + "." + parts[1] + "." + parts[2], ec, "ES256K", false},
		"four segments":              {good + ".x", ec, jose.ES256, false},
		"nothing":                    {"", ec, jose.ES256, false},
		"a changed payload":          {parts[0] + "." + b64(`{"sub":"evil"}`) + "." + parts[2], ec, jose.ES256, false},
	} {
		j, err := keys.ParseJWS([]byte(c.in))
		if err == nil {
			err = j.Verify(c.key, c.alg)
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && fault.Of(err) == nil {
			t.Errorf("%s: no words in %v", name, err)
		}
	}
}

func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	data, err := keys.EncodePrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReserializeGoesBothWays(t *testing.T) {
	t.Parallel()
	back, err := keys.ReserializeJOSE([]byte("  " + katJWE[:200] + "\n " + katJWE[200:] + "\n"))
	if err != nil || !strings.HasPrefix(back, `{"protected":"`) {
		t.Fatalf("%s, %v", back, err)
	}
	if again, err := keys.ReserializeJOSE([]byte(back)); err != nil || again != katJWE {
		t.Errorf("%s, %v", again, err)
	}
	token, err := keys.SignJWT(made()["Ed25519"], nil, map[string]any{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	flat, err := keys.ReserializeJOSE([]byte(token))
	if err != nil || !strings.HasPrefix(flat, "{") {
		t.Fatalf("%s, %v", flat, err)
	}
	if again, err := keys.ReserializeJOSE([]byte(flat)); err != nil || again != token {
		t.Errorf("%s, %v", again, err)
	}
	for _, in := range []string{"", "x", "{}", `{"ciphertext":"AAAA"}`, "a.b.c", "a.b.c.d.e"} {
		if out, err := keys.ReserializeJOSE([]byte(in)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %s, %v", in, out, err)
		}
	}
}

func TestEncryptedMessagesComeBack(t *testing.T) {
	t.Parallel()
	secret := func(n int) *jose.JSONWebKey { return &jose.JSONWebKey{Key: []byte(strings.Repeat("k", n))} }
	ec, err := keys.ParseAsJWK(pemOf(t, made()["EC P-384"]), "ec", nil)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := keys.ParseAsJWK(pemOf(t, made()["RSA"]), "rsa", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range keys.KeyAlgorithms() {
		var key *jose.JSONWebKey
		switch {
		case keys.IsPBES2(alg):
			continue
		case strings.HasPrefix(string(alg), "ECDH"):
			key = ec
		case strings.HasPrefix(string(alg), "RSA"):
			key = rsaKey
		case strings.HasPrefix(string(alg), "A128"):
			key = secret(16)
		case strings.HasPrefix(string(alg), "A192"):
			key = secret(24)
		default:
			key = secret(32)
		}
		jwe, err := keys.EncryptJWE([]byte("hello"), key, alg, jose.A256GCM, map[string]any{"cty": "text/plain"})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		parsed, err := keys.ParseJWE([]byte(jwe.JSON()))
		if err != nil || parsed.Algorithm != alg {
			t.Fatalf("%s: %v", alg, err)
		}
		if plain, err := parsed.Decrypt(key); err != nil || string(plain) != "hello" {
			t.Errorf("%s: %q, %v", alg, plain, err)
		}
		if _, err := parsed.Decrypt(secret(1)); err == nil {
			t.Errorf("%s: a wrong key decrypts", alg)
		}
		wrong := *key
		wrong.Algorithm = "ES256"
		if _, err := parsed.Decrypt(&wrong); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: a key of another algorithm decrypts: %v", alg, err)
		}
	}
}

func TestJWKSetKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	set, err := keys.ParseJWKSet([]byte(`{"note":"mine","keys":[{"kty":"COSMIC","kid":"c"},` + katJWK + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"c", "mrSTtsU7swweXNCAZ7LEzUnNXXmMMwWy8Hs_RQ141yQ"}, set.KeyIDs()); d != "" {
		t.Error(d)
	}
	if err := set.Add([]byte(katJWK)); !fault.Is(err, fault.Conflict) {
		t.Errorf("the same kid again: %v", err)
	}
	if err := set.Add([]byte(`{"kty":"oct","kid":"o","k":"AAAA","extra":1}`)); err != nil {
		t.Error(err)
	}
	if !set.Remove("mrSTtsU7swweXNCAZ7LEzUnNXXmMMwWy8Hs_RQ141yQ") || set.Remove("nobody") {
		t.Error("remove")
	}
	if _, err := set.Find("o"); err != nil {
		t.Error(err)
	}
	if _, err := set.Find("c"); !fault.Is(err, fault.Missing) {
		t.Errorf("a key nobody understands was found: %v", err)
	}
	out, err := set.Marshal()
	want := "{\n  \"keys\": [\n    {\n      \"kty\": \"COSMIC\",\n      \"kid\": \"c\"\n    },\n    {\n      \"kty\": \"oct\",\n      \"kid\": \"o\",\n      \"k\": \"AAAA\",\n      \"extra\": 1\n    }\n  ],\n  \"note\": \"mine\"\n}"
	if err != nil || string(out) != want {
		t.Errorf("%s, %v", out, err)
	}
	for _, in := range []string{`{}`, `[]`, `{"keys":{}}`, `{"keys":[1]}`, `{"keys":[],"keys":[]}`, katJWK} {
		if _, err := keys.ParseJWKSet([]byte(in)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// Libraries have panicked on wrapped keys and CBC contents that are too short to be any.
func TestSEC40_ShortPartsOfJWE(t *testing.T) {
	t.Parallel()
	secret := &jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32))}
	rsaKey := &jose.JSONWebKey{Key: made()["RSA"]}
	for _, alg := range keys.KeyAlgorithms() {
		for _, enc := range []jose.ContentEncryption{jose.A256GCM, jose.A128CBC_HS256} {
			for n := range 30 {
				part := strings.Repeat("A", n)
				header := b64(fmt.Sprintf(`{"alg":%q,"enc":%q,"iv":%q,"tag":%q,"p2c":1000,"p2s":%q}`, alg, enc, part, part, part))
				for _, in := range []string{
					header + "." + part + ".." + part + "." + part,
					header + ".AAAA." + part + "." + part + ".",
					header + ".." + strings.Repeat("A", 22) + "." + part + "." + strings.Repeat("A", 22),
				} {
					jwe, err := keys.ParseJWE([]byte(in))
					if err != nil {
						continue
					}
					for _, key := range []*jose.JSONWebKey{secret, rsaKey} {
						if plain, err := jwe.Decrypt(key); err == nil {
							t.Fatalf("%s decrypts to %q", in, plain)
						}
					}
				}
			}
		}
	}
}
