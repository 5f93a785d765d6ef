package server

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-ca/signet/internal/ca"
)

// acmeMetrics count what ACME clients do.
type acmeMetrics struct {
	orders, nonces, limited *prometheus.CounterVec
	validations             *prometheus.HistogramVec
}

func newACMEMetrics(r *prometheus.Registry) *acmeMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "signet", Subsystem: "acme", Name: name, Help: help}, append([]string{"provisioner"}, labels...))
	}
	m := &acmeMetrics{
		orders:  counter("orders_total", "Orders of ACME clients that became pending, valid or invalid", "status"),
		nonces:  counter("nonces_refused_total", "Requests of ACME clients whose nonce was refused"),
		limited: counter("limited_total", "Requests of ACME clients that a limit refused", "limit"),
		validations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "signet", Subsystem: "acme", Name: "validation_duration_seconds",
			Help: "Time that one look at an ACME challenge took", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"provisioner", "type", "success"}),
	}
	r.MustRegister(m.orders, m.nonces, m.limited, m.validations)
	return m
}

func (m *acmeMetrics) observe(e ca.Event) {
	switch e.Act {
	case "acme_order":
		m.orders.WithLabelValues(e.Provisioner, e.Type).Inc()
	case "acme_challenge":
		m.validations.WithLabelValues(e.Provisioner, e.Type, strconv.FormatBool(e.Success)).Observe(e.Took.Seconds())
	case "acme_nonce_refused":
		m.nonces.WithLabelValues(e.Provisioner).Inc()
	case "acme_limited":
		m.limited.WithLabelValues(e.Provisioner, e.Type).Inc()
	}
}
