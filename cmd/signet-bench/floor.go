package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/signet-ca/signet/internal/keys"
)

// The floor is a bare server that does only what a signature needs: TLS with kept
// connections, verify the token, verify the request, sign, commit in groups, answer. It has
// no rules, no log and no names to search by. What our server costs is told as a multiple of
// it, measured in the same minutes, so that the number means something on any machine.
type floor struct {
	tokenKey *ecdsa.PublicKey
	issuer   *x509.Certificate
	key      any
	roots    *x509.CertPool
	userCA   ssh.Signer // nil: no SSH
	list     []byte     // an empty revocation list
	writes   chan write
}

// serveFloor runs the floor on the files of a CA that ca init made, until it is killed.
func serveFloor(o *options) error {
	f, err := newFloor(o.floorDir, o.floorGroup)
	if err != nil {
		return err
	}
	own, err := f.ownCertificate()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	mux.HandleFunc("POST /1.0/sign", f.sign)
	mux.HandleFunc("POST /1.0/renew", f.renew)
	mux.HandleFunc("POST /1.0/ssh/sign", f.sshSign)
	mux.HandleFunc("POST /1.0/revoke", f.revoke)
	mux.HandleFunc("GET /1.0/crl", f.crl)
	server := &http.Server{Addr: o.floorAddress, Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{*own},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: f.roots, MinVersion: tls.VersionTLS12}}
	return server.ListenAndServeTLS("", "")
}

func newFloor(dir string, group int) (*floor, error) {
	password, err := keys.ReadPasswordFile(filepath.Join(dir, "password"))
	if err != nil {
		return nil, err
	}
	chain, err := keys.ReadCertificates(filepath.Join(dir, "certs", "intermediate_ca.crt"))
	if err != nil {
		return nil, err
	}
	key, err := keys.ReadPrivate(filepath.Join(dir, "secrets", "intermediate_ca_key"), keys.FixedPassword(password))
	if err != nil {
		return nil, err
	}
	t := &target{dir: dir}
	if err := t.readKeys(); err != nil {
		return nil, err
	}
	public, ok := t.key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the floor knows only ECDSA tokens")
	}
	f := &floor{tokenKey: public, issuer: chain[0], key: key, roots: t.roots, writes: make(chan write, 1024)}
	if err := f.readSSH(dir, password); err != nil {
		return nil, err
	}
	if f.list, err = f.emptyList(); err != nil {
		return nil, err
	}
	return f, f.open(dir, group)
}

func (f *floor) sign(w http.ResponseWriter, r *http.Request) {
	var body struct{ CSR, OTT string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sub, sans, jti, err := f.verify(body.OTT)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	der, serial, err := f.issue(body.CSR, sub, sans)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if err := f.commit(write{proof: jti, serial: serial, raw: der}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.answer(w, der)
}

func (f *floor) answer(w http.ResponseWriter, der []byte) {
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	issuer := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.issuer.Raw}))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"crt": leaf, "ca": issuer, "certChain": []string{leaf, issuer}})
}

func (f *floor) verify(token string) (sub string, sans []string, jti string, err error) {
	var claims struct {
		Sub, Jti string
		Sans     []string
	}
	err = f.claims(token, &claims)
	return claims.Sub, claims.Sans, claims.Jti, err
}

func (f *floor) claims(token string, claims any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("no token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return errors.New("no signature")
	}
	sum := sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])]))
	if !ecdsa.Verify(f.tokenKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return errors.New("bad signature")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, claims)
}

func (f *floor) issue(csr, sub string, sans []string) (der []byte, serial string, err error) {
	block, _ := pem.Decode([]byte(csr))
	if block == nil {
		return nil, "", errors.New("no request")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, "", err
	}
	if err := request.CheckSignature(); err != nil {
		return nil, "", err
	}
	return f.certify(request.PublicKey, sub, sans)
}

func (f *floor) certify(public any, sub string, sans []string) (der []byte, serial string, err error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, "", err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: n, DNSNames: sans, NotBefore: now, NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	template.Subject.CommonName = sub
	der, err = x509.CreateCertificate(rand.Reader, template, f.issuer, public, f.key)
	return der, n.Text(16), err
}

func (f *floor) ownCertificate() (*tls.Certificate, error) {
	key, err := keys.Alg{}.Generate()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{"localhost"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, f.issuer, key.Public(), f.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, f.issuer.Raw}, PrivateKey: key}, nil
}
