package cli_test

import (
	"encoding/base64"
	"testing"

	"github.com/signet-ca/signet/internal/cli"
)

// certbot takes a key that begins with a dash for the next of its own flags.
func TestEABKeysAreNoFlags(t *testing.T) {
	t.Parallel()
	for range 2000 {
		secret := cli.EABSecret()
		if key := base64.RawURLEncoding.EncodeToString(secret); len(secret) != 32 || key[0] == '-' {
			t.Fatalf("a key of %d bytes, written %q", len(secret), key)
		}
	}
}
