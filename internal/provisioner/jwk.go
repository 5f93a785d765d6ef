package provisioner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// JWK proves a right by a token signed with a JSON Web Key (RFC 7517).
type JWK struct {
	Key          PublicJWK `json:"key" help:"public key that verifies tokens"`
	EncryptedKey string    `json:"encryptedKey,omitempty" help:"private key, encrypted for clients as a compact JWE; the CA never uses it"`

	p         *Provisioner
	algs      []jose.SignatureAlgorithm
	audiences *Audiences
}

// PublicJWK is a JSON Web Key that must be public and asymmetric: this one is published.
type PublicJWK struct {
	*jose.JSONWebKey
	JWK []byte `json:"-"` // as configured
}

// UnmarshalJSON keeps the key as configured; openJWK says what is wrong with it.
func (k *PublicJWK) UnmarshalJSON(data []byte) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil
	}
	key := new(jose.JSONWebKey)
	if err := json.Unmarshal(data, key); err != nil {
		return fault.Wrap(err, fault.Invalid, "the key is no JSON Web Key")
	}
	k.JSONWebKey, k.JWK = key, bytes.Clone(data)
	return nil
}

// MarshalJSON writes the public key.
func (k PublicJWK) MarshalJSON() ([]byte, error) {
	if k.JSONWebKey == nil {
		return []byte("null"), nil
	}
	return keys.MarshalJWK(k.JSONWebKey)
}

func decodeJWK(data []byte) (Kind, error) {
	j := new(JWK)
	if err := json.Unmarshal(data, j); err != nil {
		return nil, err
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return nil, err
	}
	j.p = &Provisioner{Name: named.Name}
	return j, nil
}

func openJWK(p *Provisioner, env *Env) error {
	j := p.kind.(*JWK)
	k := j.Key.JSONWebKey
	switch {
	case k == nil:
		return fault.New(fault.Invalid, "the member key is missing; put the public JWK there")
	case !k.IsPublic():
		return fault.New(fault.Invalid, "the member key holds a private or symmetric key, which every client could read; put the public JWK there")
	case !k.Valid():
		return fault.New(fault.Invalid, "the member key is no valid JSON Web Key")
	case k.Use == "enc":
		return fault.New(fault.Invalid, "the member key is for encryption (use: enc), so it verifies no token")
	}
	if err := issue.CheckKey(k.Key); err != nil {
		return fmt.Errorf("member key: %w", err)
	}
	j.algs = keys.SignatureAlgorithms(k.Key)
	if own := jose.SignatureAlgorithm(k.Algorithm); own != "" {
		if !slices.Contains(j.algs, own) {
			return fault.New(fault.Invalid, "the member key says it is for the algorithm %q, which does not fit it; fitting are %v", own, j.algs)
		}
		j.algs = []jose.SignatureAlgorithm{own}
	}
	if k.KeyID == "" {
		thumb, err := keys.NewJWK(k.Key)
		if err != nil {
			return err
		}
		k.KeyID = thumb.KeyID
	}
	j.p, j.audiences = p, env.Audiences
	if !p.claims.DisableSmallstepExtensions {
		p.profile.Extension = &issue.Extension{Type: p.Number(), Name: p.Name, CredentialID: k.KeyID}
	}
	return nil
}

// TokenID is issuer and key ID, which every token of this provisioner carries.
func (j *JWK) TokenID() string {
	kid := ""
	if j.Key.JSONWebKey != nil {
		kid = j.Key.KeyID
	}
	return j.p.Name + ":" + kid
}

// Verify checks a token: signature, issuer, times, audience, subject. What it grants are the
// names in it; without any, its subject.
func (j *JWK) Verify(_ context.Context, act Act, t *Token) (*issue.Grant, error) {
	if err := t.VerifyBy(j.Key.Key, j.algs); err != nil {
		return nil, err
	}
	if err := t.checkClaims(j.p.Name, act, j.audiences, ""); err != nil {
		return nil, err
	}
	g := &issue.Grant{Profile: j.p.profile, Subject: t.Subject, Once: t.once(j.p.ID), Claims: j.p.claimsOf(t)}
	var err error
	switch act {
	case SignX509:
		if t.Step.wantsSSH() {
			return nil, fault.New(fault.Unproven, "the token is for an SSH certificate, so it is not accepted for an X.509 one")
		}
		err = t.grantX509(g)
	case SignIdentity:
		t.grantIdentity(g)
	case SignSSH:
		g.SSH, err = t.sshRight()
	}
	return g, err
}

// grantX509 grants the names in the token, or its subject if there are none.
func (t *Token) grantX509(g *issue.Grant) error {
	t.grantIdentity(g)
	if t.Step != nil {
		g.RA = t.Step.RA
	}
	var err error
	g.Bind, err = t.binding()
	return err
}

// grantIdentity grants the names without the binding, which is to the SSH key.
func (t *Token) grantIdentity(g *issue.Grant) {
	sans := t.SANs
	if len(sans) == 0 {
		sans = []string{t.Subject}
	}
	g.Names = issue.NamesOf(sans)
	g.CommonNames = append([]string{t.Subject}, sans...)
}

// checkClaims holds the registered claims against what a provisioner of this name and act
// expects.
func (t *Token) checkClaims(issuer string, act Act, audiences *Audiences, fragment string) error {
	if t.Issuer != issuer {
		return fault.New(fault.Unproven, "the token was issued by %q, not by the provisioner %q", t.Issuer, issuer)
	}
	if err := t.CheckTimes(); err != nil {
		return err
	}
	if !audiences.Accepts(act, t.Audience, fragment) {
		return fault.New(fault.Unproven, "the token is made out to %q, which is no address of this CA to %s", []string(t.Audience), act)
	}
	if t.Subject == "" {
		return fault.New(fault.Unproven, "the token has no subject (sub)")
	}
	return nil
}
