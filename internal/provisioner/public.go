package provisioner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
)

const (
	redacted      = "*** REDACTED ***"
	redactedBytes = "KioqIFJFREFDVEVEICoqKg==" // the same in base64
)

// secretMembers never leave in clear, but stay present, as old clients know them: some as
// text, those that hold bytes as the base64 of it.
var secretMembers = map[string]string{
	"challenge": redacted, "decrypterkey": redacted, "decrypterkeypassword": redacted, "decrypterkeyuri": redacted,
	"decrypterkeypem": redactedBytes, "decryptercertificate": redactedBytes,
}

// redactedMembers are shown for a SCEP provisioner whether they are set or not, so that
// nobody learns which are.
var redactedMembers = []string{"challenge", "decrypterCertificate", "decrypterKeyPEM", "decrypterKey", "decrypterKeyPassword"}

// presentMembers are shown whether they are set or not, as old clients know them, by type.
var presentMembers = map[string][]struct{ name, value string }{
	"AWS":   {{"accounts", "null"}, {"imdsVersions", `["v2","v1"]`}, {"instanceAge", `"0s"`}},
	"GCP":   {{"instanceAge", `"0s"`}},
	"Azure": {{"resourceGroups", "null"}, {"subscriptionIDs", "null"}, {"objectIDs", "null"}},
}

// hiddenMembers are left out: how certificates are made concerns administrators only.
var hiddenMembers = map[string]bool{"options": true, "iidroots": true, "credentials": true, "webhooks": true, "secret": true, "password": true, "apitoken": true, "apiserver": true,
	"boundclaims": true, "rules": true, "groupadmins": true, "reservedprincipals": true,
	"state": true, "statereason": true} // the last two are ours to say

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
	var out objectWriter
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read provisioner %q: %w", p.Name, err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("read provisioner %q: %w", p.Name, err)
		}
		name := token.(string) // the decoder lets only strings stand here
		seen[strings.ToLower(name)] = true
		if value := p.publicMember(name, value); value != nil {
			out.member(name, value)
		}
	}
	if p.row != nil && p.row.name == "SCEP" {
		for _, name := range redactedMembers {
			if lower := strings.ToLower(name); !seen[lower] {
				out.member(name, quotedJSON(secretMembers[lower]))
			}
		}
	}
	if _, ok := p.kind.(*OIDC); ok && !seen["clientsecret"] {
		out.member("clientSecret", quotedJSON(""))
	}
	if p.row != nil {
		for _, m := range presentMembers[p.row.name] {
			if !seen[strings.ToLower(m.name)] {
				out.member(m.name, json.RawMessage(m.value))
			}
		}
	}
	if p.opened && p.disabled != nil {
		out.member("state", quotedJSON("Uninitialized"))
		out.member("stateReason", quotedJSON("this provisioner is disabled; the server's log says why"))
	}
	return out.close(), nil
}

// objectWriter writes a JSON object member by member, in order.
type objectWriter struct{ buf bytes.Buffer }

func (w *objectWriter) member(name string, value json.RawMessage) {
	w.buf.WriteByte(map[bool]byte{true: '{', false: ','}[w.buf.Len() == 0])
	w.buf.Write(quotedJSON(name))
	w.buf.WriteByte(':')
	w.buf.Write(value)
}

func (w *objectWriter) close() json.RawMessage {
	if w.buf.Len() == 0 {
		return json.RawMessage("{}")
	}
	w.buf.WriteByte('}')
	return w.buf.Bytes()
}

func quotedJSON(s string) json.RawMessage {
	text, err := json.Marshal(s)
	if err != nil { // a string always encodes
		return json.RawMessage(`""`)
	}
	return text
}

func (p *Provisioner) publicMember(name string, value json.RawMessage) json.RawMessage {
	name = strings.ToLower(name) // the configuration is read without regard to case
	if text, secret := secretMembers[name]; secret {
		return quotedJSON(text)
	}
	switch {
	case hiddenMembers[name]:
		return nil
	case name == "key":
		return p.publicKey(value)
	case name == "clientsecret":
		return p.publicSecret()
	}
	return value
}

// publicSecret is the secret of an OIDC client, which clients of the CA need; where the
// configuration says where it is, they get it from there.
func (p *Provisioner) publicSecret() json.RawMessage {
	o, ok := p.kind.(*OIDC)
	if !ok {
		return nil // it is nobody's business what it is doing there
	}
	secret, err := o.Secret()
	if err != nil {
		return nil
	}
	return quotedJSON(secret)
}

// publicKey writes what is public of a JWK anew, so that nothing else of it can pass: no
// private part that should never have been there, whatever it is called.
func (p *Provisioner) publicKey(value json.RawMessage) json.RawMessage {
	jwk, err := keys.ParseJWK(value)
	if err != nil {
		return json.RawMessage("null") // what cannot be read cannot be shown to be public
	}
	public := jwk.Public()
	if !public.Valid() {
		return json.RawMessage("null") // a symmetric key has no public part
	}
	if j, ok := p.kind.(*JWK); ok && public.KeyID == "" && j.Key.JSONWebKey != nil {
		public.KeyID = j.Key.KeyID // which we computed, and tokens must carry
	}
	out, err := keys.MarshalJWK(&public)
	if err != nil {
		return json.RawMessage("null")
	}
	return out
}
