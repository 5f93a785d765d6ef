package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
)

// sshFlags are the flags of the commands that get an SSH certificate.
type sshFlags struct {
	signFlags
	principals []string
	addUser    bool
	comment    string
	confirm    bool
	proven     string // token of a login that told who it is; "" if that was not needed
	insecure   bool
	alg        keyFlags
}

func (f *sshFlags) register(fs *flags) {
	fs.Strings(&f.principals, "principal", "name", "principal to certify: account or host name; without any made from the subject").Alias("n")
	fs.Bool(&f.addUser, "add-user", "also get the certificate that adds the account on hosts which offer that")
	fs.String(&f.comment, "comment", "text", "comment of the key; the subject without it")
	fs.Bool(&f.confirm, "confirm", "the ssh-agent asks before each use of the key")
	if fs.lookup("insecure") == nil {
		fs.Bool(&f.insecure, "insecure", "allow what weakens security, such as small keys").NoEnv().Hidden()
	}
	f.alg.register(fs)
	f.signFlags.register(fs)
	f.registerKey(fs)
	fs.Incompatible("token", "provisioner-password-file")
	fs.Check(func(given func(string) bool) error {
		if given("add-user") && len(f.principals) > 1 {
			return usagef("flag --add-user goes with one --principal at most")
		}
		return nil
	})
}

// registerConsole adds --console unless the kinds of proofs have it already.
func registerConsole(fs *flags, to *bool) {
	if fs.lookup("console") == nil {
		fs.Bool(to, "console", "log in on another device instead of a browser here, where a provisioner needs a login")
	}
}

// sshSubject is a user or host as a request names them.
type sshSubject struct {
	kind       string // user or host
	name       string
	principals []string
}

// userPrincipals are the account names that a subject such as Ann.Smith@example.com stands
// for: the name as accounts look like, the name as it is, and all of it.
func userPrincipals(subject string) []string {
	local := subject
	if at := strings.LastIndex(subject, "@"); at >= 0 {
		local = subject[:at]
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '.':
			return -1
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '_'
	}, strings.ToLower(local))
	all := []string{plain}
	for _, name := range []string{local, subject} {
		if name != all[len(all)-1] && name != plain {
			all = append(all, name)
		}
	}
	return all
}

// sshRequest is one certificate in the making.
type sshRequest struct {
	flags    *sshFlags
	env      *Env
	source   *authority
	who      sshSubject
	addUser  ssh.PublicKey            // for the certificate that adds the account; nil: none
	identity *x509.CertificateRequest // for an X.509 certificate of the same proof; nil: none
}

// send gets the certificate for a key. It makes the token if none is given.
func (r *sshRequest) send(ctx context.Context, key ssh.PublicKey) (*signet.SSHSignResponse, error) {
	f, who := r.flags, r.who
	ask := &signet.SSHSignRequest{Key: signet.SSHPublicKey{PublicKey: key}, OTT: cmp.Or(f.token, f.proven), Type: who.kind, KeyID: who.name,
		Principals: who.principals, ValidAfter: f.notBefore, ValidBefore: f.notAfter}
	if r.addUser != nil {
		ask.AddUserKey = &signet.SSHPublicKey{PublicKey: r.addUser}
	}
	ask.Identity.CertificateRequest = r.identity
	data, err := f.data.data(r.env)
	if err != nil {
		return nil, err
	}
	if data != nil {
		if ask.TemplateData, err = json.Marshal(data); err != nil {
			return nil, err
		}
	}
	if ask.OTT == "" {
		// The claims are what is certified; members of the request are only compared with them.
		// A token bound to the key is of no use to whoever gets hold of it.
		want := provisioner.Want{Subject: who.name, Confirm: provisioner.Confirm(key.Marshal()), SSH: &provisioner.SSHWant{
			CertType: who.kind, KeyID: who.name, Principals: who.principals, ValidAfter: ask.ValidAfter.String(), ValidBefore: ask.ValidBefore.String()}}
		p := &proof{flags: &f.proofFlags, env: r.env, source: r.source, act: provisioner.SignSSH, want: want}
		if ask.OTT, err = p.make(ctx); err != nil {
			return nil, err
		}
	}
	answer, err := r.source.sshSign(ctx, ask)
	if err != nil {
		return nil, err
	}
	cert := answer.Certificate()
	if cert == nil || !bytes.Equal(cert.Key.Marshal(), key.Marshal()) || certType(cert) != who.kind {
		return nil, errors.New("the CA's answer is a certificate for another key, or of another type; nothing was written")
	}
	return answer, nil
}

// sshSign asks the CA's server, or the CA on this machine.
func (a *authority) sshSign(ctx context.Context, ask *signet.SSHSignRequest) (*signet.SSHSignResponse, error) {
	if a.local == nil {
		return a.client.SSHSign(ctx, ask)
	}
	want := &ca.SSHAsk{SSHAsk: issue.SSHAsk{Key: ask.Key.PublicKey, Type: ask.Type, KeyID: ask.KeyID, Principals: ask.Principals}}
	if ask.AddUserKey != nil {
		want.AddUserKey = ask.AddUserKey.PublicKey
	}
	if want.Identity = ask.Identity.CertificateRequest; want.Identity != nil {
		if err := issue.CheckRequest(want.Identity); err != nil {
			return nil, err
		}
	}
	var err error
	if want.ValidAfter, err = issue.ParseMoment(ask.ValidAfter.String()); err != nil {
		return nil, err
	}
	if want.ValidBefore, err = issue.ParseMoment(ask.ValidBefore.String()); err != nil {
		return nil, err
	}
	return a.local.issuedSSH(ctx, func(local *ca.CA) (*ca.IssuedSSH, error) { return local.SignSSH(ctx, ask.OTT, want) })
}

// sshSuccessor renews, or with a key rekeys, the certificate that a token proves.
func (a *authority) sshSuccessor(ctx context.Context, token string, key ssh.PublicKey) (*signet.SSHSignResponse, error) {
	switch {
	case a.local == nil && key == nil:
		return a.client.SSHRenew(ctx, token)
	case a.local == nil:
		return a.client.SSHRekey(ctx, token, key)
	}
	return a.local.issuedSSH(ctx, func(local *ca.CA) (*ca.IssuedSSH, error) {
		if key == nil {
			return local.RenewSSH(ctx, token, nil)
		}
		return local.RekeySSH(ctx, token, key, nil)
	})
}

func (a *authority) sshRevoke(ctx context.Context, ask *signet.RevokeRequest) error {
	if a.local == nil {
		return a.client.SSHRevoke(ctx, ask)
	}
	serial, err := strconv.ParseUint(ask.Serial, 10, 64)
	if err != nil {
		return err
	}
	if err := ca.CheckReason(ask.ReasonCode); err != nil {
		return err
	}
	return a.local.with(ctx, func(local *ca.CA) error {
		return local.RevokeSSH(ctx, ask.OTT, ca.RevokeSSHAsk{Serial: serial, ReasonCode: ask.ReasonCode, Reason: ask.Reason})
	})
}

func (l *localCA) issuedSSH(ctx context.Context, act func(*ca.CA) (*ca.IssuedSSH, error)) (answer *signet.SSHSignResponse, err error) {
	err = l.with(ctx, func(local *ca.CA) error {
		issued, err := act(local)
		if err != nil {
			return err
		}
		answer = &signet.SSHSignResponse{Key: signet.SSHPublicKey{PublicKey: issued.Certificate}}
		if issued.AddUser != nil {
			answer.AddUserKey.PublicKey = issued.AddUser
		}
		for _, c := range issued.Identity {
			answer.IdentityChain = append(answer.IdentityChain, signet.Certificate{Certificate: c})
		}
		return nil
	})
	return answer, err
}

// certType is user or host.
func certType(c *ssh.Certificate) string { return issue.SSHType(c) }

// newSSHKey makes the key that the flags ask for.
func (f *sshFlags) newSSHKey() (crypto.Signer, ssh.PublicKey, error) { return newSSHKey(f.alg.alg()) }

func newSSHKey(alg keys.Alg) (crypto.Signer, ssh.PublicKey, error) {
	key, err := alg.Generate()
	if err != nil {
		return nil, nil, err
	}
	pub, err := keys.SSHPublicKey(key.Public())
	return key, pub, err
}

// sshKeyComment is what stands behind a key.
func (f *sshFlags) sshKeyComment(subject string) string { return cmp.Or(f.comment, subject) }

// sshCertificateResult is an SSH certificate that a CA issued.
type sshCertificateResult struct {
	Certificate string    `json:"certificate,omitempty" help:"file of the certificate"`
	Key         string    `json:"key,omitempty" help:"file of the private key"`
	Agent       bool      `json:"agent" help:"whether the ssh-agent has the key and the certificate"`
	CA          string    `json:"ca" help:"address of the CA"`
	Type        string    `json:"type" help:"user or host"`
	KeyID       string    `json:"keyID" help:"key ID of the certificate"`
	Principals  []string  `json:"principals" help:"accounts or host names"`
	Serial      string    `json:"serial" help:"serial number, decimal"`
	ValidAfter  time.Time `json:"validAfter" help:"begin of validity, RFC 3339"`
	ValidBefore time.Time `json:"validBefore" help:"end of validity, RFC 3339"`
}

func (*sshCertificateResult) Text() string { return "" } // the notes say it all

func newSSHResult(source *authority, cert *ssh.Certificate) *sshCertificateResult {
	return &sshCertificateResult{CA: source.name(), Type: certType(cert), KeyID: cert.KeyId, Principals: cert.ValidPrincipals,
		Serial: fmt.Sprint(cert.Serial), ValidAfter: sshTime(cert.ValidAfter), ValidBefore: sshTime(cert.ValidBefore)}
}

// sshTime is a moment of a certificate; one beyond the calendar is its end.
func sshTime(seconds uint64) time.Time {
	const end = 253402300799 // 9999-12-31T23:59:59Z, the last that RFC 3339 can write
	return time.Unix(int64(min(seconds, end)), 0).UTC()
}
