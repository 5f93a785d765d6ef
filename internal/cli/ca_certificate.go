package cli

import (
	"context"
	"crypto"
	"strings"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/provisioner"
)

// certificateFlags are the flags of ca certificate.
type certificateFlags struct {
	signFlags
	names []string
	alg   keyFlags
}

func caCertificate() *command {
	f := new(certificateFlags)
	return &command{
		short: "make a key and get a certificate for it",
		long: `Makes a private key, asks a CA to certify it, and writes both as PEM: the certificate with its chain, leaf
			first and without the root, and the key unencrypted. Both files are readable for their owner alone.

			The right to the certificate is proved by a token: the one given with --token, or one that is made here with the key
			of a provisioner. A token that is made here is bound to the new key, so it is of no use to anybody else. A token that
			names its CA and the CA's root, as 'ca token' writes it, needs neither --ca-url nor --root.

			With --offline the CA's own configuration, keys and database on this machine are used; its server need not run.

			` + acmeHelp,
		args: []arg{
			need("subject", "common name, and the only name without --san"),
			need("crt-file", "file to write the certificate to"),
			need("key-file", "file to write the private key to; with --kms it may be the URI of a key that is there"),
		},
		examples: []example{
			{"A certificate for one name", "signet ca certificate internal.example.com internal.crt internal.key"},
			{"Several names, for an hour, with an RSA key", "signet ca certificate web web.crt web.key --san web.internal --san 10.0.0.7 --not-after 1h --kty RSA --size 3072"},
			{"On a machine that knows nothing of the CA, with a token made elsewhere", "signet ca certificate internal.example.com internal.crt internal.key --token $TOKEN"},
			{"With a certificate of another PKI, where the CA has an X5C provisioner", "signet ca certificate web web.crt web.key --x5c-cert device.crt --x5c-key device.key"},
			{"By ACME, from a provisioner of the CA, with port 80 free", "signet ca certificate web.internal web.crt web.key --provisioner acme"},
			{"By ACME, while a web server runs", "signet ca certificate web.internal web.crt web.key --provisioner acme --webroot /var/www/html"},
			{"By ACME, a wildcard name, from any server", "signet ca certificate '*.example.com' w.crt w.key --acme https://acme.example.net/directory --dns-hook /etc/signet/dns.sh"},
			{"For a key that stays in a hardware module", "signet ca certificate web web.crt 'pkcs11:id=7' --kms 'pkcs11:module-path=/usr/lib/softhsm.so'"},
			{"Without questions, from a script", "signet ca certificate web web.crt web.key --provisioner ops --provisioner-password-file pw.txt --force"},
		},
		flags: func(fs *flags) {
			fs.Strings(&f.names, "san", "name", "name to certify: DNS name, IP address, e-mail address or URI; without any the subject")
			f.alg.register(fs)
			f.register(fs)
			f.acme.register(fs)
		},
		context: contextMust,
		result:  &certificateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args[0], &pair{crtFile: args[1], keyFile: args[2]})
		},
	}
}

func (f *certificateFlags) run(ctx context.Context, env *Env, subject string, to *pair) (any, error) {
	if err := env.confirmPair(ctx, f.force, to.crtFile, to.keyFile); err != nil {
		return nil, err
	}
	ask, err := f.ask(env)
	if err != nil {
		return nil, err
	}
	subject, names, err := f.wanted(env, subject)
	if err != nil {
		return nil, err
	}
	source, server, err := f.issuer(ctx, env)
	if err != nil {
		return nil, err
	}
	// The key comes before the token, so that the token can be bound to it.
	if to.key, err = f.newKey(ctx, env, to); err != nil {
		return nil, err
	}
	if server != nil {
		if to.chain, err = f.fromACME(ctx, server, to.key, append([]string{subject}, names...)); err != nil {
			return nil, err
		}
		return f.keep(env, &authority{site: server.client.Directory}, to)
	}
	if ask.CSR.CertificateRequest, err = newRequest(to.key, subject, names); err != nil {
		return nil, err
	}
	if ask.OTT == "" {
		if ask.OTT, err = f.prove(ctx, env, source, wantFor(subject, names, ask.CSR.CertificateRequest)); err != nil {
			return nil, err
		}
		if err := f.rename(env, ask, to, subject); err != nil {
			return nil, err
		}
	}
	machine := &machineAsk{source: source, subject: subject, names: f.names, key: to.key}
	if csr, err := machine.request(ctx, env, ask.OTT); err != nil {
		return nil, err
	} else if csr != nil {
		ask.CSR.CertificateRequest = csr
	}
	if to.chain, err = source.sign(ctx, ask); err != nil {
		return nil, err
	}
	return f.keep(env, source, to)
}

// newKey makes a key, or opens the one that is at a keeper and stays there.
func (f *certificateFlags) newKey(ctx context.Context, env *Env, to *pair) (crypto.Signer, error) {
	if to.kept = f.kept(to.keyFile); to.kept {
		return env.keeperKey(ctx, f.kms, to.keyFile)
	}
	return f.alg.alg().Generate()
}

// keep stores the pair and says so.
func (f *certificateFlags) keep(env *Env, source *authority, to *pair) (any, error) {
	if err := to.store(); err != nil {
		return nil, err
	}
	env.Done("CA", "%s", source.name())
	env.Done("Certificate", "%s", to.crtFile)
	env.Done("Private Key", "%s", to.keyFile)
	return newCertificateResult(source, to.chain, to.crtFile, to.keyFile), nil
}

// rename makes the request anew where only the token says who asks.
func (f *certificateFlags) rename(env *Env, ask *signet.SignRequest, to *pair, subject string) error {
	if !strings.EqualFold(f.made, "OIDC") {
		return nil
	}
	token, err := provisioner.ParseToken(ask.OTT, env.Now())
	if err != nil {
		return err
	}
	commonName, names := namesOfLogin(token, subject, f.names)
	ask.CSR.CertificateRequest, err = newRequest(to.key, commonName, names)
	return err
}

// wanted is the common name and the names to ask for: those of the token if there is one.
func (f *certificateFlags) wanted(env *Env, subject string) (string, []string, error) {
	if f.token == "" {
		if len(f.names) == 0 {
			return subject, []string{subject}, nil
		}
		return subject, f.names, nil
	}
	token, err := f.given(env)
	if err != nil {
		return "", nil, err
	}
	if tokenKind(token) == "OIDC" {
		commonName, names := namesOfLogin(token, subject, f.names)
		return commonName, names, nil
	}
	commonName, names, err := namesOfToken(token, subject)
	if err == nil && names == nil {
		if names = f.names; len(names) == 0 {
			names = []string{subject}
		}
		return commonName, names, nil
	}
	if err == nil && len(f.names) > 0 {
		err = usagef("flag --san can't be combined with this --token: the token itself says which names it is for")
	}
	return commonName, names, err
}
