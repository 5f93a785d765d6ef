// Package api is the door of the CA's JSON API: it parses, calls one verb of the office,
// and prints. It holds no rules.
package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/signet-ca/signet/internal/ca"
	"github.com/signet-ca/signet/internal/fault"
	"github.com/signet-ca/signet/internal/strict"
)

// MaxBody bounds a request body in bytes.
const MaxBody = 1 << 20

// API serves one CA.
type API struct {
	CA      *ca.CA
	Log     *slog.Logger
	Version string
	TLS     func() *TLSOptions               // what clients are told about TLS
	Ready   func(ctx context.Context) Status // for /ready

	issuers  atomic.Pointer[quotedChain] // of the last answer
	crlShown atomic.Pointer[shownCRL]    // last
}

// handler is an endpoint: what goes wrong is returned, and answered in one place.
type handler func(w http.ResponseWriter, r *http.Request) error

// route is one endpoint, served at its path and below /1.0.
type route struct {
	method, path string
	handle       handler
}

// routes is the table of endpoints.
func (a *API) routes() []route {
	return []route{
		{"GET", "/version", a.version},
		{"GET", "/health", a.health},
		{"GET", "/ready", a.ready},
		{"GET", "/root/{sha}", a.root},
		{"GET", "/roots", a.roots},
		{"GET", "/roots.pem", a.rootsPEM},
		{"GET", "/intermediates", a.intermediates},
		{"GET", "/intermediates.pem", a.intermediatesPEM},
		{"GET", "/federation", a.federation},
		{"GET", "/provisioners", a.provisioners},
		{"GET", "/provisioners/{kid}/encrypted-key", a.encryptedKey},
		{"GET", "/crl", a.crl},
		{"POST", "/sign", a.sign},
		{"POST", "/renew", a.renew},
		{"POST", "/re-sign", a.renew},
		{"POST", "/rekey", a.rekey},
		{"POST", "/revoke", a.revoke},
		{"POST", "/ssh/sign", a.sshSign},
		{"POST", "/sign-ssh", a.sshSign},
		{"POST", "/ssh/renew", a.sshRenew},
		{"POST", "/ssh/rekey", a.sshRekey},
		{"POST", "/ssh/revoke", a.sshRevoke},
		{"GET", "/ssh/roots", a.sshRoots},
		{"GET", "/ssh/federation", a.sshFederation},
		{"POST", "/ssh/config", a.sshConfig},
		{"POST", "/ssh/config/{type}", a.sshConfig},
		{"POST", "/ssh/check-host", a.sshCheckHost},
		{"GET", "/ssh/hosts", a.sshHosts},
		{"GET", "/ssh/get-hosts", a.sshHosts},
		{"POST", "/ssh/bastion", a.sshBastion},
		{"GET", "/ssh/krl", a.sshKRL}, // never over plain HTTP: the list is not signed
	}
}

// Handler serves all endpoints.
func (a *API) Handler() http.Handler {
	return a.mux(a.routes())
}

// PublicHandler serves what may go over plain HTTP: the revocation list.
func (a *API) PublicHandler() http.Handler {
	return a.mux([]route{{"GET", "/crl", a.crl}})
}

func (a *API) mux(routes []route) http.Handler {
	mux := http.NewServeMux()
	allowed := map[string]string{}
	for _, r := range routes {
		for _, prefix := range []string{"", "/1.0"} {
			mux.Handle(r.method+" "+prefix+r.path, a.serve(r.handle))
			allowed[prefix+r.path] = r.method
		}
	}
	for path, method := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", method)
			writeProblem(w, http.StatusMethodNotAllowed, "method not allowed", "this address takes only "+method+" requests")
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, "not found", "there is nothing at this address; see the API reference for what this CA serves")
	})
	return mux
}

func (a *API) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		Note(r.Context(), "error", err.Error())
		if fault.KindOf(err) == fault.Internal {
			a.Log.ErrorContext(r.Context(), "request failed inside", "err", err, "request-id", ca.RequestID(r.Context()), "path", r.URL.Path)
		}
		WriteError(w, err)
	})
}

// readJSON reads a bounded body into v.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := readBody(http.MaxBytesReader(w, r.Body, MaxBody), r.ContentLength)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.TooLarge, "the request body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the request body could not be read to its end")
	}
	if err := strict.Decode(body, v); err != nil {
		if fault.Of(err) != nil {
			return err
		}
		return fault.Wrap(err, fault.Invalid, "the request body is not the JSON object this address expects")
	}
	return nil
}

// readBody reads to the end. A size that is announced is believed as far as it costs little.
func readBody(from io.Reader, announced int64) ([]byte, error) {
	var body bytes.Buffer
	body.Grow(int(min(max(announced, 0), 16<<10)) + bytes.MinRead)
	_, err := body.ReadFrom(from)
	return body.Bytes(), err
}
