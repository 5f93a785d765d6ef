package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/signet-ca/signet/internal/provisioner"
)

// siteFlags say where a CA is: its server, or with --offline its configuration.
type siteFlags struct {
	ca           caFlags
	offline      bool
	caConfig     string
	passwordFile string
	kms          string
}

// register adds the flags; password says what the one in --password-file opens.
func (s *siteFlags) register(fs *flags, password string) {
	s.ca.register(fs)
	fs.Bool(&s.offline, "offline", "work with the CA's configuration and database on this machine, not with its server")
	fs.String(&s.caConfig, "ca-config", "file", "configuration of the CA, for --offline").Preset("config/ca.json in the home")
	fs.String(&s.passwordFile, "password-file", "file", "file with the password of "+password)
	fs.String(&s.kms, "kms", "uri", "key management system that holds keys which are named by a URI, such as pkcs11:id=7, instead of a file")
}

// proofFlags choose the provisioner of a proof and give what its kind needs to make one.
type proofFlags struct {
	siteFlags
	provisioner, kid        string
	key                     string
	provisionerPasswordFile string
	x5cFlags
	k8ssaFlags
	nebulaFlags
	loginFlags
}

func (p *proofFlags) register(fs *flags) {
	p.siteFlags.register(fs, "the provisioner's key, where --provisioner-password-file is not given; with --offline of the CA's key")
	fs.String(&p.provisioner, "provisioner", "name", "provisioner that gives the right").Alias("issuer").Complete(p.ca.provisionerNames)
	fs.String(&p.provisionerPasswordFile, "provisioner-password-file", "file", "file with the password of the provisioner's key")
	p.x5cFlags.register(fs)
	p.k8ssaFlags.register(fs)
	p.nebulaFlags.register(fs)
	p.loginFlags.register(fs)
	fs.Incompatible("k8ssa-token-path", "x5c-cert", "nebula-cert")
	fs.Incompatible("nebula-cert", "x5c-cert")
}

// registerKey adds what says which key signs a token.
func (p *proofFlags) registerKey(fs *flags) {
	fs.String(&p.kid, "kid", "id", "key ID of the provisioner; with --offline and no configuration the one to write")
	fs.String(&p.key, "key", "file", "private key of the provisioner: JWK, encrypted JWK or PEM; without it the CA keeps it, encrypted")
}

// proofPassword is the file of the password of a provisioner's key, and the flag to name when it
// is missing.
func (p *proofFlags) proofPassword() (file, flag string) {
	return cmp.Or(p.provisionerPasswordFile, p.passwordFile), "provisioner-password-file"
}

// proverKind is how proofs of one type of provisioner are made here. What a type needs from
// the command line is in a file of its own, next to its row.
type proverKind struct {
	name   string
	wanted func(*proofFlags) bool                        // its own flags are given, which rules out other types; nil: it has none
	held   bool                                          // for those who hold an SSH certificate, and them alone
	id     func(*provisioner.Provisioner) string         // what --kid selects it by; nil: nothing
	own    string                                        // who to turn to instead, if the type takes no tokens
	note   string                                        // how that ID is called in notes
	prove  func(context.Context, *proof) (string, error) // nil: not from here
}

func proverKinds() []proverKind {
	return []proverKind{
		{name: "JWK", id: jwkID, note: "kid", prove: proveJWK},
		{name: "ACME", own: "get the certificate with 'ca certificate' or another ACME client"},
		{name: "SCEP", own: "get the certificate with a SCEP client"},
		{name: "SSHPOP", held: true, prove: proveSSHPOP},
		{name: "AWS", prove: proveMachine},
		{name: "GCP", prove: proveMachine},
		{name: "Azure", id: azureTenant, note: "tenant", prove: proveMachine},
		{name: "X5C", wanted: func(p *proofFlags) bool { return p.x5cFlags.wanted() }, prove: proveX5C},
		{name: "K8sSA", wanted: func(p *proofFlags) bool { return p.k8ssaFlags.wanted() }, prove: proveK8sSA},
		{name: "OIDC", id: oidcID, note: "client", prove: proveOIDC},
		{name: "Nebula", wanted: func(p *proofFlags) bool { return p.nebulaFlags.wanted() }, prove: proveNebula},
	}
}

// proverOf is the row of a type; a type without a row gets an empty one.
func proverOf(kind string) proverKind {
	for _, k := range proverKinds() {
		if strings.EqualFold(k.name, kind) {
			return k
		}
	}
	return proverKind{name: kind}
}

// proof is one proof in the making.
type proof struct {
	flags       *proofFlags
	env         *Env
	source      *authority
	act         provisioner.Act
	provisioner *provisioner.Provisioner
	want        provisioner.Want
	subject     question // asked if there is none

	notBefore, notAfter When // of the token
}

// stamp sets the times of the token. It comes last, after all questions, since people take
// their time to answer.
func (p *proof) stamp() provisioner.Want {
	w := p.want
	w.At = p.env.Now()
	w.NotBefore, w.NotAfter = p.notBefore.At(w.At), p.notAfter.At(w.At)
	return w
}

// make chooses the provisioner and makes the token.
func (p *proof) make(ctx context.Context) (string, error) {
	p.want.Audience, p.want.Root = p.source.address(p.act), p.source.root
	if p.source.bare {
		return p.proveBare(ctx)
	}
	// A certificate proves itself through its own kind of provisioner, and no other does.
	p.source.held = p.want.Certificate != nil
	chosen, err := p.flags.choose(ctx, p.env, p.source, p.act)
	if err != nil {
		return "", err
	}
	p.provisioner = chosen
	kind := proverOf(chosen.Type)
	switch {
	case kind.own != "":
		return "", fmt.Errorf("provisioner %q is of type %s, which takes no tokens: %s", chosen.Name, chosen.Type, kind.own)
	case !provisioner.Provable(chosen.Type, p.act):
		return "", fmt.Errorf("provisioner %q is of type %s, whose tokens can't %s", chosen.Name, chosen.Type, p.act)
	case kind.prove == nil:
		return "", fmt.Errorf("provisioner %q is of type %s: this version can't make its tokens; make one elsewhere and give it with --token where that is possible", chosen.Name, chosen.Type)
	}
	return kind.prove(ctx, p)
}

// askSubject asks for the subject if there is none yet.
func (p *proof) askSubject(ctx context.Context) error {
	if p.want.Subject != "" {
		return nil
	}
	subject, err := p.env.ask(ctx, p.subject)
	if err == nil && p.act == provisioner.RevokeX509 {
		subject, err = decimalSerial(subject)
	}
	p.want.Subject = subject
	return err
}
