package api_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/testca"
	"github.com/signet-ca/signet/internal/testidp"
)

// sso is the JSON object of an OIDC provisioner of an identity provider, of which boss is an
// admin.
func sso(t *testing.T, idp *testidp.Provider, more map[string]any) string {
	t.Helper()
	object := map[string]any{"type": "OIDC", "name": "sso", "clientID": testidp.Client, "clientSecret": testidp.Secret,
		"configurationEndpoint": idp.URL, "admins": []string{"boss@corp.example"}, "claims": map[string]any{"enableSSHCA": true}}
	for name, value := range more {
		object[name] = value
	}
	return jsonOf(t, object)
}

func ssoCA(t *testing.T, more map[string]any) (*testca.CA, *testidp.Provider) {
	t.Helper()
	idp := testidp.New(t)
	return testca.New(t, func(s *testca.Setup) {
		s.SSH = true
		s.More = []string{sso(t, idp, more), `{"type":"OIDC","name":"other","clientID":"other","clientSecret":"","configurationEndpoint":"` + idp.URL + `","admins":["boss@corp.example"]}`}
	}), idp
}

var boss = map[string]any{"email": "boss@Corp.Example", "sub": "boss-1"}

// Whoever logged in gets their own names, whatever the request says; an admin those of the
// request. Each login buys one certificate.
func TestOIDCSigns(t *testing.T) {
	t.Parallel()
	c, idp := ssoCA(t, nil)
	csr := testca.CSR(t, testca.P256(t), "evil", "evil.example", "10.0.0.7", "evil@corp.example")
	token := idp.Token(t, nil)
	leaf := c.Sign(csr, token).Chain()[0]
	if leaf.Subject.CommonName != "ann-1" || len(leaf.DNSNames)+len(leaf.IPAddresses) > 0 || !cmp.Equal(leaf.EmailAddresses, []string{"Ann.Smith@corp.example"}) ||
		len(leaf.URIs) != 1 || leaf.URIs[0].String() != idp.URL+"#ann-1" || leaf.IsCA {
		t.Errorf("%s %v %v %v", leaf.Subject, leaf.DNSNames, leaf.EmailAddresses, leaf.URIs)
	}
	c.Sign(csr, token).Want(http.StatusUnauthorized)
	leaf = c.Sign(csr, idp.Token(t, boss)).Chain()[0]
	if leaf.Subject.CommonName != "evil" || !cmp.Equal(leaf.DNSNames, []string{"evil.example"}) || len(leaf.IPAddresses) != 1 || len(leaf.URIs) != 0 {
		t.Errorf("an admin's: %s %v %v", leaf.Subject, leaf.DNSNames, leaf.URIs)
	}
	if a := c.Sign(testca.BentCSR(t, testca.P256(t), func(*x509.CertificateRequest) {}), idp.Token(t, nil)); a.Chain()[0].Subject.CommonName != "ann-1" {
		t.Error("a request without names")
	}
	// A refused request leaves the login unspent.
	token = idp.Token(t, nil)
	c.Sign("nonsense", token).Want(http.StatusBadRequest)
	c.Sign(csr, token).Want(http.StatusCreated)
	// A binding is kept to.
	key := testca.P256(t)
	bound := idp.Token(t, map[string]any{"cnf": map[string]string{"jkt": testca.Thumbprint(&key.PublicKey)}})
	c.Sign(csr, bound).Want(http.StatusForbidden)
	c.Sign(testca.CSR(t, key, "x"), bound).Want(http.StatusCreated)
	if strings.Contains(c.Log.String(), token) {
		t.Error("a token is in the log")
	}
}

// The operator's template decides for everybody, admins as well, and sees the claims.
func TestOIDCTemplates(t *testing.T) {
	t.Parallel()
	c, idp := ssoCA(t, map[string]any{"options": map[string]any{"x509": map[string]any{
		"template": `{"subject": {"commonName": {{ toJson .Token.name }}, "organizationalUnit": {{ toJson (index .Token "https://corp/ou") }}}, "sans": {{ toJson .SANs }}}`}}})
	csr := testca.CSR(t, testca.P256(t), "evil", "evil.example")
	for _, email := range []string{"ann@corp.example", "boss@corp.example"} {
		leaf := c.Sign(csr, idp.Token(t, map[string]any{"email": email, "name": "A Name", "https://corp/ou": "Ops"})).Chain()[0]
		if leaf.Subject.CommonName != "A Name" || leaf.Subject.OrganizationalUnit[0] != "Ops" || len(leaf.DNSNames) > 0 || leaf.EmailAddresses[0] != email {
			t.Errorf("%s: %s %v", email, leaf.Subject, leaf.EmailAddresses)
		}
	}
}

func TestOIDCSignsSSH(t *testing.T) {
	t.Parallel()
	c, idp := ssoCA(t, nil)
	ask := func(more map[string]any) map[string]any {
		body := map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t).Public()))}
		for name, value := range more {
			body[name] = value
		}
		return body
	}
	// A user's request is overlooked, but for its type.
	cert := c.Post("/1.0/ssh/sign", ask(map[string]any{"ott": idp.Token(t, nil), "keyID": "evil", "principals": []string{"root"}})).Want(http.StatusCreated).SSHCertificate("crt")
	if diff := cmp.Diff([]string{"annsmith", "Ann.Smith", "Ann.Smith@corp.example"}, cert.ValidPrincipals); diff != "" || cert.KeyId != "Ann.Smith@corp.example" || cert.CertType != 1 {
		t.Errorf("%s (-want +got):\n%s", cert.KeyId, diff)
	}
	token := idp.Token(t, nil)
	c.Post("/1.0/ssh/sign", ask(map[string]any{"ott": token, "certType": "host", "principals": []string{"h"}, "keyID": "h"})).Want(http.StatusForbidden)
	// An admin says all of it.
	c.Post("/1.0/ssh/sign", ask(map[string]any{"ott": idp.Token(t, boss), "certType": "host"})).Want(http.StatusBadRequest)
	cert = c.Post("/1.0/ssh/sign", ask(map[string]any{"ott": idp.Token(t, boss), "certType": "host", "principals": []string{"db1"}, "keyID": "db1"})).Want(http.StatusCreated).SSHCertificate("crt")
	if cert.CertType != 2 || cert.KeyId != "db1" || !cmp.Equal(cert.ValidPrincipals, []string{"db1"}) {
		t.Errorf("%+v", cert)
	}
	key := testca.P256(t)
	bound := idp.Token(t, map[string]any{"email": "boss@corp.example", "cnf": map[string]string{"jkt": testca.Thumbprint(&key.PublicKey)}})
	c.Post("/1.0/ssh/sign", ask(map[string]any{"ott": bound, "certType": "user", "principals": []string{"a"}, "keyID": "a"})).Want(http.StatusForbidden)
	// The identity that comes along has the names of the login.
	request := testca.CSR(t, testca.P256(t), "Ann.Smith@corp.example")
	var both struct {
		Identity []string `json:"identityCrt"`
	}
	c.Post("/1.0/ssh/sign", ask(map[string]any{"ott": idp.Token(t, nil), "identityCSR": request})).Want(http.StatusCreated).JSON(&both)
	identity, err := keys.ParseCertificates([]byte(strings.Join(both.Identity, "\n")))
	if err != nil || identity[0].Subject.CommonName != "ann-1" || !cmp.Equal(identity[0].EmailAddresses, []string{"Ann.Smith@corp.example"}) {
		t.Errorf("%v %v", both.Identity, err)
	}
}

// Decision 6, provisioners Section 2.2: admins revoke what their provisioner issued.
func TestOIDCRevokes(t *testing.T) {
	t.Parallel()
	c, idp := ssoCA(t, nil)
	leaf := c.Sign(testca.CSR(t, testca.P256(t), "x"), idp.Token(t, nil)).Chain()[0]
	serial := leaf.SerialNumber.String()
	revoke := func(serial string, claims map[string]any) *testca.Answer {
		return c.Post("/1.0/revoke", map[string]any{"serial": serial, "ott": idp.Token(t, claims), "passive": true})
	}
	revoke(serial, nil).Want(http.StatusUnauthorized)
	revoke(serial, map[string]any{"email": "boss@corp.example", "aud": "other"}).Want(http.StatusForbidden)
	revoke(c.Issue("foreign").Leaf().SerialNumber.String(), boss).Want(http.StatusForbidden)
	revoke(serial, boss).Want(http.StatusOK)
	revoke(serial, boss).Want(http.StatusBadRequest)
	if !strings.Contains(c.Log.String(), `"act":"x509.revoke","serial":"`+leaf.SerialNumber.Text(16)+`","provisioner":"sso","subject":"boss@Corp.Example"`) {
		t.Error("the log does not say who revoked")
	}
	cert := c.Post("/1.0/ssh/sign", map[string]any{"publicKey": testca.Wire(testca.SSHKey(t, testca.P256(t).Public())), "ott": idp.Token(t, nil)}).Want(http.StatusCreated).SSHCertificate("crt")
	ssh := func(claims map[string]any) *testca.Answer {
		return c.Post("/1.0/ssh/revoke", map[string]any{"serial": (&testca.SSHHolder{Certificate: cert}).Serial(), "ott": idp.Token(t, claims), "passive": true})
	}
	ssh(nil).Want(http.StatusUnauthorized)
	ssh(map[string]any{"email": "boss@corp.example", "aud": "other"}).Want(http.StatusForbidden)
	ssh(boss).Want(http.StatusOK)
}

// An identity provider that is away is no reason to call a token bad, and none to be lost for.
func TestOIDCWithoutProvider(t *testing.T) {
	t.Parallel()
	c, idp := ssoCA(t, nil)
	idp.Bend(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	csr, token := testca.CSR(t, testca.P256(t), "x"), idp.Token(t, nil)
	a := c.Sign(csr, token).Want(http.StatusServiceUnavailable)
	if strings.Contains(a.Message(), "127.0.0.1") {
		t.Errorf("%s", a.Message())
	}
	c.Get("/provisioners").Want(http.StatusOK)
	idp.Bend(nil)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if a := c.Sign(csr, token); a.Status == http.StatusCreated {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("it never came back: %s", a.Body)
		}
	}
}
