package issue

import (
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/policy"
)

// SSHRight is what a proof grants in SSH: the content of the certificate. Its zero value
// grants nothing.
type SSHRight struct {
	Type        string   // "user" or "host"
	KeyID       string   // key ID of the certificate
	Principals  []string // all principals of the certificate
	ValidAfter  Moment   // wins over what the request wishes
	ValidBefore Moment   // wins over what the request wishes
	Free        bool     // the request says all three, and the rest is for templates alone
	Fixed       bool     // principals of the request are overlooked, not compared
	FreeNames   bool     // the request says which principals, and must name one; Principals do not count
	KeySHA256   []byte   // SHA-256 of the only public key allowed, wire form; empty: any

	Key           crypto.PublicKey // the only public key allowed; nil: any
	KeyThumbprint string           // RFC 7638 thumbprint of the only public key allowed; "": any
}

// SSHAsk is what somebody asks for. What is set is compared with the grant; the content
// comes from there.
type SSHAsk struct {
	Key         ssh.PublicKey
	Type        string // "user", "host" or ""
	KeyID       string
	Principals  []string
	ValidAfter  Moment // relative to now
	ValidBefore Moment // relative to now
	Data        Data   // for templates
}

// SSHDraft is an SSH certificate nobody has checked yet.
type SSHDraft struct {
	grant    *Grant
	cert     *ssh.Certificate
	limit    Lifetimes
	template string // hash of the text of the template it came from; "": none
}

// CheckedSSH is a draft that passed Check. Only an issuer can do something with it.
type CheckedSSH struct {
	cert     *ssh.Certificate
	template string
}

// userExtensions are what a user's session may do (OpenSSH PROTOCOL.certkeys).
var userExtensions = []string{"permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-user-rc"}

// NewSSH drafts the certificate that a grant covers, for the key of the request.
func NewSSH(g *Grant, ask *SSHAsk, now time.Time) (*SSHDraft, error) {
	if g == nil || g.Profile == nil || g.SSH == nil {
		return nil, fault.New(fault.Denied, "nothing was granted")
	}
	if err := admitSSH(g.SSH, ask, now); err != nil {
		return nil, err
	}
	draft, err := contentsSSH(g, ask, now)
	if err != nil {
		return nil, err
	}
	cert := draft.cert
	cert.Key = ask.Key
	draft.limit = g.Profile.UserSSH
	if cert.CertType == ssh.HostCert {
		draft.limit = g.Profile.HostSSH
	}
	after, before := draft.validity(ask, now)
	if after.Unix() < 0 || before.Unix() < 0 {
		return nil, fault.New(fault.Invalid, "an SSH certificate cannot be valid before 1970")
	}
	cert.ValidAfter, cert.ValidBefore = uint64(after.Unix()), uint64(before.Unix())
	return draft, nil
}

// contentsSSH is the certificate without key, its validity a wish: what the profile's template
// makes of the grant, or the default.
func contentsSSH(g *Grant, ask *SSHAsk, now time.Time) (*SSHDraft, error) {
	if g.Profile.SSH.Template != nil {
		t := g.Profile.SSH.Template()
		cert, err := draftSSH(t, g, ask, now)
		if err != nil {
			return nil, err
		}
		return &SSHDraft{grant: g, cert: cert, template: t.Hash()}, nil
	}
	cert := &ssh.Certificate{KeyId: g.SSH.KeyID, ValidPrincipals: g.SSH.Principals}
	switch g.SSH.Type {
	case "user":
		cert.CertType = ssh.UserCert
		cert.Extensions = map[string]string{}
		for _, e := range userExtensions {
			cert.Extensions[e] = ""
		}
	case "host":
		cert.CertType = ssh.HostCert
	default:
		return nil, fault.New(fault.Invalid, "%q is no type of SSH certificate; it is user or host", g.SSH.Type)
	}
	return &SSHDraft{grant: g, cert: cert}, nil
}

// AdmitSSH holds a request against its grant, as NewSSH does: for those who must know before
// they ask others about it.
func AdmitSSH(g *Grant, ask *SSHAsk, now time.Time) error {
	if g.SSH == nil {
		return fault.New(fault.Denied, "nothing was granted")
	}
	return admitSSH(g.SSH, ask, now)
}

// admitSSH compares what the request sets with what the proof grants.
func admitSSH(right *SSHRight, ask *SSHAsk, now time.Time) error {
	if right.Free {
		if err := wholeSSH(ask); err != nil {
			return err
		}
		return right.admitKey(ask.Key)
	}
	if ask.Type != "" && ask.Type != right.Type {
		return fault.New(fault.Denied, "the request asks for a %s certificate, the proof is for a %s certificate", ask.Type, right.Type)
	}
	if right.FreeNames && len(ask.Principals) == 0 {
		return fault.New(fault.Invalid, "the request names no principals, and the proof does not say which to certify")
	}
	for _, p := range ask.Principals {
		if !right.Fixed && !right.FreeNames && !slices.ContainsFunc(right.Principals, func(q string) bool { return strings.EqualFold(p, q) }) {
			return fault.New(fault.Denied, "the request asks for the principal %s, but the proof covers %s", quoted([]string{p}), quoted(right.Principals))
		}
	}
	if !sameMoment(right.ValidAfter, ask.ValidAfter) || !sameMoment(right.ValidBefore, ask.ValidBefore) {
		return fault.New(fault.Denied, "the request wishes another validity than the proof has")
	}
	return right.admitKey(ask.Key)
}

// wholeSSH refuses a request that leaves something for the CA to guess.
func wholeSSH(ask *SSHAsk) error {
	switch {
	case ask.Type == "":
		return fault.New(fault.Invalid, "the request names no certificate type (certType); it is user or host")
	case ask.KeyID == "":
		return fault.New(fault.Invalid, "the request names no key ID (keyID)")
	case len(ask.Principals) == 0:
		return fault.New(fault.Invalid, "the request names no principals")
	}
	return nil
}

// admitKey applies the confirmations: by the key's wire form, or as JOSE names keys.
func (r *SSHRight) admitKey(key ssh.PublicKey) error {
	if len(r.KeySHA256) > 0 && !keyHasSHA256(key, r.KeySHA256) {
		return fault.New(fault.Denied, "the proof is bound to another key (its x5rt#S256 confirmation differs)")
	}
	if r.Key == nil && r.KeyThumbprint == "" {
		return nil
	}
	pub, err := keys.PublicFromSSH(key)
	if err != nil {
		return fault.Wrap(errors.New(err.Error()), fault.Denied, "the proof is bound to a key that the key of the request cannot be")
	}
	if r.Key != nil && !keys.SamePublicKey(r.Key, pub) {
		return fault.New(fault.Denied, "the proof is bound to another key (its jwk confirmation differs)")
	}
	if r.KeyThumbprint != "" && !hasThumbprint(pub, r.KeyThumbprint) {
		return fault.New(fault.Denied, "the proof is bound to another key (its jkt confirmation differs)")
	}
	return nil
}

// sameMoment: only two that are set can differ; a time and a duration never agree.
func sameMoment(a, b Moment) bool {
	if a.IsZero() || b.IsZero() {
		return true
	}
	return a.At.Equal(b.At) && a.In == b.In
}

// validity resolves the wished bounds: the proof's win over the request's, those over the
// template's. Durations count from now.
func (d *SSHDraft) validity(ask *SSHAsk, now time.Time) (after, before time.Time) {
	g := d.grant
	pick := func(right, ask Moment, wish uint64) time.Time {
		switch {
		case !right.IsZero():
			return right.From(now)
		case !ask.IsZero() || wish == 0:
			return ask.From(now)
		}
		return time.Unix(int64(min(wish, 1<<40)), 0)
	}
	after = pick(g.SSH.ValidAfter, ask.ValidAfter, d.cert.ValidAfter)
	before = pick(g.SSH.ValidBefore, ask.ValidBefore, d.cert.ValidBefore)
	backdate := time.Duration(0)
	if after.IsZero() {
		after, backdate = now, g.Profile.Authority.Backdate
	}
	if before.IsZero() {
		before = earliest(after.Add(d.limit.Default), g.NotAfter)
	}
	return after.Add(-backdate).UTC().Truncate(time.Second), before.UTC().Truncate(time.Second)
}

// Check looks at the certificate as it would be signed: key, validity, principals, name
// rules. What passes can be sealed.
func (d *SSHDraft) Check(now time.Time) (*CheckedSSH, error) {
	c := d.cert
	if err := CheckSSHKey(c.Key); err != nil {
		return nil, err
	}
	if c.KeyId == "" {
		return nil, fault.New(fault.Invalid, "the key ID of the certificate would be empty")
	}
	if err := checkText("key ID", c.KeyId, maxName); err != nil {
		return nil, err
	}
	if err := checkPrincipals(c); err != nil {
		return nil, err
	}
	if err := d.grant.Bounds.admitSSH(c); err != nil {
		return nil, err
	}
	if err := d.checkValidity(now); err != nil {
		return nil, err
	}
	for _, rules := range []*policy.SSH{d.grant.Profile.SSHPolicy, d.grant.Profile.Authority.SSHPolicy} {
		check := rules.CheckUser
		if c.CertType == ssh.HostCert {
			check = rules.CheckHost
		}
		if err := check(c.ValidPrincipals); err != nil {
			return nil, err
		}
	}
	for c.Serial == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("draw a serial number: %w", err)
		}
		c.Serial = binary.BigEndian.Uint64(b[:])
	}
	return &CheckedSSH{cert: c, template: d.template}, nil
}

func (d *SSHDraft) checkValidity(now time.Time) error {
	after, before := time.Unix(int64(d.cert.ValidAfter), 0), time.Unix(int64(d.cert.ValidBefore), 0)
	backdate := d.grant.Profile.Authority.Backdate
	switch length := before.Sub(after); {
	case after.After(before):
		return fault.New(fault.Invalid, "the certificate would begin at %s, after it ends at %s", stamp(after), stamp(before))
	case before.Before(now.Truncate(time.Second)):
		return fault.New(fault.Invalid, "the certificate would end at %s, which is past", stamp(before))
	case length < d.limit.Min:
		return fault.New(fault.Denied, "a validity of %s is below the minimum of %s", length, d.limit.Min)
	case length > d.limit.Max+backdate:
		return fault.New(fault.Denied, "a validity of %s is above the maximum of %s", length, d.limit.Max)
	}
	if end := d.grant.NotAfter; !end.IsZero() && (before.After(end) || after.After(end)) {
		return fault.New(fault.Denied, "the certificate would end at %s, after the credential behind the proof ends at %s", stamp(before), stamp(end))
	}
	return nil
}

// checkPrincipals: an SSH certificate without principals is good for any name on some
// servers, and separators or patterns in one are read as several by others.
func checkPrincipals(c *ssh.Certificate) error {
	if len(c.ValidPrincipals) == 0 {
		return fault.New(fault.Denied, "the certificate would have no principal, which some servers take for any; name at least one")
	}
	for _, p := range c.ValidPrincipals {
		if p == "" {
			return fault.New(fault.Invalid, "an empty principal cannot be certified")
		}
		bad := func(r rune) bool {
			return r == ',' || unicode.IsSpace(r) || c.CertType == ssh.UserCert && strings.ContainsRune("*?!", r)
		}
		if strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsGraphic(r) && !unicode.IsSpace(r) }) {
			return fault.New(fault.Invalid, "the principal %q contains a character that cannot be seen", p)
		}
		if strings.ContainsFunc(p, bad) {
			return fault.New(fault.Denied, "the principal %q contains a character that servers give a meaning of its own", p)
		}
		if err := checkText("principal", p, maxName); err != nil {
			return err
		}
	}
	return nil
}

// CheckSSHKey is the key rule for SSH certificates: that of X.509, and security keys whose
// own key is of these kinds. A certificate is never taken for a key.
func CheckSSHKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoSKED25519:
		return nil
	case "ssh-dss":
		return fault.New(fault.Invalid, "DSA keys are not supported; use Ed25519, ECDSA or RSA")
	}
	if _, nested := key.(*ssh.Certificate); nested {
		return fault.New(fault.Invalid, "the public key is itself a certificate; send the plain key")
	}
	pub, err := keys.PublicFromSSH(key)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "keys of type %s are not supported; use Ed25519, ECDSA or RSA", quoted([]string{key.Type()}))
	}
	return CheckKey(pub)
}
