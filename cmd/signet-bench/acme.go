package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/signet-ca/signet/internal/keys"
)

// acmeName is the ACME provisioner, acmeHost what its certificates are for. An address needs no
// name server, which would be measured with the CA.
const (
	acmeName = "acme"
	acmeHost = "127.0.0.1"
)

// proofs answer http-01 challenges on loopback, for all accounts.
type proofs struct {
	server *http.Server
	port   string
	known  sync.Map // token to key authorization
}

func serveProofs() (*proofs, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proofs{server: &http.Server{ReadHeaderTimeout: 10 * time.Second}}
	if _, p.port, err = net.SplitHostPort(l.Addr().String()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proof, ok := p.known.Load(strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, proof.(string))
	})
	go func() { _ = p.server.Serve(l) }() // it ends when the target is stopped
	return p, nil
}

// account is an ACME client with one kept connection. It signs by hand, since what the client
// costs is taken from the same processors.
type account struct {
	*http.Transport
	key        *ecdsa.PrivateKey
	kid        string // "": new
	jwk        string
	thumbprint string
	nonce      string
	csr        string // DER, base64url
}

// accounts registers one account for each worker.
func accounts(ctx context.Context, t *target, n int) ([]*http.Client, error) {
	list := make([]*http.Client, n)
	for i := range list {
		a := &account{Transport: t.client(1).Transport.(*http.Transport)}
		list[i] = &http.Client{Timeout: 30 * time.Second, Transport: a}
		if err := errors.Join(ctx.Err(), a.register(list[i], t)); err != nil {
			return nil, fmt.Errorf("register an ACME account: %w", err)
		}
	}
	return list, nil
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func (a *account) register(c *http.Client, t *target) error {
	var err error
	if a.key, err = newKey(); err != nil {
		return err
	}
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		return err
	}
	a.jwk = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, encode(point[1:33]), encode(point[33:]))
	if a.thumbprint, err = keys.Thumbprint(a.key.Public()); err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{IPAddresses: []net.IP{net.ParseIP(acmeHost)}}, key)
	if err != nil {
		return err
	}
	a.csr = encode(der)
	base := t.url + "/acme/" + acmeName
	resp, err := c.Head(base + "/new-nonce")
	if err != nil {
		return err
	}
	resp.Body.Close()
	a.nonce = resp.Header.Get("Replay-Nonce")
	answer, err := a.post(c, base+"/new-account", "{}")
	if err != nil {
		return err
	}
	a.kid = answer.location
	return nil
}

// acmeAnswer is what all answers have, and the members of orders, authorizations and challenges.
type acmeAnswer struct {
	location string
	body     []byte

	Status         string   `json:"status"`
	Authorizations []string `json:"authorizations"`
	Finalize       string   `json:"finalize"`
	Certificate    string   `json:"certificate"`
	Challenges     []struct {
		Type, URL, Token string
	} `json:"challenges"`
}

// post sends a signed request; a payload of "" only reads (RFC 8555, Section 6.3).
func (a *account) post(c *http.Client, url, payload string) (*acmeAnswer, error) {
	who := fmt.Sprintf(`"kid":%q`, a.kid)
	if a.kid == "" {
		who = `"jwk":` + a.jwk
	}
	protected := encode(fmt.Appendf(nil, `{"alg":"ES256",%s,"nonce":%q,"url":%q}`, who, a.nonce, url))
	payload = encode([]byte(payload))
	sum := sha256.Sum256([]byte(protected + "." + payload))
	r, s, err := ecdsa.Sign(rand.Reader, a.key, sum[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	body := fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, protected, payload, encode(signature))
	resp, err := c.Post(url, "application/jose+json", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if nonce := resp.Header.Get("Replay-Nonce"); nonce != "" {
		a.nonce = nonce
	}
	answer := &acmeAnswer{location: resp.Header.Get("Location")}
	if answer.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode > 299 {
		return nil, fmt.Errorf("%s: status %d: %s", url, resp.StatusCode, answer.body[:min(len(answer.body), 300)])
	}
	if bytes.HasPrefix(answer.body, []byte("{")) {
		err = json.Unmarshal(answer.body, answer)
	}
	return answer, err
}

// acmeOrder goes the whole way of an order in six requests, as RFC 8555, Section 7.1 draws it,
// and one look of the server at the proof.
func acmeOrder(c *http.Client, t *target, _ []byte) error {
	a := c.Transport.(*account)
	order, err := a.post(c, t.url+"/acme/"+acmeName+"/new-order", `{"identifiers":[{"type":"ip","value":"`+acmeHost+`"}]}`)
	if err != nil {
		return err
	}
	if len(order.Authorizations) != 1 {
		return fmt.Errorf("the order has %d authorizations", len(order.Authorizations))
	}
	if err := a.prove(c, t, order.Authorizations[0]); err != nil {
		return err
	}
	done, err := a.post(c, order.Finalize, `{"csr":"`+a.csr+`"}`)
	if err != nil {
		return err
	}
	if done.Status != "valid" {
		return fmt.Errorf("the order is %s after it was finalized", done.Status)
	}
	chain, err := a.post(c, done.Certificate, "")
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(chain.body); block == nil {
		return errors.New("the answer holds no certificate")
	}
	return nil
}

// prove answers the challenge of an authorization and sees it become valid.
func (a *account) prove(c *http.Client, t *target, url string) error {
	authz, err := a.post(c, url, "")
	if err != nil {
		return err
	}
	for _, challenge := range authz.Challenges {
		if challenge.Type != "http-01" {
			continue
		}
		t.proofs.known.Store(challenge.Token, challenge.Token+"."+a.thumbprint)
		defer t.proofs.known.Delete(challenge.Token)
		if _, err := a.post(c, challenge.URL, "{}"); err != nil {
			return err
		}
		if authz, err = a.post(c, url, ""); err != nil {
			return err
		}
		if authz.Status != "valid" {
			return fmt.Errorf("the authorization is %s after its challenge was answered", authz.Status)
		}
		return nil
	}
	return errors.New("the authorization offers no http-01")
}
