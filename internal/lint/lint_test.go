package lint_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/lint"
	"github.com/signet-ca/signet/internal/testca"
)

func TestFindingsByName(t *testing.T) {
	t.Parallel()
	ca := testca.New(t)
	key := testca.P256(t)
	certify := func(bend func(*x509.Certificate)) []byte {
		cert := testca.LeafTemplate("a.example")
		bend(cert)
		return ca.Certify(cert, ca.Intermediate, key.Public(), ca.IntermediateKey).Raw
	}
	for _, c := range []struct {
		name, rule string
		bend       func(*x509.Certificate)
	}{
		{"nothing wrong", "", func(*x509.Certificate) {}},
		{"a long organization", "e_subject_organization_name_max_length", func(c *x509.Certificate) { c.Subject.Organization = []string{strings.Repeat("x", 65)} }},
	} {
		found, err := lint.Certificate(certify(c.bend), nil)
		if err != nil {
			t.Fatal(err)
		}
		has := c.rule == ""
		for _, f := range found {
			has = has || f.Rule == c.rule
			if c.rule == "" && f.Bad() {
				t.Errorf("%s: %s", c.name, f.String())
			}
		}
		if !has {
			t.Errorf("%s: %v", c.name, found)
		}
		if c.rule != "" {
			if again, _ := lint.Certificate(certify(c.bend), []string{c.rule}); len(again) >= len(found) {
				t.Errorf("%s: ignoring the rule changes nothing", c.name)
			}
		}
	}
	if _, err := lint.Certificate([]byte("none"), nil); err == nil {
		t.Error("what is no certificate was linted")
	}
}
