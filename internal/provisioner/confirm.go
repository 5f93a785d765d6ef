package provisioner

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

// confirmation is the cnf claim (RFC 7800): what key or request a token is bound to.
type confirmation struct {
	Request    string           `json:"x5rt#S256"` // SHA-256 of the certificate request
	Key        *jose.JSONWebKey `json:"jwk"`
	Thumbprint string           `json:"jkt"`
	Client     string           `json:"x5t#S256"` // SHA-256 of the TLS client certificate
}

// binding reads the cnf claim. A claim with members of which we understand none is refused:
// its issuer meant to bind the token, and we would not.
func (t *Token) binding() (issue.Binding, error) {
	var b issue.Binding
	if len(t.Confirmation) == 0 || string(t.Confirmation) == "null" || string(t.Confirmation) == `""` {
		return b, nil
	}
	var members map[string]json.RawMessage
	var c confirmation
	if json.Unmarshal(t.Confirmation, &members) != nil || json.Unmarshal(t.Confirmation, &c) != nil {
		return b, fault.New(fault.Denied, "the token's confirmation (cnf) cannot be read")
	}
	known := 0
	for _, name := range []string{"x5rt#S256", "jwk", "jkt", "x5t#S256"} {
		if _, ok := members[name]; ok {
			known++
		}
	}
	if len(members) > 0 && known == 0 {
		return b, fault.New(fault.Denied, "the token is bound by a confirmation (cnf) this CA does not know; use x5rt#S256, jwk, jkt or x5t#S256")
	}
	var err error
	if b.RequestSHA256, err = fingerprint(c.Request); err != nil {
		return b, err
	}
	if b.ClientSHA256, err = fingerprint(c.Client); err != nil {
		return b, err
	}
	if c.Key != nil {
		if !c.Key.IsPublic() {
			return b, fault.New(fault.Denied, "the token's confirmation key (cnf jwk) is not a public key")
		}
		b.Key = c.Key.Key
	}
	b.KeyThumbprint = c.Thumbprint
	return b, nil
}

func fingerprint(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	sum, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(sum) != sha256.Size {
		return nil, fault.Wrap(err, fault.Denied, "a fingerprint in the token's confirmation (cnf) is not a base64url SHA-256")
	}
	return sum, nil
}

// once identifies a token for its single use: by its ID, else by its verified content, never
// by its bytes, whose encoding and signature a stranger can vary. The key is a hash, scoped
// to the provisioner.
func (t *Token) once(provisioner string) issue.Once {
	h := sha256.New()
	if t.ID != "" {
		fmt.Fprintf(h, "jti %d:%s %s", len(provisioner), provisioner, t.ID)
	} else {
		fmt.Fprintf(h, "content %d:%s %s", len(provisioner), provisioner, t.payload)
	}
	o := issue.Once{Key: hex.EncodeToString(h.Sum(nil))}
	if t.Expiry != nil {
		// After this no clock within the leeway accepts the token any more.
		o.ExpiresAt = t.Expiry.Time().Add(2*leeway + time.Second)
	}
	return o
}
