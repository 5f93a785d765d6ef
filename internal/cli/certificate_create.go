package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

type createFlags struct {
	profile                      string
	csr, bundle, skipSignature   bool
	sans                         []string
	challenge                    string // reference
	ca, caKey, caKMS, caPassword string
	kms, keyFile, password       string
	noPassword, insecure, subtle bool
	force                        bool
	key                          keyFlags
	validity                     validityFlags
	template                     templateFlags
	subject, outFile, keyOutFile string // arguments
}

// createdResult says what was made. The notes say it all to people.
type createdResult struct {
	Certificate string   `json:"crt,omitempty" help:"file of the certificate"`
	Request     string   `json:"csr,omitempty" help:"file of the signing request"`
	Key         string   `json:"key,omitempty" help:"file of the new key"`
	Subject     string   `json:"subject" help:"subject on one line"`
	Names       []string `json:"names" help:"subject alternative names"`
	Serial      string   `json:"serial,omitempty" help:"serial number, decimal"`
	NotBefore   string   `json:"notBefore,omitempty" help:"begin of validity, RFC 3339"`
	NotAfter    string   `json:"notAfter,omitempty" help:"end of validity, RFC 3339"`

	pem []byte
}

func (*createdResult) Text() string { return "" }

func certificateCreate() *command {
	f := createFlags{profile: issue.ProfileLeaf}
	return &command{
		short: "make a certificate or signing request, and its key",
		long: `Makes a key and a certificate for it, without a CA server: signed by the key of a CA at
			hand, or by itself. With --csr it makes a signing request instead.

			The profiles: leaf, for TLS servers and clients, good for 24 hours; self-signed, the same
			without a CA; intermediate-ca, a CA below which there are only leaves, and root-ca, a CA
			with one level of CAs below it, both good for ten years. A template takes the place of a
			profile; without --ca its certificate signs itself. No certificate outlives the one that
			signs it.`,
		args: []arg{
			need("subject", "common name of the certificate"),
			need("crt-file", "file to write the certificate or the signing request to"),
			may("key-file", "file to write the new private key to; needed unless --key"),
		},
		examples: []example{
			{"Make a root", `signet certificate create "Example Root CA" root.crt root.key --profile root-ca`},
			{"Make an intermediate below it", `signet certificate create "Example CA" ca.crt ca.key --profile intermediate-ca --ca root.crt --ca-key root.key`},
			{"Make a certificate for a server", "signet certificate create site.example.com site.crt site.key --ca ca.crt --ca-key ca.key --bundle --no-password --insecure"},
			{"Make a signing request with two names", "signet certificate create --csr site.example.com site.csr site.key --san site.example.com --san www.example.com"},
			{"Make one that a SCEP server takes for its challenge", "signet certificate create --csr printer.example.com printer.csr printer.key --challenge file:challenge.txt"},
			{"Make a certificate for a key at hand", "signet certificate create site.example.com site.crt --key site.key --ca ca.crt --ca-key ca.key"},
		},
		flags:  f.register,
		result: &createdResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			f.subject, f.outFile = args[0], args[1]
			if len(args) > 2 {
				f.keyOutFile = args[2]
			}
			return f.create(ctx, env)
		},
	}
}

func (f *createFlags) register(fs *flags) {
	fs.Enum(&f.profile, "profile", []string{issue.ProfileLeaf, issue.ProfileSelfSigned, issue.ProfileIntermediate, issue.ProfileRoot}, "what the certificate is for")
	f.template.register(fs)
	fs.Incompatible("template", "profile")
	fs.Bool(&f.csr, "csr", "make a certificate signing request")
	fs.String(&f.challenge, "challenge", "file:PATH", "challenge password of the signing request, as file:PATH or env:NAME; wins over the template's")
	fs.Strings(&f.sans, "san", "name", "DNS name, IP address, e-mail address or URI to certify; without any the subject, if it is such a name")
	fs.String(&f.ca, "ca", "file", "certificate of the CA that signs")
	fs.String(&f.caKey, "ca-key", "file", "private key of the CA that signs")
	fs.String(&f.caPassword, "ca-password-file", "file", "password of the CA's key")
	fs.String(&f.caKMS, "ca-kms", "uri", "key management system that holds the CA's key; --ca-key names the key in it")
	fs.String(&f.kms, "kms", "uri", "key management system that holds the certificate's key; --key names the key in it")
	fs.String(&f.keyFile, "key", "file", "use the key in `file` instead of making one; a public key will do if a CA signs")
	fs.String(&f.password, "password-file", "file", "password to encrypt the new key, or to decrypt the one given by --key")
	fs.Bool(&f.noPassword, "no-password", "store the new key unencrypted; needs --insecure")
	fs.Bool(&f.bundle, "bundle", "write the CA's certificate behind the new one")
	fs.Bool(&f.skipSignature, "skip-csr-signature", "don't sign the signing request that a template sees")
	f.validity.register(fs)
	fs.Bool(&f.insecure, "insecure", "allow what weakens security").NoEnv()
	fs.Bool(&f.subtle, "subtle", "allow what is easy to misuse, such as self-signed leaves").NoEnv()
	fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
	f.key.register(fs)
	fs.Insecure("no-password")
	fs.Exclusive("no-password", "password-file")
	fs.Together("ca", "ca-key")
	fs.Requires("ca-password-file", "ca-key")
	fs.Requires("ca-kms", "ca-key")
	fs.Requires("kms", "key")
	fs.Requires("bundle", "ca")
	fs.Incompatible("key", "kty", "curve", "size")
	fs.Requires("challenge", "csr")
	fs.Incompatible("csr", "profile", "ca", "bundle", "not-before", "not-after", "skip-csr-signature")
	fs.Check(f.check)
}

// check holds the profile against the flags.
func (f *createFlags) check(given func(string) bool) error {
	if keys.Secret(f.challenge).Spelled() {
		return usagef("flag --challenge takes a reference, file:PATH or env:NAME: a secret on a command line is seen by everybody on the machine")
	}
	if f.csr || f.template.file != "" {
		return nil
	}
	switch f.profile {
	case issue.ProfileLeaf, issue.ProfileIntermediate:
		if f.ca == "" {
			return usagef("flag --profile %s requires flags --ca and --ca-key", f.profile)
		}
	case issue.ProfileSelfSigned, issue.ProfileRoot:
		if f.ca != "" {
			return usagef("flag --ca does not go with --profile %s", f.profile)
		}
	}
	if f.profile == issue.ProfileSelfSigned && !f.subtle {
		return usagef("flag --profile %s requires --subtle: nobody can trust such a certificate without seeing it first", f.profile)
	}
	return nil
}

func (f *createFlags) create(ctx context.Context, env *Env) (any, error) {
	switch {
	case f.keyFile == "" && f.keyOutFile == "":
		return nil, usagef("too few arguments: <key-file> is missing")
	case f.keyFile != "" && f.keyOutFile != "":
		return nil, usagef("with --key there is no new key to write to %s", f.keyOutFile)
	case f.keyOutFile == f.outFile:
		return nil, usagef("certificate and key can't be the same file, %s", f.outFile)
	}
	subject, err := f.openKey(ctx, env)
	if err != nil {
		return nil, err
	}
	var ca *handCA
	if f.ca != "" {
		if ca, err = env.openHandCA(ctx, f.ca, f.caKey, f.caKMS, env.password(ctx, f.caPassword, "ca-password-file")); err != nil {
			return nil, err
		}
	}
	var out *createdResult
	if f.csr {
		out, err = f.request(env, subject)
	} else {
		out, err = f.certificate(env, subject, ca)
	}
	if err != nil {
		return nil, err
	}
	out.Key = f.keyOutFile
	if err := f.write(ctx, env, out.pem, subject); err != nil {
		return nil, err
	}
	return out, nil
}

// subjectKey is the key to certify. private is nil if only the public half is at hand.
type subjectKey struct {
	public  crypto.PublicKey
	private crypto.Signer
}

// openKey makes a new key, or reads the one to use.
func (f *createFlags) openKey(ctx context.Context, env *Env) (*subjectKey, error) {
	if f.keyFile == "" {
		key, err := f.key.alg().Generate()
		if err != nil {
			return nil, err
		}
		return &subjectKey{key.Public(), key}, nil
	}
	if f.kms == "" {
		data, err := env.readFile(f.keyFile)
		if err != nil {
			return nil, err
		}
		defer clear(data)
		if public, err := keys.ParsePublic(data); err == nil && !hasPrivate(data) {
			if f.csr || f.ca == "" {
				return nil, fmt.Errorf("%s is a public key: to sign by itself needs the private one", f.keyFile)
			}
			return &subjectKey{public: public}, nil
		}
		key, err := keys.ParsePrivate(data, f.keyFile, env.password(ctx, f.password, "password-file"))
		if err != nil {
			return nil, err
		}
		return &subjectKey{key.Public(), key}, nil
	}
	key, err := env.keeperKey(ctx, f.kms, f.keyFile)
	if err != nil {
		return nil, err
	}
	return &subjectKey{key.Public(), key}, nil
}

// hasPrivate reports whether data holds a private key that is not encrypted: a private JWK
// reads as a public key too.
func hasPrivate(data []byte) bool {
	_, err := keys.ParsePrivate(data, "", keys.NoPassword)
	return err == nil
}

// names are those asked for, or what the subject stands for.
func (f *createFlags) names() issue.Names {
	if len(f.sans) > 0 {
		return issue.NamesOf(f.sans)
	}
	return namesOfSubject(f.subject)
}

func (f *createFlags) request(env *Env, subject *subjectKey) (*createdResult, error) {
	ask := f.ask(subject, issue.NamesOf(f.sans))
	content := &x509.Certificate{
		Subject: ask.Subject, DNSNames: ask.DNSNames, IPAddresses: ask.IPAddresses, EmailAddresses: ask.EmailAddresses, URIs: ask.URIs,
	}
	challenge := ""
	var err error
	if f.template.file != "" {
		if content, challenge, err = f.template.draftRequest(env, issue.NamesOf(f.sans), ask); err != nil {
			return nil, err
		}
	}
	if f.challenge != "" {
		if challenge, err = f.challengePassword(); err != nil {
			return nil, err
		}
	}
	der, err := issue.SignChallenged(content, challenge, subject.private)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("read back the signing request: %w", err)
	}
	return &createdResult{Request: f.outFile, Subject: request.Subject.String(), Names: issue.RequestNames(request).Strings(), pem: keys.EncodeCSR(der)}, nil
}

// challengePassword reads what --challenge refers to.
func (f *createFlags) challengePassword() (string, error) {
	ref := keys.Secret(f.challenge)
	if err := ref.Check(); err != nil {
		return "", usagef("flag --challenge: %v", err)
	}
	secret, err := ref.Reveal()
	if err != nil {
		return "", fmt.Errorf("read the challenge password: %w", err)
	}
	defer clear(secret)
	if len(secret) == 0 {
		return "", fmt.Errorf("the challenge password in %s is empty", f.challenge)
	}
	return string(secret), nil
}

// ask is an unsigned request for what the command line says.
func (f *createFlags) ask(subject *subjectKey, names issue.Names) *x509.CertificateRequest {
	return &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: f.subject}, PublicKey: subject.public,
		DNSNames: names.DNS, IPAddresses: names.IPs, EmailAddresses: names.Emails, URIs: names.URIs,
	}
}

// signedAsk is the request that a template sees: signed, unless there is no key to sign it.
func (f *createFlags) signedAsk(subject *subjectKey) (*x509.CertificateRequest, error) {
	ask := f.ask(subject, f.names())
	if f.skipSignature || subject.private == nil {
		return ask, nil
	}
	der, err := issue.SignRequest(&x509.Certificate{
		Subject: ask.Subject, DNSNames: ask.DNSNames, IPAddresses: ask.IPAddresses, EmailAddresses: ask.EmailAddresses, URIs: ask.URIs,
	}, subject.private)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}

func (f *createFlags) draft(env *Env, subject *subjectKey) (*issue.LocalDraft, error) {
	if f.template.file == "" {
		return issue.DraftLocal(f.profile, pkix.Name{CommonName: f.subject}, f.names(), subject.public)
	}
	ask, err := f.signedAsk(subject)
	if err != nil {
		return nil, err
	}
	return f.template.draft(env, f.names(), ask)
}

func (f *createFlags) certificate(env *Env, subject *subjectKey, ca *handCA) (*createdResult, error) {
	draft, err := f.draft(env, subject)
	if err != nil {
		return nil, err
	}
	draft.WeakKey = f.insecure
	f.validity.apply(draft, env.Now())
	cert, err := ca.sign(draft, subject.private, env.Now())
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{cert}
	if f.bundle {
		chain = append(chain, ca.chain...)
	}
	return &createdResult{
		Certificate: f.outFile, Subject: cert.Subject.String(), Names: issue.CertificateNames(cert).Strings(), Serial: cert.SerialNumber.String(),
		NotBefore: cert.NotBefore.Format(time.RFC3339), NotAfter: cert.NotAfter.Format(time.RFC3339), pem: keys.EncodeCertificates(chain...),
	}, nil
}

// write asks before it overwrites, and writes the key first: a certificate without its key
// is worth nothing.
func (f *createFlags) write(ctx context.Context, env *Env, out []byte, subject *subjectKey) error {
	if err := env.confirmOverwrite(ctx, f.force, f.outFile, f.keyOutFile); err != nil {
		return err
	}
	if f.keyOutFile != "" {
		text, err := f.encodeKey(ctx, env, subject.private)
		if err != nil {
			return err
		}
		defer clear(text)
		if err := env.writeFile(ctx, f.keyOutFile, text, 0o600, true); err != nil {
			return err
		}
	}
	if err := env.writeFile(ctx, f.outFile, out, 0o600, true); err != nil {
		return err
	}
	what := "Certificate"
	if f.csr {
		what = "Certificate Signing Request"
	}
	env.Done(what, "%s", f.outFile)
	if f.keyOutFile != "" {
		env.Done("Private Key", "%s", f.keyOutFile)
	}
	return nil
}

func (f *createFlags) encodeKey(ctx context.Context, env *Env, key crypto.Signer) ([]byte, error) {
	if f.noPassword {
		return keys.EncodePrivate(key)
	}
	password, err := env.keyPassword(ctx, f.password, "password-file", f.keyOutFile)
	if err != nil {
		return nil, err
	}
	return keys.EncodeEncrypted(key, password)
}
