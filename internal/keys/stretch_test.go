package keys

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// The result is that of the standard library, whatever the lengths.
func TestStretchIsPBKDF2(t *testing.T) {
	t.Parallel()
	for _, password := range []int{0, 1, 31, 32, 33, 63, 64, 65, 200} {
		for _, salt := range []int{0, 1, 16, 51, 52, 64, 1024} {
			for _, iterations := range []int{1, 2, 3, 1000} {
				for _, length := range []int{8, 16, 24, 32, 33, 64} {
					pw, s := make([]byte, password), make([]byte, salt)
					_, _ = rand.Read(pw)
					_, _ = rand.Read(s)
					want, err := pbkdf2.Key(sha256.New, string(pw), s, iterations, length)
					if err != nil {
						t.Fatal(err)
					}
					got, err := stretch(pw, s, iterations, length)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want) {
						t.Fatalf("password of %d bytes, salt of %d, %d iterations: %x, want %x", password, salt, iterations, got, want)
					}
				}
			}
		}
	}
}

func BenchmarkStretch(b *testing.B) {
	for b.Loop() {
		_, _ = stretch([]byte("password"), make([]byte, 16), pbkdf2Iterations, 32)
	}
}
