package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// operation is one thing that clients ask for. The floor serves it at the same address, if it
// does the same.
type operation struct {
	name string
	ssh  bool // the CA needs keys for SSH
	crl  bool // the CA publishes a revocation list
	acme bool // the CA has an ACME provisioner

	floor *operation // what the floor does instead; nil: the same

	clients func(ctx context.Context, t *target, n int) ([]*http.Client, error) // nil: anonymous ones with kept connections
	bodies  func(ctx context.Context, t *target, n int) ([][]byte, error)       // nil: requests have none
	do      func(c *http.Client, t *target, body []byte) error
}

var signing = &operation{name: "x509-sign", bodies: signBodies, do: asking("POST", "/1.0/sign", http.StatusCreated)}

var operations = []*operation{
	signing,
	{name: "renew", clients: holders(true), do: asking("POST", "/1.0/renew", http.StatusCreated)},
	{name: "renew-new-connection", clients: holders(false), do: asking("POST", "/1.0/renew", http.StatusCreated)},
	{name: "ssh-sign", ssh: true, bodies: sshBodies, do: asking("POST", "/1.0/ssh/sign", http.StatusCreated)},
	{name: "revoke", bodies: revokeBodies, do: asking("POST", "/1.0/revoke", http.StatusOK)},
	{name: "crl", crl: true, do: asking("GET", "/1.0/crl", http.StatusOK)},
	{name: "acme", acme: true, floor: signing, clients: accounts, do: acmeOrder},
}

func operationNames() []string {
	names := make([]string, len(operations))
	for i, op := range operations {
		names[i] = op.name
	}
	return names
}

func operationsOf(names string) ([]*operation, error) {
	if names == "all" {
		return operations, nil
	}
	var list []*operation
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, op := range operations {
			if op.name == strings.TrimSpace(name) {
				list, found = append(list, op), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-operations: %q is none of %s", name, strings.Join(operationNames(), ", "))
		}
	}
	return list, nil
}

// asking is an operation of one request.
func asking(method, path string, want int) func(*http.Client, *target, []byte) error {
	return func(c *http.Client, t *target, body []byte) error {
		_, err := ask(c, request{method, t.url + path, body, want})
		return err
	}
}

// hostName is what all certificates are for.
const hostName = "host.bench.internal"

// each makes n bodies on all processors.
func each(ctx context.Context, n int, make1 func(i int) ([]byte, error)) ([][]byte, error) {
	bodies := make([][]byte, n)
	makers := runtime.GOMAXPROCS(0)
	errs := make([]error, makers)
	var wg sync.WaitGroup
	for m := range makers {
		wg.Go(func() {
			for i := m; i < n && errs[m] == nil; i += makers {
				if bodies[i], errs[m] = make1(i); errs[m] == nil {
					errs[m] = ctx.Err()
				}
			}
		})
	}
	wg.Wait()
	return bodies, errors.Join(errs...)
}

// token is a fresh one of the CA's provisioner.
func (t *target) token(path, subject string, more map[string]any) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": provisionerName, "sub": subject, "aud": t.url + path,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(30 * time.Minute).Unix(), "jti": keys.RandomHex(32),
	}
	for name, value := range more {
		claims[name] = value
	}
	return keys.SignJWT(t.key, map[string]any{"kid": t.kid}, claims)
}

func signBodies(ctx context.Context, t *target, n int) ([][]byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	csr, err := newRequest(key)
	if err != nil {
		return nil, err
	}
	return each(ctx, n, func(int) ([]byte, error) { return t.signBody(csr) })
}

func (t *target) signBody(csr string) ([]byte, error) {
	token, err := t.token("/1.0/sign", hostName, map[string]any{"sans": []string{hostName}})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"csr": csr, "ott": token})
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newRequest(key crypto.Signer) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: hostName}, DNSNames: []string{hostName}}, key)
	if err != nil {
		return "", err
	}
	return string(keys.EncodeCSR(der)), nil
}

// holders are clients with a certificate each.
func holders(kept bool) func(context.Context, *target, int) ([]*http.Client, error) {
	return func(ctx context.Context, t *target, n int) ([]*http.Client, error) {
		key, err := newKey()
		if err != nil {
			return nil, err
		}
		chains, err := t.issue(ctx, key, n)
		if err != nil {
			return nil, err
		}
		list := make([]*http.Client, n)
		for i, chain := range chains {
			list[i] = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: t.roots, NextProtos: []string{"http/1.1"},
					Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}},
				MaxConnsPerHost: 1, DisableKeepAlives: !kept,
			}}
		}
		return list, nil
	}
}

// issue has the server sign n certificates for one key, eight at a time.
func (t *target) issue(ctx context.Context, key crypto.Signer, n int) ([][][]byte, error) {
	csr, err := newRequest(key)
	if err != nil {
		return nil, err
	}
	const workers = 8
	client := t.client(workers)
	defer client.CloseIdleConnections()
	chains, errs := make([][][]byte, n), make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += workers {
				if chains[i], errs[w] = t.issueOne(client, csr); errs[w] == nil {
					errs[w] = ctx.Err()
				}
			}
		})
	}
	wg.Wait()
	return chains, errors.Join(errs...)
}

func (t *target) issueOne(client *http.Client, csr string) (chain [][]byte, err error) {
	body, err := t.signBody(csr)
	if err != nil {
		return nil, err
	}
	answer, err := ask(client, request{"POST", t.url + "/1.0/sign", body, http.StatusCreated})
	if err != nil {
		return nil, err
	}
	var signed struct {
		Chain []string `json:"certChain"`
	}
	if err := json.Unmarshal(answer, &signed); err != nil {
		return nil, err
	}
	for _, text := range signed.Chain {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("the answer holds no PEM certificate")
		}
		chain = append(chain, block.Bytes)
	}
	if len(chain) == 0 {
		return nil, errors.New("the answer holds no certificate")
	}
	return chain, nil
}

func sshBodies(ctx context.Context, t *target, n int) ([][]byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	wire := base64.StdEncoding.EncodeToString(public.Marshal())
	return each(ctx, n, func(int) ([]byte, error) {
		right := map[string]any{"certType": "user", "keyID": "bench@example.internal", "principals": []string{"bench"}}
		token, err := t.token("/1.0/ssh/sign", "bench@example.internal", map[string]any{"step": map[string]any{"ssh": right}})
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]string{"publicKey": wire, "ott": token})
	})
}

// revokeBodies has certificates signed first: only what is on record can be revoked.
func revokeBodies(ctx context.Context, t *target, n int) ([][]byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	chains, err := t.issue(ctx, key, n)
	if err != nil {
		return nil, err
	}
	return each(ctx, n, func(i int) ([]byte, error) {
		cert, err := x509.ParseCertificate(chains[i][0])
		if err != nil {
			return nil, err
		}
		serial := cert.SerialNumber.String()
		token, err := t.token("/1.0/revoke", serial, nil)
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"serial": serial, "ott": token, "reasonCode": 4, "passive": true})
	})
}
