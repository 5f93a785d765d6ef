package api_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/testca"
)

// kube is the JSON object of a K8sSA provisioner with these keys.
func kube(t *testing.T, name string, more map[string]any, keys ...crypto.PublicKey) string {
	t.Helper()
	var bundle []byte
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	object := map[string]any{"type": "K8sSA", "name": name, "publicKeys": bundle, "claims": map[string]any{"enableSSHCA": true}}
	for k, v := range more {
		object[k] = v
	}
	return jsonOf(t, object)
}

const sa = "kubernetes.io/serviceaccount/"

// legacyToken is the token of a service account as old clusters write it.
func legacyToken(t *testing.T, key any, bend ...testca.Bend) string {
	t.Helper()
	return (&testca.Token{Key: key, Header: map[string]any{"alg": "RS256", "kid": ""}, Claims: map[string]any{
		"iss": "kubernetes/serviceaccount", sa + "namespace": "apps", sa + "secret.name": "web-token-x", sa + "service-account.name": "web",
		sa + "service-account.uid": "b5d6", "sub": "system:serviceaccount:apps:web"}}).With(bend...).Compact(t)
}

// projectedToken is one as clusters put it into pods.
func projectedToken(t *testing.T, key any, bend ...testca.Bend) string {
	t.Helper()
	now := time.Now()
	return (&testca.Token{Key: key, Header: map[string]any{"alg": "RS256", "kid": "k1"}, Claims: map[string]any{
		"iss": "https://kube.example", "aud": []string{"signet"}, "iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "apps", "serviceaccount": map[string]any{"name": "web", "uid": "b5d6"}},
		"sub":           "system:serviceaccount:apps:web"}}).With(bend...).Compact(t)
}

// SEC-06: any names are signed, again and again, with a warning; a rule holds all the same.
func TestSEC06_K8sSALegacy(t *testing.T) {
	t.Parallel()
	key, other := testca.RSA(t, 2048), testca.P256(t)
	c := testca.New(t, func(s *testca.Setup) {
		s.SSH = true
		s.More = []string{kube(t, "kube", nil, &other.PublicKey, &key.PublicKey)}
	})
	if w := c.Office.State().Provisioners.ByName("kube").Warnings(); len(w) != 2 || !strings.Contains(w[0], "never expire") || !strings.Contains(w[1], "any names") {
		t.Errorf("warnings %q", w)
	}
	token := legacyToken(t, key)
	csr := testca.CSR(t, testca.P256(t), "anything", "a.internal", "10.0.0.7")
	leaf := c.Sign(csr, token).Chain()[0]
	if leaf.Subject.CommonName != "anything" || !cmp.Equal(leaf.DNSNames, []string{"a.internal"}) || len(leaf.IPAddresses) != 1 || leaf.IsCA {
		t.Errorf("%s %v", leaf.Subject, leaf.DNSNames)
	}
	c.Sign(csr, token+"\n").Want(201)
	for name, bad := range map[string]string{
		"another key":     legacyToken(t, testca.RSA(t, 3072)),
		"another issuer":  legacyToken(t, key, testca.Claim("iss", "https://kube.example")),
		"no subject":      legacyToken(t, key, testca.NoClaim("sub")),
		"expired":         legacyToken(t, key, testca.Expiry(time.Now().Add(-2*time.Minute))),
		"not yet good":    legacyToken(t, key, testca.Claim("nbf", time.Now().Add(time.Hour).Unix())),
		"no algorithm":    legacyToken(t, nil, testca.Head("alg", "none")),
		"a key as secret": legacyToken(t, []byte("secret"), testca.Head("alg", "HS256")),
	} {
		if a := c.Sign(csr, bad); a.Status != 401 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	mine, foreign := c.IssueFor(testca.P256(t), token), c.Issue("foreign")
	c.Post("/revoke", revocation(serialOf(foreign), token)).Want(403)
	c.Post("/revoke", revocation(serialOf(mine), token)).Want(200)
	ssh := func(more map[string]any) *testca.Answer {
		body := map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t))), "ott": token, "certType": "user", "keyID": "ann", "principals": []string{"ann"}}
		for name, value := range more {
			body[name] = value
		}
		return c.Post("/ssh/sign", body)
	}
	if cert := ssh(nil).SSHCertificate("crt"); cert.KeyId != "ann" || len(cert.Extensions) != 5 || !cmp.Equal(cert.ValidPrincipals, []string{"ann"}) {
		t.Errorf("%+v", cert)
	}
	ssh(map[string]any{"certType": "host"}).Want(201)
	for _, member := range []string{"certType", "keyID", "principals"} {
		ssh(map[string]any{member: nil}).Want(400)
	}
	c.Reload(func(s *testca.Setup) {
		s.More = []string{kube(t, "kube", map[string]any{"options": map[string]any{"x509": map[string]any{"allow": map[string]any{"dns": []string{"*.apps.internal"}}}}}, &key.PublicKey)}
	})
	c.Sign(csr, token).Want(403)
	c.Sign(testca.CSR(t, testca.P256(t), "a.apps.internal", "a.apps.internal"), token).Want(201)
}

// Provisioners Section 2.5 and Section 11, rule 9: tokens of a cluster, each claim bent.
func TestK8sSAProjected(t *testing.T) {
	t.Parallel()
	key := testca.RSA(t, 2048)
	c := testca.New(t, func(s *testca.Setup) {
		s.More = []string{kube(t, "legacy", nil, &key.PublicKey), kube(t, "kube", map[string]any{"issuer": "https://kube.example", "audiences": []string{"signet"},
			"namespaces": []string{"apps"}, "serviceAccounts": []string{"apps/web", "db"}}, &key.PublicKey)}
	})
	account := func(namespace, name string) testca.Bend {
		return testca.Claim("kubernetes.io", map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": name}})
	}
	csr := testca.CSR(t, testca.P256(t), "web", "web")
	for _, tc := range []struct {
		name   string
		bend   testca.Bend
		status int
	}{
		{"as it should be", testca.Claim("x", 1), 201},
		{"one of several audiences", testca.Audience([]string{"else", "signet"}), 201},
		{"another account by name", account("apps", "db"), 201},
		{"another audience", testca.Audience("else"), 401},
		{"no audience", testca.NoClaim("aud"), 401},
		{"our address as audience", testca.Audience("https://localhost/1.0/sign"), 401},
		{"another issuer", testca.Claim("iss", "https://else.example"), 401},
		{"no expiry", testca.NoClaim("exp"), 401},
		{"expired", testca.Expiry(time.Now().Add(-2 * time.Minute)), 401},
		{"another namespace", account("kube-system", "web"), 401},
		{"another account", account("apps", "else"), 401},
		{"the account by another claim", testca.Claim("kubernetes.io", nil), 401},
		{"another key", testca.SignedBy(testca.RSA(t, 3072), "RS256"), 401},
	} {
		if a := c.Sign(csr, projectedToken(t, key, tc.bend)); a.Status != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.Status, a.Body)
		}
	}
}
