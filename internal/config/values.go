package config

import (
	"encoding/json"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// Strings is a list in JSON, or a single string.
type Strings []string

// UnmarshalJSON reads a string or a list of strings.
func (s *Strings) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		if one != "" {
			*s = Strings{one}
		}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return fault.New(fault.Invalid, "a string or a list of strings is expected")
	}
	*s = many
	return nil
}

// MarshalJSON writes a single string as such, as older readers expect it.
func (s Strings) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]string(s))
}

// Secret is a secret in the file: as it stands, or a reference to where it stands.
type Secret = keys.Secret

// KeyPassword is the password that opens the private keys: the configured one, and otherwise
// whatever fallback gives. A password file of the command line wins over both; that is for
// the caller to decide.
func (c *Config) KeyPassword(fallback keys.Password) keys.Password {
	if c.Password == "" {
		if fallback == nil {
			return keys.NoPassword
		}
		return fallback
	}
	return func(string) ([]byte, error) { return c.Password.Reveal() }
}

// IssuedAtUnchecked reports whether tokens from before the start of the server are welcome.
func (c *Config) IssuedAtUnchecked() bool {
	a := c.Authority
	return a.DisableIssuedAtCheck || a.Claims != nil && a.Claims.DisableIssuedAtCheck != nil && *a.Claims.DisableIssuedAtCheck
}

// Backdate is how much earlier than now a certificate begins.
func (c *Config) Backdate() time.Duration {
	if c.Authority.Backdate == nil {
		return time.Minute
	}
	return time.Duration(*c.Authority.Backdate)
}
