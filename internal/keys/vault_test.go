package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/keys"
)

func vault(t *testing.T, secrets ...string) *keys.Vault {
	t.Helper()
	var all [][]byte
	for _, s := range secrets {
		all = append(all, []byte(s))
	}
	v, err := keys.NewVault(all...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVault(t *testing.T) {
	const old, next = "the first secret of this CA", "the second secret of this CA"
	secret := []byte("what nobody else may have")
	v, rolled := vault(t, old), vault(t, next, old)
	sealed := v.Seal(secret, "row 1")
	if bytes.Contains(sealed, secret) || bytes.Equal(sealed, v.Seal(secret, "row 1")) {
		t.Error("the secret shows")
	}
	for name, one := range map[string]*keys.Vault{"same": v, "another server": vault(t, old), "after a change": rolled, "while it runs": vault(t, next).Also(v)} {
		if got, err := one.Open(sealed, "row 1"); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if !v.Current(sealed) || rolled.Current(sealed) || v.Current(secret) {
		t.Error("what is sealed with the key of today is not told from the rest")
	}
	for name, one := range map[string]*keys.Vault{"another secret": vault(t, next), "none": nil} {
		if got, err := one.Open(sealed, "row 1"); !errors.Is(err, keys.ErrSealed) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := v.Open(sealed, "row 2"); err == nil {
		t.Error("it opens in another row")
	}
	for i := range sealed[9:] {
		bent := bytes.Clone(sealed)
		bent[9+i] ^= 1
		if _, err := v.Open(bent, "row 1"); err == nil {
			t.Fatalf("it opens with byte %d changed", 9+i)
		}
	}
	for i := range len(sealed) {
		if got, err := v.Open(sealed[:i], "row 1"); err == nil && bytes.Contains(got, secret) {
			t.Fatalf("it opens cut to %d bytes", i)
		}
	}
	// Rows of earlier releases are in clear.
	for _, one := range []*keys.Vault{v, nil} {
		if got, err := one.Open(secret, "row 1"); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("a row in clear: %q, %v", got, err)
		}
	}
	if a, b := v.Derive("x"), rolled.Derive("x"); len(a) != 1 || len(b) != 2 || !bytes.Equal(a[0], b[1]) || bytes.Equal(b[0], b[1]) || bytes.Equal(a[0], v.Derive("y")[0]) {
		t.Error("derived keys do not follow secret and purpose")
	}
	if text := fmt.Sprintf("%v %+v %#v", v, v, v); strings.Contains(text, "keys") {
		t.Errorf("a vault prints itself: %s", text)
	}
	if _, err := keys.NewVault([]byte("short")); err == nil {
		t.Error("a short secret is taken")
	}
}
