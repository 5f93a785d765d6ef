package provisioner

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// binding reads the cnf claim (RFC 7800): what key or request a token is bound to. A claim
// of whose members we understand none is refused: its issuer meant to bind the token, and we
// would not. So is a member that is there and says nothing, but for x5rt#S256, which old
// clients leave empty.
func (t *Token) binding() (issue.Binding, error) {
	var b issue.Binding
	if len(t.Confirmation) == 0 || string(t.Confirmation) == "null" || string(t.Confirmation) == `""` {
		return b, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(t.Confirmation, &members) != nil {
		return b, fault.New(fault.Denied, "the token's confirmation (cnf) cannot be read")
	}
	known := 0
	for name, value := range members {
		read := confirmations[name]
		if read == nil {
			continue
		}
		known++
		if err := read(&b, value); err != nil {
			return b, err
		}
	}
	if len(members) > 0 && known == 0 {
		return b, fault.New(fault.Denied, "the token is bound by a confirmation (cnf) this CA does not know; use x5rt#S256, jwk, jkt or x5t#S256")
	}
	return b, nil
}

// confirmations reads the members of the claim that we understand.
var confirmations = map[string]func(*issue.Binding, json.RawMessage) error{
	"x5rt#S256": func(b *issue.Binding, v json.RawMessage) (err error) {
		if string(v) == `""` || string(v) == "null" {
			return nil
		}
		b.RequestSHA256, err = fingerprint(v)
		return err
	},
	"x5t#S256": func(b *issue.Binding, v json.RawMessage) (err error) {
		b.ClientSHA256, err = fingerprint(v)
		return err
	},
	"jkt": func(b *issue.Binding, v json.RawMessage) error {
		sum, err := fingerprint(v)
		b.KeyThumbprint = base64.RawURLEncoding.EncodeToString(sum)
		return err
	},
	"jwk": func(b *issue.Binding, v json.RawMessage) error {
		key, err := keys.ParseJWK(v)
		if err != nil || !key.Valid() || !key.IsPublic() {
			return fault.New(fault.Denied, "the token's confirmation key (cnf jwk) is not a public key")
		}
		b.Key = key.Key
		return nil
	},
}

func fingerprint(value json.RawMessage) ([]byte, error) {
	var s string
	err := json.Unmarshal(value, &s)
	var sum []byte
	if err == nil {
		sum, err = base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
	}
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
