package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/testca"
)

// BenchmarkSignRules shows what templates and rules cost beside the rest of a /sign, which
// includes its token and its record. What counts is the processor's time: that of the clock
// depends on who else works on the machine. Both sides take turns, so that what else happens
// there happens to both.
func BenchmarkSignRules(b *testing.B) {
	custom := `{"subject":{"commonName":{{ toJson .Subject.CommonName }},"organization":"Example","organizationalUnit":{{ toJson (default "none" .Insecure.User.ou) }}},
		"sans":{{ toJson .SANs }},
		"keyUsage":{{ if eq .Insecure.CR.KeyType "RSA" }}["keyEncipherment","digitalSignature"]{{ else }}["digitalSignature"]{{ end }},
		"extKeyUsage":["serverAuth","clientAuth"]}`
	var allow, deny []string
	for i := range 5000 {
		allow, deny = append(allow, fmt.Sprintf("*.zone-%d.example", i)), append(deny, fmt.Sprintf("**.evil-%d.example", i))
	}
	rules, err := json.Marshal(map[string]any{"allow": map[string]any{"dns": append(allow, "*.internal")}, "deny": map[string]any{"dns": deny}})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		bend func(*testca.Setup)
	}{
		{"nothing", nil},
		{"custom-template", x509Options(custom)},
		{"default-template", defaultTemplate(issue.TemplateAdminLeaf)},
		{"default-template-with-constants", options(`{"x509":{"templateData":{"Subject":"fixed"}}}`)},
		{"10000-rules", options(`{"x509":` + string(rules) + `}`)},
		{"strict-request", options(`{"x509":{"strictCSR":true}}`)},
		{"lint", options(`{"x509":{"lint":"refuse"}}`)},
	} {
		b.Run(c.name, func(b *testing.B) {
			plain, bent := newSigner(b, nil), newSigner(b, c.bend)
			n := 0
			for b.Loop() {
				if n++; n%64 == 0 { // a block of each, for the clock of the processor is coarse
					plain.sign(b, 64)
					bent.sign(b, 64)
				}
			}
			if plain.signed == 0 {
				return
			}
			before, after := plain.each(), bent.each()
			b.ReportMetric(before, "plain-cpu-µs/sign")
			b.ReportMetric(after, "cpu-µs/sign")
			b.ReportMetric(100*(after-before)/before, "%more")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// defaultTemplate makes the provisioner one whose default is not the plain leaf.
func defaultTemplate(name string) func(*testca.Setup) {
	return func(s *testca.Setup) {
		s.State = func(state *ca.State) {
			t := issue.DefaultX509Template(name)
			state.Provisioners.ByName(testca.Provisioner).Profile().X509.Template = func() *issue.X509Template { return t }
		}
	}
}

// signer is a CA that signs, and how long its processor takes for it.
type signer struct {
	office  *testca.CA
	handler http.Handler
	csr     string
	used    time.Duration
	signed  int
}

func newSigner(b *testing.B, bend func(*testca.Setup)) *signer {
	b.Helper()
	if bend == nil {
		bend = func(*testca.Setup) {}
	}
	office := testca.New(b, bend)
	return &signer{office: office, handler: office.Handler(), csr: testca.CSR(b, testca.P256(b), "web.internal", "web.internal")}
}

// sign signs n times; the tokens are made before the clock starts.
func (s *signer) sign(b *testing.B, n int) {
	b.Helper()
	bodies := make([]string, n)
	for i := range bodies {
		text, _ := json.Marshal(map[string]any{"csr": s.csr, "ott": s.office.Token("web.internal")})
		bodies[i] = string(text)
	}
	before := processorTime(b)
	for _, body := range bodies {
		post(b, s.handler, "/sign", body)
	}
	s.used += processorTime(b) - before
	s.signed += n
}

func (s *signer) each() float64 { return float64(s.used.Nanoseconds()) / 1000 / float64(s.signed) }

// processorTime is what the process has used so far, garbage collection included.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
