package api_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/testca"
)

// BenchmarkSignRules shows what templates and rules cost beside the rest of a /sign, which
// includes its token and its record. What counts is the processor's time: that of the clock
// depends on who else works on the machine.
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
		bend []func(*testca.Setup)
	}{
		{"plain", nil},
		{"custom-template", []func(*testca.Setup){x509Options(custom)}},
		{"default-template-with-constants", []func(*testca.Setup){options(`{"x509":{"templateData":{"Subject":"fixed"}}}`)}},
		{"10000-rules", []func(*testca.Setup){options(`{"x509":` + string(rules) + `}`)}},
		{"lint", []func(*testca.Setup){options(`{"x509":{"lint":"refuse"}}`)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			office := testca.New(b, c.bend...)
			handler := office.Handler()
			csr := testca.CSR(b, testca.P256(b), "web.internal", "web.internal")
			bodies := make([]string, 0, 4096)
			var used time.Duration
			for b.Loop() {
				if len(bodies) == 0 {
					b.StopTimer()
					for range cap(bodies) / 8 {
						text, _ := json.Marshal(map[string]any{"csr": csr, "ott": office.Token("web.internal")})
						bodies = append(bodies, string(text))
					}
					b.StartTimer()
				}
				before := processorTime(b)
				post(b, handler, "/sign", bodies[len(bodies)-1])
				used += processorTime(b) - before
				bodies = bodies[:len(bodies)-1]
			}
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// processorTime is what the process has used so far, garbage collection included.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
