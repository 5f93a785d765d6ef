package keys_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidAES128 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
)

// box builds an EncryptedPrivateKeyInfo field by field, so that each can be bent.
type box struct {
	scheme, kdf, cipher asn1.ObjectIdentifier
	params              any
	iv, data            []byte
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int64
	KeyLen     int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParams struct {
	Salt    []byte
	N, R, P int64
}

func (b box) der(t testing.TB) []byte {
	t.Helper()
	must := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	type identified = pkix.AlgorithmIdentifier
	inner := must(struct{ KDF, Cipher identified }{
		identified{Algorithm: b.kdf, Parameters: must(b.params)},
		identified{Algorithm: b.cipher, Parameters: must(b.iv)},
	})
	return must(struct {
		Scheme identified
		Data   []byte
	}{identified{Algorithm: b.scheme, Parameters: inner}, b.data}).FullBytes
}

// cheap encrypts a key with one iteration of PBKDF2 with SHA-1 and AES-128: weak, but legal.
func cheap(t testing.TB) box {
	t.Helper()
	plain, err := keys.MarshalPKCS8(made()["EC P-256"])
	if err != nil {
		t.Fatal(err)
	}
	salt, iv := []byte("saltsalt"), make([]byte, 16)
	secret, err := pbkdf2.Key(sha1.New, "pw", salt, 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	c, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	pad := 16 - len(plain)%16
	plain = append(plain, []byte(strings.Repeat(string(rune(pad)), pad))...)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(plain, plain)
	return box{oidPBES2, oidPBKDF2, oidAES128, pbkdf2Params{Salt: salt, Iterations: 1}, iv, plain}
}

func cheapPBES2(t testing.TB) []byte { return cheap(t).der(t) }

func TestSEC40_HostilePBES2(t *testing.T) {
	t.Parallel()
	odd := asn1.ObjectIdentifier{1, 2, 3}
	iterate := func(n int64) func(*box) {
		return func(b *box) { b.params = pbkdf2Params{Salt: []byte("s"), Iterations: n} }
	}
	scrypt := func(n, r, p int64) func(*box) {
		return func(b *box) { b.kdf, b.params = oidScrypt, scryptParams{[]byte("s"), n, r, p} }
	}
	cases := map[string]func(*box){
		"no iterations":        iterate(0),
		"negative iterations":  iterate(-1),
		"11 M iterations":      iterate(11_000_000),
		"2^31 iterations":      iterate(1 << 31),
		"2^62 iterations":      iterate(1 << 62),
		"a salt of 2 KB":       func(b *box) { b.params = pbkdf2Params{Salt: make([]byte, 2048), Iterations: 1} },
		"a key of other size":  func(b *box) { b.params = pbkdf2Params{Salt: []byte("s"), Iterations: 1, KeyLen: 1 << 30} },
		"an odd PRF":           func(b *box) { b.params = pbkdf2Params{Iterations: 1, PRF: pkix.AlgorithmIdentifier{Algorithm: odd}} },
		"scrypt of N 0":        scrypt(0, 8, 1),
		"scrypt of N 3":        scrypt(3, 8, 1),
		"scrypt of negative N": scrypt(-2, 8, 1),
		"scrypt of 1 GiB":      scrypt(1<<20, 8, 1),
		"scrypt of huge r":     scrypt(2, 1<<60, 1),
		"scrypt of r 0":        scrypt(2, 0, 1),
		"scrypt of huge p":     scrypt(2, 8, 1<<29),
		"an odd scheme":        func(b *box) { b.scheme = odd },
		"an odd derivation":    func(b *box) { b.kdf = odd },
		"an odd cipher":        func(b *box) { b.cipher = odd },
		"derivation misnamed":  func(b *box) { b.kdf = oidScrypt },
		"no data":              func(b *box) { b.data = nil },
		"15 bytes":             func(b *box) { b.data = b.data[:15] },
		"17 bytes":             func(b *box) { b.data = b.data[:17] },
		"an IV of 8 bytes":     func(b *box) { b.iv = b.iv[:8] },
		"no IV":                func(b *box) { b.iv = nil },
	}
	for name, bend := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := cheap(t)
			bend(&b)
			if _, err := keys.ParsePrivate(b.der(t), "x", keys.FixedPassword([]byte("pw"))); !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A file that asks for too much work is refused before anybody is asked for a password.
func TestPasswordIsNotAskedForAHostileKey(t *testing.T) {
	t.Parallel()
	b := cheap(t)
	b.params = pbkdf2Params{Salt: []byte("s"), Iterations: 1 << 31}
	_, err := keys.ParsePrivate(b.der(t), "x", func(string) ([]byte, error) {
		t.Error("asked")
		return nil, errors.New("asked")
	})
	if !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
