package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
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

// templateFlags give a template and its data.
type templateFlags struct {
	file string
	data dataFlags
}

func (t *templateFlags) register(fs *flags) {
	fs.String(&t.file, "template", "file", "make the certificate by the template in `file` instead of a profile")
	t.data.register(fs)
	fs.Requires("set", "template")
	fs.Requires("set-file", "template")
}

// draft runs the template. Its author is at the keyboard, so it may set the serial number,
// too; everything the request says stays below .Insecure.
func (t *templateFlags) draft(env *Env, names issue.Names, request *x509.CertificateRequest) (*issue.LocalDraft, error) {
	template, data, err := t.compile(env, names, request)
	if err != nil {
		return nil, err
	}
	return issue.DraftTemplate(template, data, request.PublicKey)
}

// draftRequest is draft for a signing request, which may have a challenge password.
func (t *templateFlags) draftRequest(env *Env, names issue.Names, request *x509.CertificateRequest) (*x509.Certificate, string, error) {
	template, data, err := t.compile(env, names, request)
	if err != nil {
		return nil, "", err
	}
	return issue.DraftRequest(template, data)
}

func (t *templateFlags) compile(env *Env, names issue.Names, request *x509.CertificateRequest) (*issue.X509Template, *issue.X509Data, error) {
	text, err := env.readFile(t.file)
	if err != nil {
		return nil, nil, err
	}
	template, err := issue.TemplateOptions{Literal: true, AllowSerial: true}.CompileX509(t.file, string(text))
	if err != nil {
		return nil, nil, err
	}
	user, err := t.data.data(env)
	if err != nil {
		return nil, nil, err
	}
	data := &issue.X509Data{Subject: request.Subject, Names: names, Custom: true, Request: request, Now: env.Now()}
	data.User, err = json.Marshal(user)
	return template, data, err
}
