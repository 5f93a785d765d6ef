package keys

import (
	"crypto"
	"crypto/md5"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// isRFC1423 reports whether the block carries the old encryption headers.
func isRFC1423(block *pem.Block) bool { return block.Headers["DEK-Info"] != "" }

// privateFromRFC1423 reads the encryption that OpenSSL used before PKCS#8: CBC under a key
// made by one round of MD5. Read only; nothing writes it any more.
func privateFromRFC1423(block *pem.Block, what string, pw Password) (crypto.Signer, error) {
	name, ivHex, _ := strings.Cut(block.Headers["DEK-Info"], ",")
	i := slices.IndexFunc(blockCiphers, func(c blockCipher) bool { return strings.EqualFold(c.name, strings.TrimSpace(name)) })
	if i < 0 {
		return nil, fault.New(fault.Invalid, "cipher %q is not supported", name)
	}
	iv, err := hex.DecodeString(strings.TrimSpace(ivHex))
	if err != nil || len(iv) < 8 {
		return nil, fault.New(fault.Invalid, "the initialization vector in DEK-Info is malformed")
	}
	password, err := pw(what)
	if err != nil {
		return nil, err
	}
	secret := bytesToKey(password, iv[:8], blockCiphers[i].keyLen)
	defer clear(secret)
	plain, ok := blockCiphers[i].decrypt(secret, iv, block.Bytes)
	if !ok {
		return nil, wrongPassword(what)
	}
	return decrypted(plain, what)
}

// bytesToKey is OpenSSL's EVP_BytesToKey with MD5 and one iteration: each digest covers the
// one before it, the password and the salt.
func bytesToKey(password, salt []byte, n int) []byte {
	var key, digest []byte
	for len(key) < n {
		h := md5.New()
		h.Write(digest)
		h.Write(password)
		h.Write(salt)
		digest = h.Sum(nil)
		key = append(key, digest...)
	}
	return key[:n]
}
