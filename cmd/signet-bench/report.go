package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// row is what one run measured.
type row struct {
	Operation      string  `json:"operation"`
	Database       string  `json:"database"`
	Stored         int     `json:"stored"`
	Clients        int     `json:"clients"`
	PerSecond      float64 `json:"perSecond"`
	P50            float64 `json:"p50ms"`
	P95            float64 `json:"p95ms"`
	P99            float64 `json:"p99ms"`
	Max            float64 `json:"maxms"`
	Errors         int     `json:"errors"`
	ServerCPU      float64 `json:"serverCPUper1000"`   // seconds
	DatabaseCPU    float64 `json:"databaseCPUper1000"` // seconds; 0 with SQLite, which is inside the server
	FloorCPU       float64 `json:"floorCPUper1000"`
	Floors         float64 `json:"floors"` // CPU of server and database as a multiple of the floor's
	FloorPerSecond float64 `json:"floorPerSecond"`
	Writes         float64 `json:"writes"` // durable changes for each operation; those of several clients share commits
	PeakMB         float64 `json:"peakMB"`
	IdleMB         float64 `json:"idleMB"`
	StartMS        int64   `json:"startms"`
}

func rowOf(r *result, t *target) *row {
	r.sort()
	return &row{PerSecond: r.perSecond(), P50: r.quantile(.50), P95: r.quantile(.95), P99: r.quantile(.99), Max: r.quantile(1),
		Errors: r.errors, ServerCPU: r.per1000(r.cpu), DatabaseCPU: r.per1000(r.database), PeakMB: megabytes(t.resident("VmHWM")),
		Writes: r.writes / max(1, float64(len(r.latency)))}
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// report prints rows as they come.
type report struct {
	json  *json.Encoder // nil: a table
	table *tabwriter.Writer
}

func newReport(out io.Writer, asJSON bool) *report {
	if asJSON {
		return &report{json: json.NewEncoder(out)}
	}
	r := &report{table: tabwriter.NewWriter(out, 10, 0, 2, ' ', tabwriter.AlignRight)}
	fmt.Fprintln(r.table, "operation\tdb\tclients\tper second\tp50 ms\tp95 ms\tp99 ms\tmax ms\terrors\tserver CPU s/1000\tdb CPU s/1000\tfloor s/1000\tfloors\twrites\tpeak MB\tidle MB\tstart ms\t")
	return r
}

func (r *report) add(row *row) error {
	if r.json != nil {
		return r.json.Encode(row)
	}
	fmt.Fprintf(r.table, "%s\t%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%.3f\t%.3f\t%.3f\t%.2f\t%.2f\t%.1f\t%.1f\t%d\t\n", row.Operation, row.Database, row.Clients, row.PerSecond,
		row.P50, row.P95, row.P99, row.Max, row.Errors, row.ServerCPU, row.DatabaseCPU, row.FloorCPU, row.Floors, row.Writes, row.PeakMB, row.IdleMB, row.StartMS)
	return r.table.Flush()
}

// note is for people only.
func (r *report) note(format string, args ...any) {
	if r.json == nil {
		fmt.Fprintf(r.table, format+"\n", args...)
		_ = r.table.Flush()
	}
}
