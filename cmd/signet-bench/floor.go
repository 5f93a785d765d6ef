package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the same database as the server's, without anything of ours

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
	writes   chan write
}

type write struct {
	proof, serial string
	der           []byte
	done          chan error
}

// serveFloor runs the floor on the files of a CA that ca init made, until it is killed.
func serveFloor(dir, address string) error {
	f, err := newFloor(dir)
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
	server := &http.Server{Addr: address, Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{*own}, MinVersion: tls.VersionTLS12}}
	return server.ListenAndServeTLS("", "")
}

func newFloor(dir string) (*floor, error) {
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
	if err := t.readKeys(filepath.Join(dir, "password")); err != nil {
		return nil, err
	}
	public, ok := t.key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the floor knows only ECDSA tokens")
	}
	f := &floor{tokenKey: public, issuer: chain[0], key: key, writes: make(chan write, 1024)}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE spent (proof TEXT PRIMARY KEY) WITHOUT ROWID; CREATE TABLE certs (serial TEXT PRIMARY KEY, der BLOB)"); err != nil {
		return nil, err
	}
	go f.commit(db)
	return f, nil
}

// commit gathers what has arrived and makes it durable together.
func (f *floor) commit(db *sql.DB) {
	for first := range f.writes {
		group := []write{first}
		for more := true; more && len(group) < 128; {
			select {
			case w := <-f.writes:
				group = append(group, w)
			default:
				more = false
			}
		}
		err := commitGroup(db, group)
		for _, w := range group {
			w.done <- err
		}
	}
}

func commitGroup(db *sql.DB, group []write) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after a commit
	spend, err := tx.Prepare("INSERT INTO spent VALUES (?)")
	if err != nil {
		return err
	}
	record, err := tx.Prepare("INSERT INTO certs VALUES (?, ?)")
	if err != nil {
		return err
	}
	for _, w := range group {
		if _, err := spend.Exec(w.proof); err != nil {
			return err
		}
		if _, err := record.Exec(w.serial, w.der); err != nil {
			return err
		}
	}
	return tx.Commit()
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
	done := make(chan error, 1)
	f.writes <- write{jti, serial, der, done}
	if err := <-done; err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	issuer := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.issuer.Raw}))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"crt": leaf, "ca": issuer, "certChain": []string{leaf, issuer}})
}

func (f *floor) verify(token string) (sub string, sans []string, jti string, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", nil, "", errors.New("no token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return "", nil, "", errors.New("no signature")
	}
	sum := sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])]))
	if !ecdsa.Verify(f.tokenKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return "", nil, "", errors.New("bad signature")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", nil, "", err
	}
	var claims struct {
		Sub, Jti string
		Sans     []string
	}
	err = json.Unmarshal(payload, &claims)
	return claims.Sub, claims.Sans, claims.Jti, err
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
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, "", err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: n, DNSNames: sans, NotBefore: now, NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	template.Subject.CommonName = sub
	der, err = x509.CreateCertificate(rand.Reader, template, f.issuer, request.PublicKey, f.key)
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

// compare loads the floor beside the server, alternating, so that both see the same machine.
func compare(ctx context.Context, ours, bare *target, n int, o *options) (a, b *result, err error) {
	if b, err = bare.load(ctx, n, o.warmUp, o.duration); err != nil {
		return nil, nil, fmt.Errorf("load the floor: %w", err)
	}
	a, err = ours.load(ctx, n, o.warmUp, o.duration)
	return a, b, err
}
