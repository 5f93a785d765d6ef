package issue_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// Any bytes as subject alternative names: what we judged is what relying parties will see,
// and what passes can also be sealed.
func FuzzSAN(f *testing.F) {
	ca := testca.New(f)
	key := testca.P256(f)
	seeds := [][]asn1.RawValue{
		{testca.GeneralName(2, false, []byte("web"))},
		{testca.GeneralName(1, false, []byte("a@b")), testca.GeneralName(6, false, []byte("https://a/b")), testca.GeneralName(7, false, []byte{10, 0, 0, 1})},
		{testca.GeneralName(0, true, []byte{6, 1, 0x2a, 0xa0, 2, 0x0c, 0}), testca.GeneralName(8, false, []byte{0x2a}), testca.GeneralName(4, true, []byte{0x30, 0})},
		{testca.GeneralName(2, true, []byte("web")), testca.GeneralName(31, false, nil), testca.GeneralName(6, false, []byte("http://a b/%zz"))},
	}
	for _, names := range seeds {
		der, err := asn1.Marshal(names)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der, false)
	}
	f.Add([]byte{0x30, 0x80, 0x82, 0x01, 'a', 0, 0}, true)
	f.Fuzz(func(t *testing.T, der []byte, critical bool) {
		old := &x509.Certificate{PublicKey: key.Public(), RawSubject: []byte{0x30, 0}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: critical, Value: der}}}
		draft, err := issue.NewRenewal(grant(ca), old, key.Public(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		checked, err := draft.Check(time.Now())
		if err != nil {
			if fault.Of(err) == nil {
				t.Fatalf("%x: %v carries no words", der, err)
			}
			return
		}
		chain, err := ca.Office.State().Issuer.SealX509(context.Background(), checked)
		if err != nil {
			t.Fatalf("%x passed the check: %v", der, err)
		}
		if got, want := issue.CertificateNames(chain[0]).Strings(), checked.Names().Strings(); !slices.Equal(got, want) {
			t.Fatalf("%x: checked %q, sealed %q", der, want, got)
		}
	})
}

func FuzzProvisionerExtension(f *testing.F) {
	for _, e := range []issue.Extension{{Type: 1, Name: "ab", CredentialID: "k"}, {Type: 4, Name: "aws", Pairs: []string{"InstanceID", "i-1"}}, {}} {
		ext, err := e.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ext.Value)
	}
	f.Add([]byte{0x30, 0x0a, 0x02, 0x01, 0x01, 0x04, 0x02, 0x61, 0x62, 0x04, 0x01})
	f.Fuzz(func(t *testing.T, der []byte) {
		e := issue.ProvisionerOf(&x509.Certificate{Extensions: []pkix.Extension{{Id: issue.OIDProvisioner, Value: der}}})
		if e == nil {
			return
		}
		ext, err := e.Marshal()
		if err != nil {
			return // strings which no string type of ASN.1 that we write can hold
		}
		again := issue.ProvisionerOf(&x509.Certificate{Extensions: []pkix.Extension{ext}})
		if again == nil || again.Name != e.Name || again.Type != e.Type || !bytes.Equal([]byte(again.CredentialID), []byte(e.CredentialID)) {
			t.Fatalf("%x: %+v became %+v", der, e, again)
		}
	})
}

// Any names in a grant: what passes can be sealed, and reads back as it was.
func FuzzNames(f *testing.F) {
	ca := testca.New(f)
	csr := testca.Request(f, testca.CSR(f, testca.P256(f), ""))
	for _, s := range []string{"web", "*.a.b", "10.1.2.3", "a@b", "https://a/b?c#d", "urn:uuid:1", "a b", "::1%eth0", "mailto:a@b", "//a", "https://[::1]:1/", "a%2fb://x", "x:" + "\u00e9"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, subject, name string) {
		g := grant(ca, func(g *issue.Grant) { g.Subject, g.Names = subject, issue.NamesOf([]string{name}) })
		draft, err := draftOf(g, csr, time.Now())
		if err == nil {
			_, err = draft.Check(time.Now())
		}
		if err != nil {
			if fault.Of(err) == nil {
				t.Fatalf("%q, %q: %v carries no words", subject, name, err)
			}
			return
		}
		checked, err := draft.Check(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		chain, err := ca.Office.State().Issuer.SealX509(context.Background(), checked)
		if err != nil {
			t.Fatalf("%q, %q passed the check: %v", subject, name, err)
		}
		if got, want := issue.CertificateNames(chain[0]).Strings(), checked.Names().Strings(); !slices.Equal(got, want) || chain[0].Subject.CommonName != subject {
			t.Fatalf("checked %q %q, sealed %q %q", subject, want, chain[0].Subject.CommonName, got)
		}
	})
}
