// Package issue drafts, checks and seals certificates.
//
// Every door ends with a [Grant]: who proved themselves and the most they may receive. From
// a Grant and what was asked comes a draft; only a draft that passed Check can be sealed,
// and the compiler holds us to it.
package issue

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/policy"
)

// Grant says who proved themselves and the most they may receive. Its zero value grants
// nothing.
type Grant struct {
	Provisioner string         // record ID: for log, store and later renewals
	Profile     *Profile       // lifetimes, extension, name rules; never nil in a usable Grant
	Subject     string         // who asked; the common name of the default certificate
	Names       Names          // what may be certified; the zero value is nothing
	CommonNames []string       // what a request's common name may be, besides empty
	Bounds      *Bounds        // names of the credential behind the proof, which the finished certificate may not leave; nil: none
	Holder      string         // name of the credential behind the proof; only its holder revokes what it bought; "": anybody of the provisioner
	FreeNames   bool           // the request says which names, common name included; Names and CommonNames do not count
	Fixed       bool           // the names of the request are overlooked, not compared; never with FreeNames
	FixedCN     bool           // CommonNames count even with FreeNames
	FewerDNS    bool           // a request may ask for some of the DNS names; otherwise for all or none
	Extension   *Extension     // provisioner extension of this proof's certificates; nil: the profile's
	Principal   string         // who or what is behind the proof, for webhooks alone
	SSH         *SSHRight      // what may be certified in SSH; nil is nothing
	Bind        Binding        // which key or request the proof is tied to
	NotBefore   time.Time      // the proof's own begin, which bounds the certificate; zero: unbounded
	NotAfter    time.Time      // the proof's own end, which bounds the certificate; zero: unbounded
	Once        Once           // how the proof is used up; the zero value may be repeated
	Proof       Proof          // certificate behind the proof, if any
	Claims      map[string]any // verified facts, for templates and webhooks
	RA          []byte         // JSON of a registration authority's own data, stored with the certificate
}

// extension is the provisioner extension; nil leaves it out.
func (g *Grant) extension() *Extension {
	if g.Extension == nil || g.Profile.Extension == nil {
		return g.Profile.Extension
	}
	return g.Extension
}

// Once says how a proof is used up: by an entry under Key in the store.
type Once struct {
	Key       string    // hash of what identifies the proof; "" means it may be used again
	ExpiresAt time.Time // when the entry may be forgotten; zero: never
}

// Proof is the certificate behind a proof.
type Proof struct {
	SSH  *ssh.Certificate  // whose key signed the proof; nil if there was none
	X509 *x509.Certificate // leaf whose key signed the proof; nil if there was none

	Chain []*x509.Certificate // verified way from X509, which is its first, to a root; nil if there was none

	Credential any // what templates see as AuthorizationCrt where the proof is no X.509 certificate; nil: the chain
}

// Binding ties a proof to one key or one request (RFC 7800). Every set member must hold.
type Binding struct {
	RequestSHA256 []byte           // SHA-256 of the only certificate request allowed, DER
	Key           crypto.PublicKey // the only subject key allowed
	KeyThumbprint string           // RFC 7638 thumbprint of the only subject key allowed
	ClientSHA256  []byte           // SHA-256 of the TLS client certificate that must present the request, DER
}

// Profile is what a provisioner's configuration says about its certificates. It is built
// once at load and shared by all requests; nobody changes it afterwards.
type Profile struct {
	Authority        *Authority   // rules of the whole CA
	TLS              Lifetimes    // X.509 leaves
	UserSSH, HostSSH Lifetimes    // SSH certificates
	SSHPolicy        *policy.SSH  // the provisioner's own rules for principals; nil allows every one
	Extension        *Extension   // provisioner extension; nil leaves it out
	Policy           *policy.X509 // the provisioner's own name rules; nil allows every name
	Limits           *Limits      // what X.509 certificates may be at most; nil bounds nothing
	X509             X509Style    // what X.509 certificates look like
	SSH              SSHStyle     // what SSH certificates look like
	Origin           Origin       // the provisioner, for templates
	RenewalDisabled  bool         // no renewal, no rekey
	RenewAfterExpiry bool         // an expired certificate may still be renewed
}

// Lifetimes bound a certificate's validity. Backdate is allowed on top of Max.
type Lifetimes struct{ Min, Max, Default time.Duration }

// subjectName is the subject that a template starts from.
func (g *Grant) subjectName() pkix.Name { return pkix.Name{CommonName: g.Subject} }

// Authority holds the rules that all provisioners of one CA share. Immutable after load.
type Authority struct {
	Chain     []*x509.Certificate // issuing certificate first, then what leads to the root; no root
	Root      *x509.Certificate   // the anchor of Chain, for name constraints; may be nil
	Backdate  time.Duration       // subtracted from now where the request sets no NotBefore
	Policy    *policy.X509        // name rules of the whole CA; nil allows every name
	SSHPolicy *policy.SSH         // rules for principals of the whole CA; nil allows every one
	CRLURL    string              // where the revocation list is; "" leaves it out of leaves
	Subject   pkix.Name           // fills what a default subject leaves empty
}
