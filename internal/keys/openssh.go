package keys

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"encoding/binary"
	"encoding/pem"
	"slices"
	"strings"

	//lint:ignore SA1019 bcrypt-pbkdf of OpenSSH's key files is built on it; nothing new uses it
	"golang.org/x/crypto/blowfish"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
)

// The container is described in OpenSSH's PROTOCOL.key. It is opened here and not by
// golang.org/x/crypto, which knows two of the ciphers and lets a file ask for any amount of
// work.
const (
	openSSHMagic    = "openssh-key-v1\x00"
	maxBcryptRounds = 1024
)

type openSSHKey struct {
	Cipher, KDF, Options string
	Count                uint32
	Public               []byte
	Private              []byte
	Tag                  []byte `ssh:"rest"`
}

type openSSHKDF struct {
	Salt   []byte
	Rounds uint32
}

// openSSHCipher tells how many bytes of key and initialization vector a cipher takes.
type openSSHCipher struct {
	keyLen, ivLen int
	open          func(block cipher.Block, iv, data, tag []byte) (plain []byte, ok bool)
}

var openSSHCiphers = map[string]openSSHCipher{
	"aes128-ctr":             {16, 16, openCTR},
	"aes192-ctr":             {24, 16, openCTR},
	"aes256-ctr":             {32, 16, openCTR},
	"aes128-cbc":             {16, 16, openCBC},
	"aes192-cbc":             {24, 16, openCBC},
	"aes256-cbc":             {32, 16, openCBC},
	"aes128-gcm@openssh.com": {16, 12, openGCM},
	"aes256-gcm@openssh.com": {32, 12, openGCM},
}

func openCTR(block cipher.Block, iv, data, _ []byte) ([]byte, bool) {
	plain := make([]byte, len(data))
	cipher.NewCTR(block, iv).XORKeyStream(plain, data)
	return plain, true
}

func openCBC(block cipher.Block, iv, data, _ []byte) ([]byte, bool) {
	if len(data)%block.BlockSize() != 0 {
		return nil, false
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	return plain, true
}

func openGCM(block cipher.Block, iv, data, tag []byte) ([]byte, bool) {
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, false
	}
	plain, err := gcm.Open(nil, iv, slices.Concat(data, tag), nil)
	return plain, err == nil
}

func privateFromOpenSSH(block *pem.Block, what string, pw Password) (crypto.Signer, error) {
	body, ok := strings.CutPrefix(string(block.Bytes), openSSHMagic)
	var box openSSHKey
	if !ok || ssh.Unmarshal([]byte(body), &box) != nil || box.Count != 1 {
		return nil, fault.New(fault.Invalid, "the OpenSSH key is malformed")
	}
	if box.Cipher != "none" || box.KDF != "none" {
		plain, err := box.decrypt(what, pw)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		box = openSSHKey{Cipher: "none", KDF: "none", Count: 1, Public: box.Public, Private: plain}
	}
	text := encodeAndClear(block.Type, append([]byte(openSSHMagic), ssh.Marshal(box)...))
	defer clear(text)
	key, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the OpenSSH key is malformed, or of a type other than ECDSA, RSA and Ed25519")
	}
	return signer(key)
}

func (k openSSHKey) decrypt(what string, pw Password) ([]byte, error) {
	c, known := openSSHCiphers[k.Cipher]
	if !known || k.KDF != "bcrypt" {
		return nil, fault.New(fault.Invalid, "OpenSSH keys encrypted with %q and %q are not supported", k.Cipher, k.KDF)
	}
	var kdf openSSHKDF
	if err := ssh.Unmarshal([]byte(k.Options), &kdf); err != nil || len(kdf.Salt) == 0 || len(kdf.Salt) > maxSalt {
		return nil, fault.New(fault.Invalid, "the OpenSSH key's derivation parameters are malformed")
	}
	if kdf.Rounds < 1 || kdf.Rounds > maxBcryptRounds {
		return nil, fault.New(fault.Invalid, "OpenSSH keys with %d bcrypt rounds are not supported: 1 to %d are", kdf.Rounds, maxBcryptRounds)
	}
	password, err := pw(what)
	if err != nil {
		return nil, err
	}
	secret, err := bcryptPBKDF(password, kdf.Salt, int(kdf.Rounds), c.keyLen+c.ivLen)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "no key can be derived from the password")
	}
	defer clear(secret)
	block, err := aes.NewCipher(secret[:c.keyLen])
	if err != nil {
		return nil, err
	}
	plain, ok := c.open(block, secret[c.keyLen:], k.Private, k.Tag)
	// Two equal check numbers in front say that the password was right.
	if !ok || len(plain) < 8 || [4]byte(plain) != [4]byte(plain[4:]) {
		return nil, wrongPassword(what)
	}
	return plain, nil
}

// bcryptPBKDF is OpenBSD's bcrypt_pbkdf(3): PBKDF2 with bcrypt over SHA-512 as its function,
// whose output bytes are spread over the key.
func bcryptPBKDF(password, salt []byte, rounds, n int) ([]byte, error) {
	const size = 32
	blocks := (n + size - 1) / size
	key := make([]byte, blocks*size)
	pass := sha512.Sum512(password)
	for b := range blocks {
		seed := sha512.Sum512(binary.BigEndian.AppendUint32(slices.Clone(salt), uint32(b+1)))
		var sum [size]byte
		for range rounds {
			out, err := bcryptHash(pass[:], seed[:])
			if err != nil {
				return nil, err
			}
			for i := range sum {
				sum[i] ^= out[i]
			}
			seed = sha512.Sum512(out)
		}
		for i, v := range sum {
			key[i*blocks+b] = v
		}
	}
	return key[:n], nil
}

func bcryptHash(pass, salt []byte) ([]byte, error) {
	c, err := blowfish.NewSaltedCipher(pass, salt)
	if err != nil {
		return nil, err
	}
	for range 64 {
		blowfish.ExpandKey(salt, c)
		blowfish.ExpandKey(pass, c)
	}
	out := []byte("OxychromaticBlowfishSwatDynamite")
	for i := 0; i < len(out); i += 8 {
		for range 64 {
			c.Encrypt(out[i:i+8], out[i:i+8])
		}
	}
	for i := 0; i < len(out); i += 4 { // words leave in the other byte order
		binary.LittleEndian.PutUint32(out[i:], binary.BigEndian.Uint32(out[i:]))
	}
	return out, nil
}

// EncodeOpenSSH writes key in OpenSSH's format; with a password, aes256-ctr under 16 rounds
// of bcrypt. comment is what ssh-add shows.
func EncodeOpenSSH(key crypto.PrivateKey, comment string, password []byte) ([]byte, error) {
	if s, ok := key.(crypto.Signer); ok {
		if _, err := signer(s); err != nil {
			return nil, fault.New(fault.Unsupported, "a key of type %T can't leave its keeper", key)
		}
	}
	var block *pem.Block
	var err error
	if len(password) > 0 {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, comment, password)
	} else {
		block, err = ssh.MarshalPrivateKey(key, comment)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the key can't be written in OpenSSH's format")
	}
	return pem.EncodeToMemory(block), nil
}
