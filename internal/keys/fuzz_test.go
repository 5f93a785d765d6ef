package keys_test

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// refusedInWords fails if an error says nothing to the caller.
func refusedInWords(t *testing.T, err error) {
	t.Helper()
	if err != nil && fault.Of(err) == nil {
		t.Fatalf("a refusal without words: %v", err)
	}
}

func FuzzPrivateKey(f *testing.F) {
	for kind, key := range made() {
		for _, encode := range []func() ([]byte, error){
			func() ([]byte, error) { return keys.EncodePrivate(key) },
			func() ([]byte, error) { return keys.MarshalPKCS8(key) },
			func() ([]byte, error) {
				if kind != "Ed25519" {
					return keys.EncodeOpenSSH(key, "", nil)
				}
				return keys.EncodeOpenSSH(key, "", []byte("pw"))
			},
		} {
			data, err := encode()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(katLegacy))
	f.Add([]byte(katPBES2))
	f.Add(cheapPBES2(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The password is not known: a derivation of ten million rounds would only be slow.
		key, err := keys.ParsePrivate(data, "fuzz", keys.NoPassword)
		refusedInWords(t, err)
		if err != nil || keys.CheckStrength(key.Public()) != nil {
			return
		}
		again, err := keys.EncodePrivate(key)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		if back, err := keys.ParsePrivate(again, "again", nil); err != nil || !keys.SamePublicKey(back.Public(), key.Public()) {
			t.Fatalf("what was written can't be read: %v", err)
		}
	})
}

// The legacy form costs nothing to derive, so here the password is known.
func FuzzLegacyKey(f *testing.F) {
	block, _ := pem.Decode([]byte(katLegacy))
	f.Add(block.Headers["DEK-Info"], block.Bytes)
	f.Add("DES-CBC,0011223344556677", make([]byte, 8))
	f.Fuzz(func(t *testing.T, dek string, body []byte) {
		data := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": dek}, Bytes: body})
		if data == nil {
			return
		}
		_, err := keys.ParsePrivate(data, "fuzz", keys.FixedPassword([]byte(katPassword)))
		refusedInWords(t, err)
	})
}

func FuzzPublicKey(f *testing.F) {
	for _, key := range made() {
		data, err := keys.EncodePublic(key.Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsHXr4uXc/9ROg8TBxEsRd8yDTz5swJvoY/AiN/F/rI me"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := keys.ParsePublic(data)
		refusedInWords(t, err)
	})
}

func FuzzCertificates(f *testing.F) {
	c := selfSigned(f, made()["EC P-256"], "c")
	f.Add(c.Raw)
	f.Add(keys.EncodeCertificates(c, c))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := keys.ParseCertificates(data)
		refusedInWords(t, err)
		if err == nil && len(certs) == 0 {
			t.Fatal("no certificate and no error")
		}
	})
}

func FuzzCSR(f *testing.F) {
	der := request(f, made()["EC P-256"])
	f.Add(der)
	f.Add(keys.EncodeCSR(der))
	f.Fuzz(func(t *testing.T, data []byte) {
		csr, err := keys.ParseCSR(data)
		refusedInWords(t, err)
		if err == nil {
			_ = csr.CheckSignature()
		}
	})
}

func FuzzJWE(f *testing.F) {
	f.Add([]byte(katJWE))
	f.Add([]byte(`{"protected":"e30","unprotected":{"p2c":1000},"ciphertext":"AAAA"}`))
	recipients := []*jose.JSONWebKey{
		{Key: bytes.Repeat([]byte("k"), 16)}, {Key: bytes.Repeat([]byte("k"), 32)}, {Key: bytes.Repeat([]byte("k"), 64)},
		{Key: made()["EC P-256"]}, {Key: made()["RSA"]},
	}
	for _, key := range recipients {
		for _, alg := range keys.EncryptionAlgorithms(key) {
			if jwe, err := keys.EncryptJWE([]byte("x"), key, alg, jose.A128CBC_HS256, nil); err == nil {
				f.Add([]byte(jwe.JSON()))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := keys.ParsePrivateJWK(data, "fuzz", keys.NoPassword)
		refusedInWords(t, err)
		jwe, err := keys.ParseJWE(data)
		refusedInWords(t, err)
		if err != nil {
			return
		}
		for _, key := range recipients {
			_, err := jwe.Decrypt(key)
			refusedInWords(t, err)
		}
	})
}

func FuzzJWK(f *testing.F) {
	f.Add([]byte(katJWK))
	for _, key := range made() {
		jwk, err := keys.NewPrivateJWK(key)
		if err != nil {
			f.Fatal(err)
		}
		data, err := keys.MarshalJWK(jwk)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		jwk, err := keys.ParseJWK(data)
		refusedInWords(t, err)
		if err != nil {
			return
		}
		out, err := keys.MarshalJWK(jwk)
		if err != nil {
			return // a certificate that doesn't fit, for one
		}
		again, err := keys.ParseJWK(out)
		if err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, out)
		}
		if twice, err := keys.MarshalJWK(again); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%s\nbecomes\n%s, %v", out, twice, err)
		}
	})
}

func FuzzJWS(f *testing.F) {
	token, err := keys.SignJWT(made()["EC P-256"], nil, map[string]any{"sub": "s"})
	if err != nil {
		f.Fatal(err)
	}
	flat, err := keys.ReserializeJOSE([]byte(token))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(token))
	f.Add([]byte(flat))
	key, err := keys.NewJWK(made()["EC P-256"].Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := keys.ParseJWS(data)
		refusedInWords(t, err)
		if err == nil {
			refusedInWords(t, j.Verify(key, "ES256"))
		}
	})
}
