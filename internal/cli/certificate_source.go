package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/keys"
)

// serverFlags say how a server is asked for its certificates.
type serverFlags struct {
	roots, serverName string
	insecure          bool

	// expired lets a server through whose certificate is only too old: whoever asks
	// whether it needs renewal wants an answer.
	expired bool
}

func (s *serverFlags) register(fs *flags) {
	fs.String(&s.roots, "roots", "file", "trust the certificates in `file` instead of the system's; a directory or a list separated by commas works too")
	fs.String(&s.serverName, "servername", "name", "name to ask the server for, instead of the one in the URL")
	fs.Bool(&s.insecure, "insecure", "take what the server presents without checking it").NoEnv()
}

// serverPorts are the URL schemes of servers that speak TLS at once, with their ports.
var serverPorts = map[string]string{"https": "443", "tcp": "443", "tls": "443", "smtps": "465", "ldaps": "636"}

// serverAddress reads a URL of a server; ok is false for what is a file name.
func serverAddress(s string) (address, host string, ok bool, err error) {
	scheme, _, found := strings.Cut(s, "://")
	port, known := serverPorts[strings.ToLower(scheme)]
	if !found || !known {
		return "", "", false, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return "", "", true, fmt.Errorf("%q is no address of a server; https://example.com:443 would be one", s)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port), u.Hostname(), true, nil
}

// isServer reports whether an argument names a server rather than a file.
func isServer(s string) bool {
	_, _, ok, _ := serverAddress(s)
	return ok
}

// certificates reads the certificates of a file, of standard input ("-"), or of a server.
func (e *Env) certificates(ctx context.Context, source string, s serverFlags) ([]*x509.Certificate, error) {
	address, host, ok, err := serverAddress(source)
	if err != nil {
		return nil, err
	}
	if ok {
		return s.peer(ctx, address, host, e.Now())
	}
	data, err := e.readFile(source)
	if err != nil {
		return nil, err
	}
	certs, err := keys.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", source, err)
	}
	return certs, nil
}

// Bounds on a conversation with a server. crypto/tls bounds the size of its certificates.
const serverTimeout = 20 * time.Second

// peer asks a server for its certificates, leaf first.
func (s *serverFlags) peer(ctx context.Context, address, host string, now time.Time) ([]*x509.Certificate, error) {
	pool, err := readRoots(s.roots)
	if err != nil {
		return nil, err
	}
	name := s.serverName
	if name == "" {
		name = host
	}
	config := &tls.Config{
		ServerName: name,
		MinVersion: tls.VersionTLS12,
		// The chain is verified below, where an expired certificate may be let through.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if s.insecure {
				return nil
			}
			return s.checkPeer(state.PeerCertificates, name, pool, now)
		},
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	dialer := &tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, explainTLS(err))
	}
	defer conn.Close()
	certs := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s presented no certificate", address)
	}
	return certs, nil
}

func (s *serverFlags) checkPeer(chain []*x509.Certificate, name string, roots *x509.CertPool, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the server presented no certificate")
	}
	at := now
	if s.expired && now.After(chain[0].NotAfter) {
		at = chain[0].NotAfter
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: at})
	return err
}

// explainTLS adds what to do about a server whose certificates are not trusted.
func explainTLS(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; give its root by --roots, or --insecure to look at it unchecked", err)
	}
	return err
}

// readRoots reads the certificates to trust: files, directories, or several of both
// separated by commas. Without any it is nil, which stands for the system's.
func readRoots(list string) (*x509.CertPool, error) {
	certs, err := readRootList(list)
	if err != nil || certs == nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}

func readRootList(list string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		files, err := filesBehind(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			certs, err := keys.ReadCertificates(file)
			if err != nil && file != name {
				continue // a directory may hold other things too
			}
			if err != nil {
				return nil, err
			}
			all = append(all, certs...)
		}
	}
	if list != "" && len(all) == 0 {
		return nil, fmt.Errorf("there is no certificate in %s", list)
	}
	return all, nil
}

// filesBehind is a file itself, or the files in a directory.
func filesBehind(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if !entry.IsDir() {
			files = append(files, filepath.Join(name, entry.Name()))
		}
	}
	return files, nil
}

// certificatesOrRequest reads certificates, or else the signing request in data.
func certificatesOrRequest(data []byte, name string) ([]*x509.Certificate, *x509.CertificateRequest, error) {
	if holdsRequest(data) {
		request, err := keys.ParseCSR(data)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", name, err)
		}
		return nil, request, nil
	}
	certs, err := keys.ParseCertificates(data)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	return certs, nil, nil
}

// holdsRequest reports whether data is a signing request: PEM without a certificate and
// with a request, or DER that is one.
func holdsRequest(data []byte) bool {
	block, rest := pem.Decode(data)
	if block == nil {
		_, err := x509.ParseCertificateRequest(data)
		return err == nil
	}
	found := false
	for ; block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			return false
		case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
			found = true
		}
	}
	return found
}
