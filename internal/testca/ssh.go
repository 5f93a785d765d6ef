package testca

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/sshfiles"
)

// SSHPOP is the name of the SSHPOP provisioner that a CA with SSH has.
const SSHPOP = "sshpop"

func (c *CA) makeSSHKeys() {
	if !c.setup.SSH {
		return
	}
	c.SSHUserKey, c.SSHHostKey = c.setup.SSHUserKey, c.setup.SSHHostKey
	if c.SSHUserKey == nil {
		c.SSHUserKey = P256(c.t)
	}
	if c.SSHHostKey == nil {
		c.SSHHostKey = P256(c.t)
	}
}

// sshHalf is the SSH half of a state. It switches SSH on for the JWK provisioner, unless its
// claims say otherwise, and adds the SSHPOP provisioner.
func (c *CA) sshHalf(s *Setup, env *provisioner.Env) *ca.SSHState {
	c.t.Helper()
	if !s.SSH {
		return nil
	}
	if s.Member == nil {
		s.Member = map[string]any{"claims": map[string]any{"enableSSHCA": true}}
	}
	s.More = append(s.More[:len(s.More):len(s.More)], `{"type":"SSHPOP","name":"`+SSHPOP+`"}`)
	user, err := issue.NewLocalSSH(c.SSHUserKey, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	host, err := issue.NewLocalSSH(c.SSHHostKey, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	half := &ca.SSHState{User: user, Host: host, UserKeys: []ssh.PublicKey{user.PublicKey()}, HostKeys: []ssh.PublicKey{host.PublicKey()},
		AddUserPrincipal: "provisioner", AddUserCommand: "adduser <principal>"}
	if half.Templates, err = sshfiles.Compile(sshfiles.Builtin("user"), sshfiles.Builtin("host"), nil); err != nil {
		c.t.Fatal(err)
	}
	env.SSHUserKeys, env.SSHHostKeys = half.UserKeys, half.HostKeys
	return half
}

// SSHKey is the SSH form of a key.
func SSHKey(t testing.TB, key crypto.PublicKey) ssh.PublicKey {
	t.Helper()
	if s, ok := key.(crypto.Signer); ok {
		key = s.Public()
	}
	pub, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// Wire is an SSH key or certificate as the JSON carries it.
func Wire(k ssh.PublicKey) string { return base64.StdEncoding.EncodeToString(k.Marshal()) }

// SSHToken makes a token of the JWK provisioner for an SSH certificate; claim is step.ssh.
func (c *CA) SSHToken(subject string, claim any, bend ...Bend) string {
	c.t.Helper()
	return c.bare(subject, "/1.0/ssh/sign").With(Claim("step", map[string]any{"ssh": claim})).With(bend...).Compact(c.t)
}

// SSHRevokeToken makes a token of the JWK provisioner that revokes a serial number.
func (c *CA) SSHRevokeToken(serial string, bend ...Bend) string {
	c.t.Helper()
	return c.bare(serial, "/1.0/ssh/revoke").With(bend...).Compact(c.t)
}

// SSHHolder is somebody with an SSH certificate and its key.
type SSHHolder struct {
	Certificate *ssh.Certificate
	Key         crypto.Signer
}

// Serial is the serial number in decimal.
func (h *SSHHolder) Serial() string { return fmt.Sprint(h.Certificate.Serial) }

// SSHPOPToken makes a token that proves an SSH certificate: signed by its key, the
// certificate in the header. act is renew, rekey or revoke.
func (c *CA) SSHPOPToken(h *SSHHolder, act string, bend ...Bend) string {
	c.t.Helper()
	t := c.bare(h.Serial(), "/1.0/ssh/"+act)
	t.Header = map[string]any{"typ": "JWT", "alg": algorithmOf(h.Key), "sshpop": Wire(h.Certificate)}
	t.Claims["iss"] = SSHPOP
	t.Claims["aud"] = "https://localhost:9000/1.0/ssh/" + act + "#sshpop/" + SSHPOP
	t.Key = h.Key
	return t.With(bend...).Compact(c.t)
}

// SSHCertificate is the SSH certificate in an answer, in a member of it.
func (a *Answer) SSHCertificate(member string) *ssh.Certificate {
	a.t.Helper()
	a.Want(201)
	var body map[string]any
	a.JSON(&body)
	text, _ := body[member].(string)
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		a.t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		a.t.Fatalf("%s: %v", member, err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		a.t.Fatalf("%s is a %s, no certificate", member, key.Type())
	}
	return cert
}

// IssueSSH gets an SSH certificate of a type, user or host, for principals; the first is the
// subject.
func (c *CA) IssueSSH(kind string, principals ...string) *SSHHolder {
	c.t.Helper()
	key := P256(c.t)
	token := c.SSHToken(principals[0], map[string]any{"certType": kind, "principals": principals})
	a := c.Post("/1.0/ssh/sign", map[string]any{"publicKey": Wire(SSHKey(c.t, key)), "ott": token})
	return &SSHHolder{a.SSHCertificate("crt"), key}
}

// ForeignSSH makes an SSH certificate that the CA never issued, signed by any key.
func ForeignSSH(t testing.TB, by crypto.Signer, bend func(*ssh.Certificate)) *SSHHolder {
	t.Helper()
	key := P256(t)
	now := uint64(time.Now().Unix())
	cert := &ssh.Certificate{Key: SSHKey(t, key), Serial: 4711, CertType: ssh.HostCert, KeyId: "h", ValidPrincipals: []string{"h"},
		ValidAfter: now - 60, ValidBefore: now + 3600}
	if bend != nil {
		bend(cert)
	}
	signer, err := ssh.NewSignerFromSigner(by)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	return &SSHHolder{cert, key}
}
