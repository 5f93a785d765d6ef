package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-ca/signet/internal/store"
)

// scrapeTimeout bounds what a scrape may ask the database.
const scrapeTimeout = 2 * time.Second

// gauges are measured when somebody asks for the metrics. What does not exist, a revocation
// list that was never made for one, has no line.
type gauges struct {
	server *Server

	crlAge, crlExpiry, crlNumber, disabled, databaseSize *prometheus.Desc
}

func newGauges(s *Server) *gauges {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("step_ca_"+name, help, nil, nil)
	}
	return &gauges{
		server:       s,
		crlAge:       desc("crl_age_seconds", "Seconds since the revocation list was made"),
		crlExpiry:    desc("crl_expiry_seconds", "Seconds until the revocation list expires"),
		crlNumber:    desc("crl_number", "Number of the revocation list"),
		disabled:     desc("provisioners_disabled", "Provisioners that could not be opened"),
		databaseSize: desc("database_size_bytes", "Size of the SQLite database and its log"),
	}
}

// Describe names the gauges.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.crlAge, g.crlExpiry, g.crlNumber, g.disabled, g.databaseSize} {
		to <- d
	}
}

// Collect measures.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	if list, err := g.server.ca.LastCRL(ctx); err == nil && list != nil {
		gauge(g.crlAge, time.Since(list.ThisUpdate).Seconds())
		gauge(g.crlExpiry, time.Until(list.NextUpdate).Seconds())
		gauge(g.crlNumber, float64(list.Number))
	}
	disabled := 0
	for _, p := range g.server.ca.State().Provisioners.All() {
		if p.Disabled() != nil {
			disabled++
		}
	}
	gauge(g.disabled, float64(disabled))
	if size, ok := databaseSize(g.server.databaseConfig); ok {
		gauge(g.databaseSize, float64(size))
	}
}

// databaseSize is what an SQLite database takes on its disk.
func databaseSize(c store.Config) (size int64, ok bool) {
	if !strings.EqualFold(c.Type, "sqlite") {
		return 0, false
	}
	file := c.DataSource
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, "signet.db")
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(file + suffix); err == nil {
			size, ok = size+info.Size(), true
		}
	}
	return size, ok
}
