package cli

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// authority is a CA as the commands use it: its server, or with --offline its configuration
// and database on this machine.
type authority struct {
	client       *signet.Client // nil offline
	local        *localCA       // nil online
	bare         bool           // neither: only what the flags say is known
	held         bool           // an SSH certificate is the proof
	provisioners []*provisioner.Provisioner
	root         string // SHA-256 fingerprint, "" if unknown
	site         string // an ACME server, if it is one: only its name is known here
	address      func(provisioner.Act) string
}

// reach finds the CA that the flags speak of.
func (s *siteFlags) reach(ctx context.Context, env *Env) (*authority, error) {
	if s.offline {
		return s.openLocal(ctx, env)
	}
	client, err := s.ca.client(env)
	if err != nil {
		return nil, err
	}
	return &authority{client: client}, nil
}

// open is reach for those who make a token: it finds out what a token says of its CA.
func (p *proofFlags) open(ctx context.Context, env *Env) (*authority, error) {
	a, err := p.reach(ctx, env)
	if err != nil || a.local != nil {
		return a, err
	}
	a.address = func(act provisioner.Act) string { return provisioner.Address(a.client.URL(), act) }
	if a.root, err = rootFingerprint(p.ca.rootFile(env)); err != nil {
		return nil, err
	}
	return a, a.learn(ctx, env)
}

// learn asks the server for its provisioners.
func (a *authority) learn(ctx context.Context, env *Env) error {
	list, err := a.client.Provisioners(ctx)
	if err != nil {
		return err
	}
	for _, one := range list {
		// A newer CA may have types, or forms of them, that are not known here.
		p := new(provisioner.Provisioner)
		if err := json.Unmarshal(one, p); err != nil {
			env.Log.Warn("a provisioner of the CA is left out", "err", err)
			continue
		}
		if slices.ContainsFunc(provisioner.Types(), func(t string) bool { return strings.EqualFold(t, p.Type) }) {
			a.provisioners = append(a.provisioners, p)
		}
	}
	return nil
}

// rootFingerprint names the root in a file; "" if there is no such file.
func rootFingerprint(file string) (string, error) {
	certs, err := keys.ReadCertificates(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return keys.CertificateFingerprint(certs[0]), nil
}

// name is how the CA stands in notes.
func (a *authority) name() string {
	switch {
	case a.site != "":
		return a.site
	case a.local != nil:
		return a.local.url
	}
	return a.client.URL()
}

// encryptedKey is the private key of a JWK provisioner as the CA keeps it; "" if it does not.
func (a *authority) encryptedKey(ctx context.Context, j *provisioner.JWK) (string, error) {
	if a.local != nil {
		return j.EncryptedKey, nil
	}
	sealed, err := a.client.EncryptedKey(ctx, j.Key.KeyID)
	if refused, ok := errors.AsType[*signet.Error](err); ok && refused.Status == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("fetch the encrypted key %s: %w", j.Key.KeyID, err)
	}
	return sealed, nil
}

// sign asks for a certificate. It comes leaf first, without the root.
func (a *authority) sign(ctx context.Context, ask *signet.SignRequest) ([]*x509.Certificate, error) {
	if a.local != nil {
		return a.local.sign(ctx, ask)
	}
	answer, err := a.client.Sign(ctx, ask)
	return certified(answer, err, ask.CSR.PublicKey)
}

// renew gets the successor of the certificate of a pair. The certificate is shown in TLS or,
// without mtls and after its end, in a token.
func (a *authority) renew(ctx context.Context, p *pair, mtls bool, now time.Time) ([]*x509.Certificate, error) {
	if a.local != nil {
		return a.local.renew(ctx, p.chain[0])
	}
	if mtls && now.Before(p.chain[0].NotAfter) {
		client := a.client.As(holder(p.chain, p.key))
		defer client.Close()
		answer, err := client.Renew(ctx)
		return certified(answer, err, p.key.Public())
	}
	token, err := provisioner.ProveRenewal(p.chain, provisioner.Want{Audience: a.client.URL() + "/renew", Key: p.key, At: now})
	if err != nil {
		return nil, err
	}
	// An identity shown in TLS would be taken for the certificate to renew.
	client := a.client.As(nil)
	defer client.Close()
	answer, err := client.RenewByToken(ctx, token)
	return certified(answer, err, p.key.Public())
}

// rekey gets the successor of the certificate of a pair for the key in csr.
func (a *authority) rekey(ctx context.Context, p *pair, csr *x509.CertificateRequest) ([]*x509.Certificate, error) {
	if a.local != nil {
		return a.local.rekey(ctx, p.chain[0], csr)
	}
	client := a.client.As(holder(p.chain, p.key))
	defer client.Close()
	answer, err := client.Rekey(ctx, csr)
	return certified(answer, err, csr.PublicKey)
}

// revoke revokes a certificate by the token in ask.
func (a *authority) revoke(ctx context.Context, ask *signet.RevokeRequest) error {
	if a.local != nil {
		return a.local.revoke(ctx, nil, ask)
	}
	return a.client.Revoke(ctx, ask)
}

// revokeAsHolder revokes the certificate of a pair.
func (a *authority) revokeAsHolder(ctx context.Context, p *pair, ask *signet.RevokeRequest) error {
	if a.local != nil {
		return a.local.revoke(ctx, p.chain[0], ask)
	}
	client := a.client.As(holder(p.chain, p.key))
	defer client.Close()
	return client.Revoke(ctx, ask)
}

// certified is the chain in an answer, if it is for the key that was asked for.
func certified(answer *signet.SignResponse, err error, key crypto.PublicKey) ([]*x509.Certificate, error) {
	if err != nil {
		return nil, err
	}
	chain := answer.Certificates()
	if len(chain) == 0 {
		return nil, errors.New("the CA's answer holds no certificate")
	}
	if !keys.SamePublicKey(chain[0].PublicKey, key) {
		return nil, errors.New("the CA's answer is a certificate for another key; nothing was written")
	}
	return chain, nil
}

// holder is a certificate with its chain and key, as its holder presents it.
func holder(chain []*x509.Certificate, key crypto.Signer) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, one := range chain {
		c.Certificate = append(c.Certificate, one.Raw)
	}
	return c
}
