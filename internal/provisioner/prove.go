package provisioner

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"time"

	"github.com/slackhq/nebula/cert"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// Prover is a [Kind] whose proof this machine can make.
type Prover interface {
	// Prove makes a token for an act. It must refuse an act that its kind is never
	// permitted, and times that no CA accepts.
	Prove(ctx context.Context, act Act, want Want) (token string, err error)
}

// Want says what a proof is to prove. Which members count depends on the act and the kind.
type Want struct {
	Subject   string
	Names     []string       // of an X.509 certificate; none: the subject alone
	SSH       *SSHWant       // what the SSH certificate should be; nil for X.509
	Audience  string         // the CA's address for the act, see Address
	Root      string         // SHA-256 fingerprint of the CA's root; "" leaves it out
	Confirm   string         // binds the proof, see Confirm; "" leaves it unbound
	User      map[string]any // data for templates; nil leaves it out, empty does not
	Key       crypto.Signer  // signs the proof; nil for kinds that fetch theirs
	At        time.Time      // now
	NotBefore time.Time      // of the proof; zero: now
	NotAfter  time.Time      // of the proof; zero: five minutes after NotBefore

	Certificate *ssh.Certificate    // SSH certificate that the proof is about; nil for kinds that prove something else
	Chain       []*x509.Certificate // certificate whose key is Key, leaf first; nil for kinds without
	Nebula      cert.Certificate    // of a Nebula network, whose key is Key; nil for kinds without
	Metadata    string              // address of the machine's metadata service; "": the cloud's own
	Insecure    bool                // carry Chain in the header x5cInsecure instead of x5c
}

// SSHWant is what a token says about an SSH certificate. Times are as the user gave them:
// RFC 3339, a duration from now, or "".
type SSHWant struct {
	CertType    string   `json:"certType"`
	KeyID       string   `json:"keyID"` // "" is the subject
	Principals  []string `json:"principals"`
	ValidAfter  string   `json:"validAfter"`
	ValidBefore string   `json:"validBefore"`
}

// Bounds on the time of a proof. A CA would accept more, but a proof is made to be used at
// once, and one that lies around is one that is found.
const (
	proofLifetime = 5 * time.Minute
	minLifetime   = 10 * time.Second
	maxLifetime   = time.Hour
	maxAhead      = 30 * time.Minute
)

// claims are the claims of the tokens made here. Members are in alphabetical order, as in
// tokens of old clients.
type claims struct {
	Audience     string     `json:"aud"`
	Confirmation *confirmed `json:"cnf,omitempty"`
	Expiry       int64      `json:"exp"`
	IssuedAt     int64      `json:"iat"`
	Issuer       string     `json:"iss"`
	ID           string     `json:"jti,omitempty"`
	NotBefore    int64      `json:"nbf"`
	Names        []string   `json:"sans,omitempty"`
	Root         string     `json:"sha,omitempty"`
	Step         *stepped   `json:"step,omitempty"`
	Subject      string     `json:"sub"`
	User         *userClaim `json:"user,omitempty"`
}

type confirmed struct {
	Request string `json:"x5rt#S256"`
}

type stepped struct {
	SSH *SSHWant `json:"ssh"`
}

// userClaim tells an empty object, which is written, from none.
type userClaim map[string]any

// claims are the claims that all kinds with a key of their own share.
func (w *Want) claims(act Act, issuer string) (*claims, error) {
	notBefore, notAfter, err := w.times()
	if err != nil {
		return nil, err
	}
	if w.Subject == "" {
		return nil, fault.New(fault.Invalid, "a token needs a subject")
	}
	c := &claims{
		Audience: w.Audience, Issuer: issuer, Subject: w.Subject,
		IssuedAt: w.At.Unix(), NotBefore: notBefore.Unix(), Expiry: notAfter.Unix(),
		ID: keys.RandomHex(32), Root: strings.ToLower(w.Root),
	}
	switch act {
	case SignX509:
		if c.Names = w.Names; len(c.Names) == 0 {
			c.Names = []string{w.Subject}
		}
	case SignSSH:
		if w.SSH == nil {
			return nil, fault.New(fault.Invalid, "a token for an SSH certificate must say which one")
		}
		claim := *w.SSH
		claim.KeyID = cmp.Or(claim.KeyID, w.Subject)
		claim.Principals = append([]string{}, claim.Principals...) // an empty list, not null
		c.Step = &stepped{SSH: &claim}
	default:
		return c, nil
	}
	if w.Confirm != "" {
		c.Confirmation = &confirmed{w.Confirm}
	}
	if w.User != nil {
		c.User = (*userClaim)(&w.User)
	}
	return c, nil
}

func (w *Want) times() (notBefore, notAfter time.Time, err error) {
	notBefore, notAfter = w.NotBefore, w.NotAfter
	if notBefore.IsZero() {
		notBefore = w.At
	}
	if notAfter.IsZero() {
		notAfter = notBefore.Add(proofLifetime)
	}
	lifetime := notAfter.Sub(notBefore)
	switch {
	case notBefore.After(w.At.Add(maxAhead)):
		err = fault.New(fault.Invalid, "the token would begin at %s; at most %s from now is possible", stamp(notBefore), maxAhead)
	case lifetime < minLifetime || lifetime > maxLifetime:
		err = fault.New(fault.Invalid, "the token would be valid for %s; %s to %s are possible", lifetime, minLifetime, maxLifetime)
	case !notAfter.After(w.At):
		err = fault.New(fault.Invalid, "the token would be expired already, at %s", stamp(notAfter))
	}
	return notBefore, notAfter, err
}

// Confirm is the claim that binds a proof to a certificate request, by its DER, or to an SSH
// key, by its wire form.
func Confirm(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// CheckConfirm refuses what no certificate request or key could match.
func CheckConfirm(s string) error {
	sum, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(sum) != sha256.Size {
		return fault.New(fault.Invalid, "%q is not a SHA-256 fingerprint in base64url without padding", s)
	}
	return nil
}

// endpoints are the paths of acts, without version.
var endpoints = map[Act]string{
	SignX509: "/sign", RenewX509: "/renew", RevokeX509: "/revoke",
	SignSSH: "/ssh/sign", RenewSSH: "/ssh/renew", RekeySSH: "/ssh/rekey", RevokeSSH: "/ssh/revoke",
}

// Address is what a token for an act is made out to, below the URL of a CA.
func Address(base string, act Act) string {
	return strings.TrimRight(base, "/") + "/1.0" + endpoints[act]
}

// LocalAddress is what a token for an act is made out to when it is made with the CA's own
// configuration: its first host name, neither port nor version.
func LocalAddress(host string, act Act) string {
	return "https://" + hostOf(host) + endpoints[act]
}

// Provable reports whether a token of this type of provisioner can ever be good for an act.
// Types with a protocol of their own have no tokens.
func Provable(kind string, act Act) bool {
	r := rowOf(kind)
	return r != nil && !r.protocol && r.permits(act)
}
