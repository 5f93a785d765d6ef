// Package testca is a whole CA in a temporary directory, for tests: root, intermediate,
// store, a JWK provisioner, and a server with its own certificate that asks for client
// certificates as the real one does.
//
// Its tokens, requests and certificates are put together by hand from the standards, never
// by the code under test: a mistake made twice must not prove itself right.
package testca

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
	"fmt"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/signet-ca/signet/internal/api"
	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/issue"
	"github.com/signet-ca/signet/internal/keys"
	"github.com/signet-ca/signet/internal/provisioner"
	"github.com/signet-ca/signet/internal/store"
	"github.com/signet-ca/signet/internal/webhook"
)

// Provisioner is the name of the JWK provisioner that every test CA has unless told
// otherwise.
const Provisioner = "ops@example.com"

// EncryptedKey stands for the encrypted private key of that provisioner. The CA hands it
// out and never looks inside.
const EncryptedKey = "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1cifQ.AA.AA.AA.AA"

// Setup is what a test wants different. Its zero value is a CA with the built-in claims on a
// store in memory.
type Setup struct {
	Provisioners []string                // JSON objects; nil: the JWK provisioner alone
	More         []string                // JSON objects after the JWK provisioner
	Member       map[string]any          // further members of the JWK provisioner, "claims" for one
	Claims       *provisioner.Claims     // of the authority
	Durable      bool                    // SQLite in a file instead of memory
	Started      time.Time               // when the CA claims to have started; zero: now
	DNSNames     []string                // of the CA; nil: localhost, 127.0.0.1, ::1
	Root, Middle func(*x509.Certificate) // bend the certificates before they are signed
	MiddleKey    crypto.Signer           // key of the intermediate; nil: a new P-256 key
	Authority    func(*issue.Authority)
	State        func(*ca.State) // the last word before the state is in force
	CRL          *ca.CRLSettings
	Home         string // where template files are looked for
	Observe      func(ca.Event)
	SSH          bool          // with an SSH half: keys, an SSHPOP provisioner, SSH for the JWK provisioner
	SSHUserKey   crypto.Signer // of the user CA; nil: a new P-256 key
	SSHHostKey   crypto.Signer // of the host CA; nil: a new P-256 key
}

// CA is a running test CA.
type CA struct {
	Root, Intermediate       *x509.Certificate
	RootKey, IntermediateKey crypto.Signer
	Key                      *ecdsa.PrivateKey // of the JWK provisioner
	KeyID                    string            // of that key
	Office                   *ca.CA
	Store                    *store.Store
	Log                      *Log
	Authority                *issue.Authority
	SSHUserKey, SSHHostKey   crypto.Signer // of the SSH half

	t      testing.TB
	file   string // of the database; "" in memory
	setup  Setup
	server func() *httptest.Server
}

// New sets up a CA. It ends with the test.
func New(t testing.TB, bend ...func(*Setup)) *CA {
	t.Helper()
	s := Setup{DNSNames: []string{"localhost", "127.0.0.1", "::1"}, Started: time.Now().Add(-time.Second)}
	for _, b := range bend {
		b(&s)
	}
	c := &CA{t: t, setup: s, Log: new(Log)}
	c.makeCertificates()
	c.Key = P256(t)
	c.KeyID = Thumbprint(&c.Key.PublicKey)
	c.makeSSHKeys()
	c.openStore()
	c.Office = ca.New(ca.Options{Store: c.Store, Log: c.Logger(), Started: s.Started, Observe: s.Observe}, c.NewState())
	c.server = sync.OnceValue(c.serve)
	return c
}

// In is the same CA seen from a subtest, which then is the one that fails.
func (c *CA) In(t testing.TB) *CA {
	seen := *c
	seen.t = t
	return &seen
}

// File is where the database of a durable CA is.
func (c *CA) File() string { return c.file }

// Sibling is another server of the same CA, on the same database, which must be a durable one.
func (c *CA) Sibling(bend ...func(*Setup)) *CA {
	c.t.Helper()
	s := *c
	s.openStore()
	s.Office = ca.New(ca.Options{Store: s.Store, Log: s.Logger(), Started: s.setup.Started, Observe: s.setup.Observe}, s.NewState(bend...))
	s.server = sync.OnceValue(s.serve)
	return &s
}

// Logger writes into Log.
func (c *CA) Logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(c.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (c *CA) openStore() {
	c.t.Helper()
	config := store.Config{Type: "memory"}
	if c.setup.Durable {
		if c.file == "" {
			c.file = filepath.Join(c.t.TempDir(), "signet.db")
		}
		config = store.Config{Type: "sqlite", DataSource: c.file}
	}
	db, err := store.Open(context.Background(), config, c.Logger())
	if err != nil {
		c.t.Fatal(err)
	}
	c.Store = db
	c.t.Cleanup(func() {
		if err := db.Close(); err != nil {
			c.t.Error(err)
		}
	})
}

func (c *CA) makeCertificates() {
	c.t.Helper()
	c.RootKey, c.IntermediateKey = P256(c.t), c.setup.MiddleKey
	if c.IntermediateKey == nil {
		c.IntermediateKey = P256(c.t)
	}
	c.Root = c.Certify(Template("Test Root CA", 2, c.setup.Root), nil, c.RootKey.Public(), c.RootKey)
	c.Intermediate = c.Certify(Template("Test Intermediate CA", 1, c.setup.Middle), c.Root, c.IntermediateKey.Public(), c.RootKey)
}

// Template is a CA certificate to be, for Certify.
func Template(cn string, pathLen int, bend func(*x509.Certificate)) *x509.Certificate {
	now := time.Now()
	cert := &x509.Certificate{
		Subject:   pkix.Name{CommonName: cn},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(10 * 365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLen: pathLen - 1, MaxPathLenZero: pathLen == 1,
	}
	if bend != nil {
		bend(cert)
	}
	return cert
}

// Certify signs any certificate with any key; issuer nil makes it self-signed.
func (c *CA) Certify(template, issuer *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	c.t.Helper()
	if template.SerialNumber == nil {
		serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			c.t.Fatal(err)
		}
		template.SerialNumber = serial.Add(serial, big.NewInt(1))
	}
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, pub, by)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

// NewState builds a state from the setup, as a reload would.
func (c *CA) NewState(bend ...func(*Setup)) *ca.State {
	c.t.Helper()
	s := c.setup
	for _, b := range bend {
		b(&s)
	}
	issuer, err := issue.NewLocal([]*x509.Certificate{c.Intermediate}, c.IntermediateKey, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	claims, err := s.Claims.Over(provisioner.BuiltinClaims())
	if err != nil {
		c.t.Fatal(err)
	}
	authority := &issue.Authority{Chain: issuer.Chain(), Root: c.Root, Backdate: time.Minute}
	if s.Authority != nil {
		s.Authority(authority)
	}
	c.Authority = authority
	env := &provisioner.Env{Authority: authority, Claims: claims, Audiences: provisioner.NewAudiences(s.DNSNames), Home: s.Home,
		Roots: []*x509.Certificate{c.Root}, Revoked: func(ctx context.Context, chain []*x509.Certificate) error { return c.Office.RefuseRevoked(ctx, chain) },
		Webhooks: webhook.NewEnv([]*x509.Certificate{c.Root}, func(ctx context.Context) (*tls.Certificate, error) { return c.Office.OwnCertificate(ctx) })}
	half := c.sshHalf(&s, env)
	vault, err := keys.NewVault(keys.Material(c.IntermediateKey))
	if err != nil {
		c.t.Fatal(err)
	}
	state := &ca.State{
		Vault: vault,
		Roots: []*x509.Certificate{c.Root}, Issuer: issuer, Authority: authority, Audiences: env.Audiences,
		Provisioners: c.provisioners(&s, env), Claims: claims, CRL: s.CRL,
		DNSNames: s.DNSNames, CommonName: "Test Online CA", SSH: half,
	}
	if s.State != nil {
		s.State(state)
	}
	return state
}

// Reload puts a new state in force.
func (c *CA) Reload(bend ...func(*Setup)) {
	c.t.Helper()
	c.Office.Swap(c.NewState(bend...))
}

func (c *CA) provisioners(s *Setup, env *provisioner.Env) *provisioner.List {
	c.t.Helper()
	objects := s.Provisioners
	if objects == nil {
		objects = []string{c.JWK(Provisioner, s.Member)}
	}
	var all []*provisioner.Provisioner
	for _, object := range append(objects[:len(objects):len(objects)], s.More...) {
		p := new(provisioner.Provisioner)
		if err := json.Unmarshal([]byte(object), p); err != nil {
			c.t.Fatalf("provisioner %s: %v", object, err)
		}
		if err := p.Open(env); err != nil {
			c.Logger().Warn("provisioner disabled", "provisioner", p.Name, "err", err)
		}
		all = append(all, p)
	}
	list, err := provisioner.NewList(all, env.Audiences)
	if err != nil {
		c.t.Fatal(err)
	}
	return list
}

// JWK is the JSON object of a JWK provisioner with the CA's provisioner key. Further members
// go over the usual ones.
func (c *CA) JWK(name string, more map[string]any) string {
	return JWKProvisioner(name, &c.Key.PublicKey, more)
}

// JWKProvisioner is the JSON object of a JWK provisioner.
func JWKProvisioner(name string, key *ecdsa.PublicKey, more map[string]any) string {
	object := map[string]any{"type": "JWK", "name": name, "key": PublicJWK(key), "encryptedKey": EncryptedKey}
	for k, v := range more {
		object[k] = v
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// PublicJWK writes an EC key as RFC 7518, Section 6.2 says.
func PublicJWK(key *ecdsa.PublicKey) map[string]any {
	x, y := coordinates(key)
	return map[string]any{"use": "sig", "kty": "EC", "kid": Thumbprint(key), "crv": key.Params().Name,
		"alg": map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[key.Curve],
		"x":   x, "y": y}
}

// Thumbprint is that of RFC 7638: the required members in order, hashed.
func Thumbprint(key *ecdsa.PublicKey) string {
	x, y := coordinates(key)
	return Digest([]byte(fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, key.Params().Name, x, y)))
}

func coordinates(key *ecdsa.PublicKey) (x, y string) {
	point, err := key.Bytes() // 4 ‖ X ‖ Y
	if err != nil {
		panic(err)
	}
	half := (len(point) - 1) / 2
	return base64.RawURLEncoding.EncodeToString(point[1 : 1+half]), base64.RawURLEncoding.EncodeToString(point[1+half:])
}

// api is the door the server opens.
func (c *CA) api() *api.API {
	return &api.API{CA: c.Office, Log: c.Logger(), Version: "0.0.0-test",
		TLS: func() *api.TLSOptions {
			return &api.TLSOptions{CipherSuites: []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, MinVersion: "1.2", MaxVersion: "1.3"}
		},
		Ready: func(context.Context) api.Status { return api.Status{Ready: true} }}
}
