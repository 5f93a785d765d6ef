package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/signet-ca/signet"
	"github.com/signet-ca/signet/internal/keys"
)

// caFlags are the flags that say which CA is asked and why it is trusted.
type caFlags struct{ url, root string }

func (c *caFlags) register(fs *flags) {
	fs.URL(&c.url, "ca-url", "address of the CA, such as https://ca.example.com:9000")
	fs.String(&c.root, "root", "file", "root certificate of the CA").Preset("certs/root_ca.crt in the home")
}

// client makes a client of the CA that the flags, the defaults and the home name. It
// presents the identity certificate, if there is a valid one.
func (c *caFlags) client(env *Env) (*signet.Client, error) {
	if c.url == "" {
		return nil, errRequired("ca-url")
	}
	roots, err := c.pool(env)
	if err != nil {
		return nil, err
	}
	options := clientOptions(env)
	options.Roots = roots
	if err := useIdentity(env, options); err != nil {
		return nil, err
	}
	return signet.NewClient(c.url, options)
}

// rootFile is the file of the root certificate, which may not exist.
func (c *caFlags) rootFile(env *Env) string { return cmp.Or(c.root, env.Home.RootFile()) }

// pool is the roots that the CA's own certificate must chain to.
func (c *caFlags) pool(env *Env) (*x509.CertPool, error) {
	certs, err := keys.ReadCertificates(c.rootFile(env))
	if errors.Is(err, fs.ErrNotExist) && c.root == "" {
		return nil, fmt.Errorf("the root certificate of the CA is not known here: give --root, or run '%s ca bootstrap' first", env.Name)
	}
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

// clientByToken is client, except that a token which names its CA and the CA's root is
// enough: the root is fetched and compared with the token's fingerprint.
func (c *caFlags) clientByToken(ctx context.Context, env *Env, token string) (*signet.Client, error) {
	address, fingerprint := signet.TokenCA(token)
	if fingerprint == "" || address == "" {
		return c.client(env)
	}
	client, _, err := signet.Bootstrap(ctx, cmp.Or(c.url, address), fingerprint, clientOptions(env))
	return client, err
}

// clientOptions name this program to the CA.
func clientOptions(env *Env) *signet.Options {
	return &signet.Options{UserAgent: fmt.Sprintf("%s/%s (%s/%s)", env.Name, Version(), runtime.GOOS, runtime.GOARCH)}
}

// identity is the file config/identity.json: a certificate that is shown to the CA in
// every call, as long as it is valid.
type identity struct {
	Type        string `json:"type"` // mTLS, or tTLS: the connection runs inside one to Host
	Certificate string `json:"crt"`
	Key         string `json:"key"`
	Host        string `json:"host,omitempty"`
	Root        string `json:"root,omitempty"`
}

// identityLeeway is how long before its end an identity is no more used.
const identityLeeway = time.Minute

// useIdentity gives the client the identity of this home, if there is a valid one.
func useIdentity(env *Env, options *signet.Options) error {
	path := env.Home.Path("config", "identity.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	var id identity
	if err := json.Unmarshal(data, &id); err != nil {
		return fmt.Errorf("read identity %s: %w", path, err)
	}
	if id.Type == "" {
		return nil
	}
	chain, err := keys.ReadCertificates(env.Home.Abs(id.Certificate))
	if err != nil {
		return fmt.Errorf("read identity %s: %w", path, err)
	}
	now := env.Now()
	if now.Before(chain[0].NotBefore.Add(-identityLeeway)) || now.After(chain[0].NotAfter.Add(-identityLeeway)) {
		return nil
	}
	key, err := keys.ReadPrivate(env.Home.Abs(id.Key), keys.NoPassword)
	if err != nil {
		return fmt.Errorf("read identity %s: %w", path, err)
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	switch {
	case strings.EqualFold(id.Type, "mTLS"):
		options.Certificate = cert
		return nil
	case strings.EqualFold(id.Type, "tTLS"):
		return id.tunnel(env, cert, options)
	}
	return fmt.Errorf("read identity %s: type %q is neither mTLS nor tTLS", path, id.Type)
}

// tunnel sends every connection through a TLS connection to the identity's host, which
// passes the bytes on to the CA.
func (id *identity) tunnel(env *Env, cert *tls.Certificate, options *signet.Options) error {
	if id.Host == "" {
		return errors.New("the identity of type tTLS names no host")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}}
	root := cmp.Or(id.Root, env.Home.RootFile())
	certs, err := keys.ReadCertificates(env.Home.Abs(root))
	if err != nil {
		return fmt.Errorf("read root of the tunnel: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	for _, c := range certs {
		config.RootCAs.AddCert(c)
	}
	dialer := &tls.Dialer{Config: config}
	host := id.Host
	options.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", host)
	}
	return nil
}
