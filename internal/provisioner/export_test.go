package provisioner

import (
	"context"
	"crypto/x509"
	"time"
)

// Published is a set of published keys, for tests.
type Published struct{ s *keySet }

// NewPublished is a set at an address, or found by discovery.
func NewPublished(address, discovery string, env *Env) (*Published, error) {
	s, err := newKeySet(address, discovery, env)
	return &Published{s}, err
}

// Verify checks a token and gives the issuer that discovery named.
func (p *Published) Verify(ctx context.Context, t *Token) (issuer string, err error) {
	found, err := p.s.verify(ctx, t)
	if err != nil {
		return "", err
	}
	return found.issuer, nil
}

// Age lets time pass for the set.
func (p *Published) Age(d time.Duration) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.retryAt = p.s.retryAt.Add(-d)
	if c := p.s.current; c != nil {
		older := *c
		older.at, older.until = c.at.Add(-d), c.until.Add(-d)
		p.s.current = &older
	}
}

// OnMachine lets a GCP provisioner ask as a machine with this metadata service.
func OnMachine(p *Provisioner, metadata string) { p.kind.(*GCP).organization.metadata = metadata }

// Lifetime is how long an answer with this Cache-Control is kept.
func Lifetime(control string) time.Duration { return lifetime(control) }

// AmazonRoots are the certificates built in, by region.
func AmazonRoots() (map[string][]*x509.Certificate, error) {
	roots, err := builtinRoots()
	all := map[string][]*x509.Certificate{}
	for _, r := range roots {
		for _, region := range r.regions {
			all[region] = append(all[region], r.Certificate)
		}
	}
	return all, err
}

// BuildIn gives an AWS provisioner this list in place of the one that is built in.
func BuildIn(p *Provisioner, list string) error {
	roots, err := parseRegions(list)
	p.kind.(*AWS).anchors = roots
	return err
}
