package issue_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/testca"
)

func TestSubjectKeys(t *testing.T) {
	t.Parallel()
	good := testca.RSA(t, 2048).PublicKey
	with := func(bend func(*rsa.PublicKey)) *rsa.PublicKey {
		k := rsa.PublicKey{N: new(big.Int).Set(good.N), E: good.E}
		bend(&k)
		return &k
	}
	for _, c := range []struct {
		name string
		key  crypto.PublicKey
		kind fault.Kind // Internal: accepted
	}{
		{"P-256", testca.P256(t).Public(), fault.Internal},
		{"P-384", testca.EC(t, elliptic.P384()).Public(), fault.Internal},
		{"P-521", testca.EC(t, elliptic.P521()).Public(), fault.Internal},
		{"P-224", testca.EC(t, elliptic.P224()).Public(), fault.Denied},
		{"Ed25519", testca.Ed25519(t).Public(), fault.Internal},
		{"RSA 2048", &good, fault.Internal},
		{"RSA 1024", &testca.RSA(t, 1024).PublicKey, fault.Denied},
		{"RSA 2047", with(func(k *rsa.PublicKey) { k.N.SetBit(k.N, 2047, 0) }), fault.Denied},
		{"RSA 8192", testca.HugeRSA(8192), fault.Internal},
		{"RSA 8193", testca.HugeRSA(8193), fault.Denied},
		{"RSA with exponent 3", with(func(k *rsa.PublicKey) { k.E = 3 }), fault.Denied},
		{"RSA with exponent 1", with(func(k *rsa.PublicKey) { k.E = 1 }), fault.Denied},
		{"RSA with an even exponent", with(func(k *rsa.PublicKey) { k.E = 65538 }), fault.Denied},
		{"RSA with an even modulus", with(func(k *rsa.PublicKey) { k.N.SetBit(k.N, 0, 0) }), fault.Denied},
		{"Ed25519 cut off", testca.Ed25519(t).Public().(ed25519.PublicKey)[:31], fault.Invalid},
		{"none", nil, fault.Invalid},
		{"no key at all", "key", fault.Invalid},
	} {
		if err := issue.CheckKey(c.key); (c.kind == fault.Internal) != (err == nil) || (err != nil && fault.KindOf(err) != c.kind) {
			t.Errorf("%s: %v (%v)", c.name, err, fault.KindOf(err))
		}
	}
}

// SEC-05: the signature on a request is checked before anything is proven, so a key whose
// check takes minutes must be refused by its size. A million bits would.
func TestSEC05_HugeKeysAreNotTried(t *testing.T) {
	t.Parallel()
	csr := testca.CSR(t, testca.RSA(t, 2048), "web")
	huge, err := keys.ParseCSR([]byte(testca.Resigned(t, csr, testca.HugeRSA(1<<20))))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- issue.CheckRequest(huge) }()
	select {
	case err := <-done:
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%v, want a refusal", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the signature of a huge key is still being checked")
	}
}

func TestRequestSignatures(t *testing.T) {
	t.Parallel()
	good := testca.CSR(t, testca.P256(t), "web")
	if err := issue.CheckRequest(testca.Request(t, good)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ name, csr string }{
		{"another key of the same kind", testca.Resigned(t, good, testca.P256(t).Public())},
		{"another kind of key", testca.Resigned(t, good, testca.Ed25519(t).Public())},
		{"SHA-1", testca.BentCSR(t, testca.RSA(t, 2048), func(r *x509.CertificateRequest) { r.SignatureAlgorithm = x509.SHA1WithRSA })},
	} {
		if err := issue.CheckRequest(testca.Request(t, c.csr)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// One bit of the signature, one of the body.
	for _, at := range []int{40, -5} {
		der := testca.DER(t, good)
		der[(at+len(der))%len(der)] ^= 1
		r, err := x509.ParseCertificateRequest(der)
		if err != nil {
			continue // already no request any more
		}
		if err := issue.CheckRequest(r); !fault.Is(err, fault.Invalid) {
			t.Errorf("bit at %d turned: %v", at, err)
		}
	}
}

// SEC-28: of many names exactly one is not granted; whichever it is, the request is refused.
func TestSEC28_TheOneBadNameIsFound(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	kinds := []func(i int, bad bool) string{
		func(i int, bad bool) string { return fmt.Sprintf("n%d%v.example", i, bad) },
		func(i int, bad bool) string { return net.IPv4(10, 0, byte(i), map[bool]byte{true: 1}[bad]).String() },
		func(i int, bad bool) string { return fmt.Sprintf("n%d%v@example", i, bad) },
		func(i int, bad bool) string { return fmt.Sprintf("https://n%d%v.example/", i, bad) },
	}
	for _, name := range kinds {
		var granted []string
		for i := range 6 {
			granted = append(granted, name(i, false))
		}
		g := grant(ca, func(g *issue.Grant) { g.Names = issue.NamesOf(granted) })
		for k := range granted {
			asked := append([]string(nil), granted...)
			asked[k] = name(k, true)
			if _, err := draftOf(g, testca.Request(t, testca.CSR(t, testca.P256(t), "", asked...)), time.Now()); !fault.Is(err, fault.Denied) {
				t.Errorf("name %d of %q: %v", k, asked, err)
			}
		}
		if _, err := draftOf(g, testca.Request(t, testca.CSR(t, testca.P256(t), "", granted...)), time.Now()); err != nil {
			t.Errorf("%q: %v", granted, err)
		}
	}
}

// SEC-05 and SEC-41: the cost of comparing names grows with their number, not its square.
func TestSEC05_ManyNamesAreComparedQuickly(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	var granted []string
	for i := range 6000 {
		granted = append(granted, fmt.Sprintf("%d.a", i))
	}
	asked := make([]string, 60000)
	for i := range asked {
		asked[i] = granted[len(granted)-1-i%len(granted)]
	}
	csr := bentRequest(t, func(r *x509.CertificateRequest) { r.DNSNames = asked })
	g := grant(ca, func(g *issue.Grant) { g.Names = issue.NamesOf(granted) })
	done := make(chan error, 1)
	go func() {
		_, err := draftOf(g, csr, time.Now())
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("names are still being compared")
	}
}

// Provisioners Section 3: every member of a confirmation must hold.
func TestBindings(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key, client := testca.P256(t), ca.Issue("client")
	csr := testca.Request(t, testca.CSR(t, key, ""))
	other := testca.P256(t)
	thumb, err := keys.NewJWK(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) []byte { s := crypto.SHA256.New(); s.Write(b); return s.Sum(nil) }
	for _, c := range []struct {
		name   string
		bind   issue.Binding
		client *x509.Certificate
		good   bool
	}{
		{"nothing", issue.Binding{}, nil, true},
		{"the request", issue.Binding{RequestSHA256: sum(csr.Raw)}, nil, true},
		{"another request", issue.Binding{RequestSHA256: sum(nil)}, nil, false},
		{"half the request", issue.Binding{RequestSHA256: sum(csr.Raw)[:16]}, nil, false},
		{"the key", issue.Binding{Key: key.Public()}, nil, true},
		{"another key", issue.Binding{Key: other.Public()}, nil, false},
		{"another kind of key", issue.Binding{Key: testca.Ed25519(t).Public()}, nil, false},
		{"the thumbprint", issue.Binding{KeyThumbprint: thumb.KeyID}, nil, true},
		{"another thumbprint", issue.Binding{KeyThumbprint: "x"}, nil, false},
		{"the client certificate", issue.Binding{ClientSHA256: sum(client.Leaf().Raw)}, client.Leaf(), true},
		{"another client certificate", issue.Binding{ClientSHA256: sum(client.Leaf().Raw)}, ca.Root, false},
		{"no client certificate", issue.Binding{ClientSHA256: sum(client.Leaf().Raw)}, nil, false},
		{"the request and another key", issue.Binding{RequestSHA256: sum(csr.Raw), Key: other.Public()}, nil, false},
	} {
		g := grant(ca, func(g *issue.Grant) { g.Bind = c.bind })
		_, err := issue.NewX509(g, &issue.X509Ask{Request: csr, Client: c.client}, time.Now())
		if (err == nil) != c.good || (err != nil && !fault.Is(err, fault.Denied)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
