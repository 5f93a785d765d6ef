package keys_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// Known answers, recorded from existing installations.
const (
	katPassword = "test-password-1"

	katJWK = `{"use":"sig","kty":"EC","kid":"mrSTtsU7swweXNCAZ7LEzUnNXXmMMwWy8Hs_RQ141yQ","crv":"P-256","alg":"ES256","x":"6meWfyXfhUt9KuqlTCWheUwWjW85WzS_4RkROXZEptI","y":"T7TZua3Gn0b7CqS--M5kDZuk4F7rkzMZICvt7ULs7Gs"}`
	katD   = "S4G2FzsOPcasZsO-dltdZqDKDmqW75JP7IL7N9ACNnA"

	katJWE = "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJjdHkiOiJqd2sranNvbiIsImVuYyI6IkEyNTZHQ00iLCJwMmMiOjYwMDAwMCwicDJzIjoialM4bXFYdDI0UGR6RkNCNkZWdnZuQSJ9" +
		".tXyFymBwEE_l0C_tvIPkch7_jyVklOtDBa1PIv9nPOj36U2inJUeow" +
		".1cPFvElNvm6kESnC" +
		".ChugwV23id_C7WWdCBvRBIj99FghKKoKmt6MQSDk2tlKaW3xSPpsHbLbU2LQwlIIU3sbqzqIsrHt4LvHtYkDrMNeh6EdzHK_XcysB0QXCxyfomE0_3gkEuM8OpzNfsC1mT1NTVEiRmiwEXn8BazuxxZbR8Jy64Ts3fsasc3U-XKdS-DjR90IR7cqntCf0XUmT09JROekqBE1gUQS6kFAhod8QRzVoj9zgw9Q1pHHqQaSahuDXyE1E0t6QHq8KYGdQUF7hAjhCFymrfjOR-8Az3AfJHzxLDowFcSkU7LcWSYFnf0S7WpjmgMAwNRdVUblk28QSdwU_wh-3t7gLw8" +
		".bSEL3uTruO2WC2T1WP8fhQ"

	katLegacy = `-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,a04af7c86b829491886226049cac0647

g7sYrMBS3O2+871FHT+SzuCOXbJwRchUwDR0StCrDeNbNblkf0IVIkXzT36Sgswj
IKmSZN0cEuxzV5G7f2wSAFbonoPWxemcVIwbI1VCv7uyoiHHpXDR92WSXZbmogpv
TUy6IvbGgTscsECWvxWQF2TtLj/OhqFGrcUjC5NYm/s=
-----END EC PRIVATE KEY-----
`
	katLegacyPub = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtXLZSNE+rM6QuhNOJ64ylofDJo0hS5c1d8rTH1Lvr/TCImmCs8lLD3XRh/yaq4acqO5qBC8lWpRxmcXRzIyXRg=="
	katLegacyFP  = "SHA256:Go3DzC8F+171L6uT5o+2hgiVyJHzxXArM+JkYAeJqfc="

	katPBES2 = `-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGkMGAGCSqGSIb3DQEFDTBTMDIGCSqGSIb3DQEFDDAlBBAN94cZfgQ7q+85Rcr6
xXT/AgMJJ8AwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEC9o/thZB/qoBRTg
TG76TaYEQLUcDcmNhP+EPmyrmgxSQrJyvYFRh3PQ1acdGcERIqyqbCd6PGiOvJHy
PSR2o8ZKp9bsEsujopZuxpvS6HGfC38=
-----END ENCRYPTED PRIVATE KEY-----
`
	katPBES2Pub = "MCowBQYDK2VwAyEAWwdevi5dz/1E6DxMHESxF3zINPPmzAm+hj8CI38X+sg="
	katPBES2FP  = "SHA256:Bzniwllms0OD27crYiP8QtmJtDxCSJKbl1QJDWFE6nk="
)

func TestKnownPEM(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ pem, pub, fp string }{
		"RFC 1423 EC":   {katLegacy, katLegacyPub, katLegacyFP},
		"PBES2 Ed25519": {katPBES2, katPBES2Pub, katPBES2FP},
	} {
		key, err := keys.ParsePrivate([]byte("leading text\n"+c.pem), "kat", keys.FixedPassword([]byte(katPassword)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		der, err := base64.StdEncoding.DecodeString(c.pub)
		if err != nil {
			t.Fatal(err)
		}
		want, err := keys.ParsePublic(der)
		if err != nil {
			t.Fatal(err)
		}
		if !keys.SamePublicKey(key.Public(), want) {
			t.Errorf("%s: another public key", name)
		}
		if fp, err := keys.KeyFingerprint(key.Public()); err != nil || fp != c.fp {
			t.Errorf("%s: fingerprint %s, %v; want %s", name, fp, err, c.fp)
		}
		for _, wrong := range []string{"", katPassword + "\n"} {
			_, err := keys.ParsePrivate([]byte(c.pem), "kat", keys.FixedPassword([]byte(wrong)))
			if !errors.Is(err, keys.ErrPassword) || !fault.Is(err, fault.Invalid) {
				t.Errorf("%s with password %q: %v", name, wrong, err)
			}
		}
		if _, err := keys.ParsePrivate([]byte(c.pem), "kat", keys.NoPassword); !fault.Is(err, fault.Invalid) || errors.Is(err, keys.ErrPassword) {
			t.Errorf("%s without a password: %v", name, err)
		}
	}
}

func TestKnownJWE(t *testing.T) {
	t.Parallel()
	jwk, err := keys.DecryptJWK([]byte(katJWE), []byte(katPassword))
	if err != nil {
		t.Fatal(err)
	}
	got, err := keys.MarshalJWK(jwk)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(katJWK, "}") + `,"d":"` + katD + `"}`; string(got) != want {
		t.Errorf("plaintext is\n%s\nwant\n%s", got, want)
	}
	if kid, err := keys.Thumbprint(jwk.Key); err != nil || kid != jwk.KeyID {
		t.Errorf("thumbprint %s, %v; want %s", kid, err, jwk.KeyID)
	}
	public, err := keys.NewJWK(&jwk.Key.(*ecdsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keys.MarshalJWK(public); err != nil || string(got) != katJWK {
		t.Errorf("public JWK is\n%s, %v\nwant\n%s", got, err, katJWK)
	}
	for _, wrong := range []string{katPassword + "\n"} {
		if _, err := keys.DecryptJWK([]byte(katJWE), []byte(wrong)); !errors.Is(err, keys.ErrPassword) {
			t.Errorf("password %q: %v", wrong, err)
		}
	}
}

func TestEncryptJWKWritesWhatOldClientsRead(t *testing.T) {
	t.Parallel()
	key, err := keys.Alg{}.Generate()
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := keys.NewPrivateJWK(key)
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := keys.EncryptJWK(jwk, []byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(jwe, ".")
	for i, n := range []int{140, 54, 16, 339, 22} {
		if len(parts) != 5 || len(parts[i]) != n {
			t.Fatalf("segment %d of %s: want %d characters", i, jwe, n)
		}
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"alg":"PBES2-HS256+A128KW","cty":"jwk+json","enc":"A256GCM","p2c":600000,"p2s":"`; !strings.HasPrefix(string(header), want) {
		t.Errorf("header %s; want %s...", header, want)
	}
	back, err := keys.DecryptJWK([]byte(jwe), []byte("pw"))
	if err != nil || !keys.SamePublicKey(back.Public().Key, key.Public()) {
		t.Errorf("does not come back: %v", err)
	}
}

// RFC 7638, Section 3.1 and RFC 8037, Appendix A.3.
func TestKnownThumbprints(t *testing.T) {
	t.Parallel()
	for jwk, want := range map[string]string{
		`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
		katJWK: "mrSTtsU7swweXNCAZ7LEzUnNXXmMMwWy8Hs_RQ141yQ",
	} {
		key, err := keys.ParseJWK([]byte(jwk))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := keys.Thumbprint(key.Key); err != nil || got != want {
			t.Errorf("thumbprint %s, %v; want %s", got, err, want)
		}
	}
}

func TestSignJWT(t *testing.T) {
	t.Parallel()
	key, err := keys.Alg{}.Generate()
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.SignJWT(key, map[string]any{"kid": "k1", "x5c": []string{"AA=="}}, map[string]any{"sub": "s"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(header, &got); err != nil {
		t.Fatal(err)
	}
	if got["alg"] != "ES256" || got["typ"] != "JWT" || got["kid"] != "k1" || len(got) != 4 {
		t.Errorf("header %s", header)
	}
	if sig, _ := base64.RawURLEncoding.DecodeString(parts[2]); len(sig) != 64 {
		t.Errorf("an ES256 signature of %d bytes", len(sig))
	}
	if _, err := keys.SignJWT(key, map[string]any{"alg": "ES384"}, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("an algorithm of another curve: %v", err)
	}
}
