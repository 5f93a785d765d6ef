package signet

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"
)

// maxToken is what a CA accepts at most.
const maxToken = 64 << 10

// tokenClaims are the claims of a token that matter to the client which carries it.
type tokenClaims struct {
	Subject     string          `json:"sub"`
	Audience    json.RawMessage `json:"aud"`
	Fingerprint string          `json:"sha"`
	SANs        []string        `json:"sans"`
}

// readToken reads the claims of a token without any check: the CA is who checks.
func readToken(token string) (*tokenClaims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxToken {
		return nil, errors.New("read token: it is not a JSON Web Token in compact form")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	claims := new(tokenClaims)
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	return claims, nil
}

// address is the CA a token is for: the first audience that is a URL.
func (c *tokenClaims) address() string {
	var audiences []string
	if json.Unmarshal(c.Audience, &audiences) != nil {
		var one string
		if json.Unmarshal(c.Audience, &one) != nil {
			return ""
		}
		audiences = []string{one}
	}
	for _, aud := range audiences {
		if u, err := url.Parse(aud); err == nil && strings.HasPrefix(u.Scheme, "http") && u.Host != "" {
			return "https://" + u.Host
		}
	}
	return ""
}

// TokenCA tells which CA a token is for, and the fingerprint of that CA's root. Both are
// empty if the token does not say; nothing is checked.
func TokenCA(token string) (address, fingerprint string) {
	claims, err := readToken(token)
	if err != nil {
		return "", ""
	}
	return claims.address(), claims.Fingerprint
}

// BootstrapByToken is [Bootstrap] with the address and the fingerprint that a token names.
func BootstrapByToken(ctx context.Context, token string, options *Options) (*Client, *x509.Certificate, error) {
	claims, err := readToken(token)
	if err != nil {
		return nil, nil, err
	}
	address := claims.address()
	if address == "" || claims.Fingerprint == "" {
		return nil, nil, errors.New("read token: it does not name its CA and the fingerprint of the CA's root")
	}
	return Bootstrap(ctx, address, claims.Fingerprint, options)
}

// NewRequest makes a key, EC P-256, and the request for a certificate with the names a
// token covers: its sans, or without any its subject.
func NewRequest(token string) (*SignRequest, crypto.Signer, error) {
	claims, err := readToken(token)
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: claims.Subject}}
	names := claims.SANs
	if len(names) == 0 {
		names = []string{claims.Subject}
	}
	for _, name := range names {
		addName(template, name)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	return &SignRequest{CSR: CertificateRequest{csr}, OTT: token}, key, nil
}

// addName puts a name where its kind belongs; CAs tell the kinds apart in the same way.
func addName(template *x509.CertificateRequest, name string) {
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if u, err := url.Parse(name); err == nil && u.Scheme != "" {
		template.URIs = append(template.URIs, u)
	} else if strings.Contains(name, "@") {
		template.EmailAddresses = append(template.EmailAddresses, name)
	} else if name != "" {
		template.DNSNames = append(template.DNSNames, name)
	}
}

const (
	renewalIssuer   = "step-ca-client/1.0"
	renewalLifetime = 5 * time.Minute
)

// RenewalToken makes the token that proves possession of a certificate's key, for
// [Client.RenewByToken].
func (c *Client) RenewalToken(cert *tls.Certificate, now time.Time) (string, error) {
	leaf, err := leafOf(cert)
	if err != nil {
		return "", err
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return "", fmt.Errorf("sign renewal token: a key of type %T does not sign", cert.PrivateKey)
	}
	alg, hash, err := signatureAlgorithm(key.Public())
	if err != nil {
		return "", err
	}
	header := map[string]any{"alg": alg, "typ": "JWT", "x5cInsecure": cert.Certificate}
	claims := map[string]any{
		"iss": renewalIssuer, "sub": leaf.Subject.CommonName, "aud": c.base.String() + "/1.0/renew", "jti": newUUID(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(renewalLifetime).Unix(),
	}
	signed, err := signingInput(header, claims)
	if err != nil {
		return "", fmt.Errorf("sign renewal token: %w", err)
	}
	signature, err := signJWS(key, hash, []byte(signed))
	if err != nil {
		return "", fmt.Errorf("sign renewal token: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func signingInput(header, claims map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	p, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(p), nil
}

// signatureAlgorithm is how a key signs a JWS. RFC 7518, Section 3.1; RFC 8037.
func signatureAlgorithm(public crypto.PublicKey) (alg string, hash crypto.Hash, err error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return "ES256", crypto.SHA256, nil
		case elliptic.P384():
			return "ES384", crypto.SHA384, nil
		case elliptic.P521():
			return "ES512", crypto.SHA512, nil
		}
	case *rsa.PublicKey:
		return "RS256", crypto.SHA256, nil
	case ed25519.PublicKey:
		return "EdDSA", 0, nil
	}
	return "", 0, fmt.Errorf("sign renewal token: keys of type %T are not supported", public)
}

func signJWS(key crypto.Signer, hash crypto.Hash, message []byte) ([]byte, error) {
	digest := message
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	signature, err := key.Sign(rand.Reader, digest, hash)
	public, ok := key.Public().(*ecdsa.PublicKey)
	if err != nil || !ok {
		return signature, err
	}
	// RFC 7518, Section 3.4: r and s, each as long as the curve's order, not in DER.
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &rs); err != nil {
		return nil, err
	}
	size := (public.Curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*size)
	rs.R.FillBytes(out[:size])
	rs.S.FillBytes(out[size:])
	return out, nil
}

// leafOf is the parsed leaf of a certificate.
func leafOf(cert *tls.Certificate) (*x509.Certificate, error) {
	if cert.Leaf != nil {
		return cert.Leaf, nil
	}
	if len(cert.Certificate) == 0 {
		return nil, errors.New("the certificate is empty")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return leaf, nil
}
