package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

type localSignFlags struct {
	profile       string
	omitCN        bool
	pathLen       int
	bundle        bool
	password, kms string
	template      templateFlags
	validity      validityFlags
}

// signedResult is a certificate on its way to standard output.
type signedResult struct {
	Certificate string   `json:"certificate" help:"the new certificate, PEM"`
	Issuers     []string `json:"issuers,omitempty" help:"with --bundle, the certificates of the issuers, PEM"`
}

func (r *signedResult) Text() string {
	text := r.Certificate
	for _, issuer := range r.Issuers {
		text += issuer
	}
	return text
}

func certificateSign() *command {
	f := localSignFlags{profile: issue.ProfileLeaf}
	return &command{
		short: "sign a certificate signing request with a CA's key",
		long: `Signs a certificate signing request with the key of a CA at hand, without a CA server, and
			prints the certificate. The request's own signature is checked first.

			The profiles: leaf, for TLS servers and clients, with the names of the request, good for
			24 hours; intermediate-ca, a CA good for ten years; csr, whatever the request asks for,
			which is to be read before. A template takes their place. No certificate outlives the one
			that signs it.`,
		args: []arg{
			need("csr-file", "certificate signing request"),
			need("crt-file", "certificate of the CA"),
			need("key-file", "private key of the CA, or its URI with --kms"),
		},
		examples: []example{
			{"Sign a request of a server", "signet certificate sign site.csr ca.crt ca.key > site.crt"},
			{"Sign an intermediate with a root", "signet certificate sign ca.csr root.crt root.key --profile intermediate-ca --not-after 43800h"},
		},
		flags:  f.register,
		result: &signedResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			request, err := env.readRequest(args[0])
			if err != nil {
				return nil, err
			}
			if err := issue.CheckRequest(request); err != nil {
				return nil, err
			}
			ca, err := env.openHandCA(ctx, args[1], args[2], f.kms, env.password(ctx, f.password, "password-file"))
			if err != nil {
				return nil, err
			}
			return f.sign(env, request, ca)
		},
	}
}

func (f *localSignFlags) register(fs *flags) {
	fs.Enum(&f.profile, "profile", []string{issue.ProfileLeaf, issue.ProfileIntermediate, issue.ProfileRequest}, "what the certificate is for")
	f.template.register(fs)
	fs.Incompatible("template", "profile", "path-len")
	fs.Bool(&f.omitCN, "omit-cn-san", "don't add the common name to the names of a leaf or a template")
	fs.Int(&f.pathLen, "path-len", "n", "how many CAs may follow an intermediate").Preset("0")
	fs.Bool(&f.bundle, "bundle", "print the CA's certificate behind the new one")
	fs.String(&f.password, "password-file", "file", "password of the CA's key")
	fs.String(&f.kms, "kms", "uri", "key management system that holds the CA's key")
	f.validity.register(fs)
	fs.Check(func(given func(string) bool) error {
		switch {
		case given("path-len") && f.profile != issue.ProfileIntermediate:
			return usagef("flag --path-len requires --profile %s", issue.ProfileIntermediate)
		case f.pathLen < 0:
			return errValue("path-len", fmt.Sprint(f.pathLen))
		}
		return nil
	})
}

func (f *localSignFlags) sign(env *Env, request *x509.CertificateRequest, ca *handCA) (any, error) {
	draft, err := f.draft(env, request)
	if err != nil {
		return nil, err
	}
	f.validity.apply(draft, env.Now())
	cert, err := ca.sign(draft, nil, env.Now())
	if err != nil {
		return nil, err
	}
	if f.template.file == "" && f.profile == issue.ProfileRequest && cert.IsCA {
		env.Warn("the request asked for the certificate of a CA, and got it")
	}
	result := &signedResult{Certificate: string(keys.EncodeCertificates(cert))}
	if f.bundle {
		for _, c := range ca.chain {
			result.Issuers = append(result.Issuers, string(keys.EncodeCertificates(c)))
		}
	}
	return result, nil
}

func (f *localSignFlags) draft(env *Env, request *x509.CertificateRequest) (*issue.LocalDraft, error) {
	switch {
	case f.template.file != "":
		return f.template.draft(env, f.names(request), request)
	case f.profile == issue.ProfileRequest:
		return issue.DraftRequested(request), nil
	}
	draft, err := issue.DraftLocal(f.profile, request.Subject, f.names(request), request.PublicKey)
	if err != nil {
		return nil, err
	}
	draft.Cert.RawSubject = request.RawSubject // as it was encoded
	if f.profile == issue.ProfileIntermediate {
		draft.Cert.MaxPathLen, draft.Cert.MaxPathLenZero = f.pathLen, f.pathLen == 0
	}
	return draft, nil
}

// names are those of the request, and its common name if it is one.
func (f *localSignFlags) names(request *x509.CertificateRequest) issue.Names {
	names := issue.RequestNames(request)
	if f.omitCN {
		return names
	}
	cn := namesOfSubject(request.Subject.CommonName)
	have := names.Strings()
	add := func(list []string) bool { return len(list) > 0 && !slices.Contains(have, list[0]) }
	if add(cn.Strings()) {
		names.DNS = append(names.DNS, cn.DNS...)
		names.IPs = append(names.IPs, cn.IPs...)
		names.Emails = append(names.Emails, cn.Emails...)
		names.URIs = append(names.URIs, cn.URIs...)
	}
	return names
}
