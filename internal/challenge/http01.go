package challenge

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fetch"
)

// Bounds on what http-01 reads.
const (
	maxBody      = 4 << 10
	maxKeyAuth   = 128 // of an answer, without white space around it
	maxRedirects = 10
)

// secondLook is how long to wait before an answer with the wrong content is asked for again:
// behind a load balancer the next machine may know the right one.
var secondLook = []time.Duration{250 * time.Millisecond, time.Second}

// http01 asks the name for a file that only its holder could put there (RFC 8555, Section
// 8.3; for addresses RFC 8738, Section 4).
func (v *Validator) http01(ctx context.Context, a *Attempt) error {
	for _, wait := range secondLook {
		err := v.getKeyAuthorization(ctx, a)
		if p, ok := err.(*Problem); !ok || p.Type != rejected {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
	return v.getKeyAuthorization(ctx, a)
}

func (v *Validator) getKeyAuthorization(ctx context.Context, a *Attempt) error {
	host := a.Identifier.Value
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	if v.set.HTTPPort != 80 {
		host += ":" + strconv.Itoa(v.set.HTTPPort)
	}
	url := "http://" + host + "/.well-known/acme-challenge/" + a.Token
	ctx, told := withLookups(ctx, a)
	answer, err := v.http.Do(ctx, &fetch.Request{URL: url, Header: map[string][]string{
		"Accept": {"*/*"}, "User-Agent": {"signet (ACME validation)"},
	}})
	told()
	if err != nil {
		p := unreached("get "+url, err)
		a.note("%s", p.Detail)
		return p
	}
	a.note("get %s: status %d, %d bytes", url, answer.Status, len(answer.Body))
	if answer.Status < 200 || answer.Status > 299 {
		return retry(connection, "%s answers with status %d", url, answer.Status)
	}
	body := bytes.TrimSpace(answer.Body)
	if len(body) > maxKeyAuth {
		return final(rejected, "%s has %d bytes; a key authorization has at most %d", url, len(body), maxKeyAuth)
	}
	if string(body) != a.keyAuthorization() {
		return final(rejected, "%s is not the key authorization of this challenge and account key", url)
	}
	return nil
}

// follow says which redirects http-01 takes. Addresses are judged when they are connected to.
func (v *Validator) follow(hop fetch.Hop) error {
	if !slices.Contains([]int{301, 302, 307, 308}, hop.Status) {
		return retry(connection, "a redirect with status %d is not followed; 301, 302, 307 and 308 are", hop.Status)
	}
	next := hop.Next
	if next.Scheme != "http" && next.Scheme != "https" {
		return retry(connection, "a redirect may lead to http and https only")
	}
	if next.User != nil {
		return retry(connection, "a redirect with a user name is not followed")
	}
	if !slices.Contains([]string{"", "80", "443", strconv.Itoa(v.set.HTTPPort), strconv.Itoa(v.set.TLSPort)}, next.Port()) {
		return retry(connection, "a redirect to port %.5s is not followed; 80 and 443 are", next.Port())
	}
	if slices.Contains(hop.Via, next.String()) {
		return retry(connection, "the redirects run in a circle")
	}
	if strings.HasSuffix(strings.ToLower(next.Hostname()), ".onion") {
		return retry(connection, "a redirect to an onion service is not followed")
	}
	return nil
}
