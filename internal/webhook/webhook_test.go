package webhook_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/webhook"
)

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	secret := keys.Secret(base64.StdEncoding.EncodeToString(make([]byte, 64)))
	for _, c := range []struct {
		name string
		bend func(*webhook.Config)
		want string // "" is a configuration that works
	}{
		{"as it should be", func(*webhook.Config) {}, ""},
		{"kind and type in small letters", func(c *webhook.Config) { c.Kind, c.CertType = "authorizing", "ssh" }, ""},
		{"a template after the host", func(c *webhook.Config) { c.URL = "https://h.example/{{ .Token.sub }}?a={{ .x }}" }, ""},
		{"unsigned on purpose", func(c *webhook.Config) { c.Secret, c.AllowUnsigned = "", true }, ""},
		{"no name", func(c *webhook.Config) { c.Name = "" }, "without a name"},
		{"no secret", func(c *webhook.Config) { c.Secret = "" }, "no secret"},
		{"a short secret", func(c *webhook.Config) { c.Secret = "c2hvcnQ=" }, "at least 16 bytes"},
		{"a secret that is no base64", func(c *webhook.Config) { c.Secret = "not base64 at all!!!" }, "base64"},
		{"a secret nowhere", func(c *webhook.Config) { c.Secret = "env:SIGNET_TEST_NO_SUCH_VARIABLE" }, "not set"},
		{"plain http", func(c *webhook.Config) { c.URL = "http://h.example/" }, "https://"},
		{"no host", func(c *webhook.Config) { c.URL = "https:///path" }, "no host"},
		{"a template in the host", func(c *webhook.Config) { c.URL = "https://{{ .Token.sub }}.example/" }, "host"},
		{"a template at the end of the host", func(c *webhook.Config) { c.URL = "https://h.example{{ .Token.sub }}" }, "host"},
		{"a template in the port", func(c *webhook.Config) { c.URL = "https://h.example:{{ .Token.sub }}/" }, "host"},
		{"a user in the url", func(c *webhook.Config) { c.URL = "https://u:p@h.example/" }, "neither user"},
		{"a broken template", func(c *webhook.Config) { c.URL = "https://h.example/{{ .Token.sub" }, "template"},
		{"an unknown kind", func(c *webhook.Config) { c.Kind = "ASKING" }, "kind"},
		{"an unknown type", func(c *webhook.Config) { c.CertType = "PGP" }, "certType"},
		{"two credentials", func(c *webhook.Config) { c.BearerToken, c.BasicAuth = "t", &webhook.BasicAuth{Username: "u"} }, "both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := webhook.Config{Name: "w", URL: "https://h.example/", Secret: secret}
			c.bend(&config)
			_, err := webhook.Open(config, webhook.NewEnv(nil, nil))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), "not base64 at all"):
				t.Error("the message holds the secret")
			}
		})
	}
}
