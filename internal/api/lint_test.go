package api_test

import (
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
)

// An organization of more than 64 characters breaks RFC 5280, Appendix A.1.
const longName = `{"subject":{"commonName":{{ toJson .Subject.CommonName }},"organization":"` + "{{ repeat 65 `x` }}" + `"},"sans":{{ toJson .SANs }},"keyUsage":["digitalSignature"],"extKeyUsage":["serverAuth"]}`

func TestLintBeforeSigning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, template, lint, ignore string
		status                       int
		logged                       bool
	}{
		{"nobody looks", longName, "off", "", 201, false},
		{"said aloud", longName, "warn", "", 201, true},
		{"refused", longName, "refuse", "", 403, true},
		{"refused, but for a rule that does not count", longName, "refuse", `,"lintIgnore":["e_subject_organization_name_max_length"]`, 201, false},
		{"the default leaf", "", "refuse", "", 201, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := `{"x509":{"lint":"` + c.lint + `"` + c.ignore
			if c.template != "" {
				text += `,"template":` + jsonOf(t, c.template)
			}
			ca := testca.New(t, options(text+`}}`))
			a := ca.Sign(testca.CSR(t, testca.P256(t), ""), ca.Token("a.example")).Want(c.status)
			if got := strings.Contains(ca.Log.String(), `"level":"error"`); got != c.logged {
				t.Errorf("logged %v\n%s", got, ca.Log.String())
			}
			if c.status == 403 && !strings.Contains(a.Message(), "organization") {
				t.Errorf("message %q", a.Message())
			}
		})
	}
}
