package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/signet-ca/signet/internal/keys"
)

// target is a running server and what its clients need.
type target struct {
	cmd      *exec.Cmd
	dir      string
	url      string
	roots    *x509.CertPool
	key      crypto.Signer // of the JWK provisioner
	kid      string
	startup  time.Duration // from start to the first good health answer
	idle     int64         // resident bytes before any load
	profiles string        // where the server serves profiles of itself
}

const provisionerName = "bench"

// startTarget makes a CA and serves it.
func startTarget(ctx context.Context, o *options) (*target, error) {
	dir, err := os.MkdirTemp(o.dir, "signet-bench-")
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir}
	if err := t.start(ctx, o.signet); err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

// start makes a CA and serves it.
func (t *target) start(ctx context.Context, signet string) error {
	profiles, err := freePort()
	if err != nil {
		return err
	}
	if err := t.create(ctx, signet); err != nil {
		return err
	}
	t.profiles = "127.0.0.1:" + profiles
	cmd := exec.Command(signet, "serve", "--password-file", t.passwordFile(), "--quiet")
	cmd.Env = append(os.Environ(), "SIGNETPATH="+t.dir, "SIGNET_PROF_ADDR="+t.profiles)
	return t.launch(ctx, cmd)
}

// startFloor makes a CA and has this program serve it as the floor.
func startFloor(ctx context.Context, o *options) (*target, error) {
	dir, err := os.MkdirTemp(o.dir, "signet-floor-")
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir}
	self, err := os.Executable()
	if err == nil {
		err = t.create(ctx, o.signet)
	}
	if err == nil {
		err = t.launch(ctx, exec.Command(self, "-serve-floor", t.dir, "-address", strings.TrimPrefix(t.url, "https://")))
	}
	if err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

func (t *target) passwordFile() string { return filepath.Join(t.dir, "password") }

// create makes a CA in the target's folder.
func (t *target) create(ctx context.Context, signet string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	t.url = "https://localhost:" + port
	if err := os.WriteFile(t.passwordFile(), []byte(keys.RandomAlphanumeric(32)), 0o600); err != nil {
		return err
	}
	init := exec.CommandContext(ctx, signet, "ca", "init", "--name", "Bench", "--dns", "localhost", "--address", "127.0.0.1:"+port,
		"--provisioner", provisionerName, "--password-file", t.passwordFile())
	init.Env = append(os.Environ(), "SIGNETPATH="+t.dir)
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("ca init: %w\n%s", err, out)
	}
	return t.readKeys(t.passwordFile())
}

// launch starts the server and waits until it is healthy.
func (t *target) launch(ctx context.Context, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(t.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	cmd.Stderr = log
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	t.cmd = cmd
	if err := t.waitHealthy(ctx); err != nil {
		return err
	}
	t.startup = time.Since(begin)
	time.Sleep(500 * time.Millisecond) // let the start settle before the idle memory is read
	t.idle = t.resident("VmRSS")
	return nil
}

func (t *target) readKeys(passwordFile string) error {
	roots, err := keys.ReadCertificates(filepath.Join(t.dir, "certs", "root_ca.crt"))
	if err != nil {
		return err
	}
	t.roots = x509.NewCertPool()
	for _, c := range roots {
		t.roots.AddCert(c)
	}
	data, err := os.ReadFile(filepath.Join(t.dir, "config", "ca.json"))
	if err != nil {
		return err
	}
	var config struct {
		Authority struct {
			Provisioners []struct {
				EncryptedKey string `json:"encryptedKey"`
			} `json:"provisioners"`
		} `json:"authority"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return err
	}
	if len(config.Authority.Provisioners) == 0 {
		return errors.New("the new CA has no provisioner")
	}
	password, err := keys.ReadPasswordFile(passwordFile)
	if err != nil {
		return err
	}
	jwk, err := keys.DecryptJWK([]byte(config.Authority.Provisioners[0].EncryptedKey), password)
	if err != nil {
		return err
	}
	signer, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return errors.New("the provisioner's key cannot sign")
	}
	t.key, t.kid = signer, jwk.KeyID
	return nil
}

func (t *target) waitHealthy(ctx context.Context) error {
	client := t.client(1)
	for range 2000 {
		if resp, err := client.Get(t.url + "/health"); err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return errors.New("the server did not become healthy within 10 s")
}

// client keeps its connections and speaks HTTP/1.1, whose cost on this side is smallest.
func (t *target) client(connections int) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: t.roots, NextProtos: []string{"http/1.1"}},
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
	}}
}

func (t *target) stop() {
	if t.cmd != nil && t.cmd.Process != nil {
		_ = t.cmd.Process.Signal(syscall.SIGTERM)
		_ = t.cmd.Wait()
	}
	_ = os.RemoveAll(t.dir)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// resident reads a memory figure of the server from the kernel, in bytes.
func (t *target) resident(field string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		if rest, ok := strings.CutPrefix(string(line), field+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// cpu is the processor time the server has used.
func (t *target) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const ticks = 100 // USER_HZ on every Linux we know
	return time.Duration(user+system) * time.Second / ticks
}

// profileTo takes a CPU profile of the server while the clock runs.
func (t *target) profileTo(file string, warmUp, duration time.Duration) {
	time.Sleep(warmUp)
	resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", t.profiles, max(1, int(duration.Seconds())-1)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		return
	}
	defer resp.Body.Close()
	out, err := os.Create(file)
	if err == nil {
		_, err = out.ReadFrom(resp.Body)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
	}
}
