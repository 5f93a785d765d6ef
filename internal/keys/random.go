package keys

import (
	"crypto/rand"
	"encoding/hex"
)

// RandomHex is n random bytes as 2n lower-case hex digits.
func RandomHex(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// RandomAlphanumeric is n random letters and digits: 5.95 bits of secret each.
func RandomAlphanumeric(n int) string { return RandomFrom(alphanumeric, n) }

// RandomFrom is n characters, each drawn evenly from an ASCII alphabet of at most 256.
func RandomFrom(alphabet string, n int) string {
	out := make([]byte, 0, n)
	raw := make([]byte, 64)
	even := 256 - 256%len(alphabet) // bytes at or above it would favour the first letters
	for len(out) < n {
		_, _ = rand.Read(raw)
		for _, b := range raw {
			if int(b) < even && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}
