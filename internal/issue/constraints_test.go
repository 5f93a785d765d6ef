package issue_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/testca"
)

// subtrees are the name constraints of one issuer.
type subtrees struct {
	permitDNS, excludeDNS     []string
	permitEmail, excludeEmail []string
	permitURI, excludeURI     []string
	permitIP, excludeIP       []string
}

func (s *subtrees) apply(c *x509.Certificate) {
	c.PermittedDNSDomainsCritical = true
	c.PermittedDNSDomains, c.ExcludedDNSDomains = s.permitDNS, s.excludeDNS
	c.PermittedEmailAddresses, c.ExcludedEmailAddresses = s.permitEmail, s.excludeEmail
	c.PermittedURIDomains, c.ExcludedURIDomains = s.permitURI, s.excludeURI
	c.PermittedIPRanges, c.ExcludedIPRanges = blocks(s.permitIP), blocks(s.excludeIP)
}

func blocks(list []string) (out []*net.IPNet) {
	for _, s := range list {
		_, block, err := net.ParseCIDR(s)
		if err != nil {
			panic(err)
		}
		out = append(out, block)
	}
	return out
}

// judge asks us whether we would sign names under an issuer with constraints.
func judge(t *testing.T, ca *testca.CA, names ...string) error {
	t.Helper()
	g := &issue.Grant{
		Profile: &issue.Profile{Authority: ca.Authority, TLS: issue.Lifetimes{Min: time.Minute, Max: time.Hour, Default: time.Hour}},
		Subject: "x", Names: issue.NamesOf(names),
	}
	key := testca.P256(t)
	ask := &issue.X509Ask{Request: testca.Request(t, testca.CSR(t, key, ""))}
	draft, err := issue.NewX509(g, ask, time.Now())
	if err != nil {
		return err
	}
	_, err = draft.Check(time.Now())
	return err
}

// foreignLeaf is a leaf with the names, signed without asking us.
func foreignLeaf(t *testing.T, ca *testca.CA, names ...string) *x509.Certificate {
	t.Helper()
	n := issue.NamesOf(names)
	leaf := testca.LeafTemplate("x")
	leaf.DNSNames, leaf.IPAddresses, leaf.EmailAddresses, leaf.URIs = n.DNS, n.IPs, n.Emails, n.URIs
	return ca.Certify(leaf, ca.Intermediate, testca.P256(t).Public(), ca.IntermediateKey)
}

// goVerify asks crypto/x509.
func goVerify(ca *testca.CA, leaf *x509.Certificate) error {
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.Root)
	middle.AddCert(ca.Intermediate)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// openssl asks the openssl program about many leaves at once; nil means it accepts.
func openssl(t *testing.T, ca *testca.CA, leaves []*x509.Certificate) []error {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, c *x509.Certificate) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, keys.EncodeCertificates(c), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"verify", "-CAfile", write("root.pem", ca.Root), "-untrusted", write("middle.pem", ca.Intermediate)}
	verdicts := make([]error, len(leaves))
	for i, leaf := range leaves {
		args = append(args, write(fmt.Sprintf("leaf%03d.pem", i), leaf))
	}
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if _, refused := errors.AsType[*exec.ExitError](err); err != nil && !refused {
		t.Fatalf("openssl: %v", err)
	}
	for i := range leaves {
		if !strings.Contains(string(out), fmt.Sprintf("leaf%03d.pem: OK", i)) {
			verdicts[i] = errors.New("refused by openssl")
		}
	}
	return verdicts
}

// SEC-41: our own name constraint check against two others. Whatever we sign both accept;
// and in the cases of this table all three agree.
func TestSEC41_NameConstraintsAgainstGoAndOpenSSL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		under   subtrees
		good    []string // one leaf each
		refused []string
	}{
		{"permitted DNS", subtrees{permitDNS: []string{"example.com"}},
			[]string{"example.com", "a.example.com", "A.EXAMPLE.com", "*.example.com", "a.b.c.example.com"},
			[]string{"example.org", "badexample.com", "com", "example.com.evil.org", "*.com"}},
		{"permitted DNS below", subtrees{permitDNS: []string{".example.com"}},
			[]string{"a.example.com", "*.example.com"}, []string{"example.com", "badexample.com"}},
		{"excluded DNS", subtrees{excludeDNS: []string{"example.com"}},
			[]string{"example.org", "badexample.com"}, []string{"example.com", "a.example.com", "EXAMPLE.COM", "*.example.com"}},
		{"excluded DNS in capitals", subtrees{excludeDNS: []string{"Example.COM"}},
			[]string{"example.org"}, []string{"example.com", "a.Example.com"}},
		{"excluded inside permitted", subtrees{permitDNS: []string{"example.com"}, excludeDNS: []string{"secret.example.com"}},
			[]string{"a.example.com"}, []string{"secret.example.com", "a.secret.example.com", "other.org"}},
		{"two permitted", subtrees{permitDNS: []string{"example.com", "example.org"}},
			[]string{"a.example.com", "a.example.org"}, []string{"a.example.net"}},
		{"permitted IP", subtrees{permitIP: []string{"10.0.0.0/8"}},
			[]string{"10.1.2.3"}, []string{"11.1.2.3", "::ffff:11.1.2.3", "2001:db8::1"}},
		{"permitted IPv6", subtrees{permitIP: []string{"2001:db8::/32"}},
			[]string{"2001:db8::1"}, []string{"2001:db9::1", "10.1.2.3"}},
		{"excluded IP", subtrees{excludeIP: []string{"10.0.0.0/8"}},
			[]string{"11.1.2.3", "2001:db8::1"}, []string{"10.255.255.255", "::ffff:10.0.0.1"}},
		{"excluded every IPv4", subtrees{excludeIP: []string{"0.0.0.0/0"}},
			[]string{"2001:db8::1"}, []string{"1.2.3.4"}},
		{"permitted mailbox host", subtrees{permitEmail: []string{"example.com"}},
			[]string{"ann@example.com", "ann@EXAMPLE.com"}, []string{"ann@example.org", "ann@badexample.com"}},
		{"permitted mailboxes below", subtrees{permitEmail: []string{".example.com"}},
			[]string{"ann@a.example.com"}, []string{"ann@example.com"}},
		{"permitted mailbox", subtrees{permitEmail: []string{"ann@example.com"}},
			[]string{"ann@example.com", "ann@Example.Com"}, []string{"bob@example.com"}},
		{"excluded mailbox host", subtrees{excludeEmail: []string{"example.com"}},
			[]string{"ann@example.org"}, []string{"ann@example.com", "ann@EXAMPLE.com"}},
		{"excluded mailbox", subtrees{excludeEmail: []string{"ann@example.com"}},
			[]string{"bob@example.com"}, []string{"ann@example.com"}},
		{"permitted URI host", subtrees{permitURI: []string{"example.com"}},
			[]string{"https://example.com/x", "https://EXAMPLE.com:8443/x", "spiffe://example.com/web"}, []string{"https://example.org/", "https://10.1.2.3/"}},
		{"permitted URI hosts below", subtrees{permitURI: []string{".example.com"}},
			[]string{"https://a.example.com/"}, []string{"https://example.com/"}},
		{"excluded URI host", subtrees{excludeURI: []string{"example.com"}},
			[]string{"https://example.org/"}, []string{"https://example.com/", "https://EXAMPLE.com:1/"}},
		{"names of another kind are free", subtrees{permitDNS: []string{"example.com"}},
			[]string{"10.1.2.3", "ann@example.org", "https://example.org/"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, level := range []string{"intermediate", "root"} {
				ca := testca.New(t, func(s *testca.Setup) {
					s.Middle = c.under.apply
					if level == "root" {
						s.Middle, s.Root = nil, c.under.apply
					}
					s.DNSNames = nil // the CA's own names lie outside
				})
				var leaves []*x509.Certificate
				for _, name := range append(c.good[:len(c.good):len(c.good)], c.refused...) {
					leaves = append(leaves, foreignLeaf(t, ca, name))
				}
				verdicts := openssl(t, ca, leaves)
				for i, name := range append(c.good[:len(c.good):len(c.good)], c.refused...) {
					good := i < len(c.good)
					ours := judge(t, ca, name)
					if (ours == nil) != good || (ours != nil && !fault.Is(ours, fault.Denied)) {
						t.Errorf("%s, %s: ours says %v", level, name, ours)
					}
					if err := goVerify(ca, leaves[i]); (err == nil) != good {
						t.Errorf("%s, %s: crypto/x509 says %v", level, name, err)
					}
					if (verdicts[i] == nil) != good {
						t.Errorf("%s, %s: openssl says %v", level, name, verdicts[i])
					}
				}
			}
		})
	}
}

// Where the others disagree, the stricter one binds us.
func TestNameConstraintsTakeTheStricterReading(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		under subtrees
		san   string
	}{
		{"a wildcard that stands for an excluded sibling", subtrees{excludeDNS: []string{"secret.example.com"}}, "*.example.com"},
		{"a wildcard in capitals", subtrees{excludeDNS: []string{"secret.example.com"}}, "*.EXAMPLE.com"},
		{"a mailbox below a permitted host", subtrees{permitEmail: []string{"example.com"}}, "ann@a.example.com"},
		{"a mailbox below an excluded host", subtrees{excludeEmail: []string{"example.com"}}, "ann@a.example.com"},
		{"a mailbox in another case", subtrees{excludeEmail: []string{"Ann@example.com"}}, "ann@example.com"},
		{"a quoted mailbox that is excluded", subtrees{excludeEmail: []string{"ann@example.com"}}, `"ann"@example.com`},
		{"a quoted mailbox whose like is permitted", subtrees{permitEmail: []string{"example.com"}}, `"ann"@example.com`},
		{"a URI below a permitted host", subtrees{permitURI: []string{"example.com"}}, "https://a.example.com/"},
		{"a URI below an excluded host", subtrees{excludeURI: []string{"example.com"}}, "https://a.example.com/"},
		{"a URI without a host", subtrees{excludeURI: []string{"example.com"}}, "urn:uuid:1"},
		{"a URI with an IPv6 address", subtrees{excludeURI: []string{"example.com"}}, "https://[::1]/"},
		{"a URI with a user who looks like the host", subtrees{permitURI: []string{"example.com"}}, "https://example.org:x@example.com/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := testca.New(t, func(s *testca.Setup) { s.Middle = c.under.apply })
			if err := judge(t, ca, c.san); !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v, want a refusal", c.san, err)
			}
		})
	}
}

// SEC-41, any constraints and any names: what we would sign, crypto/x509 and OpenSSL accept.
func TestSEC41_WhatWeSignOthersAccept(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	labels := []string{"a", "b", "example", "EXAMPLE", "x-y", "com"}
	host := func(most int) string {
		var parts []string
		for range 1 + random.IntN(most) {
			parts = append(parts, labels[random.IntN(len(labels))])
		}
		return strings.Join(parts, ".")
	}
	maybe := func(make func() string) (out []string) {
		for range random.IntN(3) {
			out = append(out, make())
		}
		return out
	}
	dotted := func() string { return []string{"", "", "."}[random.IntN(3)] + host(3) }
	mailbox := func() string { return []string{"", "", "a@", "A@"}[random.IntN(4)] + host(2) }
	block := func() string {
		return []string{"10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32", "::/0", "192.168.1.4/32"}[random.IntN(6)]
	}
	names := func() (list []string) {
		list = append(list, []string{"", "", "*."}[random.IntN(3)]+host(4))
		for range random.IntN(2) {
			list = append(list, []string{"a@", "A@", "b@"}[random.IntN(3)]+host(3))
		}
		for range random.IntN(2) {
			list = append(list, "https://"+host(3)+"/p")
		}
		for range random.IntN(2) {
			list = append(list, []string{"10.1.2.3", "10.200.0.1", "192.168.1.4", "2001:db8::5", "fe80::1"}[random.IntN(5)])
		}
		return list
	}
	accepted := 0
	for range 25 {
		under := subtrees{maybe(dotted), maybe(dotted), maybe(mailbox), maybe(mailbox), maybe(dotted), maybe(dotted), maybe(block), maybe(block)}
		ca := testca.New(t, func(s *testca.Setup) { s.Middle = under.apply })
		var leaves []*x509.Certificate
		var asked [][]string
		for range 16 {
			list := names()
			if judge(t, ca, list...) == nil {
				leaves, asked = append(leaves, foreignLeaf(t, ca, list...)), append(asked, list)
			}
		}
		accepted += len(leaves)
		if len(leaves) == 0 {
			continue
		}
		verdicts := openssl(t, ca, leaves)
		for i, leaf := range leaves {
			if err := goVerify(ca, leaf); err != nil {
				t.Errorf("%+v: we sign %q, crypto/x509 says %v", under, asked[i], err)
			}
			if verdicts[i] != nil {
				t.Errorf("%+v: we sign %q, openssl refuses", under, asked[i])
			}
		}
	}
	if accepted < 20 {
		t.Errorf("only %d certificates accepted: the test has become blind", accepted)
	}
}

// A raw extension cannot hide names from the constraints, in whatever order it has them.
func TestConstraintsSeeTheFinalExtension(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, func(s *testca.Setup) {
		s.Middle = (&subtrees{permitDNS: []string{"example.com"}}).apply
	})
	old := testca.LeafTemplate("a.example.com")
	old.ExtraExtensions = append(old.ExtraExtensions, testca.SANExtension(t,
		testca.GeneralName(8, false, []byte{0x2a, 0x03}),
		testca.GeneralName(0, true, otherName(t)),
		testca.GeneralName(2, false, []byte("evil.org"))))
	leaf := ca.Certify(old, ca.Intermediate, testca.P256(t).Public(), ca.IntermediateKey)
	g := &issue.Grant{Profile: &issue.Profile{Authority: ca.Authority, TLS: issue.Lifetimes{Min: time.Minute, Max: 48 * time.Hour, Default: time.Hour}}}
	draft, err := issue.NewRenewal(g, leaf, leaf.PublicKey, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := draft.Check(time.Now()); !fault.Is(err, fault.Denied) {
		t.Errorf("the successor of a certificate with a hidden name: %v", err)
	}
}

// otherName is a user principal name, as Windows writes it.
func otherName(t *testing.T) []byte {
	t.Helper()
	id, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.MarshalWithParams("ann@example.com", "utf8,explicit,tag:0")
	if err != nil {
		t.Fatal(err)
	}
	return append(id, value...)
}
