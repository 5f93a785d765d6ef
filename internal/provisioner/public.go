package provisioner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
)

const redacted = "*** REDACTED ***"

// secretMembers never leave in clear; what old clients know as redacted stays present.
var secretMembers = map[string]bool{
	"challenge": true, "decrypterkey": true, "decrypterkeypassword": true, "decrypterkeyuri": true,
	"decrypterkeypem": true, "decryptercertificate": true,
}

// hiddenMembers are left out: how certificates are made concerns administrators only.
var hiddenMembers = map[string]bool{"options": true, "iidroots": true, "webhooks": true, "secret": true, "password": true}

// Public is the form strangers see: the members of the configuration, in their order, less
// what is secret. An encryptedKey and an OIDC clientSecret stay, since clients need them.
func (p *Provisioner) Public() (json.RawMessage, error) {
	full, err := p.MarshalJSON()
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(full))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("read provisioner %q: %w", p.Name, err)
	}
	var out bytes.Buffer
	out.WriteByte('{')
	write := func(name string, value []byte) {
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "%q:", name)
		out.Write(value)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read provisioner %q: %w", p.Name, err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("read provisioner %q: %w", p.Name, err)
		}
		if value := publicMember(name.(string), value); value != nil {
			write(name.(string), value)
		}
	}
	if p.opened && p.disabled != nil {
		write("state", []byte(`"Uninitialized"`))
		write("stateReason", []byte(`"this provisioner is disabled; the server's log says why"`))
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func publicMember(name string, value json.RawMessage) json.RawMessage {
	name = strings.ToLower(name) // the configuration is read without regard to case
	switch {
	case hiddenMembers[name]:
		return nil
	case secretMembers[name]:
		return json.RawMessage(`"` + redacted + `"`)
	case name == "key":
		return publicKeyMember(value)
	}
	return value
}

// publicKeyMember takes private parts out of a JWK that should never have had them.
func publicKeyMember(value json.RawMessage) json.RawMessage {
	jwk, err := keys.ParseJWK(value)
	if err != nil {
		return json.RawMessage("null") // what cannot be read cannot be shown to be public
	}
	if jwk.IsPublic() {
		return value
	}
	public := jwk.Public()
	if !public.Valid() {
		return json.RawMessage("null") // a symmetric key has no public part
	}
	out, err := keys.MarshalJWK(&public)
	if err != nil {
		return json.RawMessage("null")
	}
	return out
}
