package signet_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/testca"
)

// TestAgainstTheCA walks a certificate's life through our own server, whose reading of the
// wire is written apart from the client's.
func TestAgainstTheCA(t *testing.T) {
	t.Parallel()
	ca := testca.New(t, func(s *testca.Setup) { s.CRL = nil })
	fingerprint := signet.Fingerprint(ca.Root)
	token := ca.Token("web.internal", testca.SANs("web.internal", "10.0.0.7"),
		testca.Audience(ca.URL()+"/1.0/sign"), testca.Claim("sha", fingerprint))
	client, root, err := signet.BootstrapByToken(t.Context(), token, nil)
	if err != nil || !root.Equal(ca.Root) {
		t.Fatal(err)
	}
	defer client.Close()
	askEverything(t, client, ca)

	request, key, err := signet.NewRequest(token)
	if err != nil {
		t.Fatal(err)
	}
	request.NotAfter = signet.TimeDuration{Duration: time.Hour}
	answer, err := client.Sign(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	pair := answer.Pair(key)
	checkChain(t, ca, pair)
	if lifetime := time.Until(pair.Leaf.NotAfter); lifetime < 58*time.Minute || lifetime > time.Hour {
		t.Errorf("the certificate lives %v", lifetime)
	}
	refused(t, http.StatusUnauthorized, func() error { _, err := client.Sign(t.Context(), request); return err }())

	holder := client.As(pair)
	renewed, err := holder.Renew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkChain(t, ca, renewed.Pair(key))
	renewal, err := client.RenewalToken(pair, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.RenewByToken(t.Context(), renewal)
	if err != nil {
		t.Fatal(err)
	}
	checkChain(t, ca, again.Pair(key))
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, fresh)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	rekeyed, err := holder.Rekey(t.Context(), csr)
	if err != nil {
		t.Fatal(err)
	}
	checkChain(t, ca, rekeyed.Pair(fresh))

	serial := pair.Leaf.SerialNumber.String()
	if err := holder.Revoke(t.Context(), &signet.RevokeRequest{Serial: serial, ReasonCode: 4, Passive: true}); err != nil {
		t.Fatal(err)
	}
	_, err = holder.Renew(t.Context())
	refused(t, http.StatusUnauthorized, err)
	other := rekeyed.Pair(fresh).Leaf.SerialNumber.String()
	if err := client.Revoke(t.Context(), &signet.RevokeRequest{Serial: other, OTT: ca.RevokeToken(other), Passive: true}); err != nil {
		t.Error(err)
	}
}

// askEverything asks what needs no proof.
func askEverything(t *testing.T, client *signet.Client, ca *testca.CA) {
	t.Helper()
	ctx := t.Context()
	if health, err := client.Health(ctx); err != nil || health != "ok" {
		t.Error(health, err)
	}
	if version, err := client.Version(ctx); err != nil || version.Version == "" {
		t.Error(version, err)
	}
	for name, fetch := range map[string]func() ([]*x509.Certificate, error){
		"roots":      func() ([]*x509.Certificate, error) { return client.Roots(ctx) },
		"federation": func() ([]*x509.Certificate, error) { return client.Federation(ctx) },
	} {
		if certs, err := fetch(); err != nil || len(certs) != 1 || !certs[0].Equal(ca.Root) {
			t.Error(name, len(certs), err)
		}
	}
	if certs, err := client.Intermediates(ctx); err != nil || !certs[0].Equal(ca.Intermediate) {
		t.Error(len(certs), err)
	}
	all, err := client.Provisioners(ctx)
	var first struct{ Type, Name string }
	if err != nil || len(all) != 1 || json.Unmarshal(all[0], &first) != nil || first.Name != testca.Provisioner || first.Type != "JWK" {
		t.Errorf("%s %v", all, err)
	}
	if key, err := client.EncryptedKey(ctx, ca.KeyID); err != nil || key != testca.EncryptedKey {
		t.Error(key, err)
	}
	_, err = client.EncryptedKey(ctx, "nonsense")
	refused(t, http.StatusNotFound, err)
	_, err = client.CRL(ctx)
	refused(t, http.StatusNotFound, err)
}

// refused wants a refusal of the CA with a status, a reason and the request's ID.
func refused(t *testing.T, status int, err error) {
	t.Helper()
	e, ok := errors.AsType[*signet.Error](err)
	if !ok || e.Status != status || e.Message == "" || e.RequestID == "" {
		t.Errorf("got %v, want a refusal with %d", err, status)
	}
}

// checkChain wants a certificate of the test's names that chains to the CA's root.
func checkChain(t *testing.T, ca *testca.CA, pair *tls.Certificate) {
	t.Helper()
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.Root)
	for _, der := range pair.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		middle.AddCert(cert)
	}
	for _, name := range []string{"web.internal", "10.0.0.7"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	if public, ok := pair.PrivateKey.(*ecdsa.PrivateKey); !ok || !public.PublicKey.Equal(pair.Leaf.PublicKey) {
		t.Error("the certificate is of another key")
	}
}
