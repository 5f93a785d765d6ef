package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
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
	metrics  string        // where it serves its metrics; a floor has none
	database *database     // beside it; a floor has none
	proofs   *proofs       // of ACME's challenges; nil: none are asked for
}

const provisionerName = "bench"

// startServer makes a CA with our command and serves it.
func startServer(ctx context.Context, o *options, op *operation, db *database) (*target, error) {
	return startTarget(o, "signet-bench-", func(t *target) error {
		profiles, err := freePort()
		if err != nil {
			return err
		}
		if err := t.create(ctx, o.signet, op); err != nil {
			return err
		}
		metrics, err := freePort()
		if err != nil {
			return err
		}
		t.database, t.profiles, t.metrics = db, "127.0.0.1:"+profiles, "127.0.0.1:"+metrics
		if err := t.configure(op, db); err != nil {
			return err
		}
		if o.stored > 0 {
			if err := t.fill(ctx, o.stored); err != nil {
				return err
			}
		}
		args := []string{"serve", "--password-file", t.passwordFile(), "--quiet"}
		if op.acme {
			if t.proofs, err = serveProofs(); err != nil {
				return err
			}
			args = append(args, "--insecure", "--acme-http-port", t.proofs.port)
		}
		cmd := o.slowed(o.signet, args...)
		cmd.Env = append(os.Environ(), "SIGNETPATH="+t.dir, "SIGNET_PROF_ADDR="+t.profiles)
		return t.launch(ctx, cmd)
	})
}

// startFloor makes a CA and has this program serve it as the floor.
func startFloor(ctx context.Context, o *options, op *operation) (*target, error) {
	return startTarget(o, "signet-floor-", func(t *target) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := t.create(ctx, o.signet, op); err != nil {
			return err
		}
		return t.launch(ctx, o.slowed(self, "-serve-floor", t.dir, "-address", strings.TrimPrefix(t.url, "https://"),
			"-floor-group", strconv.Itoa(o.floorGroup)))
	})
}

func startTarget(o *options, prefix string, start func(*target) error) (*target, error) {
	dir, err := os.MkdirTemp(o.dir, prefix)
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir}
	if err := start(t); err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

func (t *target) passwordFile() string { return filepath.Join(t.dir, "password") }
func (t *target) configFile() string   { return filepath.Join(t.dir, "config", "ca.json") }

// create makes a CA in the target's folder.
func (t *target) create(ctx context.Context, signet string, op *operation) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	t.url = "https://localhost:" + port
	if err := os.WriteFile(t.passwordFile(), []byte(keys.RandomAlphanumeric(32)), 0o600); err != nil {
		return err
	}
	args := []string{"ca", "init", "--name", "Bench", "--dns", "localhost", "--address", "127.0.0.1:" + port,
		"--provisioner", provisionerName, "--password-file", t.passwordFile()}
	if op.ssh {
		args = append(args, "--ssh")
	}
	init := exec.CommandContext(ctx, signet, args...)
	init.Env = append(os.Environ(), "SIGNETPATH="+t.dir)
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("ca init: %w\n%s", err, out)
	}
	return t.readKeys()
}

// configure sets what ca init has no option for.
func (t *target) configure(op *operation, db *database) error {
	data, err := os.ReadFile(t.configFile())
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		return err
	}
	if settings := db.settings(); settings != nil {
		config["db"] = settings
	}
	config["metricsAddress"] = t.metrics
	if op.acme {
		authority := config["authority"].(map[string]any)
		authority["provisioners"] = append(authority["provisioners"].([]any), map[string]any{"type": "ACME", "name": acmeName})
	}
	if op.crl {
		config["crl"] = map[string]any{"enabled": true}
	}
	if data, err = json.MarshalIndent(config, "", "\t"); err != nil {
		return err
	}
	return os.WriteFile(t.configFile(), data, 0o600)
}

func (t *target) readKeys() error {
	roots, err := keys.ReadCertificates(filepath.Join(t.dir, "certs", "root_ca.crt"))
	if err != nil {
		return err
	}
	t.roots = x509.NewCertPool()
	for _, c := range roots {
		t.roots.AddCert(c)
	}
	data, err := os.ReadFile(t.configFile())
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
	password, err := keys.ReadPasswordFile(t.passwordFile())
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
	if t.proofs != nil {
		_ = t.proofs.server.Close()
	}
	_ = os.RemoveAll(t.dir)
}
