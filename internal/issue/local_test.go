package issue_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

var localNow = time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)

func localKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// localSign drafts by a profile, lets change bend the draft, checks and seals it.
func localSign(profile string, key, by crypto.Signer, issuer *x509.Certificate, change func(*issue.LocalDraft)) (*x509.Certificate, error) {
	draft, err := issue.DraftLocal(profile, pkix.Name{CommonName: "x.example"}, issue.NamesOf([]string{"x.example", "192.0.2.1"}), key.Public())
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(draft)
	}
	checked, err := draft.Check(issuer, localNow)
	if err != nil {
		return nil, err
	}
	return issue.SealLocal(checked, issuer, by)
}

func localRoot(t *testing.T, change func(*issue.LocalDraft)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := localKey(t)
	root, err := localSign(issue.ProfileRoot, key, key, nil, change)
	if err != nil {
		t.Fatal(err)
	}
	return root, key
}

func TestLocalProfiles(t *testing.T) {
	t.Parallel()
	root, rootKey := localRoot(t, nil)
	key := localKey(t)
	for _, c := range []struct {
		profile string
		issuer  *x509.Certificate
		by      crypto.Signer
		ca      bool
		names   int
		life    time.Duration
	}{
		{issue.ProfileLeaf, root, rootKey, false, 1, 24 * time.Hour},
		{issue.ProfileSelfSigned, nil, key, false, 1, 24 * time.Hour},
		{issue.ProfileIntermediate, root, rootKey, true, 0, 3650 * 24 * time.Hour},
		{issue.ProfileRoot, nil, key, true, 0, 3650 * 24 * time.Hour},
	} {
		cert, err := localSign(c.profile, key, c.by, c.issuer, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.profile, err)
		}
		if cert.IsCA != c.ca || len(cert.DNSNames) != c.names || len(cert.IPAddresses) != c.names || cert.NotAfter.Sub(cert.NotBefore) != c.life {
			t.Errorf("%s: CA %v, names %v, life %s", c.profile, cert.IsCA, cert.DNSNames, cert.NotAfter.Sub(cert.NotBefore))
		}
		if len(cert.SubjectKeyId) == 0 || cert.SerialNumber.Sign() <= 0 {
			t.Errorf("%s: key ID %x, serial %s", c.profile, cert.SubjectKeyId, cert.SerialNumber)
		}
	}
	if _, err := issue.DraftLocal("other", pkix.Name{}, issue.Names{}, key.Public()); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown profile: %v", err)
	}
}

func TestLocalRules(t *testing.T) {
	t.Parallel()
	root, rootKey := localRoot(t, nil)
	narrow, narrowKey := localRoot(t, func(d *issue.LocalDraft) { d.Cert.PermittedDNSDomains = []string{"corp.example"} })
	short, shortKey := localRoot(t, func(d *issue.LocalDraft) { d.Life = time.Hour })
	key := localKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		proves  string
		profile string
		key     crypto.Signer
		issuer  *x509.Certificate
		by      crypto.Signer
		change  func(*issue.LocalDraft)
		kind    fault.Kind
		fine    bool
	}{
		{"a leaf is fine", issue.ProfileLeaf, key, root, rootKey, nil, 0, true},
		{"an issuer of another key", issue.ProfileLeaf, key, root, key, nil, fault.Invalid, false},
		{"nobody signs for another key without issuer", issue.ProfileLeaf, key, nil, rootKey, nil, fault.Invalid, false},
		{"name constraints hold", issue.ProfileLeaf, key, narrow, narrowKey, nil, fault.Denied, false},
		{"an end beyond the issuer's", issue.ProfileLeaf, key, root, rootKey, func(d *issue.LocalDraft) { d.Cert.NotAfter = root.NotAfter.Add(time.Second) }, fault.Denied, false},
		{"an end nobody wished for is cut", issue.ProfileLeaf, key, short, shortKey, nil, 0, true},
		{"an end before the begin", issue.ProfileLeaf, key, root, rootKey, func(d *issue.LocalDraft) { d.Cert.NotAfter = localNow.Add(-time.Hour) }, fault.Invalid, false},
		{"a weak key", issue.ProfileLeaf, weak, root, rootKey, nil, fault.Denied, false},
		{"a weak key that is wanted", issue.ProfileLeaf, weak, root, rootKey, func(d *issue.LocalDraft) { d.WeakKey = true }, 0, true},
		{"a CA nobody wanted", issue.ProfileIntermediate, key, root, rootKey, func(d *issue.LocalDraft) { d.CA = false }, fault.Denied, false},
		{"a CA in a raw extension", issue.ProfileLeaf, key, root, rootKey, func(d *issue.LocalDraft) {
			d.Cert.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 19}, Value: []byte{0x30, 3, 1, 1, 0xff}}}
		}, fault.Denied, false},
		{"a path as long as the issuer's", issue.ProfileIntermediate, key, root, rootKey, func(d *issue.LocalDraft) { d.Cert.MaxPathLen, d.Cert.MaxPathLenZero = 1, false }, fault.Denied, false},
		{"a path without end", issue.ProfileIntermediate, key, root, rootKey, func(d *issue.LocalDraft) { d.Cert.MaxPathLenZero = false }, fault.Denied, false},
		{"a name with a control character", issue.ProfileLeaf, key, root, rootKey, func(d *issue.LocalDraft) { d.Cert.DNSNames = []string{"a\x00b"} }, fault.Denied, false},
		{"names that can't be read", issue.ProfileLeaf, key, root, rootKey, func(d *issue.LocalDraft) {
			d.Cert.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: []byte{0x30, 9}}}
		}, fault.Denied, false},
	} {
		t.Run(c.proves, func(t *testing.T) {
			cert, err := localSign(c.profile, c.key, c.by, c.issuer, c.change)
			switch {
			case c.fine && err != nil:
				t.Error(err)
			case c.fine && c.issuer != nil && cert.NotAfter.After(c.issuer.NotAfter):
				t.Error("it outlives its issuer")
			case !c.fine && (err == nil || fault.KindOf(err) != c.kind):
				t.Errorf("got %v, want a fault of kind %q", err, c.kind)
			}
		})
	}
}

func TestCheckIssuer(t *testing.T) {
	t.Parallel()
	root, rootKey := localRoot(t, nil)
	key := localKey(t)
	leaf, err := localSign(issue.ProfileLeaf, key, rootKey, root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := issue.CheckIssuer(root, rootKey.Public(), localNow); err != nil {
		t.Error(err)
	}
	for proves, err := range map[string]error{
		"a leaf is no CA":          issue.CheckIssuer(leaf, key.Public(), localNow),
		"the pair must fit":        issue.CheckIssuer(root, key.Public(), localNow),
		"an expired one is no use": issue.CheckIssuer(root, rootKey.Public(), root.NotAfter.Add(time.Second)),
	} {
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", proves, err)
		}
	}
}

func TestSignRequest(t *testing.T) {
	t.Parallel()
	key := localKey(t)
	names := issue.NamesOf([]string{"a.example", "192.0.2.1", "2001:db8::1", "a@b.example", "https://c.example/d"})
	der, err := issue.SignRequest(&x509.Certificate{
		Subject: pkix.Name{CommonName: "a"}, DNSNames: names.DNS, IPAddresses: names.IPs, EmailAddresses: names.Emails, URIs: names.URIs,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 2, 3}, Value: []byte{5, 0}}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil || r.CheckSignature() != nil {
		t.Fatalf("the request is no good: %v, %v", err, r)
	}
	if len(r.DNSNames) != 1 || len(r.IPAddresses) != 2 || len(r.EmailAddresses) != 1 || len(r.URIs) != 1 || !r.IPAddresses[0].Equal(net.IPv4(192, 0, 2, 1)) {
		t.Errorf("names %v %v %v %v", r.DNSNames, r.IPAddresses, r.EmailAddresses, r.URIs)
	}
	draft := issue.DraftRequested(r)
	checked, err := draft.Check(nil, localNow)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issue.SealLocal(checked, nil, key)
	if err != nil || !cert.IsCA || !cert.MaxPathLenZero || len(cert.URIs) != 1 {
		t.Errorf("the certificate as requested: %v, %+v", err, cert)
	}
	if _, err := issue.SignRequest(&x509.Certificate{DNSNames: []string{"a,b"}}, key); !fault.Is(err, fault.Denied) {
		t.Errorf("a name that is none: %v", err)
	}
}
