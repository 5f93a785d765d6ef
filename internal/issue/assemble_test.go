package issue_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

func ecdsaKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The usual leaf is put together without crypto/x509, which a rehearsal uses: what was signed
// must be the same, byte for byte.
func TestSealedIsWhatCryptoX509WouldSeal(t *testing.T) {
	t.Parallel()
	for issuer, key := range map[string]crypto.Signer{
		"P-256": testca.P256(t), "P-384": ecdsaKey(t, elliptic.P384()), "P-521": ecdsaKey(t, elliptic.P521()),
		"Ed25519": testca.Ed25519(t), "RSA": testca.RSA(t, 2048),
	} {
		ca := testca.New(t, func(s *testca.Setup) { s.MiddleKey = key })
		for name, bend := range map[string]func(*issue.Grant){
			"as it is": func(*issue.Grant) {},
			"one name": func(g *issue.Grant) { g.Names = issue.NamesOf([]string{"web"}) },
			"every kind of name": func(g *issue.Grant) {
				g.Names = issue.NamesOf([]string{"*.example.com", "10.1.2.3", "::ffff:10.1.2.4", "2001:db8::1", "ann@example.com"})
			},
			"with URIs":         func(g *issue.Grant) { g.Names = issue.NamesOf([]string{"web", "spiffe://example.com/web"}) },
			"no subject":        func(g *issue.Grant) { g.Subject = "" },
			"subject in UTF-8":  func(g *issue.Grant) { g.Subject = "Käse"; g.CommonNames = append(g.CommonNames, "Käse") },
			"subject with star": func(g *issue.Grant) { g.Subject = "*.example.com" },
			"no extension":      func(g *issue.Grant) { g.Profile.Extension = nil },
			"subject of the issuer": func(g *issue.Grant) { // whose key identifier crypto/x509 then leaves alone
				g.Subject = ""
				own := *g.Profile.Authority
				own.Subject = ca.Intermediate.Subject
				g.Profile.Authority = &own
			},
			"defaults of the authority": func(g *issue.Grant) {
				own := *g.Profile.Authority
				own.Subject = pkix.Name{Country: []string{"DE"}, Organization: []string{"Example"}}
				own.CRLURL = "https://ca.example/1.0/crl"
				g.Profile.Authority = &own
			},
		} {
			for kind, subject := range map[string]crypto.Signer{"EC": testca.P256(t), "EC 384": ecdsaKey(t, elliptic.P384()), "RSA": testca.RSA(t, 2048), "Ed25519": testca.Ed25519(t)} {
				t.Run(issuer+"/"+name+"/"+kind, func(t *testing.T) {
					t.Parallel()
					now := time.Now()
					draft, err := draftOf(grant(ca, bend), testca.Request(t, testca.CSR(t, subject, "")), now)
					if err != nil {
						t.Fatal(err)
					}
					leaf := sameAsRehearsed(t, ca, draft, now)
					renewal, err := issue.NewRenewal(grant(ca, bend), leaf, leaf.PublicKey, now)
					if err != nil {
						t.Fatal(err)
					}
					sameAsRehearsed(t, ca, renewal, now)
				})
			}
		}
	}
}

func sameAsRehearsed(t *testing.T, ca *testca.CA, draft *issue.X509Draft, now time.Time) *x509.Certificate {
	t.Helper()
	checked, err := draft.Check(now)
	if err != nil {
		t.Fatal(err)
	}
	local := ca.Office.State().Issuer
	sealed, err := local.SealX509(t.Context(), checked)
	if err != nil {
		t.Fatal(err)
	}
	rehearsed, err := local.Rehearse(checked)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sealed[0].RawTBSCertificate, rehearsed.RawTBSCertificate) {
		t.Errorf("sealed\n%x\ncrypto/x509\n%x", sealed[0].RawTBSCertificate, rehearsed.RawTBSCertificate)
	}
	if err := sealed[0].CheckSignatureFrom(ca.Intermediate); err != nil {
		t.Error(err)
	}
	return sealed[0]
}

// What an issuance of the usual certificate costs, from the draft on.
func BenchmarkSeal(b *testing.B) {
	ca := testca.New(b)
	now := time.Now()
	draft, err := draftOf(grant(ca), testca.Request(b, testca.CSR(b, testca.P256(b), "")), now)
	if err != nil {
		b.Fatal(err)
	}
	checked, err := draft.Check(now)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ca.Office.State().Issuer.SealX509(b.Context(), checked); err != nil {
			b.Fatal(err)
		}
	}
}
