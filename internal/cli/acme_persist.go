package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/mholt/acmez/v3/acme"

	"github.com/signet-ca/signet/internal/strict"
)

// dnsPersist is the challenge whose record stands for good (draft-ietf-acme-dns-persist).
const dnsPersist = acme.ChallengeTypeDNSPersist01

// maxIssuers is how many names of itself a server may give (Section 4.1 of the draft).
const maxIssuers = 10

// issuerName is a name in lower-case A-labels, without a dot at its end.
var issuerName = strict.Pattern(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// byDNS reports whether names are proved by DNS.
func (a *acmeWays) byDNS() bool { return a.dnsHook != "" || a.dnsType == dnsPersist }

// checkLasting refuses what could not stand in a record: issuer and account go into it, and
// both come from the server.
func (a *acmeAnswers) checkLasting(c acme.Challenge) error {
	wrong := len(c.IssuerDomainNames) == 0 || len(c.IssuerDomainNames) > maxIssuers ||
		slices.ContainsFunc(c.IssuerDomainNames, func(name string) bool { return len(name) > 253 || !issuerName().MatchString(name) })
	u, err := url.Parse(a.account.Location)
	if wrong || err != nil || u.Scheme != "https" || !accountURI().MatchString(a.account.Location) {
		return fmt.Errorf("the ACME server's challenge for %s names neither itself nor the account in a way that a record can hold", c.Identifier.Value)
	}
	return nil
}

// accountURI is what the value of a parameter may be made of (RFC 8659, Section 4.2): what is
// visible, but no semicolon.
var accountURI = strict.Pattern(`^[!-:<-~]{1,1000}$`)

// putLasting shows the record that has to stand, and has it added where there is a program
// for that. Nobody removes it: the next certificate needs it again.
func (a *acmeAnswers) putLasting(ctx context.Context, c acme.Challenge) error {
	record := c.DNSPersist01TXTRecordName()
	value := c.DNSPersist01TXTRecordValue(a.account, c.IssuerDomainNames[0], slices.Contains(a.wildcards, c.Identifier.Value))
	a.env.Note("This record has to stand as long as this account is to get certificates for the name:\n%s. IN TXT \"%s\"", record, value)
	if a.flags.dnsHook == "" {
		return nil
	}
	return a.tellHook(ctx, "present", record, value, c.Identifier.Value)
}
