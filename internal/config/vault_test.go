package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/config"
	"github.com/signet-ca/signet/internal/keys"
)

// What seals secrets in the database: the configured secret, else the issuing key, which
// opens in any case.
func TestVaultOfConfiguration(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("a secret in a file of its own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SIGNET_TEST_SECRET", "a secret in the environment")
	bare := &config.Config{}
	with := func(now config.Secret, before ...config.Secret) *config.Config {
		return &config.Config{Signet: &config.Signet{DatabaseSecret: now, PreviousDatabaseSecrets: before}}
	}
	open := func(c *config.Config) *keys.Vault {
		t.Helper()
		v, warning, err := c.Vault(key)
		if err != nil || warning != nil {
			t.Fatal(err, warning)
		}
		return v
	}
	for _, tt := range []struct {
		name          string
		sealed, later *config.Config
		opens         bool
	}{
		{"by the key, a server that shares it", bare, bare, true},
		{"by the key, before there was a secret", bare, with("file:" + config.Secret(file)), true},
		{"a file and what is in it", with("file:" + config.Secret(file)), with("a secret in a file of its own"), true},
		{"the environment", with("env:SIGNET_TEST_SECRET"), with("a secret in the environment"), true},
		{"an earlier one", with("env:SIGNET_TEST_SECRET"), with("some other secret", "env:SIGNET_TEST_SECRET"), true},
		{"one that is forgotten", with("env:SIGNET_TEST_SECRET"), with("some other secret"), false},
		{"one that was taken away", with("env:SIGNET_TEST_SECRET"), bare, false},
	} {
		secret, err := open(tt.later).Open(open(tt.sealed).Seal([]byte("x"), "row"), "row")
		if (err == nil && string(secret) == "x") != tt.opens {
			t.Errorf("%s: %q, %v", tt.name, secret, err)
		}
	}
	if v, warning, err := bare.Vault(nil); v != nil || warning == nil || err != nil {
		t.Errorf("a key that is elsewhere: %v, %v, %v", v, warning, err)
	}
	if v, _, err := with("", "env:SIGNET_TEST_SECRET").Vault(nil); err == nil || !strings.Contains(err.Error(), "databaseSecret") {
		t.Errorf("an earlier secret seals: %v, %v", v, err)
	}
	for _, bad := range []*config.Config{with("short"), with("env:SIGNET_TEST_NONE"), with("a good secret of this CA", "short"), with("file:/nonexistent/secret")} {
		if _, _, err := bad.Vault(key); err == nil || !strings.Contains(err.Error(), "atabaseSecret") {
			t.Errorf("%v: %v", bad.Signet.DatabaseSecret, err)
		}
	}
}
