package keys_test

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// made holds one key of every kind, generated once for all tests.
var made = sync.OnceValue(func() map[string]crypto.Signer {
	out := map[string]crypto.Signer{}
	for name, alg := range map[string]keys.Alg{
		"EC P-256": {}, "EC P-384": {Kty: "EC", Crv: "P-384"}, "EC P-521": {Kty: "EC", Crv: "P-521"},
		"RSA": {Kty: "RSA"}, "Ed25519": {Kty: "OKP", Crv: "Ed25519"},
	} {
		key, err := alg.Generate()
		if err != nil {
			panic(err)
		}
		out[name] = key
	}
	return out
})

func TestPrivateKeysComeBack(t *testing.T) {
	t.Parallel()
	pw := keys.FixedPassword([]byte("secret"))
	labels := map[string]string{"RSA": "RSA PRIVATE KEY", "Ed25519": "PRIVATE KEY"}
	forms := map[string]func(crypto.Signer) ([]byte, error){
		"plain":             func(k crypto.Signer) ([]byte, error) { return keys.EncodePrivate(k) },
		"PKCS#8":            func(k crypto.Signer) ([]byte, error) { return keys.EncodePKCS8(k) },
		"encrypted":         func(k crypto.Signer) ([]byte, error) { return keys.EncodeEncrypted(k, []byte("secret")) },
		"PKCS#8 DER":        func(k crypto.Signer) ([]byte, error) { return keys.MarshalPKCS8(k) },
		"encrypted DER":     func(k crypto.Signer) ([]byte, error) { return keys.MarshalEncrypted(k, []byte("secret")) },
		"OpenSSH":           func(k crypto.Signer) ([]byte, error) { return keys.EncodeOpenSSH(k, "me", nil) },
		"encrypted OpenSSH": func(k crypto.Signer) ([]byte, error) { return keys.EncodeOpenSSH(k, "me", []byte("secret")) },
		"JWK": func(k crypto.Signer) ([]byte, error) {
			jwk, err := keys.NewPrivateJWK(k)
			if err != nil {
				return nil, err
			}
			return keys.MarshalJWK(jwk)
		},
		"JWE": func(k crypto.Signer) ([]byte, error) {
			jwk, err := keys.NewPrivateJWK(k)
			if err != nil {
				return nil, err
			}
			s, err := keys.EncryptJWK(jwk, []byte("secret"))
			return []byte(s), err
		},
	}
	for kind, key := range made() {
		for form, encode := range forms {
			encrypted := strings.HasPrefix(form, "encrypted") || form == "JWE"
			if encrypted && kind != "EC P-256" && (kind != "Ed25519" || form != "encrypted") {
				continue // what is encrypted doesn't matter to how, and each derivation takes its time
			}
			t.Run(kind+"/"+form, func(t *testing.T) {
				t.Parallel()
				data, err := encode(key)
				if err != nil {
					t.Fatal(err)
				}
				if block, _ := pem.Decode(data); form == "plain" {
					want := labels[kind]
					if want == "" {
						want = "EC PRIVATE KEY"
					}
					if block == nil || block.Type != want {
						t.Errorf("label of %s; want %s", data, want)
					}
				}
				back, err := keys.ParsePrivate(data, "test", pw)
				if err != nil {
					t.Fatal(err)
				}
				if !keys.SamePublicKey(back.Public(), key.Public()) {
					t.Error("another key came back")
				}
				_, err = keys.ParsePrivate(data, "test", keys.FixedPassword([]byte("wrong")))
				if encrypted != errors.Is(err, keys.ErrPassword) {
					t.Errorf("with a wrong password: %v", err)
				}
			})
		}
	}
}

func TestPasswordIsAskedOnlyForEncryptedKeys(t *testing.T) {
	t.Parallel()
	key := made()["EC P-256"]
	plain, err := keys.EncodePrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ParsePrivate(plain, "plain", nil); err != nil {
		t.Error(err)
	}
	locked, err := keys.EncodeEncrypted(key, []byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	asked := []string{}
	_, err = keys.ParsePrivate(locked, "the.key", func(what string) ([]byte, error) {
		asked = append(asked, what)
		return []byte("wrong"), nil
	})
	if len(asked) != 1 || asked[0] != "the.key" || err == nil || !strings.Contains(err.Error(), "the.key") {
		t.Errorf("asked %v, %v", asked, err)
	}
}

func TestParsePrivateRefuses(t *testing.T) {
	t.Parallel()
	plain, err := keys.EncodePrivate(made()["EC P-256"])
	if err != nil {
		t.Fatal(err)
	}
	public, err := keys.EncodePublic(made()["EC P-256"].Public())
	if err != nil {
		t.Fatal(err)
	}
	block := func(label, body string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: []byte(body)}))
	}
	dek := func(info string, n int) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: make([]byte, n),
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": info}}))
	}
	const iv = "00112233445566778899aabbccddeeff"
	for name, in := range map[string]string{
		"nothing":               "",
		"text":                  "hello",
		"a public key":          string(public),
		"two keys":              string(plain) + string(plain),
		"a key and its public":  string(plain) + string(public),
		"an unknown label":      block("COSMIC PRIVATE KEY", "x"),
		"rubbish in PKCS#8":     block("PRIVATE KEY", "x"),
		"rubbish encrypted":     block("ENCRYPTED PRIVATE KEY", "x"),
		"rubbish of OpenSSH":    block("OPENSSH PRIVATE KEY", "x"),
		"a huge block":          block("PRIVATE KEY", strings.Repeat("x", 100_000)),
		"10 MB":                 strings.Repeat("x", 10<<20),
		"a cut block":           string(plain[:len(plain)-30]),
		"legacy without cipher": dek("", 16),
		"legacy odd cipher":     dek("RC4-40,"+iv, 16),
		"legacy without IV":     dek("AES-256-CBC", 16),
		"legacy IV no hex":      dek("AES-256-CBC,xyz", 16),
		"legacy IV short":       dek("AES-256-CBC,0011223344556677", 16),
		"legacy IV of DES":      dek("DES-CBC,"+iv, 16),
		"legacy 0 bytes":        dek("AES-256-CBC,"+iv, 0),
		"legacy 15 bytes":       dek("AES-256-CBC,"+iv, 15),
		"legacy 17 bytes":       dek("AES-256-CBC,"+iv, 17),
		"legacy rubbish":        dek("AES-256-CBC,"+iv, 160),
		"a shared secret":       `{"kty":"oct","k":"AAAA"}`,
		"a public JWK":          katJWK,
		"an X25519 JWK":         `{"kty":"OKP","crv":"X25519","x":"AAAA"}`,
		"a JWK set":             `{"keys":[` + katJWK + `]}`,
		"an RSA JWK beyond all": `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 40_000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := keys.ParsePrivate([]byte(in), "x", keys.FixedPassword([]byte("pw")))
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Errorf("got %v, %v", key, err)
			}
		})
	}
}

// Every cut and many bent bytes of an encrypted key are refused, none panics.
func TestDamagedKeysAreRefused(t *testing.T) {
	t.Parallel()
	// Recorded with one iteration of PBKDF2, so that thousands of tries take no time.
	der := cheapPBES2(t)
	pw := keys.FixedPassword([]byte("pw"))
	if _, err := keys.ParsePrivate(der, "whole", pw); err != nil {
		t.Fatal(err)
	}
	for i := range der {
		if _, err := keys.ParsePrivate(der[:i], "cut", pw); err == nil {
			t.Errorf("cut at %d is taken", i)
		}
		bent := bytes.Clone(der)
		bent[i] ^= 0x80
		_, _ = keys.ParsePrivate(bent, "bent", keys.NoPassword)
	}
}

func TestReadPasswordFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ in, want string }{
		"bare":               {"pw", "pw"},
		"newline":            {"pw\n", "pw"},
		"blank and CRLF":     {"pw \r\n", "pw"},
		"leading blank":      {" pw", " pw"},
		"unicode blanks":     {"pw\u00a0\u2003\u0085\n", "pw"},
		"inner lines":        {"a\nb\n\n", "a\nb"},
		"empty":              {"", ""},
		"nothing but blanks": {" \n\t", ""},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, []byte(c.in), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := keys.ReadPasswordFile(path); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	if _, err := keys.ReadPasswordFile(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing file: %v", err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	for _, a := range []keys.Alg{
		{Kty: "DSA"}, {Kty: "EC", Crv: "P-224"}, {Kty: "EC", Crv: "Ed25519"}, {Kty: "EC", Size: 256},
		{Kty: "OKP", Crv: "P-256"}, {Kty: "OKP", Crv: "X25519"}, {Kty: "OKP", Size: 1},
		{Kty: "RSA", Crv: "P-256"}, {Kty: "RSA", Size: 512}, {Kty: "RSA", Size: -1}, {Kty: "RSA", Size: 1 << 20},
	} {
		if _, err := a.Generate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

func TestKeysInKeepersStayThere(t *testing.T) {
	t.Parallel()
	kept := struct{ crypto.Signer }{made()["EC P-256"]}
	_, priv := keys.EncodePrivate(kept)
	_, enc := keys.EncodeEncrypted(kept, []byte("pw"))
	_, jwk := keys.NewPrivateJWK(kept)
	_, ssh := keys.EncodeOpenSSH(kept, "", nil)
	for name, err := range map[string]error{"PEM": priv, "encrypted": enc, "JWK": jwk, "OpenSSH": ssh} {
		if !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keys.SignJWT(kept, nil, map[string]any{"sub": "x"}); err != nil {
		t.Errorf("a kept key signs no token: %v", err)
	}
}
