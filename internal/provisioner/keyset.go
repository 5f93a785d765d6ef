package provisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/strict"
)

// Bounds of the keys that others publish.
const (
	maxPublishedKeys = 100
	keysKept         = 12 * time.Hour   // where their publisher does not say how long
	keysLeast        = 10 * time.Second // whatever their publisher says
	keysAskAgain     = time.Minute      // between two looks for a key that is not there
	keysMaxBackoff   = 5 * time.Minute  // between two tries while the publisher is down
	keysTimeout      = 20 * time.Second // of one look: discovery, then keys
)

// keySet are the public keys that somebody else publishes and changes as they please
// (RFC 7517, Section 5). They are fetched when they are first needed, and kept; nothing of it
// happens at start, so a publisher that is down then does no harm later. Any number of
// goroutines may use it at once, and one of them fetches for all.
type keySet struct {
	client    *fetch.Client
	address   string                              // of the keys; "" if discovery says it
	discovery string                              // address of an OpenID Connect discovery document; "" if there is none
	warn      func(error)                         // told of a fetch that went wrong; nil tells nobody
	settle    func(issuer string) (string, error) // turns what discovery names into the issuer of tokens, or refuses it; nil takes it as it is

	mu      sync.Mutex // guards what follows
	current *published // what the last good fetch brought; nil before the first
	flight  chan struct{}
	fails   int       // in a row
	retryAt time.Time // no fetch before it, after one that failed
	trouble error     // of the last fetch, if it failed
}

// published is what a publisher said at one time.
type published struct {
	issuer string // of discovery; "" without it
	keys   []publishedKey
	at     time.Time
	until  time.Time // when to look again
}

type publishedKey struct {
	id   string
	key  any
	algs []jose.SignatureAlgorithm
}

// newKeySet is a set at an address, or where a discovery document says. The publisher's
// certificate must lead to a root of this machine or of the CA.
func newKeySet(address, discovery string, env *Env) (*keySet, error) {
	s := &keySet{address: address, discovery: discovery, warn: env.Warn,
		client: fetch.New(fetch.Options{Roots: slices.Clone(env.Roots)})}
	for _, at := range []string{address, discovery} {
		if at == "" {
			continue
		}
		if err := checkPublisher(at, true); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// checkPublisher: keys come by https, or from this machine if the operator says so. A
// publisher elsewhere may not send us to this machine.
func checkPublisher(at string, loopback bool) error {
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return fault.New(fault.Invalid, "%q is no address of published keys; write it as https://host/path", at)
	case u.Scheme == "https" || u.Scheme == "http" && loopback && isLoopback(u):
		return nil
	}
	return fault.New(fault.Invalid, "the address %q is not https, so anybody on the way could put their own keys in place of those published there", at)
}

func isLoopback(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost")
}

// verify checks the signature of a token by the published key that it names, and gives what
// was published with it.
func (s *keySet) verify(ctx context.Context, t *Token) (*published, error) {
	p, err := s.get(ctx, t.KeyID)
	if err != nil {
		return nil, err
	}
	if !p.has(t.KeyID) {
		return nil, fault.New(fault.Unproven, "the token names the key %q (kid), which its issuer does not publish", t.KeyID)
	}
	for _, k := range p.keys {
		if k.id != t.KeyID {
			continue
		}
		if err = t.VerifyBy(k.key, k.algs); err == nil {
			return p, nil
		}
	}
	return nil, err
}

func (p *published) has(id string) bool {
	return slices.ContainsFunc(p.keys, func(k publishedKey) bool { return k.id == id })
}

// get gives what is published, looking again if it is old or lacks a key. A look that fails
// leaves what was known; without anything known the answer is that it is unavailable.
func (s *keySet) get(ctx context.Context, id string) (*published, error) {
	for looked := false; ; looked = true {
		s.mu.Lock()
		now, current, trouble := time.Now(), s.current, s.trouble
		wanted := current == nil || !now.Before(current.until) || !current.has(id) && now.Sub(current.at) >= keysAskAgain
		if looked || !wanted || now.Before(s.retryAt) && s.flight == nil {
			s.mu.Unlock()
			if current == nil {
				return nil, fault.Wrap(errors.New(trouble.Error()), fault.Unavailable, "the keys that sign such tokens cannot be fetched from their publisher right now; try again later")
			}
			return current, nil
		}
		if s.flight == nil {
			s.flight = make(chan struct{})
			go s.look(context.WithoutCancel(ctx)) // the answer is for others, too
		}
		flight := s.flight
		s.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "the keys that sign such tokens did not come in time; try again")
		}
	}
}

// look fetches once and notes how that went.
func (s *keySet) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	p, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.flight)
	s.flight, s.trouble = nil, err
	if err == nil {
		s.current, s.fails, s.retryAt = p, 0, time.Time{}
		return
	}
	s.retryAt = time.Now().Add(min(time.Second<<min(s.fails, 16), keysMaxBackoff))
	s.fails++
	if s.warn != nil {
		s.warn(fmt.Errorf("fetch published keys: %w", err))
	}
}

// failing reports whether the last look went wrong.
func (s *keySet) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble != nil
}

func (s *keySet) fetch(ctx context.Context) (*published, error) {
	p := &published{at: time.Now()}
	address := s.address
	if s.discovery != "" {
		var found struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if _, err := s.document(ctx, s.discovery, &found); err != nil {
			return nil, err
		}
		if found.Issuer == "" || found.Keys == "" {
			return nil, fmt.Errorf("the discovery document at %s names no issuer or no jwks_uri", s.discovery)
		}
		u, err := url.Parse(s.discovery)
		if err := errors.Join(err, checkPublisher(found.Keys, err == nil && isLoopback(u))); err != nil {
			return nil, fmt.Errorf("jwks_uri of %s: %w", s.discovery, err)
		}
		p.issuer, address = found.Issuer, found.Keys
		if s.settle != nil {
			if p.issuer, err = s.settle(found.Issuer); err != nil {
				return nil, err
			}
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	kept, err := s.document(ctx, address, &set)
	if err != nil {
		return nil, err
	}
	if p.keys = usableKeys(set.Keys); len(p.keys) == 0 {
		return nil, fmt.Errorf("%s publishes no key that verifies tokens", address)
	}
	p.until = p.at.Add(kept)
	return p, nil
}

// document fetches JSON: no redirects, since they would lead who knows where, and nothing but
// a 200, since the page of an error may be JSON, too.
func (s *keySet) document(ctx context.Context, at string, into any) (kept time.Duration, err error) {
	a, err := s.client.Do(ctx, &fetch.Request{URL: at})
	if err != nil {
		return 0, err
	}
	if a.Status != 200 {
		return 0, fmt.Errorf("%s answers with status %d", at, a.Status)
	}
	if err := strict.Decode(a.Body, into); err != nil {
		return 0, fmt.Errorf("read the answer of %s: %w", at, err)
	}
	return lifetime(a.Header.Get("Cache-Control")), nil
}

// lifetime is how long an answer may be kept (RFC 9111, Section 5.2.2), less a random part,
// so that many servers do not ask all at once; never so short that strangers' tokens make
// one fetch each.
func lifetime(control string) time.Duration {
	kept := keysKept
	for directive := range strings.SplitSeq(control, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && n >= 0 {
			kept = min(time.Duration(n)*time.Second, 7*24*time.Hour)
		}
	}
	jitter := kept / 3
	if kept > time.Hour {
		jitter = time.Hour
	}
	if jitter > 0 {
		kept -= rand.N(jitter)
	}
	return max(kept, keysLeast)
}

// usableKeys leaves out what verifies no token: keys to encrypt, symmetric and weak ones, and
// those of kinds that a newer publisher may have.
func usableKeys(all []json.RawMessage) []publishedKey {
	var usable []publishedKey
	for _, raw := range all {
		if len(usable) == maxPublishedKeys {
			break
		}
		jwk, err := keys.ParseJWK(raw)
		if err != nil || jwk.Use == "enc" || !jwk.Valid() {
			continue
		}
		public := jwk.Public()
		algs := keys.SignatureAlgorithms(public.Key)
		if own := jose.SignatureAlgorithm(jwk.Algorithm); own != "" {
			if !slices.Contains(algs, own) {
				continue
			}
			algs = []jose.SignatureAlgorithm{own}
		}
		if len(algs) > 0 {
			usable = append(usable, publishedKey{id: jwk.KeyID, key: public.Key, algs: algs})
		}
	}
	return usable
}
