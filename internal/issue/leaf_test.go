package issue_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// grant is a usable grant under a test CA.
func grant(ca *testca.CA, bend ...func(*issue.Grant)) *issue.Grant {
	g := &issue.Grant{
		Profile: &issue.Profile{
			Authority: ca.Authority,
			TLS:       issue.Lifetimes{Min: 5 * time.Minute, Max: 24 * time.Hour, Default: 24 * time.Hour},
			Extension: &issue.Extension{Type: 1, Name: "ops@example.com", CredentialID: "key-1"},
		},
		Subject: "web", CommonNames: []string{"web", "www.example"}, Names: issue.NamesOf([]string{"web", "www.example"}),
	}
	for _, b := range bend {
		b(g)
	}
	return g
}

func draftOf(g *issue.Grant, csr *x509.CertificateRequest, now time.Time) (*issue.X509Draft, error) {
	return issue.NewX509(g, &issue.X509Ask{Request: csr}, now)
}

// seal issues what a grant allows for a key.
func seal(t *testing.T, ca *testca.CA, g *issue.Grant, key crypto.Signer) *x509.Certificate {
	t.Helper()
	now := time.Now()
	draft, err := draftOf(g, testca.Request(t, testca.CSR(t, key, "")), now)
	if err != nil {
		t.Fatal(err)
	}
	return sealDraft(t, ca, draft, now)
}

func sealDraft(t *testing.T, ca *testca.CA, draft *issue.X509Draft, now time.Time) *x509.Certificate {
	t.Helper()
	checked, err := draft.Check(now)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ca.Office.State().Issuer.SealX509(context.Background(), checked)
	if err != nil {
		t.Fatal(err)
	}
	return chain[0]
}

// The certificate on the wire, extension by extension, against the text of one that was
// looked at. -update writes what is now made.
func TestIssuedCertificatesAsText(t *testing.T) {
	t.Parallel()
	plain := testca.New(t)
	rsaIssuer := testca.New(t, func(s *testca.Setup) { s.MiddleKey = testca.RSA(t, 2048) })
	for _, c := range []struct {
		name string
		ca   *testca.CA
		make func(ca *testca.CA) *x509.Certificate
	}{
		{"leaf-ec", plain, func(ca *testca.CA) *x509.Certificate { return seal(t, ca, grant(ca), testca.P256(t)) }},
		{"leaf-rsa", plain, func(ca *testca.CA) *x509.Certificate { return seal(t, ca, grant(ca), testca.RSA(t, 2048)) }},
		{"leaf-ed25519", plain, func(ca *testca.CA) *x509.Certificate { return seal(t, ca, grant(ca), testca.Ed25519(t)) }},
		{"leaf-rsa-issuer", rsaIssuer, func(ca *testca.CA) *x509.Certificate { return seal(t, ca, grant(ca), testca.P256(t)) }},
		{"leaf-all-names", plain, func(ca *testca.CA) *x509.Certificate {
			return seal(t, ca, grant(ca, func(g *issue.Grant) {
				g.Names = issue.NamesOf([]string{"*.example.com", "10.1.2.3", "2001:db8::1", "ann@example.com", "spiffe://example.com/web"})
			}), testca.P256(t))
		}},
		{"leaf-without-extension", plain, func(ca *testca.CA) *x509.Certificate {
			return seal(t, ca, grant(ca, func(g *issue.Grant) { g.Profile.Extension = nil }), testca.P256(t))
		}},
		{"leaf-with-pairs", plain, func(ca *testca.CA) *x509.Certificate {
			return seal(t, ca, grant(ca, func(g *issue.Grant) {
				g.Profile.Extension = &issue.Extension{Type: 4, Name: "aws", CredentialID: "123", Pairs: []string{"InstanceID", "i-1"}}
			}), testca.P256(t))
		}},
		{"leaf-with-defaults-of-the-authority", testca.New(t, func(s *testca.Setup) {
			s.Authority = func(a *issue.Authority) {
				a.Subject = pkix.Name{Country: []string{"DE"}, Organization: []string{"Example"}, Locality: []string{"Berlin"}, CommonName: "never used"}
				a.CRLURL = "https://ca.example/1.0/crl"
			}
		}), func(ca *testca.CA) *x509.Certificate { return seal(t, ca, grant(ca), testca.P256(t)) }},
		{"renewal", plain, func(ca *testca.CA) *x509.Certificate {
			return successor(t, ca, seal(t, ca, grant(ca), testca.P256(t)), nil)
		}},
		{"renewal-of-unknown-extensions", plain, func(ca *testca.CA) *x509.Certificate {
			old := testca.LeafTemplate("web")
			old.Subject = pkix.Name{CommonName: "web", Organization: []string{"Example"}, SerialNumber: "7"}
			old.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}}
			return successor(t, ca, ca.Certify(old, ca.Intermediate, testca.P256(t).Public(), ca.IntermediateKey), nil)
		}},
		{"rekey-to-rsa", plain, func(ca *testca.CA) *x509.Certificate {
			return successor(t, ca, seal(t, ca, grant(ca), testca.P256(t)), testca.RSA(t, 2048).Public())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			leaf := c.make(c.ca.In(t))
			if err := leaf.CheckSignatureFrom(c.ca.Intermediate); err != nil {
				t.Error(err)
			}
			got, path := textOf(t, leaf, c.ca.Intermediate), filepath.Join("testdata", "x509", c.name+".golden")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func successor(t *testing.T, ca *testca.CA, old *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	if key == nil {
		key = old.PublicKey
	}
	now := time.Now()
	draft, err := issue.NewRenewal(grant(ca), old, key, now)
	if err != nil {
		t.Fatal(err)
	}
	return sealDraft(t, ca, draft, now)
}

// textOf writes what does not change from run to run: extensions in their order and as they
// are on the wire, with key identifiers checked and named.
func textOf(t *testing.T, leaf, issuer *x509.Certificate) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "version: %d\nsignature: %s\nissuer: %s\nsubject: %s\n", leaf.Version, leaf.SignatureAlgorithm, leaf.Issuer, leaf.Subject)
	fmt.Fprintf(&b, "serial number: positive %v, at most 20 octets %v\n", leaf.SerialNumber.Sign() > 0, len(leaf.SerialNumber.Bytes()) <= 20)
	fmt.Fprintf(&b, "lifetime: %s\nkey: %s\n", leaf.NotAfter.Sub(leaf.NotBefore), leaf.PublicKeyAlgorithm)
	for _, ext := range leaf.Extensions {
		critical := ""
		if ext.Critical {
			critical = " critical"
		}
		value := hex.EncodeToString(ext.Value)
		if own := "0414" + identifier(t, leaf); value == own {
			value = "SHA-1 of the subject's key"
		}
		if value == "30168014"+hex.EncodeToString(issuer.SubjectKeyId) {
			value = "subject key identifier of the issuer"
		}
		fmt.Fprintf(&b, "extension %s%s: %s\n", ext.Id, critical, value)
	}
	fmt.Fprintf(&b, "DNS: %v\nIP: %v\nemail: %v\nURI: %v\n", leaf.DNSNames, leaf.IPAddresses, leaf.EmailAddresses, leaf.URIs)
	return b.String()
}

// identifier is RFC 5280, Section 4.2.1.2 (1), from the certificate's own bytes.
func identifier(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(info.Key.Bytes)
	return hex.EncodeToString(sum[:])
}

// http-api Section 5.8: the DER of the extension, byte by byte.
func TestProvisionerExtensionOnTheWire(t *testing.T) {
	t.Parallel()
	ext, err := (&issue.Extension{Type: 1, Name: "ab", CredentialID: "k"}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x30, 0x0a, 0x02, 0x01, 0x01, 0x04, 0x02, 0x61, 0x62, 0x04, 0x01, 0x6b}
	if !bytes.Equal(ext.Value, want) || ext.Critical || ext.Id.String() != "1.3.6.1.4.1.37476.9000.64.1" {
		t.Errorf("%x (%s, critical %v), want %x", ext.Value, ext.Id, ext.Critical, want)
	}
	for _, bad := range [][]byte{{}, {0x30, 0x00}, append(bytes.Clone(want), 0), want[:10]} {
		c := &x509.Certificate{Extensions: []pkix.Extension{{Id: issue.OIDProvisioner, Value: bad}}}
		if got := issue.ProvisionerOf(c); got != nil {
			t.Errorf("%x was read as %+v", bad, got)
		}
	}
}

// A successor never loses a restriction and never gains a right (SEC-25).
func TestSEC25_SuccessorsKeepEveryExtension(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	template := testca.LeafTemplate("web")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.SubjectKeyId = []byte{1, 2, 3} // made otherwise than ours
	template.ExtraExtensions = []pkix.Extension{
		{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}, // must staple
		{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5}, Critical: true, Value: []byte{5, 0}},
	}
	old := ca.Certify(template, ca.Intermediate, testca.P256(t).Public(), ca.IntermediateKey)
	next := successor(t, ca, old, nil)
	keep := func(c *x509.Certificate) map[string]pkix.Extension {
		all := map[string]pkix.Extension{}
		for _, ext := range c.Extensions {
			if !ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 35}) { // made anew by the issuer
				all[ext.Id.String()] = ext
			}
		}
		return all
	}
	if diff := cmp.Diff(keep(old), keep(next)); diff != "" {
		t.Errorf("(-old +successor):\n%s", diff)
	}
	if !bytes.Equal(old.RawSubject, next.RawSubject) || old.SerialNumber.Cmp(next.SerialNumber) == 0 {
		t.Error("the subject changed, or the serial number did not")
	}
}

func TestRefusedDrafts(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key := testca.P256(t)
	plain := testca.Request(t, testca.CSR(t, key, ""))
	names := func(list ...string) func(*issue.Grant) {
		return func(g *issue.Grant) { g.Names = issue.NamesOf(list) }
	}
	uri := func(s string) func(*issue.Grant) {
		return func(g *issue.Grant) {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			g.Names = issue.Names{URIs: []*url.URL{u}}
		}
	}
	dns := func(s string) func(*issue.Grant) {
		return func(g *issue.Grant) { g.Names = issue.Names{DNS: []string{s}} }
	}
	email := func(s string) func(*issue.Grant) {
		return func(g *issue.Grant) { g.Names = issue.Names{Emails: []string{s}} }
	}
	for _, c := range []struct {
		name string
		bend func(*issue.Grant)
		csr  *x509.CertificateRequest
		kind fault.Kind
	}{
		{"no profile", func(g *issue.Grant) { g.Profile = nil }, plain, fault.Denied},
		{"no names, but the request has some", func(g *issue.Grant) { g.Names = issue.Names{} }, testca.Request(t, testca.CSR(t, key, "", "web")), fault.Denied},
		{"no request", nil, nil, fault.Invalid},
		{"a request for a CA", nil, bentRequest(t, func(r *x509.CertificateRequest) { r.ExtraExtensions = []pkix.Extension{testca.CAExtension()} }), fault.Denied},
		{"constraints that cannot be read", nil, bentRequest(t, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{1}}}
		}), fault.Denied},
		{"an otherName", nil, bentRequest(t, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(2, false, []byte("web")), testca.GeneralName(0, true, otherName(t)))}
		}), fault.Denied},
		{"a directoryName", nil, bentRequest(t, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(4, true, []byte{0x30, 0}))}
		}), fault.Denied},
		{"a registeredID", nil, bentRequest(t, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{testca.SANExtension(t, testca.GeneralName(8, false, []byte{0x2a}))}
		}), fault.Denied},
		// SEC-12: characters that mean something to somebody.
		{"an empty label", dns("a..b"), plain, fault.Denied},
		{"a dot at the end", dns("a.b."), plain, fault.Denied},
		{"a dot at the begin", dns(".a.b"), plain, fault.Denied},
		{"only a dot", dns("."), plain, fault.Denied},
		{"only a star", dns("*"), plain, fault.Denied},
		{"a star in the middle", dns("a.*.b"), plain, fault.Denied},
		{"a star inside a label", dns("w*.a.b"), plain, fault.Denied},
		{"two stars", dns("*.*.a"), plain, fault.Denied},
		{"a comma", dns("a,b"), plain, fault.Denied},
		{"NUL", dns("a\x00b"), plain, fault.Denied},
		{"a line break", dns("a\nb"), plain, fault.Denied},
		{"DEL", dns("a\x7f"), plain, fault.Denied},
		{"not ASCII", dns("müller.example"), plain, fault.Denied},
		{"not UTF-8", dns("a\xff"), plain, fault.Denied},
		{"an empty DNS name", dns(""), plain, fault.Denied},
		{"a DNS name too long", dns(strings.Repeat("a.", 127)), plain, fault.Denied},
		{"an @ alone", names("@"), plain, fault.Denied},
		{"an address without a host", email("ann@"), plain, fault.Denied},
		{"an address without a mailbox", email("@example.com"), plain, fault.Denied},
		{"two @", email("a@b@c"), plain, fault.Denied},
		{"a space in an address", email("a b@c"), plain, fault.Denied},
		{"an address not in ASCII", email("ü@c"), plain, fault.Denied},
		{"a URI whose host ends in dots", uri("https://foo../"), plain, fault.Denied},
		{"a URI whose host has an empty label", uri("https://a..b/"), plain, fault.Denied},
		{"a subject too long", func(g *issue.Grant) { g.Subject = strings.Repeat("a", 257) }, plain, fault.Denied},
		{"a subject with a line break", func(g *issue.Grant) { g.Subject = "a\nb" }, plain, fault.Denied},
		{"a subject not in UTF-8", func(g *issue.Grant) { g.Subject = "a\xff" }, plain, fault.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := grant(ca)
			if c.bend != nil {
				c.bend(g)
			}
			draft, err := draftOf(g, c.csr, time.Now())
			if err == nil {
				_, err = draft.Check(time.Now())
			}
			if !fault.Is(err, c.kind) {
				t.Errorf("%v (%v), want %v", err, fault.KindOf(err), c.kind)
			}
		})
	}
	t.Run("no grant", func(t *testing.T) {
		t.Parallel()
		if _, err := draftOf(nil, plain, time.Now()); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
	})
}

func bentRequest(t *testing.T, bend func(*x509.CertificateRequest)) *x509.CertificateRequest {
	t.Helper()
	return testca.Request(t, testca.BentCSR(t, testca.P256(t), bend))
}

// Names of services and people that old clients put into tokens pass.
func TestUnusualNamesPass(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	for _, names := range [][]string{
		{"Ann Smith"}, {"host_name"}, {"localhost"}, {"*.example.com"}, {"xn--mller-kva.example"}, {"urn:uuid:8f7c2a1e-1111-2222-3333-444455556666"},
		{"ann.smith+x@example.com"}, {`"ann smith"@example.com`}, {"https://[2001:db8::1]:8443/"}, {"::ffff:10.1.2.3"}, {"spiffe://example/a/b"}, {"-x"},
	} {
		leaf := seal(t, ca, grant(ca, func(g *issue.Grant) { g.Names = issue.NamesOf(names) }), testca.P256(t))
		if got := issue.CertificateNames(leaf).Strings(); len(got) != 1 {
			t.Errorf("%q became %q", names, got)
		}
	}
}

// Provisioners Section 1.10: how an untyped name finds its kind.
func TestNamesFindTheirKind(t *testing.T) {
	t.Parallel()
	got := issue.NamesOf([]string{"", "web", "10.1.2.3", "[::1]", "::1", "ann@example", "https://example/x@y", "host:8080", "a:b@c", "127.1", "1.2.3.4.5"})
	want := issue.Names{
		DNS: []string{"web", "[::1]", "127.1", "1.2.3.4.5"}, IPs: []net.IP{net.ParseIP("10.1.2.3"), net.ParseIP("::1")}, Emails: []string{"ann@example"},
		URIs: []*url.URL{{Scheme: "https", Host: "example", Path: "/x@y"}, {Scheme: "host", Opaque: "8080"}, {Scheme: "a", Opaque: "b@c"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSerialNumbers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2000 {
		n, err := issue.NewSerial()
		if err != nil {
			t.Fatal(err)
		}
		if n.Sign() <= 0 || n.BitLen() > 159 || seen[n.String()] {
			t.Fatalf("%s: not positive, too long, or drawn twice", n)
		}
		seen[n.String()] = true
		begins := new(big.Int).Rsh(n, 112).Int64()
		if now := time.Now().UnixMilli(); begins > now || now-begins > 60_000 {
			t.Fatalf("%s: does not begin with the time", n)
		}
	}
}

// http-api Section 5.7: an RSA issuer signs as its own certificate was signed, PSS included.
func TestSealKeepsTheSchemeOfTheIssuer(t *testing.T) {
	t.Parallel()
	for _, alg := range []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSAPSS, x509.SHA256WithRSAPSS} {
		key := testca.RSA(t, 2048)
		ca := testca.New(t)
		issuer := ca.Certify(testca.Template("RSA issuer", 1, func(c *x509.Certificate) { c.SignatureAlgorithm = alg }), nil, key.Public(), key)
		local, err := issue.NewLocal([]*x509.Certificate{issuer}, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		draft, err := draftOf(grant(ca), testca.Request(t, testca.CSR(t, testca.P256(t), "")), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		checked, err := draft.Check(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		chain, err := local.SealX509(context.Background(), checked)
		if err != nil {
			t.Fatal(err)
		}
		if chain[0].SignatureAlgorithm != alg {
			t.Errorf("signed with %s under an issuer signed with %s", chain[0].SignatureAlgorithm, alg)
		}
		if err := chain[0].CheckSignatureFrom(issuer); err != nil {
			t.Error(err)
		}
		der, err := local.SealCRL(&x509.RevocationList{Number: issuer.SerialNumber, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if list.SignatureAlgorithm != alg {
			t.Errorf("the revocation list is signed with %s under an issuer signed with %s", list.SignatureAlgorithm, alg)
		}
	}
}

func TestLocalRefusesAStrangersKey(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	if _, err := issue.NewLocal([]*x509.Certificate{ca.Intermediate}, ca.RootKey, nil); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := issue.NewLocal(nil, ca.RootKey, nil); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
