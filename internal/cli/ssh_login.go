package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/provisioner"
)

// sshLoginFlags are the flags of ssh login.
type sshLoginFlags struct {
	sshFlags
	identity string
}

func sshLogin() *command {
	f := new(sshLoginFlags)
	return &command{
		short: "get an SSH certificate into the ssh-agent",
		long: `Makes a key, gets a user certificate for it, and gives both to the ssh-agent, for as long as the certificate
			is valid. Nothing is written to a disk. Where an identity provider knows who logs in, nobody is asked. While the agent has a valid certificate of this CA for the identity, nothing is
			done, unless --force.`,
		args: []arg{may("identity", "who logs in, such as an e-mail address; also --identity")},
		examples: []example{
			{"Log in", "signet ssh login ann@example.com"},
			{"Log in for an hour, and be asked before each use", "signet ssh login ann@example.com --not-after 1h --confirm"},
			{"Log in to another account", "signet ssh login ann@example.com --principal deploy"},
		},
		flags: func(fs *flags) {
			fs.String(&f.identity, "identity", "name", "who logs in; instead of the argument")
			f.register(fs)
		},
		context: contextMust,
		result:  &sshCertificateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			if len(args) > 0 {
				f.identity = args[0]
			}
			return f.run(ctx, env)
		},
	}
}

// loginBackdate is how far back a login reaches, for servers whose clocks are behind.
const loginBackdate = -time.Minute

func (f *sshLoginFlags) run(ctx context.Context, env *Env) (any, error) {
	agent, err := env.openAgent()
	if err != nil {
		return nil, err
	}
	defer agent.close()
	source, err := f.authority(ctx, env)
	if err != nil {
		return nil, err
	}
	if f.identity == "" {
		if f.identity, err = f.who(ctx, env, source); err != nil {
			return nil, err
		}
	}
	if roots := userRoots(ctx, source); len(roots) > 0 {
		held, err := agent.valid(roots, env.Now())
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(held, func(c agentCertificate) bool { return c.comment == f.sshKeyComment(f.identity) })
		if i >= 0 && !f.force {
			env.Note("The ssh-agent has a valid certificate for %s already; --force gets another one.", printable(f.identity))
			result := newSSHResult(source, held[i].cert)
			result.Agent = true
			return result, nil
		}
	}
	return f.login(ctx, env, source, agent)
}

// who finds out who logs in: an identity provider knows, and a token says it; else the person
// is asked.
func (f *sshLoginFlags) who(ctx context.Context, env *Env, source *authority) (string, error) {
	raw := f.token
	if raw == "" {
		chosen, err := f.choose(ctx, env, source, provisioner.SignSSH)
		if err != nil {
			return "", err
		}
		f.provisioner = chosen.Name // which is not asked again
		if !strings.EqualFold(chosen.Type, "OIDC") {
			return env.ask(ctx, question{label: "Who logs in", flag: "identity"})
		}
		p := &proof{flags: &f.proofFlags, env: env, source: source, act: provisioner.SignSSH, provisioner: chosen}
		if raw, err = proveOIDC(ctx, p); err != nil {
			return "", err
		}
		f.proven = raw
	}
	t, err := provisioner.ParseToken(raw, env.Now())
	if err != nil {
		return "", err
	}
	return cmp.Or(t.Email, t.Subject), nil
}

// userRoots are the keys that sign users' certificates; nil if they cannot be known.
func userRoots(ctx context.Context, source *authority) (list []ssh.PublicKey) {
	if source.client == nil {
		return nil
	}
	roots, err := source.client.SSHRoots(ctx)
	if err != nil {
		return nil
	}
	return plainKeys(roots.User)
}

func plainKeys(wire []signet.SSHPublicKey) (list []ssh.PublicKey) {
	for _, k := range wire {
		if k.PublicKey != nil {
			list = append(list, k.PublicKey)
		}
	}
	return list
}

func (f *sshLoginFlags) login(ctx context.Context, env *Env, source *authority, agent *sshAgent) (any, error) {
	if f.notBefore.IsZero() && f.token == "" {
		f.notBefore.Duration = loginBackdate
	}
	who := sshSubject{kind: "user", name: f.identity, principals: f.principals}
	if len(who.principals) == 0 && f.token == "" {
		who.principals = userPrincipals(f.identity)
	}
	key, pub, err := f.newSSHKey()
	if err != nil {
		return nil, err
	}
	w := &sshIssuance{request: sshRequest{flags: &f.sshFlags, env: env, source: source, who: who}}
	if w.identity, err = env.newSSHIdentity(ctx, source, who, ""); err != nil {
		return nil, err
	}
	answer, err := w.get(ctx, pub)
	if err != nil {
		return nil, err
	}
	cert, comment := answer.Certificate(), f.sshKeyComment(f.identity)
	o := agentOptions{env.Now(), f.confirm}
	if err := agent.addCertificate(cert, key, comment, o); err != nil {
		return nil, err
	}
	if add := answer.AddUser(); add != nil && w.addUser != nil {
		if err := agent.addCertificate(add, w.addUser, cmp.Or(f.comment, f.identity)+"-provisioner", o); err != nil {
			return nil, err
		}
	}
	if w.identity != nil {
		if err := w.identity.store(env, answer.IdentityChain); err != nil {
			return nil, err
		}
	}
	env.Done("CA", "%s", source.name())
	env.Done("SSH Agent", "yes")
	result := newSSHResult(source, cert)
	result.Agent = true
	return result, nil
}
