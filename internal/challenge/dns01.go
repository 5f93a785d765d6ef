package challenge

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"
)

// dns01 looks for the digest in a TXT record of the name (RFC 8555, Section 8.4).
func (v *Validator) dns01(ctx context.Context, a *Attempt) error {
	return v.digestAt(ctx, a, "_acme-challenge."+a.Identifier.Value)
}

// dnsAccount01 is dns-01 below a label of the account's own, so that several accounts can
// have one name delegated to them at once (draft-ietf-acme-dns-account-label).
func (v *Validator) dnsAccount01(ctx context.Context, a *Attempt) error {
	if a.AccountURL == "" {
		return final(serverInternal, "the account has no URL")
	}
	return v.digestAt(ctx, a, AccountLabel(a.AccountURL)+"._acme-challenge."+a.Identifier.Value)
}

// AccountLabel is the label of an account in the name that dns-account-01 asks for.
func AccountLabel(accountURL string) string {
	sum := sha256.Sum256([]byte(accountURL))
	return "_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

func (v *Validator) digestAt(ctx context.Context, a *Attempt, name string) error {
	found, err := v.dns.texts(ctx, a, name)
	if err != nil {
		return err
	}
	if len(found.values) == 0 {
		return retry(dnsFailure, "%s has no TXT record", name)
	}
	if !slices.Contains(found.values, a.digest()) {
		return retry(rejected, "none of the %d TXT records of %s is the digest of this challenge and account key", len(found.values), name)
	}
	return nil
}
