package provisioner

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
)

// SSHPOP proves the possession of an SSH certificate of this CA by a token signed with its
// key. It renews, rekeys and revokes that certificate and no other.
type SSHPOP struct {
	name      string
	p         *Provisioner
	audiences *Audiences
	users     []ssh.PublicKey // CA keys whose user certificates count
	hosts     []ssh.PublicKey // CA keys whose host certificates count
}

func decodeSSHPOP(data []byte) (Kind, error) {
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return nil, err
	}
	return &SSHPOP{name: named.Name}, nil
}

func openSSHPOP(p *Provisioner, env *Env) error {
	s := p.kind.(*SSHPOP)
	if len(env.SSHUserKeys)+len(env.SSHHostKeys) == 0 {
		return fault.New(fault.Invalid, "there is no SSH certificate authority whose certificates could prove anything; configure ssh.hostKey or ssh.userKey")
	}
	s.p, s.audiences, s.users, s.hosts = p, env.Audiences, env.SSHUserKeys, env.SSHHostKeys
	return nil
}

// TokenID is the fragment of a token's audience that selects this provisioner.
func (s *SSHPOP) TokenID() string { return "sshpop/" + s.name }

// Verify checks the certificate in the token's header first, by our own key's signature:
// nothing else of it is looked at before. What it grants is an act on that certificate.
func (s *SSHPOP) Verify(_ context.Context, act Act, t *Token) (*issue.Grant, error) {
	cert, err := s.certificate(t)
	if err != nil {
		return nil, err
	}
	if act != RenewSSH { // whether an expired one may be renewed is for the claims to say
		if err := checkSSHTimes(cert, t.At); err != nil {
			return nil, err
		}
	}
	pub, err := keys.PublicFromSSH(cert.Key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unproven, "the key of the SSH certificate in the token cannot sign tokens")
	}
	if err := t.VerifyBy(pub, keys.SignatureAlgorithms(pub)); err != nil {
		return nil, fault.Wrap(err, fault.Unproven, "the signature of the token does not fit the SSH certificate in it")
	}
	if err := t.checkClaims(s.name, act, s.audiences, s.TokenID()); err != nil {
		return nil, err
	}
	if act == RevokeSSH && t.Subject != strconv.FormatUint(cert.Serial, 10) {
		return nil, fault.New(fault.Denied, "the token is for the serial number %q, its certificate has %d", t.Subject, cert.Serial)
	}
	return &issue.Grant{Profile: s.p.profile, Subject: cert.KeyId, Once: t.once(s.p.ID), Claims: t.Claims(), Proof: issue.Proof{SSH: cert}}, nil
}

// certificate reads the certificate in the header and checks that one of our keys of its
// type signed it.
func (s *SSHPOP) certificate(t *Token) (*ssh.Certificate, error) {
	blob, err := base64.StdEncoding.DecodeString(t.SSHPOP)
	if err != nil || len(blob) == 0 {
		return nil, fault.Wrap(err, fault.Unproven, "the token carries no SSH certificate (sshpop header)")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unproven, "the SSH certificate in the token cannot be read")
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fault.New(fault.Unproven, "the sshpop header of the token holds a plain key, not a certificate")
	}
	var ours []ssh.PublicKey
	switch cert.CertType {
	case ssh.UserCert:
		ours = s.users
	case ssh.HostCert:
		ours = s.hosts
	}
	for _, k := range ours {
		if cert.SignatureKey != nil && bytes.Equal(k.Marshal(), cert.SignatureKey.Marshal()) {
			return cert, verifySSH(cert)
		}
	}
	return nil, fault.New(fault.Unproven, "the SSH certificate in the token was not issued by this CA")
}

// verifySSH checks the CA's signature alone; times and principals are checked elsewhere.
func verifySSH(cert *ssh.Certificate) error {
	c := *cert
	signature := c.Signature
	c.Signature = nil
	signed := c.Marshal()
	// The signed part is everything before the signature, whose empty length is 4 octets
	// (OpenSSH PROTOCOL.certkeys).
	if err := cert.SignatureKey.Verify(signed[:len(signed)-4], signature); err != nil {
		return fault.Wrap(err, fault.Unproven, "the SSH certificate in the token has a bad signature")
	}
	return nil
}

// checkSSHTimes compares as unsigned numbers: "forever" is the largest one.
func checkSSHTimes(cert *ssh.Certificate, now time.Time) error {
	at := uint64(max(now.Unix(), 0))
	if at < cert.ValidAfter {
		return fault.New(fault.Unproven, "the SSH certificate in the token is not valid yet")
	}
	if cert.ValidBefore != ssh.CertTimeInfinity && at >= cert.ValidBefore {
		return fault.New(fault.Unproven, "the SSH certificate in the token has expired")
	}
	return nil
}
