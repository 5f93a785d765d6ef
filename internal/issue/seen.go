package issue

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"sync"
)

// mostSeen bounds how many certificates are remembered; 32 bytes each.
const mostSeen = 8192

// seen remembers certificates whose signature was found good, by their SHA-256: a holder who
// renews over one connection shows the same one again and again.
type seen struct {
	mu     sync.Mutex
	hashes map[[sha256.Size]byte]struct{}
}

func newSeen() *seen { return &seen{hashes: make(map[[sha256.Size]byte]struct{})} }

func (s *seen) has(hash [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.hashes[hash]
	return ok
}

func (s *seen) add(hash [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hashes) >= mostSeen {
		clear(s.hashes)
	}
	s.hashes[hash] = struct{}{}
}

// Signed reports whether this key signed a certificate. Of one that it did, the answer is
// remembered: the signature of the same bytes stays good.
func (l *Local) Signed(cert *x509.Certificate) bool {
	if !bytes.Equal(cert.RawIssuer, l.chain[0].RawSubject) {
		return false
	}
	hash := sha256.Sum256(cert.Raw)
	if l.seen.has(hash) {
		return true
	}
	if cert.CheckSignatureFrom(l.chain[0]) != nil {
		return false
	}
	l.seen.add(hash)
	return true
}
