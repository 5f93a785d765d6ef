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
	cmd     *exec.Cmd
	dir     string
	url     string
	roots   *x509.CertPool
	key     crypto.Signer // of the JWK provisioner
	kid     string
	startup time.Duration // from start to the first good health answer
	idle    int64         // resident bytes before any load
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

func (t *target) start(ctx context.Context, signet string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	t.url = "https://localhost:" + port
	password := filepath.Join(t.dir, "password")
	if err := os.WriteFile(password, []byte(keys.RandomAlphanumeric(32)), 0o600); err != nil {
		return err
	}
	env := append(os.Environ(), "SIGNETPATH="+t.dir)
	init := exec.CommandContext(ctx, signet, "ca", "init", "--name", "Bench", "--dns", "localhost", "--address", "127.0.0.1:"+port,
		"--provisioner", provisionerName, "--password-file", password)
	init.Env = env
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("ca init: %w\n%s", err, out)
	}
	if err := t.readKeys(password); err != nil {
		return err
	}
	t.cmd = exec.Command(signet, "serve", "--password-file", password, "--quiet")
	log, err := os.Create(filepath.Join(t.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	t.cmd.Env, t.cmd.Stderr = env, log
	begin := time.Now()
	if err := t.cmd.Start(); err != nil {
		return err
	}
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
