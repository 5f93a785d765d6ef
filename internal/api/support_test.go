package api_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

// sharedKey signs for provisioners that need no key of their own.
var sharedKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

// s2 is a JWK provisioner with the shared key.
func s2(t *testing.T, name string, claims map[string]any) string {
	t.Helper()
	return testca.JWKProvisioner(name, &sharedKey.PublicKey, map[string]any{"claims": claims})
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rsaJWK(key *rsa.PublicKey, alg string) string {
	e := big.NewInt(int64(key.E)).Bytes()
	members := `"kty":"RSA","kid":"rsa","n":"` + base64.RawURLEncoding.EncodeToString(key.N.Bytes()) + `","e":"` + base64.RawURLEncoding.EncodeToString(e) + `"`
	if alg != "" {
		members += `,"alg":"` + alg + `"`
	}
	return "{" + members + "}"
}

func edJWK(key ed25519.PrivateKey) string {
	pub := key.Public().(ed25519.PublicKey)
	return `{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"` + base64.RawURLEncoding.EncodeToString(pub) + `"}`
}

// derSignature signs as X.509 does, not as JOSE does.
func derSignature(t *testing.T, ca *testca.CA, input string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, ca.Key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

// otherSignature turns s of an ES256 signature into n-s, which verifies as well.
func otherSignature(t *testing.T, token string) string {
	t.Helper()
	cut := strings.LastIndexByte(token, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(token[cut:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s)
	out := append(bytes.Clone(sig[:32]), s.FillBytes(make([]byte, 32))...)
	return token[:cut] + base64.RawURLEncoding.EncodeToString(out)
}

// certificates lists what is on record.
func certificates(t *testing.T, ca *testca.CA) []*store.Certificate {
	t.Helper()
	var all []*store.Certificate
	err := ca.Store.View(t.Context(), func(tx *store.Tx) error {
		all = nil
		for c, err := range tx.Certificates(store.Query{}) {
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// asn1String is DER of some text as a tag wants it.
func asn1String(t *testing.T, tag int, text string) []byte {
	t.Helper()
	der, err := asn1.Marshal(asn1.RawValue{Tag: tag, Bytes: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}
