package cli

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/provisioner"
)

// registerLogin adds the flags of a login to a command that needs one only where the CA talks
// to known clients alone.
func (f *sshLoginFlags) registerLogin(fs *flags) {
	fs.String(&f.provisioner, "provisioner", "name", "provisioner to log in with, where the CA wants to know who asks").Alias("issuer").Complete(f.ca.provisionerNames)
	f.loginFlags.register(fs)
	f.ca.register(fs)
}

// introduced makes a call to the CA. Where the CA answers that it does not know who calls, and
// says that it wants to, somebody logs in, gets an identity, and the call is made once more.
func (f *sshLoginFlags) introduced(ctx context.Context, env *Env, call func(*signet.Client) error) error {
	client, err := f.ca.client(env)
	if err != nil {
		return err
	}
	err = call(client)
	if refused, ok := errors.AsType[*signet.Error](err); !ok || refused.Status != http.StatusUnauthorized {
		return err
	}
	if version, unknown := client.Version(ctx); unknown != nil || !version.RequireClientAuthentication {
		return err
	}
	if err := f.introduce(ctx, env); err != nil {
		return err
	}
	if client, err = f.ca.client(env); err != nil { // which presents the identity
		return err
	}
	return call(client)
}

// introduce gets an X.509 identity by a login, with the user certificate that comes with it.
func (f *sshLoginFlags) introduce(ctx context.Context, env *Env) error {
	source, err := f.authority(ctx, env)
	if err != nil {
		return err
	}
	source.provisioners = slices.DeleteFunc(slices.Clone(source.provisioners), func(p *provisioner.Provisioner) bool { return !strings.EqualFold(p.Type, "OIDC") })
	if len(source.provisioners) == 0 {
		return errors.New("the CA wants to know who asks, and has no provisioner of type OIDC to log in with: get an identity by 'ssh certificate'")
	}
	name, err := f.who(ctx, env, source)
	if err != nil {
		return err
	}
	key, pub, err := f.newSSHKey()
	if err != nil {
		return err
	}
	who := sshSubject{kind: "user", name: name, principals: userPrincipals(name)}
	w := &sshIssuance{request: sshRequest{flags: &f.sshFlags, env: env, source: source, who: who}}
	if w.identity, err = env.makeSSHIdentity(who, ""); err != nil {
		return err
	}
	answer, err := w.get(ctx, pub)
	f.proven = "" // it is spent
	if err != nil {
		return err
	}
	if err := w.identity.store(env, answer.IdentityChain); err != nil {
		return err
	}
	agent, err := env.openAgent()
	if err == nil {
		defer agent.close()
		err = agent.addCertificate(answer.Certificate(), key, f.sshKeyComment(name), agentOptions{env.Now(), f.confirm})
	}
	if err != nil {
		env.Fail("SSH Agent", "%v", err) // the identity is what was needed
		return nil
	}
	env.Done("SSH Agent", "yes")
	return nil
}
