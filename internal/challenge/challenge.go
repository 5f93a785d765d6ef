// Package challenge looks whether whoever asks for a certificate controls the names in it:
// it makes the connections and DNS queries of ACME's challenge types and judges what comes
// back.
//
// Everything it reads was written by a stranger, the addresses it connects to included. So
// each answer is bounded in size and time, addresses are judged when a socket is about to be
// connected, and no refusal quotes what was fetched.
package challenge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/signet-ca/signet/internal/fetch"
)

// Identifier is a name to prove: normalised, and without "*.".
type Identifier struct {
	Type  string // "dns" or "ip"
	Value string
}

// Attempt is one look at one challenge.
type Attempt struct {
	Type       string
	Identifier Identifier
	Wildcard   bool   // the name stands for a wildcard name
	Token      string // key authorization is Token + "." + Thumbprint (RFC 8555, Section 8.1)
	Thumbprint string // of the account's key (RFC 7638)
	AccountURL string // as stored at creation: for dns-account-01, dns-persist-01 and CAA

	Trace []string      // filled by Try: what was asked and how it answered, for operators
	TTL   time.Duration // filled by Try for dns-persist-01: how long its answer may be reused
}

// keyAuthorization is what a challenge proves knowledge of.
func (a *Attempt) keyAuthorization() string { return a.Token + "." + a.Thumbprint }

// digest is the key authorization as DNS records carry it.
func (a *Attempt) digest() string {
	sum := sha256.Sum256([]byte(a.keyAuthorization()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (a *Attempt) note(format string, args ...any) {
	if len(a.Trace) < maxTrace {
		a.Trace = append(a.Trace, fmt.Sprintf(format, args...))
	}
}

const maxTrace = 50

// kind is one challenge type.
type kind struct {
	name      string
	wildcards bool // proves wildcard names, too
	ips       bool // proves addresses
	tokenless bool // needs no token
	try       func(v *Validator, ctx context.Context, a *Attempt) error
}

// kinds are the challenge types in the order they are offered. The last two are opt-in: a
// server offers only those an operator named.
var kinds = []kind{
	{name: "dns-01", wildcards: true, try: (*Validator).dns01},
	{name: "http-01", ips: true, try: (*Validator).http01},
	{name: "tls-alpn-01", ips: true, try: (*Validator).tlsALPN01},
	{name: "dns-account-01", wildcards: true, try: (*Validator).dnsAccount01},
	{name: "dns-persist-01", wildcards: true, tokenless: true, try: (*Validator).dnsPersist01},
}

// Offered gives the types that can prove an identifier, in the order they are offered.
func Offered(id Identifier, wildcard bool) []string {
	var names []string
	for _, k := range kinds {
		if k.fits(id, wildcard) {
			names = append(names, k.name)
		}
	}
	return names
}

// Known reports whether this house knows a challenge type.
func Known(name string) bool {
	return slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name })
}

func (k *kind) fits(id Identifier, wildcard bool) bool {
	switch id.Type {
	case "dns":
		return k.wildcards || !wildcard
	case "ip":
		return k.ips && !wildcard
	}
	return false
}

// Settings say how to validate. The zero value asks as the machine does, at the standard
// ports.
type Settings struct {
	HTTPPort int // of http-01; 0: 80
	TLSPort  int // of tls-alpn-01; 0: 443

	Resolver      string   // DNS server, host or host:port; "": those of the machine
	Resolvers     []string // DNS servers of a provisioner's own, asked in turn; they win over Resolver
	Authoritative bool     // ask the servers of a zone themselves for TXT and CAA records
	AuthorityPort int      // of those servers; 0: 53
	StrictFQDN    bool     // names are complete: the machine's search list is not applied
	DNSSEC        bool     // only answers that the resolver calls authentic count

	Issuers  []string       // names that stand for this CA in CAA and dns-persist-01 records
	Networks fetch.Networks // narrows the addresses that validation may reach
	Log      *slog.Logger   // nil: nothing is logged
}

// Bounds of one attempt.
const (
	attemptTime = 30 * time.Second // one whole attempt
	dialTime    = 10 * time.Second // one address
)

// Validator tries challenges. Any number of goroutines may use it at once.
type Validator struct {
	set    Settings
	dns    *resolver
	dialer *fetch.Dialer
	http   *fetch.Client
}

// New makes a validator.
func New(s Settings) *Validator {
	if s.HTTPPort == 0 {
		s.HTTPPort = 80
	}
	if s.TLSPort == 0 {
		s.TLSPort = 443
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	v := &Validator{set: s}
	v.dns = newResolver(&s)
	v.dialer = &fetch.Dialer{Timeout: dialTime, Reach: fetch.Validation, Networks: s.Networks, Resolve: v.dns.addresses}
	v.http = fetch.New(fetch.Options{
		Timeout: attemptTime, Size: maxBody, Redirects: maxRedirects, Reach: fetch.Validation, Networks: s.Networks,
		Resolve: v.dns.addresses, Follow: v.follow, Unverified: true, Fresh: true,
	})
	return v
}

// Try looks at a challenge once. Every error is a *Problem.
func (v *Validator) Try(ctx context.Context, a *Attempt) error {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == a.Type })
	if i < 0 {
		return final(malformed, "there is no challenge type %q", a.Type)
	}
	if !kinds[i].fits(a.Identifier, a.Wildcard) {
		return final(malformed, "%s cannot prove this identifier", a.Type)
	}
	if !kinds[i].tokenless && (a.Token == "" || a.Thumbprint == "") {
		return final(serverInternal, "the challenge has no token or no key")
	}
	if a.Identifier.Type == "ip" {
		if _, err := netip.ParseAddr(a.Identifier.Value); err != nil {
			return final(malformed, "the identifier is no address")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return kinds[i].try(v, ctx, a)
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
