package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/fetch"
)

// Bounds of one call.
const (
	timeout  = 10 * time.Second // with the second try
	pause    = time.Second      // before the second try
	maxWords = 1024             // of what a refusal says, in bytes
)

// Env is what webhooks share.
type Env struct {
	named, nameless *fetch.Client // with the CA's certificate and without
}

// NewEnv makes the clients of all webhooks of a CA: they trust its roots besides the
// machine's, and present its server certificate to servers that ask. identity may be nil.
func NewEnv(roots []*x509.Certificate, identity func(context.Context) (*tls.Certificate, error)) *Env {
	return &Env{
		named:    fetch.New(fetch.Options{Timeout: timeout, Roots: roots, Identity: identity}),
		nameless: fetch.New(fetch.Options{Timeout: timeout, Roots: roots}),
	}
}

// Hook is a webhook that can be called. It is immutable.
type Hook struct {
	config        Config
	address       *address
	key           []byte
	authorization string
	client        *fetch.Client
}

// Open checks a webhook and reads its secrets.
func Open(c Config, env *Env) (*Hook, error) {
	c, err := c.normalize()
	if err != nil {
		return nil, err
	}
	h := &Hook{config: c, client: env.named}
	if c.DisableTLSClientAuth {
		h.client = env.nameless
	}
	if h.address, err = newAddress(c.Name, c.URL); err != nil {
		return nil, err
	}
	if h.key, err = c.key(); err != nil {
		return nil, fmt.Errorf("secret of webhook %q: %w", c.Name, err)
	}
	if h.authorization, err = c.authorization(); err != nil {
		return nil, fmt.Errorf("credentials of webhook %q: %w", c.Name, err)
	}
	return h, nil
}

// Name is how templates call it.
func (h *Hook) Name() string { return h.config.Name }

// Kind is when it is called.
func (h *Hook) Kind() string { return h.config.Kind }

// Covers reports whether it is asked about certificates of a type, X509 or SSH.
func (h *Hook) Covers(certType string) bool {
	return h.config.CertType == All || h.config.CertType == certType
}

// Request is what a webhook is told. The members are those that existing servers read.
type Request struct {
	Timestamp              time.Time `json:"timestamp"`
	ProvisionerName        string    `json:"provisionerName,omitempty"`
	X509CertificateRequest any       `json:"x509CertificateRequest,omitempty"`
	X509Certificate        any       `json:"x509Certificate,omitempty"`
	SSHCertificateRequest  any       `json:"sshCertificateRequest,omitempty"`
	SSHCertificate         any       `json:"sshCertificate,omitempty"`
	X5CCertificate         any       `json:"x5cCertificate,omitempty"`
	AuthorizationPrincipal string    `json:"authorizationPrincipal,omitempty"`
	ACME                   any       `json:"acme,omitempty"`
	TBS                    []byte    `json:"tbs,omitempty"` // the certificate as it will be signed, DER
	RequestID              string    `json:"-"`             // sent as X-Request-Id
}

type answer struct {
	Allow bool            `json:"allow"`
	Data  json.RawMessage `json:"data"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// Call asks. It gives the data of an answer that allows; everything else is an error,
// fault.Denied with what the server wants the requester to know. vars gives the data of a
// templated address and is not called without one.
func (h *Hook) Call(ctx context.Context, r *Request, vars func() (map[string]any, error)) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	to, err := h.address.render(vars)
	if err != nil {
		return nil, h.unusable(err)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, h.unusable(err)
	}
	res, err := h.send(ctx, &fetch.Request{Method: http.MethodPost, URL: to, Header: h.header(r, body), Body: body})
	if err != nil {
		return nil, h.unusable(err)
	}
	return h.read(res)
}

func (h *Hook) header(r *Request, body []byte) http.Header {
	header := http.Header{"Content-Type": {"application/json"}}
	if h.key != nil {
		mac := hmac.New(sha256.New, h.key)
		mac.Write(body)
		header.Set("X-Smallstep-Signature", hex.EncodeToString(mac.Sum(nil)))
	}
	for name, value := range map[string]string{"X-Smallstep-Webhook-ID": h.config.ID, "X-Request-Id": r.RequestID, "Authorization": h.authorization} {
		if value != "" {
			header.Set(name, value)
		}
	}
	return header
}

// send tries once more after a broken connection or a trouble inside the server. A second
// try after a timeout would only wait again.
func (h *Hook) send(ctx context.Context, r *fetch.Request) (*fetch.Answer, error) {
	res, err := h.client.Do(ctx, r)
	again := err != nil && !fetch.IsTimeout(err) && !fault.Is(err, fault.TooLarge) || err == nil && res.Status >= 500
	if !again {
		return res, err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return res, errors.Join(err, ctx.Err())
	case <-timer.C:
	}
	return h.client.Do(ctx, r)
}

func (h *Hook) read(res *fetch.Answer) (any, error) {
	if res.Status >= 300 {
		return nil, fault.New(fault.Denied, "the webhook %q refused with status %d", h.config.Name, res.Status)
	}
	var a answer
	if err := json.Unmarshal(res.Body, &a); err != nil {
		return nil, h.unusable(fmt.Errorf("read the answer: %w", err))
	}
	if !a.Allow {
		return nil, fault.Wrap(a.refusal(), fault.Denied, "the webhook %q refused%s", h.config.Name, a.words())
	}
	if len(a.Data) == 0 {
		return nil, nil
	}
	var data any
	if err := json.Unmarshal(a.Data, &data); err != nil {
		return nil, h.unusable(fmt.Errorf("read the data of the answer: %w", err))
	}
	return data, nil
}

// Refusal is the cause of an error by which a server refused, for doors whose protocol has a
// place for its code.
type Refusal struct {
	Code string // letters, digits, - and _; "": it gave none that can be passed on
}

func (r *Refusal) Error() string { return "refused with the code " + strconv.Quote(r.Code) }

const maxCode = 64

func (a *answer) refusal() *Refusal {
	if a.Error == nil || len(a.Error.Code) > maxCode || strings.ContainsFunc(a.Error.Code, func(r rune) bool {
		return r != '-' && r != '_' && !('0' <= r && r <= '9') && !('A' <= r && r <= 'Z') && !('a' <= r && r <= 'z')
	}) {
		return &Refusal{}
	}
	return &Refusal{a.Error.Code}
}

// words are what the server wants the requester to know.
func (a *answer) words() string {
	if a.Error == nil || a.Error.Message == "" && a.Error.Code == "" {
		return ""
	}
	words := a.Error.Message
	if a.Error.Code != "" {
		words = strings.TrimSpace(words + " (" + a.Error.Code + ")")
	}
	if len(words) > maxWords {
		words = words[:maxWords]
	}
	return ": " + strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(words, "?"))
}

// unusable hides from the requester what is the operator's: addresses, names, the state of
// a connection. The cause is stripped of its own words for callers.
func (h *Hook) unusable(cause error) error {
	return fault.Wrap(errors.New(cause.Error()), fault.Denied, "the webhook %q could not be asked, so nothing is issued; tell the operator", h.config.Name)
}
