package ca

import (
	"bytes"
	"crypto/x509"
	"slices"

	"github.com/signet-ca/signet/internal/keys"
)

// ChainsFor are the ways from a leaf of ours towards a root, without leaf and root: first
// that of the issuing certificates of today, then over others with the issuing key, as
// cross-signing makes them. One chain there always is, if only an empty one.
func (c *CA) ChainsFor(leaf *x509.Certificate) [][]*x509.Certificate {
	s := c.state.Load()
	if len(s.Previous) == 0 {
		return [][]*x509.Certificate{s.Issuer.Chain()}
	}
	chains := make([][]*x509.Certificate, 0, 1)
	if leaf.CheckSignatureFrom(s.Issuer.Issuer()) == nil {
		chains = append(chains, s.Issuer.Chain())
	}
	for _, p := range s.Previous {
		if !bytes.Equal(p.RawSubject, leaf.RawIssuer) || leaf.CheckSignatureFrom(p) != nil {
			continue
		}
		if slices.ContainsFunc(chains, func(have []*x509.Certificate) bool { return bytes.Equal(have[0].Raw, p.Raw) }) {
			continue
		}
		chains = append(chains, []*x509.Certificate{p})
	}
	if len(chains) == 0 {
		chains = append(chains, nil)
	}
	return chains
}

// HasIssuer reports whether a key identifier is that of one of our issuing certificates.
func (s *State) HasIssuer(keyID []byte) bool {
	for _, issuer := range append([]*x509.Certificate{s.Issuer.Issuer()}, s.Previous...) {
		id := issuer.SubjectKeyId
		if len(id) == 0 {
			id, _ = keys.SubjectKeyID(issuer.PublicKey)
		}
		if len(id) > 0 && bytes.Equal(id, keyID) {
			return true
		}
	}
	return false
}
