package cli

import (
	"context"
	"encoding/pem"
	"fmt"
	"io/fs"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// tokenResult is a token that proves a right to a CA.
type tokenResult struct {
	Token string `json:"token" help:"the token: a signed JWT in compact form"`
}

func (t *tokenResult) Text() string { return t.Token }

// tokenFlags are the flags of ca token.
type tokenFlags struct {
	proofFlags
	names, principals             []string
	host, ssh                     bool
	revoke, renew, rekey          bool
	notBefore, notAfter           When
	certNotBefore, certNotAfter   When
	confirm, confirmFile, outFile string
	data                          dataFlags
	force                         bool
}

func caToken() *command {
	f := new(tokenFlags)
	return &command{
		short: "make a token that proves a right to a CA",
		long: `Makes a one-time token (JWT) for a CA: whoever holds it may get a certificate for its names, or revoke
			or renew one. It is signed by the key of a provisioner, which the CA keeps encrypted for those who know its password.

			The token is good for five minutes, and once.

			With --offline the provisioners and the root come from the CA's own configuration file and no server is asked;
			where there is no such file, --provisioner, --key and --ca-url say all that is needed.`,
		args: []arg{may("subject", "name to certify; with --revoke the serial number; asked if it is needed and missing")},
		examples: []example{
			{"A token for a certificate with one name", "signet ca token internal.example.com"},
			{"Several names, of which the subject must be one if it shall be certified", "signet ca token web --san web.internal --san 10.0.0.7"},
			{"Bind the token to a certificate request, so that nobody else can use it", "signet ca token internal.example.com --cnf-file internal.csr"},
			{"A token to revoke a certificate", "signet ca token --revoke 146103349666685108195655980390445292315"},
			{"Renew a certificate that has expired", "signet ca token --renew --x5c-cert internal.crt --x5c-key internal.key"},
			{"Prove the right by a certificate of another PKI", "signet ca token internal.example.com --x5c-cert device.crt --x5c-key device.key"},
			{"A token for an SSH user certificate", "signet ca token carl@example.com --ssh --principal carl --cert-not-after 8h"},
		},
		flags:   f.register,
		context: contextMust,
		result:  &tokenResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if len(args) > 0 {
				return f.run(ctx, env, args[0])
			}
			return f.run(ctx, env, "")
		},
	}
}

func (f *tokenFlags) register(fs *flags) {
	fs.Strings(&f.names, "san", "name", "name to certify: DNS name, IP address, e-mail address or URI; without any the subject")
	fs.Bool(&f.ssh, "ssh", "the token is for an SSH certificate")
	fs.Strings(&f.principals, "principal", "name", "principal of the SSH certificate; without any the CA takes the subject").Alias("n")
	fs.Bool(&f.host, "host", "the SSH certificate is for a host, not for a user")
	fs.Bool(&f.revoke, "revoke", "the token revokes a certificate")
	fs.Bool(&f.renew, "renew", "the token renews a certificate")
	fs.Bool(&f.rekey, "rekey", "the token gives an SSH certificate a new key")
	fs.Time(&f.notBefore, "not-before", "when the token begins to be good, at most 30 minutes from now")
	fs.Time(&f.notAfter, "not-after", "when the token ends to be good, 10 seconds to an hour after its begin").Preset("5m")
	fs.Time(&f.certNotBefore, "cert-not-before", "begin of the SSH certificate")
	fs.Time(&f.certNotAfter, "cert-not-after", "end of the SSH certificate")
	f.proofFlags.register(fs)
	f.registerKey(fs)
	fs.String(&f.confirm, "cnf", "fingerprint", "bind the token to this SHA-256 (base64url, no padding): of a certificate request's DER, or of an SSH key's wire form")
	fs.String(&f.confirmFile, "cnf-file", "file", "bind the token to the certificate request or SSH public key in this file")
	f.data.register(fs)
	fs.String(&f.outFile, "output-file", "file", "write the token to this file instead of standard output").Alias("out")
	fs.Bool(&f.force, "force", "overwrite the file without asking").Alias("f")
	f.rules(fs)
}

func (f *tokenFlags) rules(fs *flags) {
	for _, name := range []string{"ssh", "host", "principal"} {
		fs.Incompatible(name, "san")
	}
	for _, name := range []string{"host", "principal", "rekey", "cert-not-before", "cert-not-after"} {
		fs.Requires(name, "ssh")
	}
	fs.Incompatible("san", "revoke", "renew")
	fs.Exclusive("revoke", "renew", "rekey")
	fs.Exclusive("cnf", "cnf-file")
	fs.Incompatible("offline", "set", "set-file")
	for _, binding := range []string{"cnf", "cnf-file"} {
		fs.Incompatible(binding, "revoke", "renew", "rekey")
	}
	fs.Check(func(given func(string) bool) error {
		if given("renew") && !given("ssh") && !given("x5c-cert") {
			return errRequires("renew", "x5c-cert")
		}
		return nil
	})
}

// act is what the token shall be good for.
func (f *tokenFlags) act() provisioner.Act {
	switch {
	case f.ssh && f.revoke:
		return provisioner.RevokeSSH
	case f.ssh && f.renew:
		return provisioner.RenewSSH
	case f.ssh && f.rekey:
		return provisioner.RekeySSH
	case f.ssh:
		return provisioner.SignSSH
	case f.revoke:
		return provisioner.RevokeX509
	case f.renew:
		return provisioner.RenewX509
	}
	return provisioner.SignX509
}

func (f *tokenFlags) run(ctx context.Context, env *Env, subject string) (any, error) {
	token, err := f.token(ctx, env, subject)
	if err != nil {
		return nil, err
	}
	if f.outFile == "" {
		return &tokenResult{token}, nil
	}
	if err := env.writeFile(ctx, f.outFile, []byte(token+"\n"), tokenMode, f.force); err != nil {
		return nil, err
	}
	env.Done("Token", "%s", f.outFile)
	return nil, nil
}

// tokenMode: a token is as good as a password while it lasts.
const tokenMode fs.FileMode = 0o600

func (f *tokenFlags) token(ctx context.Context, env *Env, subject string) (string, error) {
	act := f.act()
	if act == provisioner.RenewX509 {
		return f.renewToken(ctx, env, subject)
	}
	want, err := f.want(env, act)
	if err != nil {
		return "", err
	}
	want.Subject = subject
	if act == provisioner.RevokeX509 && subject != "" {
		if want.Subject, err = decimalSerial(subject); err != nil {
			return "", err
		}
	}
	var source *authority
	if f.offline && !f.hasLocal(env) && !env.Typed("ca-config") {
		source, err = f.openBare(env)
	} else {
		source, err = f.open(ctx, env)
	}
	if err != nil {
		return "", err
	}
	p := &proof{flags: &f.proofFlags, env: env, source: source, act: act, want: *want, subject: subjectQuestion(act),
		notBefore: f.notBefore, notAfter: f.notAfter}
	return p.make(ctx)
}

func subjectQuestion(act provisioner.Act) question {
	switch act {
	case provisioner.RevokeX509, provisioner.RevokeSSH:
		return question{label: "Serial number of the certificate to revoke"}
	case provisioner.SignSSH:
		return question{label: "User or host to certify"}
	}
	return question{label: "Name to certify"}
}

// want is what the flags say about the token, apart from its subject.
func (f *tokenFlags) want(env *Env, act provisioner.Act) (*provisioner.Want, error) {
	data, err := f.data.data(env)
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = map[string]any{} // old clients always write the claim; templates may rely on it
	}
	w := &provisioner.Want{Names: f.names, User: data}
	if act == provisioner.SignSSH {
		w.SSH = &provisioner.SSHWant{CertType: "user", Principals: append([]string{}, f.principals...),
			ValidAfter: f.certNotBefore.String(), ValidBefore: f.certNotAfter.String()}
		if f.host {
			w.SSH.CertType = "host"
		}
	}
	w.Confirm, err = f.confirmation(env)
	return w, err
}

// confirmation is the fingerprint of what the token shall be bound to.
func (f *tokenFlags) confirmation(env *Env) (string, error) {
	if f.confirm != "" {
		if err := provisioner.CheckConfirm(f.confirm); err != nil {
			return "", errValue("cnf", f.confirm)
		}
		return f.confirm, nil
	}
	if f.confirmFile == "" {
		return "", nil
	}
	data, err := env.readFile(f.confirmFile)
	if err != nil {
		return "", err
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		return f.confirmKey(key)
	}
	if block, _ := pem.Decode(data); block == nil && f.ssh {
		return "", fmt.Errorf("%s holds no SSH public key", f.confirmFile)
	}
	csr, err := keys.ParseCSR(data)
	if err != nil {
		return "", fmt.Errorf("%s: neither a certificate request nor an SSH public key: %w", f.confirmFile, err)
	}
	if f.ssh {
		return "", fmt.Errorf("%s holds a certificate request; a token for an SSH certificate is bound to an SSH public key", f.confirmFile)
	}
	return provisioner.Confirm(csr.Raw), nil
}

func (f *tokenFlags) confirmKey(key ssh.PublicKey) (string, error) {
	if !f.ssh {
		return "", fmt.Errorf("%s holds an SSH public key; a token for an X.509 certificate is bound to a certificate request", f.confirmFile)
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return provisioner.Confirm(key.Marshal()), nil
}

// renewToken is signed by the certificate's own key; no provisioner is asked.
func (f *tokenFlags) renewToken(ctx context.Context, env *Env, subject string) (string, error) {
	chain, err := keys.ReadCertificates(f.x5cCert)
	if err != nil {
		return "", err
	}
	key, err := f.openKey(ctx, env, f.x5cKey, env.password(ctx, f.passwordFile, "password-file"))
	if err != nil {
		return "", err
	}
	address := ""
	switch {
	case f.ca.url != "":
		address = provisioner.Address(f.ca.url, provisioner.RenewX509)
	case f.offline:
		source, err := f.open(ctx, env)
		if err != nil {
			return "", err
		}
		address = source.address(provisioner.RenewX509)
	default:
		return "", errRequired("ca-url")
	}
	p := &proof{env: env, want: provisioner.Want{Subject: subject, Audience: address, Key: key}, notBefore: f.notBefore, notAfter: f.notAfter}
	return provisioner.ProveRenewal(chain, p.stamp())
}
