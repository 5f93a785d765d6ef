package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"hash"
	"slices"

	"golang.org/x/crypto/scrypt"

	"github.com/signet-ca/signet/internal/fault"
)

// Work factors. A hostile file names its own, so reading has ceilings.
const (
	pbkdf2Iterations    = 600_000
	maxPBKDF2Iterations = 10_000_000
	maxScryptMemory     = 256 << 20
	maxScryptParallel   = 16
	maxSalt             = 1024
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}

	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// prf is a pseudorandom function of PBKDF2 (RFC 8018, Appendix B.1).
type prf struct {
	oid asn1.ObjectIdentifier
	new func() hash.Hash
}

var prfs = []prf{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, sha1.New},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, sha256.New224},
	{oidHMACWithSHA256, sha256.New},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, sha512.New384},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, sha512.New},
}

// blockCipher is a cipher in CBC mode: by its OID in PBES2 (RFC 8018, Appendix B.2) and by its
// name in RFC 1423.
type blockCipher struct {
	name   string
	oid    asn1.ObjectIdentifier
	keyLen int
	new    func(key []byte) (cipher.Block, error)
}

var blockCiphers = []blockCipher{
	{"AES-128-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{"AES-192-CBC", asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{"AES-256-CBC", oidAES256CBC, 32, aes.NewCipher},
	{"DES-CBC", asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}, 8, des.NewCipher},
	{"DES-EDE3-CBC", asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
}

// encryptedPrivateKeyInfo is RFC 5208, Section 6.
type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2Params is RFC 8018, Appendix A.4.
type pbes2Params struct {
	KDF, Scheme pkix.AlgorithmIdentifier
}

// pbkdf2Params is RFC 8018, Appendix A.2.
type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLen     int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// scryptParams is RFC 7914, Section 7.
type scryptParams struct {
	Salt    []byte
	N, R, P int
	KeyLen  int `asn1:"optional"`
}

func isEncryptedPKCS8(der []byte) bool {
	var info encryptedPrivateKeyInfo
	return unmarshalWhole(der, &info) == nil
}

func privateFromPBES2(der []byte, what string, pw Password) (crypto.Signer, error) {
	var info encryptedPrivateKeyInfo
	if err := unmarshalWhole(der, &info); err != nil {
		return nil, fault.New(fault.Invalid, "the encrypted key is malformed")
	}
	var params pbes2Params
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fault.New(fault.Invalid, "encryption scheme %v is not supported: PBES2 is", info.Algorithm.Algorithm)
	}
	if err := unmarshalWhole(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, fault.New(fault.Invalid, "the parameters of the key's encryption are malformed")
	}
	scheme, iv, err := params.cipher()
	if err != nil {
		return nil, err
	}
	derive, err := params.kdf(scheme.keyLen)
	if err != nil {
		return nil, err
	}
	// All is checked before the password is asked for.
	password, err := pw(what)
	if err != nil {
		return nil, err
	}
	secret, err := derive(password)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "no key can be derived from the password")
	}
	defer clear(secret)
	plain, ok := scheme.decrypt(secret, iv, info.Data)
	if !ok {
		return nil, wrongPassword(what)
	}
	return decrypted(plain, what)
}

func (p pbes2Params) cipher() (*blockCipher, []byte, error) {
	i := slices.IndexFunc(blockCiphers, func(c blockCipher) bool { return c.oid.Equal(p.Scheme.Algorithm) })
	if i < 0 {
		return nil, nil, fault.New(fault.Invalid, "cipher %v is not supported", p.Scheme.Algorithm)
	}
	var iv []byte
	if err := unmarshalWhole(p.Scheme.Parameters.FullBytes, &iv); err != nil {
		return nil, nil, fault.New(fault.Invalid, "the initialization vector of the key is malformed")
	}
	return &blockCiphers[i], iv, nil
}

// kdf checks the parameters of the key derivation and returns it.
func (p pbes2Params) kdf(keyLen int) (func([]byte) ([]byte, error), error) {
	switch {
	case p.KDF.Algorithm.Equal(oidPBKDF2):
		return p.pbkdf2(keyLen)
	case p.KDF.Algorithm.Equal(oidScrypt):
		return p.scrypt(keyLen)
	}
	return nil, fault.New(fault.Invalid, "key derivation %v is not supported: PBKDF2 and scrypt are", p.KDF.Algorithm)
}

func (p pbes2Params) pbkdf2(keyLen int) (func([]byte) ([]byte, error), error) {
	var kdf pbkdf2Params
	if err := unmarshalWhole(p.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, fault.New(fault.Invalid, "the parameters of PBKDF2 are malformed")
	}
	if kdf.Iterations < 1 || kdf.Iterations > maxPBKDF2Iterations {
		return nil, fault.New(fault.Invalid, "PBKDF2 with %d iterations is not supported: 1 to %d are", kdf.Iterations, maxPBKDF2Iterations)
	}
	if len(kdf.Salt) > maxSalt || kdf.KeyLen != 0 && kdf.KeyLen != keyLen {
		return nil, fault.New(fault.Invalid, "the parameters of PBKDF2 don't fit the cipher")
	}
	function := prfs[0] // RFC 8018, Appendix A.2: absent means HMAC with SHA-1
	if len(kdf.PRF.Algorithm) > 0 {
		i := slices.IndexFunc(prfs, func(f prf) bool { return f.oid.Equal(kdf.PRF.Algorithm) })
		if i < 0 {
			return nil, fault.New(fault.Invalid, "pseudorandom function %v is not supported", kdf.PRF.Algorithm)
		}
		function = prfs[i]
	}
	return func(password []byte) ([]byte, error) {
		if function.oid.Equal(oidHMACWithSHA256) {
			return stretch(password, kdf.Salt, kdf.Iterations, keyLen)
		}
		return pbkdf2.Key(function.new, string(password), kdf.Salt, kdf.Iterations, keyLen)
	}, nil
}

func (p pbes2Params) scrypt(keyLen int) (func([]byte) ([]byte, error), error) {
	var kdf scryptParams
	if err := unmarshalWhole(p.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, fault.New(fault.Invalid, "the parameters of scrypt are malformed")
	}
	fits := kdf.N > 1 && kdf.N&(kdf.N-1) == 0 && kdf.R > 0 && kdf.P > 0 && kdf.P <= maxScryptParallel &&
		kdf.R <= maxScryptMemory/128 && kdf.N <= maxScryptMemory/128/kdf.R
	if !fits || len(kdf.Salt) > maxSalt || kdf.KeyLen != 0 && kdf.KeyLen != keyLen {
		return nil, fault.New(fault.Invalid, "scrypt with N=%d r=%d p=%d is not supported", kdf.N, kdf.R, kdf.P)
	}
	return func(password []byte) ([]byte, error) {
		return scrypt.Key(password, kdf.Salt, kdf.N, kdf.R, kdf.P, keyLen)
	}, nil
}

// decrypt undoes CBC and the padding of RFC 8018, Section 6.1.1. It says no to any length or
// padding that can't be.
func (c *blockCipher) decrypt(key, iv, data []byte) (plain []byte, ok bool) {
	block, err := c.new(key)
	if err != nil || len(iv) != block.BlockSize() || len(data) == 0 || len(data)%block.BlockSize() != 0 {
		return nil, false
	}
	plain = make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > block.BlockSize() ||
		!bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		clear(plain)
		return nil, false
	}
	return plain[:len(plain)-pad], true
}

// MarshalEncrypted is the DER inside EncodeEncrypted.
func MarshalEncrypted(key crypto.PrivateKey, password []byte) ([]byte, error) {
	plain, err := MarshalPKCS8(key)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	salt, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(iv)
	secret, err := stretch(password, salt, pbkdf2Iterations, 32)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "no key can be derived from the password")
	}
	defer clear(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	padded := slices.Concat(plain, bytes.Repeat([]byte{byte(pad)}, pad))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return marshalPBES2(salt, iv, padded)
}

func marshalPBES2(salt, iv, data []byte) ([]byte, error) {
	kdf, err := asn1.Marshal(pbkdf2Params{
		Salt: salt, Iterations: pbkdf2Iterations,
		PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256, Parameters: asn1.NullRawValue},
	})
	if err != nil {
		return nil, err
	}
	ivDER, err := asn1.Marshal(iv)
	if err != nil {
		return nil, err
	}
	params, err := asn1.Marshal(pbes2Params{
		KDF:    pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2, Parameters: asn1.RawValue{FullBytes: kdf}},
		Scheme: pkix.AlgorithmIdentifier{Algorithm: oidAES256CBC, Parameters: asn1.RawValue{FullBytes: ivDER}},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(encryptedPrivateKeyInfo{
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidPBES2, Parameters: asn1.RawValue{FullBytes: params}},
		Data:      data,
	})
}

func unmarshalWhole(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		return asn1.SyntaxError{Msg: "trailing data"}
	}
	return err
}
