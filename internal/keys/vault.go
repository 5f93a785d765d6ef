package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// Vault seals secrets that have to stand in a database whose readers must not have them. Its
// keys are derived from secrets that the database does not hold. The nil Vault has none: it
// leaves secrets as they are.
type Vault struct{ keys []*vaultKey } // the first one seals, all of them open

type vaultKey struct {
	id     []byte // found in what was sealed with it
	aead   cipher.AEAD
	secret []byte // input of derivations, itself derived
}

// What is sealed: sealedMark ‖ ID of the key (8) ‖ nonce (12) ‖ AES-256-GCM.
const (
	sealedMark  = "\x00sealed1\x00"
	vaultKeyID  = 8
	minSecret   = 16 // bytes
	vaultDerive = "signet database "
)

// ErrSealed is a secret that none of the keys at hand opens.
var ErrSealed = errors.New("it was sealed with another secret than those of this CA (signet.databaseSecret, or the key of the issuing certificate)")

// NewVault makes a vault from secrets of at least 16 bytes. The first one seals; the others
// open what was sealed with them before.
func NewVault(secrets ...[]byte) (*Vault, error) {
	v := new(Vault)
	for _, secret := range secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("a secret of %d bytes is too short to seal with; at least %d are needed", len(secret), minSecret)
		}
		derive := func(what string, n int) []byte {
			out, _ := hkdf.Key(sha256.New, secret, nil, vaultDerive+what, n) // so short a key always comes
			return out
		}
		block, err := aes.NewCipher(derive("seal", 32))
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		v.add(&vaultKey{id: derive("id", vaultKeyID), aead: aead, secret: derive("derive", 32)})
	}
	return v, nil
}

func (v *Vault) add(k *vaultKey) {
	for _, have := range v.keys {
		if bytes.Equal(have.id, k.id) {
			return
		}
	}
	v.keys = append(v.keys, k)
}

// Also is a vault that opens in addition what an earlier one does.
func (v *Vault) Also(earlier *Vault) *Vault {
	if v == nil || earlier == nil {
		return v
	}
	both := &Vault{keys: append([]*vaultKey(nil), v.keys...)}
	for _, k := range earlier.keys {
		both.add(k)
	}
	return both
}

// Seal seals a secret. about names row and purpose: in another place it does not open.
func (v *Vault) Seal(secret []byte, about string) []byte {
	if v == nil || len(v.keys) == 0 {
		return secret
	}
	k := v.keys[0]
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // crypto/rand never fails
	out := append(append([]byte(sealedMark), k.id...), nonce...)
	return k.aead.Seal(out, nonce, secret, []byte(about))
}

// Open gives back what was sealed; ErrSealed if it can't. What was never sealed, by an
// earlier release, comes back as it is.
func (v *Vault) Open(sealed []byte, about string) ([]byte, error) {
	rest, is := bytes.CutPrefix(sealed, []byte(sealedMark))
	if !is {
		return sealed, nil
	}
	if v == nil || len(rest) < vaultKeyID {
		return nil, ErrSealed
	}
	for _, k := range v.keys {
		if !bytes.Equal(rest[:vaultKeyID], k.id) {
			continue
		}
		rest = rest[vaultKeyID:]
		if n := k.aead.NonceSize(); len(rest) >= n {
			if secret, err := k.aead.Open(nil, rest[:n], rest[n:], []byte(about)); err == nil {
				return secret, nil
			}
		}
		return nil, errors.New("it was changed, or belongs to another row")
	}
	return nil, ErrSealed
}

// Current reports whether a secret is sealed as Seal would do it now.
func (v *Vault) Current(sealed []byte) bool {
	if v == nil || len(v.keys) == 0 {
		return true // there is nothing to seal with
	}
	return bytes.HasPrefix(sealed, append([]byte(sealedMark), v.keys[0].id...))
}

// Derive gives a key of 32 bytes for a purpose from each secret, the first from the one that
// seals; none if there is no secret. Servers with the same secrets get the same keys.
func (v *Vault) Derive(purpose string) (all [][]byte) {
	if v == nil {
		return nil
	}
	for _, k := range v.keys {
		out, _ := hkdf.Expand(sha256.New, k.secret, purpose, 32) // so short a key always comes
		all = append(all, out)
	}
	return all
}

// String keeps what is inside out of logs.
func (v *Vault) String() string {
	return "(vault)"
}

// GoString does so for %#v.
func (v *Vault) GoString() string { return v.String() }

// Material is a private key as bytes to derive secrets from, the same on every machine that
// has the key; nil if the key is elsewhere.
func Material(key crypto.Signer) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil
	}
	return der
}
