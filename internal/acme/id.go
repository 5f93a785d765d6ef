package acme

import (
	"crypto/rand"
	"time"
)

const (
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idLength = 32
	idTime   = 8 // characters that tell the time, so that new rows of the store land together
)

// newID is an ID of 32 letters and digits: the time in milliseconds, then 143 random bits.
func newID(now time.Time) string {
	id := []byte(newToken())
	ms := now.UnixMilli()
	for i := idTime - 1; i >= 0; i-- {
		id[i] = alphabet[ms%62]
		ms /= 62
	}
	return string(id)
}

// newToken is 32 random letters and digits, about 190 bits.
func newToken() string {
	out := make([]byte, 0, idLength)
	var buf [idLength + 8]byte
	for {
		_, _ = rand.Read(buf[:]) // crypto/rand never fails
		for _, b := range buf {
			if b &= 63; b < 62 {
				if out = append(out, alphabet[b]); len(out) == idLength {
					return string(out)
				}
			}
		}
	}
}

// isID reports whether a text has the form of an ID, so that nothing else reaches a query.
func isID(s string) bool {
	if len(s) != idLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}
