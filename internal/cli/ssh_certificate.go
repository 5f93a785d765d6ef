package cli

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
)

// sshCertificateFlags are the flags of ssh certificate.
type sshCertificateFlags struct {
	sshFlags
	host, sign, noAgent bool
	hostID              string
	privateKey          string
	protect             sshPasswordFlags
}

func sshCertificate() *command {
	f := new(sshCertificateFlags)
	return &command{
		short: "make an SSH key and get a certificate for it",
		long: `Makes a key pair, asks a CA for an SSH certificate, and writes the private key in OpenSSH's format, the
			public key beside it as .pub, and the certificate as -cert.pub, where ssh looks for it. With --sign an existing public
			key is certified instead, also one of a security key.

			Without --principal, a user certificate names the part of the key ID before the @ in the form of an account name,
			then as it is, then the whole; a host certificate names the key ID.

			User certificates are also given to the ssh-agent, for as long as they are valid.`,
		args: []arg{
			need("key-id", "user or host: what logs of servers show"),
			need("key-file", "file to write the private key to; with --sign the public key"),
		},
		examples: []example{
			{"A certificate to log in with", "signet ssh certificate ann@example.com id_ecdsa"},
			{"For other accounts, for eight hours", "signet ssh certificate ann@example.com id_ecdsa --principal web --principal db --not-after 8h"},
			{"A host's certificate for its existing key", "signet ssh certificate db1.example.com --host --sign /etc/ssh/ssh_host_ed25519_key.pub"},
			{"A security key", "signet ssh certificate ann@example.com --sign id_ed25519_sk.pub"},
			{"With a token made elsewhere", "signet ssh certificate ann@example.com id_ecdsa --token $TOKEN"},
		},
		flags:   f.register,
		context: contextMust,
		result:  &sshCertificateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args[0], args[1])
		},
	}
}

func (f *sshCertificateFlags) register(fs *flags) {
	fs.Bool(&f.insecure, "insecure", "allow what weakens security, such as small keys or a key without password").NoEnv()
	fs.Bool(&f.host, "host", "the certificate is for a host, not for a user")
	fs.String(&f.hostID, "host-id", "uuid|machine", "ID of the host in its X.509 identity, where the CA asks for one; machine makes it from this machine's ID")
	fs.Bool(&f.sign, "sign", "certify the public key in the key file; no key is made")
	fs.String(&f.privateKey, "private-key", "file", "private key of --sign, for the ssh-agent")
	fs.Bool(&f.noAgent, "no-agent", "do not give the key to the ssh-agent")
	f.sshFlags.register(fs)
	f.protect.register(fs)
	fs.Incompatible("no-password", "password-file")
	fs.Incompatible("host", "add-user", "confirm")
	fs.Requires("host-id", "host")
	fs.Requires("private-key", "sign")
	fs.Incompatible("sign", "add-user", "no-password", "kty", "curve", "size")
}

func (f *sshCertificateFlags) run(ctx context.Context, env *Env, subject, file string) (any, error) {
	certFile := certificateName(file)
	if err := f.mayWrite(ctx, env, file, certFile); err != nil {
		return nil, err
	}
	who := sshSubject{kind: "user", name: subject, principals: f.principals}
	if f.host {
		who.kind = "host"
	}
	if len(who.principals) == 0 && f.token == "" {
		who.principals = []string{subject}
		if !f.host {
			who.principals = userPrincipals(subject)
		}
	}
	key, pub, err := f.key(ctx, env, file)
	if err != nil {
		return nil, err
	}
	var password []byte
	if !f.sign {
		if password, err = f.protect.password(ctx, env, f.passwordFile); err != nil {
			return nil, err
		}
	}
	source, err := f.authority(ctx, env)
	if err != nil {
		return nil, err
	}
	w := &sshIssuance{request: sshRequest{flags: &f.sshFlags, env: env, source: source, who: who}, password: password}
	if w.identity, err = env.newSSHIdentity(ctx, source, who, f.hostID); err != nil {
		return nil, err
	}
	answer, err := w.get(ctx, pub)
	if err != nil {
		return nil, err
	}
	env.Done("CA", "%s", source.name())
	if !f.sign {
		if err := writeSSHKey(file, key, f.sshKeyComment(subject), password); err != nil {
			return nil, err
		}
		env.Done("Private Key", "%s", file)
	}
	return f.keep(env, w, answer, written{file, certFile, key})
}

// written is what was made and where it goes.
type written struct {
	file, certFile string
	key            crypto.Signer // nil: not known here
}

func (f *sshCertificateFlags) keep(env *Env, w *sshIssuance, answer *signet.SSHSignResponse, to written) (any, error) {
	cert, subject := answer.Certificate(), w.request.who.name
	if err := durable.WriteFile(to.certFile, sshLine(cert, f.sshKeyComment(subject)), 0o644); err != nil {
		return nil, err
	}
	env.Done("Certificate", "%s", to.certFile)
	if err := w.writeCompanions(env, answer, to.file, f.sshKeyComment(subject)); err != nil {
		return nil, err
	}
	result := newSSHResult(w.request.source, cert)
	result.Certificate = to.certFile
	if !f.sign {
		result.Key = to.file
	}
	if !f.noAgent && !f.host && to.key != nil {
		result.Agent = f.toAgent(env, cert, to.key, f.sshKeyComment(subject))
	}
	return result, nil
}

// toAgent gives the agent what was made. That it cannot is told, and changes nothing else.
func (f *sshCertificateFlags) toAgent(env *Env, cert *ssh.Certificate, key crypto.Signer, comment string) bool {
	agent, err := env.openAgent()
	if err == nil {
		defer agent.close()
		err = agent.addCertificate(cert, key, comment, agentOptions{env.Now(), f.confirm})
	}
	if err != nil {
		env.Fail("SSH Agent", "%v", err)
		return false
	}
	env.Done("SSH Agent", "yes")
	return true
}

func (f *sshCertificateFlags) mayWrite(ctx context.Context, env *Env, file, certFile string) error {
	files := []string{certFile}
	if !f.sign {
		files = append(files, file, file+".pub")
	}
	if f.addUser {
		files = append(files, addUserName(file), addUserName(file)+".pub", certificateName(addUserName(file)))
	}
	return env.confirmOverwrite(ctx, f.force, files...)
}

// addUserName is where the key that adds the account is written.
func addUserName(file string) string { return file + "-provisioner" }

// key is a new one, or the existing one to sign; its private half is nil if nobody needs it.
func (f *sshCertificateFlags) key(ctx context.Context, env *Env, file string) (crypto.Signer, ssh.PublicKey, error) {
	if !f.sign {
		return f.newSSHKey()
	}
	pub, _, err := env.readSSHKey(file)
	if err != nil {
		return nil, nil, err
	}
	if cert, ok := pub.(*ssh.Certificate); ok {
		pub = cert.Key // its plain key; a certificate of a certificate is nothing
	}
	if f.privateKey == "" {
		return nil, pub, nil
	}
	key, err := keys.ReadPrivate(f.privateKey, env.password(ctx, f.passwordFile, "password-file"))
	if err != nil {
		return nil, nil, err
	}
	own, err := keys.SSHPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	if string(own.Marshal()) != string(pub.Marshal()) {
		return nil, nil, fmt.Errorf("the key in %s does not belong to the public key in %s", f.privateKey, file)
	}
	return key, pub, nil
}

// sshIssuance is a certificate with its companions.
type sshIssuance struct {
	request  sshRequest
	password []byte        // of private keys that are written
	addUser  crypto.Signer // nil: no such certificate is asked for
	identity *sshIdentity  // nil: none is asked for
}

func (w *sshIssuance) get(ctx context.Context, key ssh.PublicKey) (answer *signet.SSHSignResponse, err error) {
	if w.request.flags.addUser {
		if w.addUser, w.request.addUser, err = w.request.flags.newSSHKey(); err != nil {
			return nil, err
		}
	}
	if w.identity != nil {
		w.request.identity = w.identity.request
	}
	return w.request.send(ctx, key)
}

// writeCompanions writes what came beside the certificate.
func (w *sshIssuance) writeCompanions(env *Env, answer *signet.SSHSignResponse, file, comment string) error {
	if w.identity != nil {
		if err := w.identity.store(env, answer.IdentityChain); err != nil {
			return err
		}
	}
	if w.addUser == nil {
		return nil
	}
	cert := answer.AddUser()
	if cert == nil {
		env.Fail("Add User Certificate", "the CA gave none; it does so for one plain account name")
		return nil
	}
	name := addUserName(file)
	if err := writeSSHKey(name, w.addUser, comment, w.password); err != nil {
		return err
	}
	if err := durable.WriteFile(certificateName(name), sshLine(cert, comment), 0o644); err != nil {
		return err
	}
	env.Done("Add User Private Key", "%s", name)
	env.Done("Add User Certificate", "%s", certificateName(name))
	return nil
}

// isUUID reports whether s has the form of RFC 9562, Section 4.
func isUUID(s string) bool {
	parts := strings.Split(strings.ToLower(s), "-")
	if len(parts) != 5 {
		return false
	}
	for i, n := range []int{8, 4, 4, 4, 12} {
		if len(parts[i]) != n || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}
