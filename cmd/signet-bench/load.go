package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-ca/signet/internal/keys"
)

// result is one run.
type result struct {
	took    time.Duration
	latency []time.Duration // sorted, of good answers
	errors  int
	cpu     time.Duration
	peak    int64
}

func (r *result) perSecond() float64 { return float64(len(r.latency)) / r.took.Seconds() }

func (r *result) cpuPer1000() float64 {
	if len(r.latency) == 0 {
		return 0
	}
	return r.cpu.Seconds() / float64(len(r.latency)) * 1000
}

// quantile is in milliseconds.
func (r *result) quantile(q float64) float64 {
	if len(r.latency) == 0 {
		return 0
	}
	i := min(int(q*float64(len(r.latency))), len(r.latency)-1)
	return float64(r.latency[i].Microseconds()) / 1000
}

// bodies makes requests with fresh tokens ahead of the load.
type bodies struct {
	ready chan []byte
	csr   string
}

// stocked is how many requests are made before the clock runs, per second of load.
const stocked = 4000

// load asks for certificates with n clients.
func (t *target) load(ctx context.Context, n int, warmUp, duration time.Duration) (*result, error) {
	b, err := t.stock(ctx, int((warmUp+duration).Seconds()*stocked))
	if err != nil {
		return nil, err
	}
	client := t.client(n)
	if _, err := t.work(ctx, client, b, n, warmUp); err != nil {
		return nil, err
	}
	before := t.cpu()
	r, err := t.work(ctx, client, b, n, duration)
	if err != nil {
		return nil, err
	}
	r.cpu, r.peak = t.cpu()-before, t.resident("VmHWM")
	slices.Sort(r.latency)
	return r, nil
}

func (t *target) work(ctx context.Context, client *http.Client, b *bodies, n int, d time.Duration) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	var all result
	var failed atomic.Pointer[error]
	begin := time.Now()
	var workers sync.WaitGroup
	for range n {
		workers.Go(func() {
			var latency []time.Duration
			bad := 0
			for ctx.Err() == nil {
				body, ok := <-b.ready
				if !ok {
					err := fmt.Errorf("the stock of %d tokens a second ran out; raise it", stocked)
					failed.Store(&err)
					break
				}
				start := time.Now()
				if err := post(client, t.url+"/1.0/sign", body); err != nil {
					bad++
					continue
				}
				latency = append(latency, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all.latency, all.errors = append(all.latency, latency...), all.errors+bad
		})
	}
	workers.Wait()
	all.took = time.Since(begin)
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return &all, nil
}

func post(client *http.Client, url string, body []byte) error {
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func (t *target) stock(ctx context.Context, n int) (*bodies, error) {
	csr, err := newRequest()
	if err != nil {
		return nil, err
	}
	b := &bodies{ready: make(chan []byte, n), csr: csr}
	var makers sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 2 {
		makers.Go(func() {
			for range n / 2 {
				body, err := t.signBody(csr)
				if err != nil || ctx.Err() != nil {
					failed.Store(&err)
					return
				}
				b.ready <- body
			}
		})
	}
	makers.Wait()
	close(b.ready)
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return b, nil
}

func (t *target) signBody(csr string) ([]byte, error) {
	now := time.Now()
	token, err := keys.SignJWT(t.key, map[string]any{"kid": t.kid}, map[string]any{
		"iss": provisionerName, "sub": "host.bench.internal", "aud": t.url + "/1.0/sign", "sans": []string{"host.bench.internal"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(30 * time.Minute).Unix(), "jti": keys.RandomHex(32),
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"csr": csr, "ott": token})
}

func newRequest() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "host.bench.internal"}, DNSNames: []string{"host.bench.internal"}}, key)
	if err != nil {
		return "", err
	}
	return string(keys.EncodeCSR(der)), nil
}
