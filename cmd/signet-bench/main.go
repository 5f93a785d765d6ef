// signet-bench measures a server of ours: it makes a CA in a temporary directory, starts the
// real binary on it, and loads it over loopback with kept connections.
//
//	make bench
//	go run ./cmd/signet-bench -signet bin/signet -clients 1,8,64 -duration 10s
//
// Every answer counted was durable: the server answers after its commit. Tokens are made
// before the clock runs, so that the load costs the client little.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

type options struct {
	signet   string
	clients  []int
	warmUp   time.Duration
	duration time.Duration
	dir      string
	profile  string

	floorDir, floorAddress string // be the floor instead
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "signet-bench:", err)
		os.Exit(1)
	}
}

func parseOptions() (*options, error) {
	o := new(options)
	clients := ""
	flag.StringVar(&o.signet, "signet", "bin/signet", "the binary to measure")
	flag.StringVar(&clients, "clients", "1,8,64", "numbers of concurrent clients, one run each")
	flag.DurationVar(&o.warmUp, "warm-up", 2*time.Second, "load before the clock runs")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "length of each run")
	flag.StringVar(&o.dir, "dir", "", "where the CA is made; its disk is part of what is measured (default: a temporary directory)")
	flag.StringVar(&o.floorDir, "serve-floor", "", "be the floor: serve the CA in this folder (for the benchmark itself)")
	flag.StringVar(&o.floorAddress, "address", "", "where the floor listens")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the server under the last load to this file")
	flag.Parse()
	for _, s := range strings.Split(clients, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > 4096 {
			return nil, fmt.Errorf("-clients: %q is no number from 1 to 4096", s)
		}
		o.clients = append(o.clients, n)
	}
	return o, nil
}

func run(ctx context.Context) error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	if o.floorDir != "" {
		return serveFloor(o.floorDir, o.floorAddress)
	}
	target, err := startTarget(ctx, o)
	if err != nil {
		return err
	}
	defer target.stop()
	bare, err := startFloor(ctx, o)
	if err != nil {
		return fmt.Errorf("start the floor: %w", err)
	}
	defer bare.stop()
	fmt.Printf("healthy %d ms after start, %.1f MB resident when idle\n\n", target.startup.Milliseconds(), float64(target.idle)/1e6)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "operation\tclients\tper second\tp50 ms\tp95 ms\tp99 ms\terrors\tserver CPU s/1000\tfloors\tpeak MB\t")
	for i, n := range o.clients {
		if o.profile != "" && i == len(o.clients)-1 {
			go target.profileTo(o.profile, o.warmUp, o.duration)
		}
		r, floor, err := compare(ctx, target, bare, n, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "x509-sign\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t%.3f\t%.2f\t%.1f\t\n", n, r.perSecond(),
			r.quantile(.50), r.quantile(.95), r.quantile(.99), r.errors, r.cpuPer1000(), r.cpuPer1000()/floor.cpuPer1000(), float64(r.peak)/1e6)
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}
