package api_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/testca"
)

func withSSH(s *testca.Setup) { s.SSH = true }

type object = map[string]any

// http-api Section 12, item 19, and what else a request or its token may bend.
func TestSSHSign(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	key := testca.P256(t)
	now := time.Now()
	for _, c := range []struct {
		name    string
		claim   object
		request object
		status  int
	}{
		{"an empty grant is one of defaults", object{}, object{}, 201},
		{"a user", object{"certType": "user", "principals": []string{"ann"}}, object{"certType": "user", "keyID": "sub", "principals": []string{"ann"}}, 201},
		{"no principals asked for as an empty list", object{}, object{"principals": []string{}}, 201},
		{"a host", object{"certType": "host"}, object{"certType": "host"}, 201},
		{"some of the principals", object{"principals": []string{"a", "b"}}, object{"principals": []string{"B"}}, 201},
		{"another type than the token's", object{"certType": "user"}, object{"certType": "host"}, 403},
		{"a principal the token lacks", object{"principals": []string{"a"}}, object{"principals": []string{"a", "root"}}, 403},
		{"a type that does not exist", object{}, object{"certType": "x"}, 400},
		{"a type that does not exist, in the token", object{"certType": "x"}, object{}, 400},
		{"an empty principal", object{}, object{"principals": []string{""}}, 400},
		{"an empty principal in the token", object{"principals": []string{""}}, object{}, 400},
		{"two days", object{}, object{"validBefore": "48h"}, 403},
		{"a minute", object{}, object{"validBefore": "1m"}, 403},
		{"an end that is past", object{}, object{"validAfter": "-2h", "validBefore": "-1h"}, 400},
		{"an end before the begin", object{}, object{"validAfter": "2h", "validBefore": "1h"}, 400},
		{"a time that is none", object{}, object{"validBefore": "tomorrow"}, 400},
		{"another end than the token's", object{"validBefore": "2h"}, object{"validBefore": "1h"}, 403},
		{"the same end as the token's", object{"validBefore": "2h"}, object{"validBefore": "2h"}, 201},
		{"a time is not a duration", object{"validBefore": "2h"}, object{"validBefore": now.Add(2 * time.Hour).Format(time.RFC3339)}, 403},
		{"the end of all days", object{}, object{"validBefore": "9999-12-31T23:59:59Z"}, 403},
		{"before there were certificates", object{}, object{"validAfter": "1900-01-01T00:00:00Z"}, 400},
		{"no key", object{}, object{"publicKey": nil}, 400},
		{"an empty key", object{}, object{"publicKey": ""}, 400},
		{"a key that is no base64", object{}, object{"publicKey": "ssh-ed25519 AAAA"}, 400},
		{"a key that is no key", object{}, object{"publicKey": "AAAA"}, 400},
		{"a key that is a number", object{}, object{"publicKey": 7}, 400},
		{"a small RSA key", object{}, object{"publicKey": testca.Wire(testca.SSHKey(t, &testca.RSA(t, 1024).PublicKey))}, 403},
		{"a large RSA key", object{}, object{"publicKey": testca.Wire(testca.SSHKey(t, &testca.RSA(t, 2048).PublicKey))}, 201},
		{"an RSA key of absurd size", object{}, object{"publicKey": testca.Wire(testca.SSHKey(t, testca.HugeRSA(64<<10)))}, 400},
		{"an Ed25519 key", object{}, object{"publicKey": testca.Wire(testca.SSHKey(t, testca.Ed25519(t)))}, 201},
		{"a DSA key", object{}, object{"publicKey": dsaKey()}, 400},
		{"a security key", object{}, object{"publicKey": securityKey(t)}, 201},
		{"a signature key of an unknown type", object{}, object{"publicKey": wireOf("ssh-unknown", "x")}, 400},
		{"two hundred and fifty-seven principals", object{}, object{"principals": strings.Split(strings.Repeat("a,", 256)+"a", ",")}, 400},
		{"another key ID is of no effect", object{"keyID": "one"}, object{"keyID": "two"}, 201},
		{"no token", object{}, object{"ott": ""}, 400},
		{"a token that is none", object{}, object{"ott": "abc"}, 401},
		{"an identity that is no request", object{}, object{"identityCSR": "x"}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := ca.In(t)
			body := object{"publicKey": testca.Wire(testca.SSHKey(t, key)), "ott": ca.SSHToken("sub", c.claim)}
			for name, value := range c.request {
				body[name] = value
			}
			ca.Post("/1.0/ssh/sign", body).Want(c.status)
		})
	}
}

func TestSSHSignNeedsTheClaimAndTheRight(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH, func(s *testca.Setup) {
		s.More = []string{testca.JWKProvisioner("nossh", &sharedKey.PublicKey, nil)}
	})
	key := testca.Wire(testca.SSHKey(t, testca.P256(t)))
	sign := func(token string) *testca.Answer {
		return ca.Post("/ssh/sign", object{"publicKey": key, "ott": token})
	}
	sign(ca.Token("sub")).Want(401)                                  // no step.ssh
	sign(ca.SSHToken("sub", nil)).Want(401)                          // null
	sign(ca.SSHToken("sub", "user")).Want(401)                       // no object
	sign(ca.SSHToken("sub", object{"principals": "root"})).Want(401) // no list
	sign(ca.SSHToken("", object{})).Want(401)                        // nobody
	sign(ca.SSHToken("sub", object{}, testca.Audience("https://localhost/1.0/revoke"))).Want(401)
	nossh := ca.SSHToken("sub", object{}, testca.Claim("iss", "nossh"), testca.Head("kid", testca.Thumbprint(&sharedKey.PublicKey)), testca.SignedBy(sharedKey, "ES256"))
	sign(nossh).Want(401)
	once := ca.SSHToken("sub", object{})
	sign(once).Want(201)
	sign(once).Want(401)
	refused := ca.SSHToken("sub", object{})
	ca.Post("/ssh/sign", object{"publicKey": key, "ott": refused, "certType": "host"}).Want(403)
	sign(refused).Want(201) // what was refused is not spent
	if n := len(certificates(t, ca)); n != 2 {
		t.Errorf("%d certificates on record, want 2", n)
	}
}

func TestSSHSignRaces(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	key, token := testca.Wire(testca.SSHKey(t, testca.P256(t))), ca.SSHToken("sub", object{})
	var wg sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		wg.Go(func() { status[i] = ca.Post("/ssh/sign", object{"publicKey": key, "ott": token}).Status })
	}
	wg.Wait()
	slices.Sort(status)
	if diff := cmp.Diff([]int{201, 401, 401, 401, 401, 401, 401, 401}, status); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSSHCertificateContent(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	before := time.Now().Truncate(time.Second)
	user := ca.IssueSSH("user", "ann", "Ann.Smith@example.com").Certificate
	want := map[string]string{"permit-X11-forwarding": "", "permit-agent-forwarding": "", "permit-port-forwarding": "", "permit-pty": "", "permit-user-rc": ""}
	if diff := cmp.Diff(want, user.Extensions); diff != "" || len(user.CriticalOptions) > 0 {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	if user.KeyId != "ann" || !slices.Equal(user.ValidPrincipals, []string{"ann", "Ann.Smith@example.com"}) || user.CertType != ssh.UserCert {
		t.Errorf("got %q %q %d", user.KeyId, user.ValidPrincipals, user.CertType)
	}
	if user.Serial == 0 || len(user.Nonce) != 32 || len(user.Reserved) != 0 {
		t.Errorf("serial %d, nonce %x", user.Serial, user.Nonce)
	}
	if length := time.Duration(user.ValidBefore-user.ValidAfter) * time.Second; length != 16*time.Hour+time.Minute {
		t.Errorf("a user certificate lives for %s", length)
	}
	if begin := time.Unix(int64(user.ValidAfter), 0); begin.Before(before.Add(-time.Minute)) || begin.After(time.Now().Add(-time.Minute)) {
		t.Errorf("it begins at %s", begin)
	}
	host := ca.IssueSSH("host", "h.example.com").Certificate
	if length := time.Duration(host.ValidBefore-host.ValidAfter) * time.Second; length != 720*time.Hour+time.Minute || len(host.Extensions) > 0 || host.CertType != ssh.HostCert {
		t.Errorf("a host certificate lives for %s with %v", length, host.Extensions)
	}
	for _, c := range []struct {
		cert *ssh.Certificate
		by   crypto.Signer
	}{{user, ca.SSHUserKey}, {host, ca.SSHHostKey}} {
		checker := &ssh.CertChecker{}
		if err := checker.CheckCert(c.cert.ValidPrincipals[0], c.cert); err != nil || !bytes.Equal(c.cert.SignatureKey.Marshal(), testca.SSHKey(t, c.by).Marshal()) {
			t.Errorf("the signature is not that of the CA key of its type: %v", err)
		}
	}
}

func TestAnRSAKeySignsWithSHA256(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH, func(s *testca.Setup) { s.SSHUserKey = testca.RSA(t, 2048) })
	cert := ca.IssueSSH("user", "ann").Certificate
	if cert.Signature.Format != "rsa-sha2-256" {
		t.Errorf("signed with %s", cert.Signature.Format)
	}
}

// http-api Section 12, item 20, first half; Section 7.2.
func TestSSHCompanions(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	other := testca.SSHKey(t, testca.P256(t))
	for _, c := range []struct {
		name       string
		kind       string
		principals []string
		status     int
		given      bool
	}{
		{"one plain user", "user", []string{"ann"}, 201, true},
		{"a user and an address", "user", []string{"ann", "ann@example.com"}, 201, true},
		{"two users", "user", []string{"ann", "bob"}, 201, false},
		{"three principals", "user", []string{"ann", "ann@example.com", "a@b"}, 201, false},
		{"a host", "host", []string{"h"}, 201, false},
		{"a name that is a command", "user", []string{"ann;reboot"}, 403, false},
		{"a name with an expansion", "user", []string{"$(id)"}, 403, false},
		{"a name that is an option", "user", []string{"-rf"}, 403, false},
		{"a capital", "user", []string{"Ann"}, 403, false},
	} {
		t.Run("account for "+c.name, func(t *testing.T) {
			t.Parallel()
			ca := office.In(t)
			token := ca.SSHToken(c.principals[0], object{"certType": c.kind, "principals": c.principals})
			a := ca.Post("/ssh/sign", object{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": token, "addUserPublicKey": testca.Wire(other)}).Want(c.status)
			if c.status != 201 || !c.given {
				if strings.Contains(string(a.Body), "addUserCrt") {
					t.Errorf("got %s", a.Body)
				}
				return
			}
			main, add := a.SSHCertificate("crt"), a.SSHCertificate("addUserCrt")
			if add.KeyId != "ann-provisioner" || !slices.Equal(add.ValidPrincipals, []string{"provisioner"}) || len(add.Extensions) > 0 || add.CertType != ssh.UserCert {
				t.Errorf("got %q %q %v", add.KeyId, add.ValidPrincipals, add.Extensions)
			}
			if diff := cmp.Diff(map[string]string{"force-command": "adduser ann"}, add.CriticalOptions); diff != "" {
				t.Errorf("critical options (-want +got):\n%s", diff)
			}
			if add.ValidAfter != main.ValidAfter || add.ValidBefore != main.ValidBefore || !bytes.Equal(add.Key.Marshal(), other.Marshal()) {
				t.Error("it is for another time or key")
			}
		})
	}
	t.Run("identity", func(t *testing.T) {
		t.Parallel()
		ca := office.In(t)
		csr := testca.CSR(t, testca.P256(t), "h", "urn:uuid:2f1a7f6e-0000-4000-8000-123456789abc", "https://elsewhere.example/")
		token := ca.SSHToken("h", object{"certType": "host"})
		a := ca.Post("/ssh/sign", object{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": token, "identityCSR": csr}).Want(201)
		var body struct {
			Chain []string `json:"identityCrt"`
		}
		a.JSON(&body)
		if len(body.Chain) != 2 {
			t.Fatalf("%d certificates", len(body.Chain))
		}
		block, _ := pem.Decode([]byte(body.Chain[0]))
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		cert := a.SSHCertificate("crt")
		if uint64(leaf.NotBefore.Unix()) != cert.ValidAfter || uint64(leaf.NotAfter.Unix()) != cert.ValidBefore {
			t.Errorf("it lives from %s to %s", leaf.NotBefore, leaf.NotAfter)
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "urn:uuid:2f1a7f6e-0000-4000-8000-123456789abc" || leaf.Subject.CommonName != "h" {
			t.Errorf("it names %q %v", leaf.Subject.CommonName, leaf.URIs)
		}
		bad := testca.Resigned(t, csr, testca.P256(t).Public())
		token = ca.SSHToken("h", object{"certType": "host"})
		body2 := object{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": token, "identityCSR": bad}
		ca.Post("/ssh/sign", body2).Want(400)
		delete(body2, "identityCSR")
		ca.Post("/ssh/sign", body2).Want(201) // nothing was lost by the bad request
	})
}

// SEC-13: principals that some server reads as others, or as any.
func TestSEC13_PrincipalsThatMeanMore(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	for _, c := range []struct {
		name, kind string
		principal  string
		status     int
	}{
		{"a comma", "user", "ann,root", 403}, {"a blank", "user", "ann root", 403}, {"a tab", "user", "ann\troot", 403},
		{"a line end", "user", "ann\nroot", 400}, {"a zero byte", "user", "ann\x00root", 400}, {"an escape", "user", "ann\x1b[2J", 400},
		{"any name", "user", "*", 403}, {"any letter", "user", "an?", 403}, {"a negation", "user", "!root", 403},
		{"any host below a domain", "host", "*.example.com", 201}, {"a comma for hosts", "host", "a,b", 403},
		{"a right-to-left override", "user", "ann\u202etoor", 400}, {"a very long name", "user", strings.Repeat("a", 5000), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := office.In(t)
			a := ca.Post("/ssh/sign", object{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))),
				"ott": ca.SSHToken("sub", object{"certType": c.kind, "principals": []string{c.principal}})})
			if a.Status/100 != c.status/100 {
				t.Errorf("status %d, want %d: %s", a.Status, c.status, a.Body)
			}
		})
	}
}

// SEC-25: a certificate is no key, neither the one to certify nor a CA's.
func TestSEC25_CertificatesAreNoKeys(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	h := ca.IssueSSH("host", "h")
	nested := testca.Wire(h.Certificate)
	ca.Post("/ssh/sign", object{"publicKey": nested, "ott": ca.SSHToken("h", object{})}).Want(400)
	ca.Post("/ssh/sign", object{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "addUserPublicKey": nested, "ott": ca.SSHToken("ann", object{})}).Want(400)
	ca.Post("/ssh/rekey", object{"publicKey": nested, "ott": ca.SSHPOPToken(h, "rekey")}).Want(400)

	// A certificate of ours as the CA key of another one.
	own, err := ssh.NewSignerFromSigner(h.Key)
	if err != nil {
		t.Fatal(err)
	}
	by, err := ssh.NewCertSigner(h.Certificate, own)
	if err != nil {
		t.Fatal(err)
	}
	child := testca.ForeignSSH(t, h.Key, func(c *ssh.Certificate) { c.KeyId = "child" })
	child.Certificate.SignatureKey = by.PublicKey()
	ca.Post("/ssh/renew", object{"ott": ca.SSHPOPToken(child, "renew")}).Want(401)
	child = testca.ForeignSSH(t, h.Key, nil) // and signed by a leaf's plain key
	ca.Post("/ssh/renew", object{"ott": ca.SSHPOPToken(child, "renew")}).Want(401)
}

// SEC-25, second half: a successor has all the restrictions of its predecessor.
func TestSEC25_RenewalKeepsRestrictions(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	old := testca.ForeignSSH(t, ca.SSHHostKey, func(c *ssh.Certificate) {
		c.CriticalOptions = map[string]string{"source-address": "10.0.0.0/8"}
		c.Extensions = map[string]string{"x@example.com": "y"}
	})
	key := testca.P256(t)
	for path, body := range map[string]object{
		"renew": {"ott": ca.SSHPOPToken(old, "renew")},
		"rekey": {"ott": ca.SSHPOPToken(old, "rekey"), "publicKey": testca.Wire(testca.SSHKey(t, key))},
	} {
		next := ca.Post("/ssh/"+path, body).SSHCertificate("crt")
		if diff := cmp.Diff(old.Certificate.Permissions, next.Permissions); diff != "" || next.KeyId != "h" || !slices.Equal(next.ValidPrincipals, []string{"h"}) {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if next.ValidBefore-next.ValidAfter != old.Certificate.ValidBefore-old.Certificate.ValidAfter || next.Serial == old.Certificate.Serial {
			t.Errorf("%s: another length or the same serial number", path)
		}
		if want := map[string]ssh.PublicKey{"renew": old.Certificate.Key, "rekey": testca.SSHKey(t, key)}[path]; !bytes.Equal(next.Key.Marshal(), want.Marshal()) {
			t.Errorf("%s: another key", path)
		}
	}
}

// http-api Section 12, items 20 and 23; Section 7.3.
func TestSSHPOP(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	now := uint64(time.Now().Unix())
	mine := func(bend func(*ssh.Certificate)) *testca.SSHHolder {
		return testca.ForeignSSH(t, office.SSHHostKey, bend)
	}
	for _, c := range []struct {
		name   string
		holder *testca.SSHHolder
		act    string
		bend   []testca.Bend
		status int
	}{
		{"a host certificate", mine(nil), "renew", nil, 201},
		{"a user certificate is not renewed", office.IssueSSH("user", "ann"), "renew", nil, 400},
		{"a user certificate is not rekeyed", office.IssueSSH("user", "ann"), "rekey", nil, 400},
		{"a user certificate under the host key", mine(func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), "renew", nil, 401},
		{"a host certificate under the user key", testca.ForeignSSH(t, office.SSHUserKey, nil), "renew", nil, 401},
		{"a certificate of another CA", testca.ForeignSSH(t, testca.P256(t), nil), "renew", nil, 401},
		{"a type that does not exist", mine(func(c *ssh.Certificate) { c.CertType = 3 }), "renew", nil, 401},
		{"no fragment in the audience", mine(nil), "renew", []testca.Bend{testca.Audience("https://localhost/1.0/ssh/renew")}, 401},
		{"the address of another act", mine(nil), "renew", []testca.Bend{testca.Audience("https://localhost/1.0/ssh/revoke#sshpop/sshpop")}, 401},
		{"another issuer", mine(nil), "renew", []testca.Bend{testca.Claim("iss", "else")}, 401},
		{"no subject", mine(nil), "renew", []testca.Bend{testca.NoClaim("sub")}, 401},
		{"another key than the certificate's", mine(nil), "renew", []testca.Bend{testca.SignedBy(sharedKey, "ES256")}, 401},
		{"no certificate", mine(nil), "renew", []testca.Bend{testca.NoHead("sshpop")}, 401},
		{"a key instead of a certificate", mine(nil), "renew", []testca.Bend{testca.Head("sshpop", testca.Wire(testca.SSHKey(t, sharedKey)))}, 401},
		{"something else in its place", mine(nil), "renew", []testca.Bend{testca.Head("sshpop", "AAAA")}, 401},
		{"an expired one", mine(func(c *ssh.Certificate) { c.ValidBefore = now - 10 }), "renew", nil, 401},
		{"an expired one, rekey", mine(func(c *ssh.Certificate) { c.ValidBefore = now - 10 }), "rekey", nil, 401},
		{"one of tomorrow", mine(func(c *ssh.Certificate) { c.ValidAfter = now + 100 }), "renew", nil, 401},
		{"forever, under a key of somebody", testca.ForeignSSH(t, sharedKey, func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }), "renew", nil, 401},
		{"a begin beyond all time, under a key of somebody", testca.ForeignSSH(t, sharedKey, func(c *ssh.Certificate) { c.ValidAfter = 1 << 63 }), "renew", nil, 401},
		{"forever, under our key", mine(func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }), "renew", nil, 400},
		{"a begin beyond all time, under our key", mine(func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 1<<63, 1<<63+1 }), "renew", nil, 401},
		{"an end beyond all time, under our key", mine(func(c *ssh.Certificate) { c.ValidBefore = 1<<63 + 5 }), "renew", nil, 400},
		{"no begin", mine(func(c *ssh.Certificate) { c.ValidAfter = 0 }), "renew", nil, 400},
		{"no principals", mine(func(c *ssh.Certificate) { c.ValidPrincipals = nil }), "renew", nil, 403},
		{"a tampered certificate", tampered(mine(nil)), "renew", nil, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := office.In(t)
			body := object{"ott": ca.SSHPOPToken(c.holder, c.act, c.bend...)}
			if c.act == "rekey" {
				body["publicKey"] = testca.Wire(testca.SSHKey(t, testca.P256(t)))
			}
			ca.Post("/1.0/ssh/"+c.act, body).Want(c.status)
		})
	}
}

func tampered(h *testca.SSHHolder) *testca.SSHHolder {
	h.Certificate.ValidPrincipals = []string{"root"}
	return h
}

func TestSSHRekeyRules(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	h := ca.IssueSSH("host", "h")
	ca.Post("/ssh/rekey", object{"ott": ca.SSHPOPToken(h, "rekey")}).Want(400)
	ca.Post("/ssh/rekey", object{"ott": ca.SSHPOPToken(h, "rekey"), "publicKey": testca.Wire(testca.SSHKey(t, &testca.RSA(t, 1024).PublicKey))}).Want(403)
	once := ca.SSHPOPToken(h, "renew")
	ca.Post("/ssh/renew", object{"ott": once}).Want(201)
	ca.Post("/ssh/renew", object{"ott": once}).Want(401)
	no := testca.New(t, withSSH, func(s *testca.Setup) {
		s.Member = object{"claims": object{"enableSSHCA": true, "disableRenewal": true}}
	})
	h = no.IssueSSH("host", "h")
	no.Post("/ssh/renew", object{"ott": no.SSHPOPToken(h, "renew")}).Want(401)
	no.Post("/ssh/rekey", object{"ott": no.SSHPOPToken(h, "rekey"), "publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t)))}).Want(401)
}

// SEC-03 for SSH: what a proof is not about cannot be revoked with it.
func TestSEC03_SSHRevocationOfAnothers(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH, func(s *testca.Setup) {
		s.More = []string{s2(t, "second", object{"enableSSHCA": true}),
			testca.JWKProvisioner("any", &sharedKey.PublicKey, object{"allowRevokeAny": true})}
	})
	mine, other := ca.IssueSSH("host", "mine"), ca.IssueSSH("user", "other")
	revoke := func(serial, token string) *testca.Answer {
		return ca.Post("/1.0/ssh/revoke", object{"serial": serial, "ott": token, "passive": true, "reasonCode": 4, "reason": "gone"})
	}
	as := func(name string) testca.Bend {
		return func(tok *testca.Token) {
			tok.Claims["iss"], tok.Header["kid"] = name, testca.Thumbprint(&sharedKey.PublicKey)
			tok.Key = sharedKey
		}
	}
	revoke(other.Serial(), ca.SSHPOPToken(mine, "revoke")).Want(403)
	revoke(other.Serial(), ca.SSHPOPToken(mine, "revoke", testca.Claim("sub", other.Serial()))).Want(403)
	revoke(mine.Serial(), ca.SSHPOPToken(mine, "revoke", testca.Claim("sub", other.Serial()))).Want(403)
	revoke(other.Serial(), ca.SSHRevokeToken(mine.Serial())).Want(403)
	revoke(other.Serial(), ca.SSHRevokeToken(other.Serial(), as("second"))).Want(403)
	revoke("4711", ca.SSHRevokeToken("4711")).Want(404)
	for _, serial := range []string{"abc", "", "-1", "18446744073709551616", "0x10", "1.5"} {
		revoke(serial, ca.SSHRevokeToken(serial)).Want(400)
	}
	ca.Post("/ssh/revoke", object{"serial": mine.Serial(), "passive": true}).Want(400)
	ca.Post("/ssh/revoke", object{"serial": mine.Serial(), "ott": ca.SSHPOPToken(mine, "revoke")}).Want(501)
	ca.Post("/ssh/revoke", object{"serial": mine.Serial(), "ott": ca.SSHPOPToken(mine, "revoke"), "passive": true, "reasonCode": 11}).Want(400)
	for serial := range map[string]bool{mine.Serial(): true, other.Serial(): true} {
		if err := ca.Store.View(t.Context(), func(tx *store.Tx) error {
			for r, err := range tx.Revocations("ssh") {
				t.Errorf("after all refusals %v is revoked (%v)", r, err)
			}
			return nil
		}); err != nil {
			t.Fatal(serial, err)
		}
	}

	revoke(mine.Serial(), ca.SSHPOPToken(mine, "revoke")).Want(200)
	revoke(mine.Serial(), ca.SSHPOPToken(mine, "revoke")).Want(400)
	ca.Post("/ssh/renew", object{"ott": ca.SSHPOPToken(mine, "renew")}).Want(401)
	ca.Post("/ssh/rekey", object{"ott": ca.SSHPOPToken(mine, "rekey"), "publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t)))}).Want(401)
	revoke(other.Serial(), ca.SSHPOPToken(other, "revoke")).Want(200) // users revoke theirs, too
	third, fourth := ca.IssueSSH("user", "third"), ca.IssueSSH("user", "fourth")
	revoke(third.Serial(), ca.SSHRevokeToken(third.Serial())).Want(200)
	revoke(fourth.Serial(), ca.SSHRevokeToken(fourth.Serial(), as("any"))).Want(200)
}

// SEC-26: restrictions stand in the signed part and cannot be cut off the proof.
func TestSEC26_CriticalOptionsAreSigned(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	h := testca.ForeignSSH(t, ca.SSHHostKey, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "true"} })
	h.Certificate.CriticalOptions = nil
	ca.Post("/ssh/renew", object{"ott": ca.SSHPOPToken(h, "renew")}).Want(401)
}

func TestSSHConfirmationIsEnforced(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	key := testca.SSHKey(t, sharedKey)
	sum := sha256.Sum256(key.Marshal())
	right := base64.RawURLEncoding.EncodeToString(sum[:])
	for _, c := range []struct {
		name   string
		cnf    any
		status int
	}{
		{"this key", object{"x5rt#S256": right}, 201},
		{"another key", object{"x5rt#S256": testca.Digest([]byte("x"))}, 403},
		{"no digest", object{"x5rt#S256": "?"}, 403},
		{"this JWK thumbprint", object{"jkt": testca.Thumbprint(&sharedKey.PublicKey)}, 201},
		{"another JWK thumbprint", object{"jkt": testca.Digest([]byte("x"))}, 403},
		{"this JWK", object{"jwk": testca.PublicJWK(&sharedKey.PublicKey)}, 201},
		{"another JWK", object{"jwk": testca.PublicJWK(&office.Key.PublicKey)}, 403},
		{"a client certificate", object{"x5t#S256": right}, 403},
		{"something unknown", object{"osc": "x"}, 403},
		{"nothing", object{}, 201},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := office.In(t)
			ca.Post("/ssh/sign", object{"publicKey": testca.Wire(key), "ott": ca.SSHToken("s", object{}, testca.Claim("cnf", c.cnf))}).Want(c.status)
		})
	}
}

// http-api Section 12, item 21.
func TestSSHConfigEndpoint(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, withSSH)
	type file struct{ Name, Type, Path, Comment, Content string }
	fetch := func(path string, body any) (users, hosts []file) {
		var answer struct{ UserTemplates, HostTemplates []file }
		ca.Post(path, body).Want(200).JSON(&answer)
		return answer.UserTemplates, answer.HostTemplates
	}
	types := func(files []file) (list []string) {
		for _, f := range files {
			list = append(list, f.Name+" "+f.Type+" "+f.Path)
		}
		return list
	}
	users, hosts := fetch("/ssh/config", object{})
	want := []string{"config.tpl snippet ~/.ssh/config", "step_includes.tpl file ssh/includes", "step_config.tpl file ssh/config", "known_hosts.tpl file ssh/known_hosts"}
	if diff := cmp.Diff(want, types(users)); diff != "" || hosts != nil {
		t.Errorf("(-want +got):\n%s", diff)
	}
	users, _ = fetch("/1.0/ssh/config", object{"data": object{"StepSSHTemplateVersion": "v2", "StepPath": "/p"}})
	want[1] = "step_includes.tpl prepend-line ${STEPPATH}/ssh/includes"
	if diff := cmp.Diff(want, types(users)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, _ := base64.StdEncoding.DecodeString(users[3].Content); string(got) != "@cert-authority * "+string(ssh.MarshalAuthorizedKey(testca.SSHKey(t, ca.SSHHostKey))) {
		t.Errorf("known hosts are %q", got)
	}
	ca.Post("/ssh/config", object{"type": "host"}).Want(400)
	ca.Post("/ssh/config", object{"type": "host", "data": object{"Certificate": "c"}}).Want(400)
	ca.Post("/ssh/config", object{"type": "robot"}).Want(400)
	ca.Post("/ssh/config", object{"data": object{"Key": 7}}).Want(400)
	complete := object{"data": object{"Certificate": "c", "Key": "k"}}
	if _, hosts := fetch("/ssh/config/host", complete); len(hosts) != 2 {
		t.Errorf("the type in the path is not heard: %v", hosts)
	}
	complete["type"] = "user"
	if users, _ := fetch("/ssh/config/host", complete); len(users) != 4 {
		t.Error("the type in the body does not win")
	}
}

// http-api Section 12, item 22.
func TestWithoutSSH(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	for _, path := range []string{"/ssh/roots", "/ssh/federation", "/ssh/krl", "/1.0/ssh/krl"} {
		ca.Get(path).Want(404)
	}
	ca.Post("/ssh/config", object{}).Want(404)
	ca.Post("/ssh/bastion", object{"hostname": "h"}).Want(404)
	key := testca.Wire(testca.SSHKey(t, testca.P256(t)))
	ca.Post("/ssh/sign", object{"publicKey": key, "ott": ca.SSHToken("s", object{})}).Want(501)
}

func TestSSHInformation(t *testing.T) {
	t.Parallel()
	extra, federated := testca.SSHKey(t, testca.P256(t)), testca.SSHKey(t, testca.P256(t))
	office := testca.New(t, withSSH, func(s *testca.Setup) {
		s.State = func(st *ca.State) {
			st.SSH.UserKeys = append(st.SSH.UserKeys, extra)
			st.SSH.FederatedHostKeys = []ssh.PublicKey{federated}
			st.SSH.Bastion = &ca.Bastion{Hostname: "Jump.example.com", User: "j", Port: "2222", Command: "nc %h %p", Flags: "-4"}
		}
	})
	body := func(a *testca.Answer) (v object) { a.Want(200).JSON(&v); return v }
	user, host := testca.Wire(testca.SSHKey(t, office.SSHUserKey)), testca.Wire(testca.SSHKey(t, office.SSHHostKey))
	bastion := object{"hostname": "Jump.example.com", "user": "j", "port": "2222", "cmd": "nc %h %p", "flags": "-4"}
	for name, c := range map[string]struct{ want, got object }{
		"roots":      {object{"userKey": []any{user, testca.Wire(extra)}, "hostKey": []any{host}}, body(office.Get("/1.0/ssh/roots"))},
		"federation": {object{"hostKey": []any{testca.Wire(federated)}}, body(office.Get("/ssh/federation"))},
		"through the bastion": {object{"hostname": "h", "bastion": bastion},
			body(office.Post("/ssh/bastion", object{"user": "u", "hostname": "h"}))},
		"the bastion itself": {object{"hostname": "JUMP.example.com"},
			body(office.Post("/ssh/bastion", object{"hostname": "JUMP.example.com"}))},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	office.Post("/ssh/bastion", object{"hostname": ""}).Want(400)
	office.Post("/ssh/check-host", object{"type": "user", "principal": "u"}).Want(400)
	office.Post("/ssh/check-host", object{"type": "host", "principal": ""}).Want(400)
}

// The inventory of hosts lives: names come with a certificate and leave with the last one.
func TestHostsLeaveWhenRevoked(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	exists := func(name string) bool {
		var answer struct{ Exists bool }
		office.Post("/ssh/check-host", object{"type": "host", "principal": name, "token": "any"}).Want(200).JSON(&answer)
		return answer.Exists
	}
	hosts := func() (names []string) {
		var answer struct {
			Hosts []struct {
				ID   string `json:"hid"`
				Tags []any  `json:"host_tags"`
				Name string `json:"hostname"`
			}
		}
		office.Get("/ssh/get-hosts").Want(200).JSON(&answer)
		for _, h := range answer.Hosts {
			names = append(names, h.Name)
		}
		slices.Sort(names)
		return names
	}
	first, _ := office.IssueSSH("host", "One.example.com", "alias"), office.IssueSSH("host", "two.example.com")
	office.IssueSSH("user", "ann")
	if diff := cmp.Diff([]string{"alias", "one.example.com", "two.example.com"}, hosts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]bool{"one.example.com": true, "ONE.example.com": true, "ann": false, "example.com": false} {
		if exists(name) != want {
			t.Errorf("%s is known: %v", name, !want)
		}
	}
	second := &testca.SSHHolder{Certificate: office.Post("/ssh/renew", object{"ott": office.SSHPOPToken(first, "renew")}).SSHCertificate("crt"), Key: first.Key}
	for i, h := range []*testca.SSHHolder{first, second} {
		office.Post("/ssh/revoke", object{"serial": h.Serial(), "ott": office.SSHPOPToken(h, "revoke"), "passive": true}).Want(200)
		if got := exists("one.example.com"); got != (i == 0) {
			t.Errorf("after %d revocations of 2 it is known: %v", i+1, got)
		}
	}
	if diff := cmp.Diff([]string{"two.example.com"}, hosts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	office.Reload(func(s *testca.Setup) { s.State = func(st *ca.State) { st.SSH.HideHosts = true } })
	office.Get("/ssh/hosts").Want(404)
}

func TestSSHRevocationList(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	dir := t.TempDir()
	list := func() (string, *testca.Answer) {
		a := office.Get("/1.0/ssh/krl").Want(200)
		name := filepath.Join(dir, "krl")
		if err := os.WriteFile(name, a.Body, 0o600); err != nil {
			t.Fatal(err)
		}
		return name, a
	}
	revoked := func(name string, key ssh.PublicKey) bool {
		file := filepath.Join(dir, "key.pub")
		if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(key), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-Q", "-f", name, file).CombinedOutput()
		if (err == nil) == strings.Contains(string(out), "REVOKED") {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		return err != nil
	}
	user, host, lost := office.IssueSSH("user", "u"), office.IssueSSH("host", "h"), office.IssueSSH("user", "l")
	name, first := list()
	if revoked(name, user.Certificate) || revoked(name, host.Certificate) {
		t.Error("the first list revokes what nobody revoked")
	}
	for _, h := range []*testca.SSHHolder{user, host, lost} {
		reason := map[bool]int{true: 1}[h == lost]
		office.Post("/ssh/revoke", object{"serial": h.Serial(), "ott": office.SSHPOPToken(h, "revoke"), "passive": true, "reasonCode": reason}).Want(200)
	}
	name, second := list() // at once, on the server that took the revocation
	for _, c := range []struct {
		name string
		key  ssh.PublicKey
		want bool
	}{
		{"the user's certificate", user.Certificate, true}, {"the host's certificate", host.Certificate, true},
		{"the user's plain key", user.Certificate.Key, false}, {"a compromised plain key", lost.Certificate.Key, true},
		{"the same number of another CA", testca.ForeignSSH(t, sharedKey, func(c *ssh.Certificate) { c.Serial = user.Certificate.Serial }).Certificate, false},
		{"the host's number in a user certificate", testca.ForeignSSH(t, office.SSHUserKey, func(c *ssh.Certificate) {
			c.Serial, c.CertType = host.Certificate.Serial, ssh.UserCert
		}).Certificate, false},
	} {
		if revoked(name, c.key) != c.want {
			t.Errorf("%s: revoked is %v", c.name, !c.want)
		}
	}
	if a, b := first.Header.Get("ETag"), second.Header.Get("ETag"); a == b || a == "" {
		t.Errorf("the tags are %s and %s", a, b)
	}
	office.Do(testca.Call{Method: "GET", Path: "/ssh/krl", Header: http.Header{"If-None-Match": {second.Header.Get("ETag")}}}).Want(304)
}

// Log readers find the certificate, and nothing that could be used again.
func TestSSHRequestsAreLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	office := testca.New(t, withSSH)
	token := office.SSHToken("ann", object{})
	key := testca.P256(t)
	office.Post("/ssh/sign", object{"publicKey": testca.Wire(testca.SSHKey(t, key)), "ott": token}).Want(201)
	logged := office.Log.String()
	if !strings.Contains(logged, "SSH certificate issued") || strings.Contains(logged, token) || strings.Contains(logged, token[strings.LastIndex(token, ".")+1:]) {
		t.Errorf("the log is %s", logged)
	}
}

// A body can hold anything; the answer is always one of JSON.
func FuzzSSHWire(f *testing.F) {
	office := testca.New(f, withSSH)
	handler := office.Handler()
	h := office.IssueSSH("host", "h")
	for _, seed := range []string{`{}`, `[]`, `{"publicKey":"AAAA","ott":"x"}`, `{"publicKey":"` + testca.Wire(h.Certificate) + `","ott":"a.b.c","certType":"host","principals":["a"],"validAfter":"-1m","identityCSR":"x"}`,
		`{"type":"user","data":{"GOOS":"linux"}}`, `{"serial":"1","ott":"a.b.c","passive":true}`, `{"type":"host","principal":"x"}`, `{"hostname":"x"}`,
		`{"ott":"` + office.SSHPOPToken(h, "renew") + `"}`, `{"ott":"` + office.SSHPOPToken(h, "rekey") + `","publicKey":"` + testca.Wire(h.Certificate.Key) + `"}`} {
		for i := range uint8(7) {
			f.Add(i, []byte(seed))
		}
	}
	paths := []string{"/ssh/sign", "/ssh/renew", "/ssh/rekey", "/ssh/revoke", "/ssh/config", "/ssh/check-host", "/ssh/bastion"}
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, paths[int(path)%len(paths)], bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		w := &recorder{header: http.Header{}}
		handler.ServeHTTP(w, r)
		if w.status >= 500 && w.status != 501 || !json.Valid(w.body.Bytes()) {
			t.Errorf("%d: %s", w.status, w.body.Bytes())
		}
	})
}

// FuzzSSHPOP puts any bytes in the place of the certificate that a token proves.
func FuzzSSHPOP(f *testing.F) {
	office := testca.New(f, withSSH)
	h := office.IssueSSH("host", "h")
	blob := h.Certificate.Marshal()
	f.Add(blob)
	f.Add(blob[:len(blob)/2])
	f.Add(h.Certificate.Key.Marshal())
	f.Add([]byte{})
	handler := office.Handler()
	f.Fuzz(func(t *testing.T, blob []byte) {
		token := office.In(t).SSHPOPToken(h, "renew", testca.Head("sshpop", base64.StdEncoding.EncodeToString(blob)))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/ssh/renew", strings.NewReader(fmt.Sprintf(`{"ott":%q}`, token)))
		if err != nil {
			t.Fatal(err)
		}
		w := &recorder{header: http.Header{}}
		handler.ServeHTTP(w, r)
		if w.status == 201 && !bytes.Equal(blob, h.Certificate.Marshal()) || w.status >= 500 {
			t.Errorf("%d for %x", w.status, blob)
		}
	})
}

// recorder is an answer that is not sent.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// BenchmarkSSHSign is to cost no more than BenchmarkSign.
func BenchmarkSSHSign(b *testing.B) {
	office := testca.New(b, withSSH)
	handler := office.Handler()
	key := testca.Wire(testca.SSHKey(b, testca.P256(b)))
	for b.Loop() {
		body := fmt.Sprintf(`{"publicKey":%q,"ott":%q}`, key, office.SSHToken("ann", object{}))
		post(b, handler, "/ssh/sign", body)
	}
}

// BenchmarkSign is the same in X.509.
func BenchmarkSign(b *testing.B) {
	office := testca.New(b)
	handler := office.Handler()
	csr := testca.CSR(b, testca.P256(b), "web", "web")
	for b.Loop() {
		text, _ := json.Marshal(object{"csr": csr, "ott": office.Token("web")})
		post(b, handler, "/sign", string(text))
	}
}

func post(b *testing.B, handler http.Handler, path, body string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	w := &recorder{header: http.Header{}}
	if handler.ServeHTTP(w, r); w.status != 201 {
		b.Fatalf("%d: %s", w.status, w.body.Bytes())
	}
}

// wireOf is an SSH key made of strings.
func wireOf(parts ...string) string {
	var out []byte
	for _, p := range parts {
		out = append(out, byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p)))
		out = append(out, p...)
	}
	return base64.StdEncoding.EncodeToString(out)
}

func dsaKey() string {
	big := "\x01" + strings.Repeat("\x55", 127)
	return wireOf("ssh-dss", big, "\x01"+strings.Repeat("\x33", 19), big, big)
}

// securityKey is a key that lives in hardware (OpenSSH PROTOCOL.u2f).
func securityKey(t *testing.T) string {
	t.Helper()
	pub := testca.Ed25519(t).Public().(ed25519.PublicKey)
	return wireOf("sk-ssh-ed25519@openssh.com", string(pub), "ssh:")
}
