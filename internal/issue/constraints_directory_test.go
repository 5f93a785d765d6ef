package issue_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// directoryConstraints is a name constraints extension for distinguished names, by the
// member it stands in: 0 permits, 1 excludes.
func directoryConstraints(t *testing.T, trees map[int]pkix.RDNSequence) pkix.Extension {
	t.Helper()
	var members []asn1.RawValue
	for member := range 2 {
		name, ok := trees[member]
		if !ok {
			continue
		}
		der, err := asn1.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: der}})
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: member, IsCompound: true, Bytes: tree})
	}
	der, err := asn1.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: der}
}

// SEC-41: constraints for distinguished names, which crypto/x509 does not read, against
// OpenSSL. Where it refuses so do we.
func TestSEC41_DirectoryConstraintsAgainstOpenSSL(t *testing.T) {
	t.Parallel()
	country := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "DE"}
	org := func(name string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: name}
	}
	tree := func(parts ...pkix.AttributeTypeAndValue) (all pkix.RDNSequence) {
		for _, p := range parts {
			all = append(all, pkix.RelativeDistinguishedNameSET{p})
		}
		return all
	}
	subject := func(org string, country ...string) pkix.Name {
		n := pkix.Name{CommonName: "x", Country: country}
		if org != "" {
			n.Organization = []string{org}
		}
		return n
	}
	for _, c := range []struct {
		name    string
		trees   map[int]pkix.RDNSequence
		subject pkix.Name
		san     string // directory name beside it, as JSON
		good    bool
		strict  bool // OpenSSL accepts all the same
	}{
		{"permitted", map[int]pkix.RDNSequence{0: tree(country, org("Example"))}, subject("Example", "DE"), "", true, false},
		{"another organization", map[int]pkix.RDNSequence{0: tree(country, org("Example"))}, subject("Other", "DE"), "", false, false},
		{"no organization", map[int]pkix.RDNSequence{0: tree(country, org("Example"))}, subject("", "DE"), "", false, false},
		{"permitted in another case", map[int]pkix.RDNSequence{0: tree(country, org("Example"))}, subject("EXAMPLE", "DE"), "", false, true},
		{"excluded", map[int]pkix.RDNSequence{1: tree(country, org("Secret"))}, subject("Secret", "DE"), "", false, false},
		{"excluded in another case and with more blanks", map[int]pkix.RDNSequence{1: tree(country, org("Top Secret"))}, subject("TOP  secret", "DE"), "", false, false},
		{"not excluded", map[int]pkix.RDNSequence{1: tree(country, org("Secret"))}, subject("Open", "DE"), "", true, false},
		{"excluded inside permitted", map[int]pkix.RDNSequence{0: tree(country), 1: tree(country, org("Secret"))}, subject("Secret", "DE"), "", false, false},
		{"a directory name outside", map[int]pkix.RDNSequence{0: tree(country)}, subject("Example", "DE"), `{"country":"FR"}`, false, false},
		{"a directory name inside", map[int]pkix.RDNSequence{0: tree(country)}, subject("Example", "DE"), `{"country":"DE","organization":"x"}`, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := testca.New(t, func(s *testca.Setup) {
				s.Middle = func(m *x509.Certificate) {
					m.ExtraExtensions = append(m.ExtraExtensions, directoryConstraints(t, c.trees))
				}
			})
			g := grant(ca, func(g *issue.Grant) { g.Profile.Extension = nil })
			text := `{"subject":` + jsonOf(t, issue.SubjectOf(c.subject)) + `,"dnsNames":"x"`
			if c.san != "" {
				text += `,"sans":[{"type":"dn","asn1Value":` + c.san + `}]`
			}
			tmpl := compile(t, text+`}`)
			g.Profile.X509.Template, g.Profile.X509.Custom = func() *issue.X509Template { return tmpl }, true
			draft, err := draftOf(g, testca.Request(t, testca.CSR(t, testca.P256(t), "")), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			_, err = draft.Check(time.Now())
			if (err == nil) != c.good || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("ours says %v", err)
			}
			cert, err := tmpl.Draft(nil)
			if err != nil {
				t.Fatal(err)
			}
			leaf := testca.LeafTemplate("x")
			leaf.Subject, leaf.DNSNames, leaf.ExtraExtensions = cert.Subject, cert.DNSNames, cert.ExtraExtensions
			leaf.RawSubject, err = issue.EncodeSubject(c.subject)
			if err != nil {
				t.Fatal(err)
			}
			signed := ca.Certify(leaf, ca.Intermediate, testca.P256(t).Public(), ca.IntermediateKey)
			if verdict := openssl(t, ca, []*x509.Certificate{signed})[0]; (verdict == nil) != (c.good || c.strict) {
				t.Errorf("openssl says %v", verdict)
			}
		})
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
