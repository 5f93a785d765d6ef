package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// handCA is a CA certificate and its key, in the hands of whoever runs the command.
type handCA struct {
	chain []*x509.Certificate // issuing certificate first
	key   crypto.Signer
}

// openHandCA reads a CA certificate and opens its key; kms is the keeper of the key, if
// it is not in a file.
func (e *Env) openHandCA(ctx context.Context, crtFile, keyFile, kms string, password keys.Password) (*handCA, error) {
	chain, err := keys.ReadCertificates(crtFile)
	if err != nil {
		return nil, err
	}
	key, err := e.signingKey(ctx, kms, keyFile, password)
	if err != nil {
		return nil, err
	}
	if err := issue.CheckIssuer(chain[0], key.Public(), e.Now()); err != nil {
		return nil, err
	}
	return &handCA{chain, key}, nil
}

// sign checks a draft and signs it. Without a CA it is signed by its own key.
func (ca *handCA) sign(draft *issue.LocalDraft, own crypto.Signer, now time.Time) (*x509.Certificate, error) {
	var issuer *x509.Certificate
	key := own
	if ca != nil {
		issuer, key = ca.chain[0], ca.key
	}
	checked, err := draft.Check(issuer, now)
	if err != nil {
		return nil, err
	}
	return issue.SealLocal(checked, issuer, key)
}

// namesOfSubject are the names that a subject stands for, if it can be one: not every
// common name is a host.
func namesOfSubject(commonName string) issue.Names {
	names := issue.NamesOf([]string{commonName})
	for _, host := range names.DNS {
		if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`,/\"'()`, r) }) {
			return issue.Names{}
		}
	}
	return names
}

// validityFlags bound a certificate that is made by hand.
type validityFlags struct{ notBefore, notAfter When }

func (v *validityFlags) register(fs *flags) {
	fs.Time(&v.notBefore, "not-before", "begin of the certificate, a time or a duration from now").Preset("now")
	fs.Time(&v.notAfter, "not-after", "end of the certificate, a time or a duration from now")
}

// apply puts what was wished into a draft.
func (v *validityFlags) apply(draft *issue.LocalDraft, now time.Time) {
	if !v.notBefore.IsZero() {
		draft.Cert.NotBefore = v.notBefore.At(now)
	}
	if !v.notAfter.IsZero() {
		draft.Cert.NotAfter = v.notAfter.At(now)
	}
}

// readTemplate reads the text of a certificate template.
func (e *Env) readTemplate(name string) (string, error) {
	data, err := e.readFile(name)
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	return string(data), nil
}
