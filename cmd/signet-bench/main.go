// signet-bench measures a server of ours: it makes a CA in a temporary directory, starts the
// real binary on it, and loads it over loopback. Beside it, in turns of seconds, it loads the
// floor of the same operation: a bare server that does only what the operation needs.
//
//	make bench
//	go run ./cmd/signet-bench -operations x509-sign,renew -clients 1,8,64 -db sqlite,postgres
//	go run ./cmd/signet-bench -slow-disk 2ms -clients 64
//
// Every answer counted was durable: the server answers after its commit. Tokens are made
// before the clock runs, so that the load costs the client little.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	signet     string
	operations []*operation
	databases  []string
	clients    []int
	warmUp     time.Duration
	duration   time.Duration
	rounds     int
	dir        string
	stored     int
	slowDisk   time.Duration
	reloads    int
	profile    string
	json       bool

	floorDir, floorAddress string // be the floor instead
	floorGroup             int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "signet-bench:", err)
		os.Exit(1)
	}
}

func parseOptions() (*options, error) {
	o := new(options)
	var names, clients, databases string
	flag.StringVar(&o.signet, "signet", "bin/signet", "the binary to measure")
	flag.StringVar(&names, "operations", "x509-sign", "what to ask for, with commas between, or all: "+strings.Join(operationNames(), ", "))
	flag.StringVar(&databases, "db", "sqlite", "databases, one run each: sqlite, postgres, mariadb; servers are private ones of the benchmark")
	flag.StringVar(&clients, "clients", "1,8,64", "numbers of concurrent clients, one run each")
	flag.DurationVar(&o.warmUp, "warm-up", 2*time.Second, "load before the clock runs")
	flag.DurationVar(&o.duration, "duration", 12*time.Second, "length of each run")
	flag.IntVar(&o.rounds, "rounds", 6, "turns that server and floor take in a run; the ratio is the median of theirs")
	flag.StringVar(&o.dir, "dir", "", "where the CA is made; its disk is part of what is measured (default: a temporary directory)")
	flag.IntVar(&o.stored, "stored", 0, "certificates that are in the database (sqlite) before the load")
	flag.DurationVar(&o.slowDisk, "slow-disk", 0, "delay each flush to the disk by so much, with strace, and compare with one commit per certificate")
	flag.IntVar(&o.reloads, "reloads", 0, "reload the configuration so many times under load, and tell what the clients noticed")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the server under the last load to this file")
	flag.BoolVar(&o.json, "json", false, "print one JSON object for each run instead of a table")
	flag.StringVar(&o.floorDir, "serve-floor", "", "be the floor: serve the CA in this folder (for the benchmark itself)")
	flag.StringVar(&o.floorAddress, "address", "", "where the floor listens")
	flag.IntVar(&o.floorGroup, "floor-group", 128, "most changes in one commit of the floor")
	flag.Parse()
	if o.rounds < 1 || o.duration <= 0 || o.stored < 0 {
		return nil, errors.New("-rounds, -duration and -stored must be positive")
	}
	for s := range strings.SplitSeq(clients, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 || n > 4096 {
			return nil, fmt.Errorf("-clients: %q is no number from 1 to 4096", s)
		}
		o.clients = append(o.clients, n)
	}
	o.databases = strings.Split(databases, ",")
	for _, name := range o.databases {
		if !slices.Contains([]string{"sqlite", "postgres", "mariadb"}, name) {
			return nil, fmt.Errorf("-db: %q is none of sqlite, postgres, mariadb", name)
		}
	}
	var err error
	o.operations, err = operationsOf(names)
	return o, err
}

func run(ctx context.Context) error {
	o, err := parseOptions()
	if err != nil {
		return err
	}
	if o.floorDir != "" {
		signal.Reset() // it has nothing to clean up
		return serveFloor(o)
	}
	out := newReport(os.Stdout, o.json)
	if o.slowDisk > 0 {
		return slowDisk(ctx, o, out)
	}
	if o.reloads > 0 {
		return reloads(ctx, o, out)
	}
	for _, database := range o.databases {
		if err := runOn(ctx, o, database, out); err != nil {
			return fmt.Errorf("%s: %w", database, err)
		}
	}
	return nil
}

// runOn measures all operations on one database, each on a CA of its own.
func runOn(ctx context.Context, o *options, kind string, out *report) error {
	db, err := startDatabase(ctx, kind)
	if err != nil {
		return err
	}
	defer db.stop()
	for _, op := range o.operations {
		p, err := startPair(ctx, o, op, db)
		if err == nil {
			err = p.measure(ctx, o, out)
			p.stop()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", op.name, err)
		}
	}
	return nil
}

// pair is a server of ours and its floor.
type pair struct {
	op         *operation
	ours, bare *target
}

func startPair(ctx context.Context, o *options, op *operation, db *database) (*pair, error) {
	ours, err := startServer(ctx, o, op, db)
	if err != nil {
		return nil, err
	}
	bare, err := startFloor(ctx, o, op)
	if err != nil {
		ours.stop()
		return nil, fmt.Errorf("start the floor: %w", err)
	}
	return &pair{op, ours, bare}, nil
}

func (p *pair) stop() {
	p.ours.stop()
	p.bare.stop()
}

// measure makes a row for each number of clients.
func (p *pair) measure(ctx context.Context, o *options, out *report) error {
	for i, n := range o.clients {
		if o.profile != "" && i == len(o.clients)-1 {
			go p.ours.profileTo(o.profile, o.warmUp, o.duration)
		}
		r, err := p.compare(ctx, o, n)
		if err != nil {
			return err
		}
		if err := out.add(r); err != nil {
			return err
		}
	}
	return nil
}

// compare loads server and floor in turns, so that both see the same machine. The figure that
// counts is the median of the turns' ratios: one turn that something else disturbed is passed over.
func (p *pair) compare(ctx context.Context, o *options, n int) (*row, error) {
	var sides [2]*session
	var sums [2]result
	for i, t := range []*target{p.bare, p.ours} {
		op := p.op
		if t == p.bare && op.floor != nil {
			op = op.floor
		}
		s, err := t.connect(ctx, op, n)
		if err != nil {
			return nil, err
		}
		defer s.close()
		if _, err := s.turn(ctx, o.warmUp); err != nil {
			return nil, err
		}
		sides[i] = s
	}
	var ratios []float64
	for range o.rounds {
		var turns [2]*result
		for i, s := range sides {
			r, err := s.turn(ctx, o.duration/time.Duration(o.rounds))
			if err != nil {
				return nil, err
			}
			turns[i] = r
			sums[i].add(r)
		}
		ratios = append(ratios, turns[1].cpuPer1000()/turns[0].cpuPer1000())
	}
	row := rowOf(&sums[1], p.ours)
	row.Operation, row.Database, row.Clients, row.Stored = p.op.name, p.ours.database.kind, n, o.stored
	row.StartMS, row.IdleMB = p.ours.startup.Milliseconds(), megabytes(p.ours.idle)
	row.FloorCPU, row.Floors = sums[0].cpuPer1000(), median(ratios)
	row.FloorPerSecond = sums[0].perSecond()
	return row, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
