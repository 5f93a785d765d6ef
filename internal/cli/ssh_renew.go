package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/durable"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// sshHeld is an SSH certificate with its private key.
type sshHeld struct {
	cert     *ssh.Certificate
	comment  string
	key      crypto.Signer
	password []byte // that opened the key; nil: it was not encrypted
}

func (f *siteFlags) readSSHHeld(ctx context.Context, env *Env, crtFile, keyFile string) (*sshHeld, error) {
	h := new(sshHeld)
	var err error
	if h.cert, h.comment, err = env.readSSHCertificate(crtFile); err != nil {
		return nil, err
	}
	ask := env.password(ctx, f.passwordFile, "password-file")
	h.key, err = f.openKey(ctx, env, keyFile, func(what string) ([]byte, error) {
		password, err := ask(what)
		h.password = password
		return password, err
	})
	if err != nil {
		return nil, err
	}
	pub, err := keys.SSHPublicKey(h.key.Public())
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pub.Marshal(), h.cert.Key.Marshal()) {
		return nil, fmt.Errorf("the key in %s does not belong to the certificate in %s", keyFile, crtFile)
	}
	return h, nil
}

// sshPossession makes the token that proves an SSH certificate.
func (p *proofFlags) sshPossession(ctx context.Context, env *Env, source *authority, act provisioner.Act, h *sshHeld) (string, error) {
	q := &proof{flags: p, env: env, source: source, act: act, want: provisioner.Want{Certificate: h.cert, Key: h.key}}
	return q.make(ctx)
}

// proveSSHPOP signs a token with the key of an SSH certificate.
func proveSSHPOP(ctx context.Context, p *proof) (string, error) {
	if p.want.Certificate == nil {
		return "", fmt.Errorf("provisioner %q takes the proof of an SSH certificate: give its file and that of its key", p.provisioner.Name)
	}
	return provisioner.NewSSHPOP(p.provisioner.Name).Prove(ctx, p.act, p.stamp())
}

// sshRenewFlags are the flags of ssh renew and ssh rekey.
type sshRenewFlags struct {
	proofFlags
	out      string
	force    bool
	insecure bool
	protect  sshPasswordFlags
	alg      keyFlags
}

func sshRenew() *command {
	f := new(sshRenewFlags)
	return &command{
		short: "renew an SSH host certificate",
		long: `Gets the successor of an SSH host certificate: the same key, names and permissions, valid for as long again. The
			certificate and its key are the proof; they must still be valid. User certificates are not renewed.`,
		args: []arg{need("crt-file", "file of the certificate"), need("key-file", "file of its private key")},
		examples: []example{
			{"Renew a host's certificate", "signet ssh renew --force /etc/ssh/ssh_host_ecdsa_key-cert.pub /etc/ssh/ssh_host_ecdsa_key"},
		},
		flags: func(fs *flags) {
			fs.String(&f.out, "out", "file", "write the certificate here").Alias("output-file").Preset("crt-file")
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			f.register(fs)
		},
		context: contextMust,
		result:  &sshCertificateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			out := cmp.Or(f.out, args[0])
			if err := env.confirmOverwrite(ctx, f.force, out); err != nil {
				return nil, err
			}
			held, source, err := f.open(ctx, env, args[0], args[1])
			if err != nil {
				return nil, err
			}
			token, err := f.sshPossession(ctx, env, source, provisioner.RenewSSH, held)
			if err != nil {
				return nil, err
			}
			cert, err := successor(source.sshSuccessor(ctx, token, nil))(held.cert.Key)
			if err != nil {
				return nil, err
			}
			if err := durable.WriteFile(out, sshLine(cert, held.comment), 0o644); err != nil {
				return nil, err
			}
			env.Done("CA", "%s", source.name())
			env.Done("Certificate", "%s", out)
			result := newSSHResult(source, cert)
			result.Certificate = out
			return result, nil
		},
	}
}

func (f *sshRenewFlags) open(ctx context.Context, env *Env, crtFile, keyFile string) (*sshHeld, *authority, error) {
	held, err := f.readSSHHeld(ctx, env, crtFile, keyFile)
	if err != nil {
		return nil, nil, err
	}
	if held.cert.CertType != ssh.HostCert {
		return nil, nil, errNotHost
	}
	source, err := f.proofFlags.open(ctx, env)
	return held, source, err
}

// successor is the certificate in an answer, if it is for the key that was asked for.
func successor(answer *signet.SSHSignResponse, err error) func(ssh.PublicKey) (*ssh.Certificate, error) {
	return func(key ssh.PublicKey) (*ssh.Certificate, error) {
		if err != nil {
			return nil, err
		}
		cert := answer.Certificate()
		if cert == nil || !bytes.Equal(cert.Key.Marshal(), key.Marshal()) {
			return nil, errors.New("the CA's answer is a certificate for another key; nothing was written")
		}
		return cert, nil
	}
}

func sshRekey() *command {
	f := new(sshRenewFlags)
	return &command{
		short: "renew an SSH host certificate with a new key",
		long: `Makes a new key and gets the successor of an SSH host certificate for it: the same names and permissions,
			valid for as long again. The old certificate and key are the proof.

			Without --out the old files are replaced: the key, the key with .pub, and the certificate. The new key is encrypted
			under the password that opened the old one, or stored as it was, unencrypted.`,
		args: []arg{need("crt-file", "file of the certificate"), need("key-file", "file of its private key")},
		examples: []example{
			{"Give a host a new key", "signet ssh rekey --force /etc/ssh/ssh_host_ecdsa_key-cert.pub /etc/ssh/ssh_host_ecdsa_key"},
			{"Write the new files elsewhere", "signet ssh rekey ssh_host_key-cert.pub ssh_host_key --out next --no-password --insecure"},
		},
		flags: func(fs *flags) {
			fs.Bool(&f.insecure, "insecure", "allow what weakens security, such as small keys or a key without password").NoEnv()
			fs.String(&f.out, "out", "prefix", "write the key to this file, the others beside it").Preset("key-file")
			fs.Bool(&f.force, "force", "overwrite files without asking").Alias("f")
			f.alg.register(fs)
			f.protect.register(fs)
			f.register(fs)
		},
		context: contextMust,
		result:  &sshCertificateResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.rekey(ctx, env, args[0], args[1])
		},
	}
}

func (f *sshRenewFlags) rekey(ctx context.Context, env *Env, crtFile, keyFile string) (any, error) {
	out, outCrt := keyFile, crtFile
	if f.out != "" {
		out, outCrt = f.out, certificateName(f.out)
	}
	if err := env.confirmOverwrite(ctx, f.force, out, out+".pub", outCrt); err != nil {
		return nil, err
	}
	held, source, err := f.open(ctx, env, crtFile, keyFile)
	if err != nil {
		return nil, err
	}
	password := held.password
	if f.out != "" && password == nil || f.protect.noPassword {
		if password, err = f.protect.password(ctx, env, f.passwordFile); err != nil {
			return nil, err
		}
	}
	key, pub, err := newSSHKey(f.alg.alg())
	if err != nil {
		return nil, err
	}
	token, err := f.sshPossession(ctx, env, source, provisioner.RekeySSH, held)
	if err != nil {
		return nil, err
	}
	cert, err := successor(source.sshSuccessor(ctx, token, pub))(pub)
	if err != nil {
		return nil, err
	}
	comment := cmp.Or(held.comment, cert.KeyId)
	if err := writeSSHKey(out, key, comment, password); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(outCrt, sshLine(cert, comment), 0o644); err != nil {
		return nil, err
	}
	env.Done("CA", "%s", source.name())
	env.Done("Private Key", "%s", out)
	env.Done("Certificate", "%s", outCrt)
	result := newSSHResult(source, cert)
	result.Certificate, result.Key = outCrt, out
	return result, nil
}

// sshRevokeFlags are the flags of ssh revoke.
type sshRevokeFlags struct {
	proofFlags
	crtFile, keyFile   string
	token              string
	reason, reasonCode string
}

func sshRevoke() *command {
	f := new(sshRevokeFlags)
	return &command{
		short: "revoke an SSH certificate",
		long: `Revokes an SSH certificate: it can't be renewed any more, and the CA's list of revoked keys names it, which
			sshd reads as RevokedKeys; see 'ssh krl'. With --reasonCode keyCompromise the list names the key as well.

			Who may revoke: the holder of the certificate and its key (--sshpop-cert and --sshpop-key), and whoever has a token of
			the provisioner that issued it.`,
		args: []arg{may("serial-number", "serial number of the certificate, decimal; not with --sshpop-cert")},
		examples: []example{
			{"Revoke by serial number", "signet ssh revoke 16439103221339112345"},
			{"Revoke with the certificate's own key, which is lost", "signet ssh revoke --sshpop-cert id_ecdsa-cert.pub --sshpop-key id_ecdsa --reasonCode keyCompromise"},
		},
		flags: func(fs *flags) {
			fs.String(&f.crtFile, "sshpop-cert", "file", "SSH certificate to revoke, by the right of its holder")
			fs.String(&f.keyFile, "sshpop-key", "file", "private key of --sshpop-cert")
			fs.String(&f.token, "token", "token", "token that proves the right; without it one is made")
			fs.String(&f.reason, "reason", "text", "why, in your own words; the CA keeps it")
			fs.String(&f.reasonCode, "reasonCode", "code", "why, as a code of RFC 5280 or its name, such as keyCompromise").Alias("reason-code")
			f.register(fs)
			fs.Together("sshpop-cert", "sshpop-key")
			fs.Incompatible("token", "sshpop-cert", "offline")
		},
		context: contextMust,
		result:  &revokeResult{},
		run: func(ctx context.Context, env *Env, args []string) (any, error) {
			return f.run(ctx, env, args)
		},
	}
}

func (f *sshRevokeFlags) run(ctx context.Context, env *Env, args []string) (any, error) {
	ask := &signet.RevokeRequest{Reason: f.reason, Passive: true, OTT: f.token}
	var err error
	if f.reasonCode != "" {
		if ask.ReasonCode, err = parseReason(f.reasonCode); err != nil {
			return nil, err
		}
	}
	var held *sshHeld
	switch {
	case f.crtFile != "" && len(args) > 0:
		return nil, usagef("a serial number can't be combined with --sshpop-cert, which has one")
	case f.crtFile != "":
		if held, err = f.readSSHHeld(ctx, env, f.crtFile, f.keyFile); err != nil {
			return nil, err
		}
		ask.Serial = fmt.Sprint(held.cert.Serial)
	case len(args) == 0:
		return nil, usagef("too few arguments: <serial-number> is missing, and so is --sshpop-cert")
	default:
		serial, err := strconv.ParseUint(args[0], 0, 64)
		if err != nil {
			return nil, usagef("%q is no serial number of an SSH certificate: a number below 2^64 is", args[0])
		}
		ask.Serial = fmt.Sprint(serial)
	}
	source, err := f.prove(ctx, env, held, ask)
	if err != nil {
		return nil, err
	}
	if err := source.sshRevoke(ctx, ask); err != nil {
		return nil, err
	}
	env.Done("CA", "%s", source.name())
	env.Note("The SSH certificate with the serial number %s has been revoked.", ask.Serial)
	return &revokeResult{Serial: ask.Serial, CA: source.name(), ReasonCode: ask.ReasonCode, Reason: ask.Reason}, nil
}

// prove makes the token, unless there is one.
func (f *sshRevokeFlags) prove(ctx context.Context, env *Env, held *sshHeld, ask *signet.RevokeRequest) (*authority, error) {
	if ask.OTT != "" {
		client, err := f.ca.clientByToken(ctx, env, ask.OTT)
		return &authority{client: client}, err
	}
	source, err := f.open(ctx, env)
	if err != nil {
		return nil, err
	}
	if held != nil {
		ask.OTT, err = f.sshPossession(ctx, env, source, provisioner.RevokeSSH, held)
		return source, err
	}
	p := &proof{flags: &f.proofFlags, env: env, source: source, act: provisioner.RevokeSSH, want: provisioner.Want{Subject: ask.Serial}}
	ask.OTT, err = p.make(ctx)
	return source, err
}
