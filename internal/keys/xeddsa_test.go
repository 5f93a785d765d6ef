package keys_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"math/big"
	"slices"
	"testing"

	"github.com/signet-ca/signet/internal/keys"
)

// edwards is the Edwards point of an X25519 public key with the sign bit 0, by RFC 7748,
// Section 4.1, in plain arithmetic.
func edwards(u []byte) ed25519.PublicKey {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	le := slices.Clone(u)
	slices.Reverse(le)
	n, one := new(big.Int).SetBytes(le), big.NewInt(1)
	y := new(big.Int).Mul(new(big.Int).Sub(n, one), new(big.Int).ModInverse(new(big.Int).Add(n, one), p))
	out := y.Mod(y, p).FillBytes(make([]byte, 32))
	slices.Reverse(out)
	return out
}

// What we sign is an Ed25519 signature by the key's Edwards point, and we accept what
// Ed25519 signs by the same scalar: two ways to the scheme that share no code with it.
func TestXEdDSAIsEd25519(t *testing.T) {
	t.Parallel()
	for range 20 {
		var raw [32]byte
		_, _ = rand.Read(raw[:])
		k, err := keys.NewX25519Signer(raw[:])
		if err != nil {
			t.Fatal(err)
		}
		pub := k.Public().(*ecdh.PublicKey).Bytes()
		message := []byte("a message")
		sig, err := k.Sign(nil, message, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := k.Sign(nil, message, nil)
		if err != nil || string(again) == string(sig) {
			t.Errorf("signatures do not differ: %v", err)
		}
		if !ed25519.Verify(edwards(pub), message, sig) || keys.VerifyXEdDSA(pub, message, sig) != nil {
			t.Error("the signature does not verify")
		}

		_, ed, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		h := sha512.Sum512(ed.Seed())
		x, err := ecdh.X25519().NewPrivateKey(h[:32])
		if err != nil {
			t.Fatal(err)
		}
		// Only where the point's sign bit is 0 are the two the same signature.
		err = keys.VerifyXEdDSA(x.PublicKey().Bytes(), message, ed25519.Sign(ed, message))
		if positive := ed[63]&0x80 == 0; positive != (err == nil) {
			t.Errorf("sign bit 0: %v, accepted: %v", positive, err)
		}
	}
}

// Bent signatures, and keys by which anybody could sign.
func TestXEdDSARefuses(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 32)
	raw[5] = 7
	k, err := keys.NewX25519Signer(raw)
	if err != nil {
		t.Fatal(err)
	}
	pub, message := k.Public().(*ecdh.PublicKey).Bytes(), []byte("m")
	sig, err := k.Sign(nil, message, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sig {
		bent := slices.Clone(sig)
		bent[i] ^= 1
		if keys.VerifyXEdDSA(pub, message, bent) == nil {
			t.Errorf("octet %d bent", i)
		}
	}
	high := slices.Clone(sig) // the sign bit, which old forms of the scheme hide there
	high[63] |= 0x80
	unreduced := slices.Clone(pub)
	unreduced[31] |= 0x80
	zero, one, minusOne := make([]byte, 32), make([]byte, 32), make([]byte, 32)
	one[0] = 1
	minusOne[0] = 0xec
	for i := 1; i < 31; i++ {
		minusOne[i] = 0xff
	}
	minusOne[31] = 0x7f
	// A signature that fits a point of small order for every eighth message or all.
	empty := make([]byte, 64)
	empty[0] = 1
	for name, c := range map[string][3][]byte{
		"another message":    {pub, []byte("n"), sig},
		"the sign bit":       {pub, message, high},
		"a short one":        {pub, message, sig[:63]},
		"a long one":         {pub, message, append(slices.Clone(sig), 0)},
		"none":               {pub, message, nil},
		"no key":             {nil, message, sig},
		"a short key":        {pub[:31], message, sig},
		"a key not reduced":  {unreduced, message, sig},
		"small order 0":      {zero, message, empty},
		"small order 1":      {one, message, empty},
		"small order of - 1": {minusOne, message, empty},
	} {
		if keys.VerifyXEdDSA(c[0], c[1], c[2]) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := keys.NewX25519Signer(raw[:31]); err == nil {
		t.Error("a private key of 31 octets")
	}
}
