package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// result is one turn, or several.
type result struct {
	took     time.Duration
	latency  []time.Duration // of good answers
	errors   int
	cpu      time.Duration // of the server
	database time.Duration // of the database's processes
	writes   float64       // durable changes, by the server's metrics
}

func (r *result) add(o *result) {
	r.took += o.took
	r.latency = append(r.latency, o.latency...)
	r.errors += o.errors
	r.cpu += o.cpu
	r.database += o.database
	r.writes += o.writes
}

func (r *result) sort() { slices.Sort(r.latency) }

func (r *result) perSecond() float64 { return float64(len(r.latency)) / r.took.Seconds() }

func (r *result) per1000(cpu time.Duration) float64 {
	if len(r.latency) == 0 {
		return 0
	}
	return cpu.Seconds() / float64(len(r.latency)) * 1000
}

func (r *result) cpuPer1000() float64 { return r.per1000(r.cpu + r.database) }

// quantile is in milliseconds, of a sorted result.
func (r *result) quantile(q float64) float64 {
	if len(r.latency) == 0 {
		return 0
	}
	i := min(int(q*float64(len(r.latency))), len(r.latency)-1)
	return float64(r.latency[i].Microseconds()) / 1000
}

// session is a number of clients of one server that do one operation.
type session struct {
	t       *target
	op      *operation
	clients []*http.Client // one for each worker, or one for all
	workers int
	rate    float64 // seen in the last turn, per second

	during func() // runs beside the load; nil: nothing does

	bodies [][]byte // of the requests to come
	next   atomic.Int64
}

// startRate is how many requests a second are expected before any were seen.
const startRate = 1500

func (t *target) connect(ctx context.Context, op *operation, workers int) (*session, error) {
	s := &session{t: t, op: op, workers: workers, rate: startRate}
	if op.clients == nil {
		s.clients = []*http.Client{t.client(workers)}
		return s, nil
	}
	var err error
	s.clients, err = op.clients(ctx, t, workers)
	return s, err
}

func (s *session) close() {
	for _, c := range s.clients {
		c.CloseIdleConnections()
	}
}

// turn makes what the requests of so long a time need, and then lets the clock run. It ends
// early if there are fewer of them than the server could answer.
func (s *session) turn(ctx context.Context, d time.Duration) (*result, error) {
	s.bodies = nil
	s.next.Store(0)
	if s.op.bodies != nil {
		n := int(s.rate*1.5*d.Seconds()) + s.workers
		var err error
		if s.bodies, err = s.op.bodies(ctx, s.t, n); err != nil {
			return nil, fmt.Errorf("prepare requests: %w", err)
		}
	}
	if s.during != nil {
		go s.during()
	}
	writes := s.t.writes()
	cpu, database := s.t.cpu(), s.t.database.cpu()
	r, err := s.work(ctx, d)
	if err != nil {
		return nil, err
	}
	r.cpu, r.database = s.t.cpu()-cpu, s.t.database.cpu()-database
	r.writes = s.t.writes() - writes
	if len(r.latency) == 0 {
		return nil, errors.New("no request succeeded")
	}
	s.rate = r.perSecond()
	return r, nil
}

func (s *session) work(ctx context.Context, d time.Duration) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	var all result
	var first error // of the requests
	begin := time.Now()
	var workers sync.WaitGroup
	for w := range s.workers {
		workers.Go(func() {
			var mine result
			var bad error
			client := s.clients[w%len(s.clients)]
			for ctx.Err() == nil {
				body, more := s.take()
				if !more {
					break
				}
				start := time.Now()
				if err := s.op.do(client, s.t, body); err != nil {
					mine.errors, bad = mine.errors+1, err
					continue
				}
				mine.latency = append(mine.latency, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all.add(&mine)
			first = cmp.Or(first, bad)
		})
	}
	workers.Wait()
	all.took = time.Since(begin)
	if all.errors > 0 && len(all.latency) == 0 {
		return nil, fmt.Errorf("all requests failed, one with: %w", first)
	}
	return &all, nil
}

// take gives the next body; every request of an operation without bodies is the same.
func (s *session) take() ([]byte, bool) {
	if s.op.bodies == nil {
		return nil, true
	}
	i := int(s.next.Add(1)) - 1
	if i >= len(s.bodies) {
		return nil, false
	}
	return s.bodies[i], true
}

// request is what a client sends, and the status that is no error.
type request struct {
	method, url string
	body        []byte
	want        int
}

// ask sends a request and gives the answer's body.
func ask(client *http.Client, q request) ([]byte, error) {
	req, err := http.NewRequest(q.method, q.url, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != q.want {
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, answer[:min(len(answer), 300)])
	}
	return answer, nil
}
