package provisioner_test

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/testca"
)

// env is what provisioners of a CA called ca.example know.
func env() *provisioner.Env {
	return &provisioner.Env{
		Authority: &issue.Authority{Backdate: time.Minute}, Claims: provisioner.BuiltinClaims(),
		Audiences: provisioner.NewAudiences([]string{"ca.example", "localhost"}),
	}
}

// decoded reads a provisioner without opening it.
func decoded(t testing.TB, object string) *provisioner.Provisioner {
	t.Helper()
	p := new(provisioner.Provisioner)
	if err := json.Unmarshal([]byte(object), p); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	return p
}

// open reads a provisioner and opens it, whether it likes that or not.
func open(t testing.TB, object string) *provisioner.Provisioner {
	t.Helper()
	p := decoded(t, object)
	_ = p.Open(env())
	return p
}

// list is a list of opened provisioners.
func list(t testing.TB, objects ...string) *provisioner.List {
	t.Helper()
	var all []*provisioner.Provisioner
	for _, o := range objects {
		all = append(all, open(t, o))
	}
	l, err := provisioner.NewList(all, env().Audiences)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func jsonText(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func anchorsOf(ca *testca.CA) provisioner.Anchors {
	return provisioner.Anchors{Roots: []*x509.Certificate{ca.Root}, Intermediates: []*x509.Certificate{ca.Intermediate},
		Audiences: ca.Office.State().Audiences}
}
