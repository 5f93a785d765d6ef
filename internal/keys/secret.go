package keys

import (
	"fmt"
	"os"
	"strings"

	"github.com/signet-ca/signet/internal/fault"
)

// Secret is a secret in the file: as it stands, or a reference to where it stands,
// file:PATH or env:NAME. It never prints itself.
type Secret string

// String hides the secret, so that no log or message shows it by accident.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the secret from %#v as well.
func (s Secret) GoString() string { return s.String() }

// Reveal gives the secret itself. A referenced file loses trailing white space, as every
// password file does; what stands in the configuration or the environment is taken as it is.
func (s Secret) Reveal() ([]byte, error) {
	text := string(s)
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		return ReadPasswordFile(path)
	}
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value, set := os.LookupEnv(name)
		if !set {
			return nil, fault.New(fault.Invalid, "the environment variable %s, where a secret should stand, is not set", name)
		}
		return []byte(value), nil
	}
	return []byte(text), nil
}

// Check complains about a reference that names nothing.
func (s Secret) Check() error {
	for _, prefix := range []string{"file:", "env:"} {
		if rest, ok := strings.CutPrefix(string(s), prefix); ok && strings.TrimSpace(rest) == "" {
			return fmt.Errorf("%q names nothing; write %s", prefix, map[string]string{"file:": "file:PATH", "env:": "env:NAME"}[prefix])
		}
	}
	return nil
}

// Spelled reports whether the secret itself stands in the configuration, not a reference.
func (s Secret) Spelled() bool {
	return s != "" && !strings.HasPrefix(string(s), "file:") && !strings.HasPrefix(string(s), "env:")
}
