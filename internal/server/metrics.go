package server

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
)

// metrics are the counters of one process; they live through reloads. Names that existing
// dashboards know are kept.
type metrics struct {
	registry  *prometheus.Registry
	acts      map[string]*prometheus.CounterVec // by event act
	sshActs   map[string]*prometheus.CounterVec // by event act, with the type of the certificate
	kmsSigned prometheus.Counter
	kmsErrors prometheus.Counter
	requests  *prometheus.HistogramVec
	panics    prometheus.Counter
	reloads   *prometheus.CounterVec
	database  *prometheus.HistogramVec
	templates *prometheus.CounterVec
	acme      *acmeMetrics
}

func newMetrics(started time.Time, state func() *ca.State) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), acts: map[string]*prometheus.CounterVec{}, sshActs: map[string]*prometheus.CounterVec{}}
	for act, help := range map[string]string{
		"x509_signed":   "X.509 certificates signed",
		"x509_renewed":  "X.509 certificates renewed",
		"x509_rekeyed":  "X.509 certificates rekeyed",
		"x509_revoked":  "X.509 certificates revoked",
		"x509_rejected": "X.509 requests whose proof was refused",

		"x509_webhook_enriched":   "Calls of webhooks that add data to X.509 certificates",
		"x509_webhook_authorized": "Calls of webhooks that may refuse X.509 certificates",
		"ssh_webhook_enriched":    "Calls of webhooks that add data to SSH certificates",
		"ssh_webhook_authorized":  "Calls of webhooks that may refuse SSH certificates",
	} {
		m.acts[act] = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "step_ca", Name: act + "_total", Help: help}, []string{"provisioner", "success"})
		m.registry.MustRegister(m.acts[act])
	}
	m.kmsSigned = prometheus.NewCounter(prometheus.CounterOpts{Namespace: "step_ca", Name: "kms_signed", Help: "Signatures made with a key of the CA"})
	m.kmsErrors = prometheus.NewCounter(prometheus.CounterOpts{Namespace: "step_ca", Name: "kms_errors", Help: "Signatures a key of the CA failed to make"})
	m.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "step_ca", Name: "http_request_duration_seconds",
		Help: "Time to answer a request", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"endpoint", "status"})
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{Namespace: "step_ca", Name: "http_panics_total", Help: "Panics caught in handlers"})
	m.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "step_ca", Name: "reloads_total", Help: "Reloads of the configuration"}, []string{"success"})
	m.database = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "signet", Name: "database_duration_seconds",
		Help: "Time that reads and durable writes of the database took, the wait for their turn included", Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}}, []string{"act", "success"})
	m.templates = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "signet", Name: "template_failures_total",
		Help: "Certificate templates that do not work, by where they came to grief: run, limit or output"}, []string{"provisioner", "stage"})
	for act, help := range map[string]string{
		"ssh_signed":   "SSH certificates signed",
		"ssh_renewed":  "SSH certificates renewed",
		"ssh_rekeyed":  "SSH certificates rekeyed",
		"ssh_revoked":  "SSH certificates revoked",
		"ssh_rejected": "SSH requests whose proof was refused",
	} {
		m.sshActs[act] = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "step_ca", Name: act + "_total", Help: help}, []string{"provisioner", "success", "type"})
		m.registry.MustRegister(m.sshActs[act])
	}
	m.acme = newACMEMetrics(m.registry)
	uptime := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "step_ca", Name: "uptime_seconds", Help: "Seconds since the process started"},
		func() float64 { return time.Since(started).Seconds() })
	issuerEnd := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "step_ca", Name: "issuer_expiry_seconds", Help: "Seconds until the issuing certificate expires"},
		func() float64 { return time.Until(state().Issuer.Issuer().NotAfter).Seconds() })
	m.registry.MustRegister(m.kmsSigned, m.kmsErrors, m.requests, m.panics, m.reloads, m.database, m.templates, uptime, issuerEnd,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts an event of the office.
func (m *metrics) observe(e ca.Event) {
	if counter := m.acts[e.Act]; counter != nil {
		counter.WithLabelValues(e.Provisioner, strconv.FormatBool(e.Success)).Inc()
	}
	m.acme.observe(e)
	if e.Act == "template_failed" {
		m.templates.WithLabelValues(e.Provisioner, e.Type).Inc()
	}
	if counter := m.sshActs[e.Act]; counter != nil {
		counter.WithLabelValues(e.Provisioner, strconv.FormatBool(e.Success), cmp.Or(e.Type, "unknown")).Inc()
	}
}

// stored measures one look at the database or one durable change. A record that is not
// there, or there already, is an answer and no failure.
func (m *metrics) stored(act string, took time.Duration, err error) {
	m.database.WithLabelValues(act, strconv.FormatBool(!fault.Is(err, fault.Unavailable))).Observe(took.Seconds())
}

// signed counts a signature of a CA key.
func (m *metrics) signed(err error) {
	if err != nil {
		m.kmsErrors.Inc()
		return
	}
	m.kmsSigned.Inc()
}

// handler serves /metrics and nothing else.
func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(m.registry,
		promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 5 * time.Second, MaxRequestsInFlight: 10, Registry: m.registry})))
	return mux
}
