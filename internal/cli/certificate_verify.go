package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/keys"
)

type verifyFlags struct {
	host, issuingCA string
	ocsp, crl       bool
	ocspURL, crlURL string
	verbose         bool
	server          serverFlags
}

type verifyResult struct {
	Subject string   `json:"subject" help:"subject of the certificate"`
	Valid   bool     `json:"valid" help:"always true: otherwise there is an error"`
	Checks  []string `json:"checks" help:"checks that were passed: roots, host, crl, ocsp"`
	verbose bool
}

// passed are the lines for checks.
var passed = map[string]string{
	"roots": "certificate is signed by a trusted root",
	"host":  "certificate is for the host name",
	"crl":   "certificate is not on the revocation list",
	"ocsp":  "certificate is good by its OCSP responder",
}

func (r *verifyResult) Text() string {
	if !r.verbose {
		return ""
	}
	var b strings.Builder
	for _, check := range r.Checks {
		b.WriteString(passed[check] + "\n")
	}
	return b.String() + "certificate is valid"
}

func certificateVerify() *command {
	f := verifyFlags{}
	return &command{
		short: "check a certificate against its issuers",
		long: `Checks that a certificate is valid now and leads to a trusted root: of the system, or
			those given by --roots. A file may hold the intermediate certificates behind the first
			one. Exits with 0 and prints nothing if all is well.

			Of a server it is also checked that the certificate is for its name. Whether it was
			revoked is asked only with --verify-crl or --verify-ocsp; no answer is a failure then.`,
		args: []arg{need("file", "file or URL; - is standard input")},
		examples: []example{
			{"Check a chain", "signet certificate verify site.crt --roots root_ca.crt"},
			{"Check a server, saying what was checked", "signet certificate verify https://example.com -v"},
			{"Check a certificate for a host, and that it isn't revoked", "signet certificate verify site.crt --roots root_ca.crt --host site.example.com --verify-crl"},
		},
		flags: func(fs *flags) {
			fs.String(&f.host, "host", "name", "the certificate must be for this host name or IP address")
			fs.String(&f.issuingCA, "issuing-ca", "file", "certificate of the issuer, where the file doesn't hold it")
			fs.Bool(&f.ocsp, "verify-ocsp", "ask the OCSP responder whether the certificate is revoked")
			fs.String(&f.ocspURL, "ocsp-endpoint", "url", "OCSP responder to ask, instead of the one in the certificate")
			fs.Bool(&f.crl, "verify-crl", "look for the certificate in the revocation list")
			fs.String(&f.crlURL, "crl-endpoint", "url", "revocation list to look at, instead of the one in the certificate")
			fs.Bool(&f.verbose, "verbose", "print each check that was passed").Alias("v")
			f.server.register(fs)
			fs.Requires("ocsp-endpoint", "verify-ocsp")
			fs.Requires("crl-endpoint", "verify-crl")
		},
		result: &verifyResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.verify(ctx, env, args[0])
		},
	}
}

func (f *verifyFlags) verify(ctx context.Context, env *Env, source string) (any, error) {
	fetch := f.server
	// The chain is judged here in any case, with better words than a handshake has.
	fetch.insecure = true
	certs, err := env.certificates(ctx, source, fetch)
	if err != nil {
		return nil, err
	}
	leaf := certs[0]
	result := &verifyResult{Subject: leaf.Subject.String(), Valid: true, verbose: f.verbose}
	issuer, err := f.chain(env, certs)
	if err != nil {
		return nil, err
	}
	result.Checks = append(result.Checks, "roots")
	if host := f.hostOf(source); host != "" {
		if err := leaf.VerifyHostname(host); err != nil {
			return nil, fmt.Errorf("verify %s: %w", source, err)
		}
		result.Checks = append(result.Checks, "host")
	}
	if f.crl {
		if err := f.checkCRL(ctx, env, leaf, issuer); err != nil {
			return nil, err
		}
		result.Checks = append(result.Checks, "crl")
	}
	if f.ocsp {
		if err := f.checkOCSP(ctx, env, leaf, issuer); err != nil {
			return nil, err
		}
		result.Checks = append(result.Checks, "ocsp")
	}
	return result, nil
}

// hostOf is the name the certificate must be for: the one asked for, or the server's.
func (f *verifyFlags) hostOf(source string) string {
	if f.host != "" {
		return f.host
	}
	_, host, ok, _ := serverAddress(source)
	switch {
	case !ok || f.server.insecure:
		return ""
	case f.server.serverName != "":
		return f.server.serverName
	}
	return host
}

// chain verifies that the certificates lead to a trusted root, and gives the issuer of the
// first one; one that is a root itself is its own.
func (f *verifyFlags) chain(env *Env, certs []*x509.Certificate) (issuer *x509.Certificate, err error) {
	roots, err := readRoots(f.server.roots)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: env.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range certs[1:] {
		options.Intermediates.AddCert(c)
	}
	if f.issuingCA != "" {
		issuers, err := keys.ReadCertificates(f.issuingCA)
		if err != nil {
			return nil, err
		}
		for _, c := range issuers {
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := certs[0].Verify(options)
	if err != nil {
		return nil, explainChain(certs[0], err)
	}
	if len(chains[0]) == 1 {
		return certs[0], nil
	}
	return chains[0][1], nil
}

func explainChain(leaf *x509.Certificate, err error) error {
	hint := ""
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		hint = fmt.Sprintf("; give the root by --roots, and the issuer %q by --issuing-ca if the file doesn't hold it", leaf.Issuer)
	}
	return fmt.Errorf("verify %q: %w%s", leaf.Subject, err, hint)
}
