package api

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"strings"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/issue"
)

func (a *API) sign(w http.ResponseWriter, r *http.Request) error {
	var body signRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	csr := body.Request.CertificateRequest
	if csr == nil {
		return fault.New(fault.Invalid, "csr is missing; put the PEM of a certificate request there")
	}
	if err := issue.CheckRequest(csr); err != nil {
		return err
	}
	if body.Token == "" {
		return fault.New(fault.Invalid, "ott is missing; put a token of one of this CA's provisioners there")
	}
	issued, err := a.CA.SignX509(r.Context(), body.Token, &issue.X509Ask{
		Request: csr, NotBefore: body.NotBefore.Moment, NotAfter: body.NotAfter.Moment, Client: clientOf(r),
		Data: dataOf(r, body.TemplateData)})
	if err != nil {
		return err
	}
	return a.writeIssued(w, r, issued)
}

// renew takes the identity from TLS if a client certificate came, else from a renew token.
func (a *API) renew(w http.ResponseWriter, r *http.Request) error {
	issued, err := a.renewed(r)
	if err != nil {
		return err
	}
	return a.writeIssued(w, r, issued)
}

func (a *API) renewed(r *http.Request) (*ca.Issued, error) {
	if client := clientOf(r); client != nil {
		return a.CA.RenewX509(r.Context(), client)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, fault.New(fault.Invalid, "renewal needs the certificate itself: as TLS client certificate, or in a renew token (Authorization: Bearer …)")
	}
	return a.CA.RenewByToken(r.Context(), token)
}

func (a *API) rekey(w http.ResponseWriter, r *http.Request) error {
	client := clientOf(r)
	if client == nil {
		return fault.New(fault.Invalid, "rekey needs the certificate as TLS client certificate")
	}
	var body rekeyRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	csr := body.Request.CertificateRequest
	if csr == nil {
		return fault.New(fault.Invalid, "csr is missing; put the PEM of a certificate request with the new key there")
	}
	if err := issue.CheckRequest(csr); err != nil {
		return err
	}
	issued, err := a.CA.RekeyX509(r.Context(), client, csr)
	if err != nil {
		return err
	}
	return a.writeIssued(w, r, issued)
}

func (a *API) revoke(w http.ResponseWriter, r *http.Request) error {
	var body revokeRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	ask, err := revokeAsk(&body)
	if err != nil {
		return err
	}
	client := clientOf(r)
	Note(r.Context(), "serial", ask.Serial.String(), "reasonCode", ask.ReasonCode, "reason", clip(ask.Reason),
		"passiveOnly", body.Passive, "mTLS", body.Token == "")
	switch {
	case body.Token != "":
		err = a.CA.RevokeByToken(r.Context(), body.Token, ask)
	case client != nil:
		err = a.CA.RevokeByHolder(r.Context(), client, ask)
	default:
		err = fault.New(fault.Invalid, "revocation needs a token (ott) or the certificate itself as TLS client certificate")
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
	return nil
}

// maxReason bounds the free text of a revocation, in bytes.
const maxReason = 1024

func revokeAsk(body *revokeRequest) (ca.RevokeAsk, error) {
	serial, err := parseSerial(body.Serial)
	if err != nil {
		return ca.RevokeAsk{}, err
	}
	if err := ca.CheckReason(body.ReasonCode); err != nil {
		return ca.RevokeAsk{}, err
	}
	if len(body.Reason) > maxReason {
		return ca.RevokeAsk{}, fault.New(fault.Invalid, "reason is %d bytes long; %d is the most", len(body.Reason), maxReason)
	}
	if !body.Passive {
		return ca.RevokeAsk{}, fault.New(fault.Unsupported, "only passive revocation is offered; set passive to true")
	}
	return ca.RevokeAsk{Serial: serial, ReasonCode: body.ReasonCode, Reason: body.Reason}, nil
}

// maxSerialText bounds a serial number as text; 20 octets take 49 decimal digits.
const maxSerialText = 64

// parseSerial reads a serial number: decimal, or hexadecimal after 0x.
func parseSerial(s string) (*big.Int, error) {
	if s == "" {
		return nil, fault.New(fault.Invalid, "serial is missing")
	}
	digits, base := s, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		digits, base = hex, 16
	}
	n, ok := new(big.Int), len(s) <= maxSerialText && !strings.ContainsAny(digits, "+-_")
	if ok {
		n, ok = n.SetString(digits, base)
	}
	if !ok || n.Sign() <= 0 {
		return nil, fault.New(fault.Invalid, "serial is %q; it must be a positive number, decimal or hexadecimal after 0x", clip(s))
	}
	return n, nil
}

// dataOf is what comes along with a request for templates.
func dataOf(r *http.Request, user json.RawMessage) issue.Data {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = ""
	}
	return issue.Data{User: user, ClientIP: host, RequestID: ca.RequestID(r.Context())}
}

type verifiedClients struct{}

// WithVerifiedClients is the context of connections whose TLS settings verify each client
// certificate by themselves, without crypto/tls, which then knows no verified chains.
func WithVerifiedClients(ctx context.Context) context.Context {
	return context.WithValue(ctx, verifiedClients{}, true)
}

// clientOf is the verified TLS client certificate of a request; nil if there is none.
func clientOf(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 ||
		len(r.TLS.VerifiedChains) == 0 && r.Context().Value(verifiedClients{}) == nil {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

func (a *API) writeIssued(w http.ResponseWriter, r *http.Request, issued *ca.Issued) error {
	noteCertificate(r, issued)
	body, err := a.signAnswer(issued.Chain)
	if err != nil {
		return err
	}
	writeBody(w, http.StatusCreated, body)
	return nil
}
