package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
)

// signFlags are the flags of the commands that get a certificate: the proof, or the token
// that is one already, and what the certificate shall be.
type signFlags struct {
	proofFlags
	token               string
	notBefore, notAfter When
	data                dataFlags
	force               bool
	acme                acmeWays // registered by those commands that can use it
	made                string   // type of the provisioner whose token was made here
}

func (f *signFlags) register(fs *flags) {
	fs.String(&f.token, "token", "token", "token that proves the right; without it one is made")
	fs.Time(&f.notBefore, "not-before", "begin of the certificate")
	fs.Time(&f.notAfter, "not-after", "end of the certificate; a duration counts from its begin")
	f.data.register(fs)
	f.proofFlags.register(fs)
	fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
	fs.Incompatible("offline", "token")
}

// given parses the token on the command line.
func (f *signFlags) given(env *Env) (*provisioner.Token, error) {
	return provisioner.ParseToken(f.token, env.Now())
}

// authority is the CA: with a token that names it and its root, nothing else is needed.
func (f *signFlags) authority(ctx context.Context, env *Env) (*authority, error) {
	if f.token == "" {
		return f.open(ctx, env)
	}
	client, err := f.ca.clientByToken(ctx, env, f.token)
	if err != nil {
		return nil, err
	}
	return &authority{client: client}, nil
}

// prove makes a token for a certificate request, bound to it, so that whoever gets hold of
// the token can do nothing with it but get the same certificate.
func (f *signFlags) prove(ctx context.Context, env *Env, source *authority, want provisioner.Want) (string, error) {
	p := &proof{flags: &f.proofFlags, env: env, source: source, act: provisioner.SignX509, want: want}
	token, err := p.make(ctx)
	if p.provisioner != nil {
		f.made = p.provisioner.Type
	}
	return token, err
}

func wantFor(subject string, names []string, csr *x509.CertificateRequest) provisioner.Want {
	return provisioner.Want{Subject: subject, Names: names, Confirm: provisioner.Confirm(csr.Raw)}
}

// ask is what the flags say about the certificate; request and token come later.
func (f *signFlags) ask(env *Env) (*signet.SignRequest, error) {
	ask := &signet.SignRequest{OTT: f.token}
	var err error
	if ask.NotBefore, err = signet.ParseTimeDuration(f.notBefore.String()); err != nil {
		return nil, err
	}
	if ask.NotAfter, err = signet.ParseTimeDuration(f.notAfter.String()); err != nil {
		return nil, err
	}
	data, err := f.data.data(env)
	if err != nil || data == nil {
		return ask, err
	}
	ask.TemplateData, err = json.Marshal(data)
	return ask, err
}

// certificateResult is a certificate that a CA issued.
type certificateResult struct {
	Certificate string   `json:"certificate" help:"file of the certificate, leaf first, without the root"`
	Key         string   `json:"key,omitempty" help:"file of the private key"`
	CA          string   `json:"ca" help:"address of the CA"`
	Subject     string   `json:"subject" help:"common name"`
	Names       []string `json:"names" help:"subject alternative names"`
	Serial      string   `json:"serial" help:"serial number, decimal"`
	NotBefore   string   `json:"notBefore" help:"begin of validity, RFC 3339"`
	NotAfter    string   `json:"notAfter" help:"end of validity, RFC 3339"`
}

func (*certificateResult) Text() string { return "" } // the notes say it all

func newCertificateResult(source *authority, chain []*x509.Certificate, crtFile, keyFile string) *certificateResult {
	leaf := chain[0]
	return &certificateResult{Certificate: crtFile, Key: keyFile, CA: source.name(),
		Subject: leaf.Subject.CommonName, Names: issue.CertificateNames(leaf).Strings(), Serial: leaf.SerialNumber.String(),
		NotBefore: leaf.NotBefore.UTC().Format(time.RFC3339), NotAfter: leaf.NotAfter.UTC().Format(time.RFC3339)}
}
