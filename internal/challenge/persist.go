package challenge

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dnsPersist01 looks for a lasting TXT record that names this CA and the account
// (draft-ietf-acme-dns-persist). There is no token: whoever holds the account's key holds
// the name as long as the record stands.
func (v *Validator) dnsPersist01(ctx context.Context, a *Attempt) error {
	if a.AccountURL == "" || len(v.set.Issuers) == 0 {
		return final(serverInternal, "dns-persist-01 needs the account's URL and the CA's own name (caaIdentities)")
	}
	name := "_validation-persist." + a.Identifier.Value
	found, err := v.dns.texts(ctx, a, name)
	if err != nil {
		return err
	}
	now := time.Now()
	var fault error
	for _, text := range found.values {
		err := v.judgePersistent(text, a, now)
		if err == nil {
			a.TTL = min(found.ttl, lasting(text, now))
			return nil
		}
		if err != errForeign {
			fault = err
		}
	}
	if fault != nil {
		return fault
	}
	return retry(unauthorized, "%s has no TXT record for %s", name, strings.Join(v.set.Issuers, " or "))
}

// errForeign is the verdict on a record that is not addressed to us.
var errForeign = &Problem{Type: unauthorized, Detail: "the record is for another CA"}

func (v *Validator) judgePersistent(text string, a *Attempt, now time.Time) error {
	value, err := parseIssueValue(text)
	if !v.isUs(value.issuer) {
		return errForeign
	}
	if err != nil {
		return retry(malformed, "the record for %s breaks the syntax of RFC 8659", value.issuer)
	}
	account, ok := value.get("accounturi")
	if !ok {
		return retry(malformed, "the record for %s has no accounturi", value.issuer)
	}
	if account != a.AccountURL {
		return retry(unauthorized, "the record for %s names another account", value.issuer)
	}
	if until, ok := value.get("persistuntil"); ok {
		end, err := strconv.ParseInt(until, 10, 64)
		if err != nil || end < 0 {
			return retry(malformed, "persistUntil has to be a number of seconds since 1970")
		}
		if now.Unix() > end {
			return retry(unauthorized, "the record for %s has ended", value.issuer)
		}
	}
	policy, _ := value.get("policy")
	if a.Wildcard && !strings.EqualFold(policy, "wildcard") {
		return retry(unauthorized, "the record for %s does not say policy=wildcard", value.issuer)
	}
	return nil
}

// lasting is how long a record that was judged good goes on by its own words.
func lasting(text string, now time.Time) time.Duration {
	value, err := parseIssueValue(text)
	if err != nil {
		return 0
	}
	until, ok := value.get("persistuntil")
	end, err := strconv.ParseInt(until, 10, 64)
	if !ok || err != nil || end-now.Unix() > math.MaxInt32 {
		return math.MaxInt64
	}
	return time.Duration(end-now.Unix()) * time.Second
}

// isUs reports whether an issuer's name stands for this CA.
func (v *Validator) isUs(issuer string) bool {
	return issuer != "" && slices.ContainsFunc(v.set.Issuers, func(ours string) bool {
		return strings.EqualFold(strings.TrimSuffix(ours, "."), issuer)
	})
}
