package issue

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"sync"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/keys"
)

// Local seals with a key of our own. It is immutable and used by all requests at once.
type Local struct {
	chain  []*x509.Certificate
	signer crypto.Signer
	alg    x509.SignatureAlgorithm
	scheme *scheme // of a key in this process; nil: crypto/x509 does it all
	keyID  string
	seen   *seen // certificates that this key was found to have signed
	count  func(error)
	stage  func() (crypto.Signer, error) // key for rehearsals, of the same kind as signer
}

// NewLocal pairs the issuing chain (issuing certificate first) with its key. count is told
// of every signature made or missed; nil counts nothing.
func NewLocal(chain []*x509.Certificate, signer crypto.Signer, count func(error)) (*Local, error) {
	if len(chain) == 0 {
		return nil, fault.New(fault.Invalid, "there is no issuing certificate")
	}
	if !keys.SamePublicKey(chain[0].PublicKey, signer.Public()) {
		return nil, fault.New(fault.Invalid, "the issuing key does not belong to the issuing certificate %q; check that crt and key are one pair", chain[0].Subject)
	}
	if count == nil {
		count = func(error) {}
	}
	id, err := keys.PublicKeyID(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("identify the issuing key: %w", err)
	}
	return &Local{chain: chain, signer: signer, alg: sealAlgorithm(chain[0]), scheme: schemeOf(signer), keyID: id, seen: newSeen(),
		count: count, stage: throwAway(signer.Public())}, nil
}

// sealAlgorithm keeps the RSA scheme of the issuing certificate's own signature, PSS
// included; zero lets crypto/x509 choose by key.
func sealAlgorithm(issuer *x509.Certificate) x509.SignatureAlgorithm {
	if issuer.PublicKeyAlgorithm != x509.RSA {
		return 0
	}
	switch alg := issuer.SignatureAlgorithm; alg {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return alg
	}
	return 0
}

// SealX509 signs a checked certificate and gives the chain: the leaf, then the issuing
// certificates, no root. Nothing else in the house signs leaves.
func (l *Local) SealX509(_ context.Context, c *CheckedX509) ([]*x509.Certificate, error) {
	template := *c.cert
	if template.SignatureAlgorithm == 0 {
		template.SignatureAlgorithm = l.alg
	}
	der, err := l.assemble(&template)
	if der == nil && err == nil {
		der, err = x509.CreateCertificate(rand.Reader, &template, l.chain[0], template.PublicKey, l.signer)
	}
	l.count(err)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", c.cert.Subject, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the certificate of %q: %w", c.cert.Subject, err)
	}
	return append([]*x509.Certificate{leaf}, l.chain...), nil
}

// Rehearse makes the certificate that SealX509 would, byte for byte but the signature, which
// is a throw-away key's: for those who must see the whole before it exists.
func (l *Local) Rehearse(c *CheckedX509) (*x509.Certificate, error) {
	key, err := l.stage()
	if err != nil {
		return nil, fmt.Errorf("make a throw-away key: %w", err)
	}
	return rehearse(l.chain[0], l.alg, key, c)
}

// Rehearse is Local.Rehearse without a Local: for trials below an issuer whose key is not at
// hand, or that is made up.
func Rehearse(issuer *x509.Certificate, c *CheckedX509) (*x509.Certificate, error) {
	key, err := throwAway(issuer.PublicKey)()
	if err != nil {
		return nil, fmt.Errorf("make a throw-away key: %w", err)
	}
	return rehearse(issuer, sealAlgorithm(issuer), key, c)
}

func rehearse(like *x509.Certificate, alg x509.SignatureAlgorithm, key crypto.Signer, c *CheckedX509) (*x509.Certificate, error) {
	template, issuer := *c.cert, *like
	if template.SignatureAlgorithm == 0 {
		template.SignatureAlgorithm = alg
	}
	issuer.PublicKey = nil // or it would be compared with the throw-away key
	der, err := x509.CreateCertificate(rand.Reader, &template, &issuer, template.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("rehearse the certificate of %q: %w", c.cert.Subject, err)
	}
	return x509.ParseCertificate(der)
}

// throwAway gives a function that makes a key of the same kind as another, once.
func throwAway(like crypto.PublicKey) func() (crypto.Signer, error) {
	return sync.OnceValues(func() (crypto.Signer, error) {
		switch k := like.(type) {
		case *rsa.PublicKey:
			return rsa.GenerateKey(rand.Reader, 2048)
		case *ecdsa.PublicKey:
			return ecdsa.GenerateKey(k.Curve, rand.Reader)
		}
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	})
}

// KeyID names the issuing key, as keys.PublicKeyID does.
func (l *Local) KeyID() string { return l.keyID }

// Issuer is the issuing certificate.
func (l *Local) Issuer() *x509.Certificate { return l.chain[0] }

// Chain is the issuing chain, issuing certificate first, no root.
func (l *Local) Chain() []*x509.Certificate { return l.chain }

// SealCRL signs a certificate revocation list (RFC 5280, Section 5).
func (l *Local) SealCRL(list *x509.RevocationList) ([]byte, error) {
	template := *list
	template.SignatureAlgorithm = l.alg
	der, err := x509.CreateRevocationList(rand.Reader, &template, l.chain[0], l.signer)
	l.count(err)
	if err != nil {
		return nil, fmt.Errorf("sign the revocation list %s: %w", list.Number, err)
	}
	return der, nil
}
