package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-ca/signet/internal/testca"
)

func metricsOf(n *node) (page func() string) {
	address := freeAddress(n.t)
	n.configure(map[string]any{"metricsAddress": address, "crl": map[string]any{"enabled": true}})
	return func() string { return n.fetch("http://" + address + "/metrics").body }
}

func wantLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, "\n"+line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	page := metricsOf(n)
	n.start()
	cert := n.mustSign("a.example.com")
	n.sign(n.dial(), n.signBodyFor("other.example.com", n.Token("b.example.com", testca.SANs("b.example.com"))))
	n.sign(n.dial(), n.signBodyFor("b.example.com", n.Token("b.example.com", testca.Expiry(longAgo))))
	revoke := fmt.Sprintf(`{"serial":"%s","ott":"%s","passive":true}`, cert.SerialNumber, n.RevokeToken(cert.SerialNumber.String()))
	if a := roundTrip(n.dial(), request(t, "POST", n.url("/1.0/revoke"), strings.NewReader(revoke))); a.status != http.StatusOK {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	n.get("/health")
	n.reload(reloaded)
	p := `provisioner="` + testca.Provisioner + `"`
	wantLines(t, page(),
		"step_ca_uptime_seconds ", "step_ca_kms_signed ", "step_ca_kms_errors 0",
		"step_ca_x509_signed_total{"+p+`,success="true"} 1`, "step_ca_x509_signed_total{"+p+`,success="false"} 1`,
		"step_ca_x509_rejected_total{", "step_ca_x509_revoked_total{"+p+`,success="true"} 1`,
		`step_ca_http_request_duration_seconds_bucket{endpoint="POST /1.0/sign",status="2xx",le="0.1"}`,
		`step_ca_http_request_duration_seconds_count{endpoint="POST /1.0/sign",status="4xx"} 2`,
		`step_ca_http_request_duration_seconds_count{endpoint="GET /health",status="2xx"} 1`,
		`step_ca_reloads_total{success="true"} 1`, "step_ca_issuer_expiry_seconds ", "step_ca_crl_age_seconds ", "step_ca_crl_expiry_seconds ",
		"step_ca_provisioners_disabled 0", "step_ca_database_size_bytes ", "go_goroutines ", "process_resident_memory_bytes ", "promhttp_metric_handler_errors_total{")
	for _, path := range []string{"/", "/health", "/metrics/x"} {
		if a := n.fetch("http://" + n.members["metricsAddress"].(string) + path); a.status != http.StatusNotFound {
			t.Errorf("the metrics listener serves %s: %d", path, a.status)
		}
	}
	n.stop()
}

// Strangers choose paths, methods and names of provisioners; none of them makes a series.
func TestSEC42_StrangersMakeNoSeries(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	page := metricsOf(n)
	n.start()
	client := n.dial()
	n.until("there is a list", func() bool { return n.get("/crl").status == http.StatusOK })
	visit := func(i int) {
		for _, method := range []string{"GET", "POST", fmt.Sprintf("M%d", i)} {
			for _, path := range []string{"/unknown/%d", "/1.0/root/%d", "/provisioners/%d/encrypted-key", "/health/%d", "//x%d", "/ssh/config/%d"} {
				roundTrip(client, request(t, method, n.url(fmt.Sprintf(path, i)), nil))
			}
		}
		token := n.Token("x", testca.Claim("iss", fmt.Sprintf("stranger %d", i)), testca.Head("kid", fmt.Sprintf("kid %d", i)))
		n.sign(client, n.signBodyFor("x", token))
	}
	visit(0)
	before := strings.Count(page(), "\n")
	for i := range 200 {
		visit(i + 1)
	}
	if after := strings.Count(page(), "\n"); after > before {
		t.Errorf("%d lines of metrics became %d", before, after)
	}
	n.stop()
}

// Calls of webhooks count under the names that dashboards know.
func TestMetricsOfWebhooks(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	page := metricsOf(n)
	hook := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"allow":%v}`, r.URL.Path != "/no")
	}))
	own := n.Foreign("hook.example", n.Intermediate, n.IntermediateKey, func(c *x509.Certificate) { c.IPAddresses = []net.IP{{127, 0, 0, 1}} })
	hook.TLS = &tls.Config{Certificates: []tls.Certificate{own.TLS()}}
	hook.StartTLS()
	defer hook.Close()
	webhook := func(kind, path string) map[string]any {
		return map[string]any{"name": path[1:], "id": path, "url": hook.URL + path, "kind": kind, "secret": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
	}
	n.configure(map[string]any{"authority": map[string]any{"provisioners": []any{json.RawMessage(n.JWK(testca.Provisioner,
		map[string]any{"options": map[string]any{"webhooks": []any{webhook("ENRICHING", "/yes"), webhook("AUTHORIZING", "/no")}}}))}}})
	n.start()
	if a := n.sign(n.dial(), n.signBody("hook.example.com")); a.status != http.StatusForbidden {
		t.Errorf("%d %s %v", a.status, a.body, a.err)
	}
	wantLines(t, page(), `step_ca_x509_webhook_enriched_total{provisioner="`+testca.Provisioner+`",success="true"} 1`,
		`step_ca_x509_webhook_authorized_total{provisioner="`+testca.Provisioner+`",success="false"} 1`)
	n.stop()
}
